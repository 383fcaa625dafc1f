package canary

import (
	"slices"
	"testing"
)

// One run of each scenario: what is good is promoted, what is not never is.
func TestScenarios(t *testing.T) {
	want := map[string][]string{
		"good": {Promote}, "better": {Promote}, "clustered": {Promote},
		"worse_errors": {Reject, Hold}, "too_dear": {Reject}, "too_slow": {Reject}, "catastrophe": {Reject, Hold},
		"drift_late": {Reject, Hold}, "missing": {Hold},
	}
	list, bad := scenarios()
	for _, s := range list {
		got, err := s.first(1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-20s %-10s after %d: %s", s.name, got.Verdict, got.Clusters, codesOf(got.Reasons))
		if bad[s.name] && got.Verdict == Promote {
			t.Errorf("%s: promoted after %d conversations", s.name, got.Clusters)
		}
		if w := want[s.name]; w != nil && !slices.Contains(w, got.Verdict) {
			t.Errorf("%s: got %s (%v), want one of %v", s.name, got.Verdict, got.Reasons, w)
		}
	}
}
