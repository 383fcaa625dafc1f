package canary

import (
	"slices"
	"strings"
	"testing"
)

// One run of each scenario: what is good is promoted, what is not never is.
func TestScenarios(t *testing.T) {
	want := map[string][]string{
		"good": {Promote}, "better": {Promote}, "clustered": {Promote},
		"worse_errors": {Reject, Hold}, "too_dear": {Reject}, "too_slow": {Reject}, "catastrophe": {Reject, Hold},
		"drift_late": {Reject, Hold}, "missing": {Hold},
		"judged": {Promote}, "worse_quality": {Reject}, "missing_judge": {Hold}, "judge_position_bias": {Hold},
	}
	reasons := map[string]string{"missing_judge": "missing_judge_scores:score.correctness missing_judge_scores:harmfulness missing_judge_scores:win_rate", "judge_position_bias": "judge_control_failed"}
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
		if w := reasons[s.name]; !strings.HasPrefix(codesOf(got.Reasons), w) {
			t.Errorf("%s: got %v, want %s", s.name, got.Reasons, w)
		}
		if w := want[s.name]; w != nil && !slices.Contains(w, got.Verdict) {
			t.Errorf("%s: got %s (%v), want one of %v", s.name, got.Verdict, got.Reasons, w)
		}
	}
}
