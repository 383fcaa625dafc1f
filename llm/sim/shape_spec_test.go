package sim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/internal/vendorspec"
)

// own maps our short names to the definition's.
var own = map[string]string{
	"MaxTokens": "InferenceConfigurationMaxTokensInteger", "Share": "InferenceConfigurationTemperatureFloat",
	"StopSequences": "InferenceConfigurationStopSequencesList", "Empty": "AutoToolChoice", "Effort": "OutputConfigEffortString",
	"ResponsePaths": "ConverseRequestAdditionalModelResponseFieldPathsList", "ResponsePath": "ConverseRequestAdditionalModelResponseFieldPathsListMemberString",
	"MetadataString": "",
}

// TestShapesAreTheVendors holds our table against the vendor's definition.
func TestShapesAreTheVendors(t *testing.T) {
	vendors := vendorspec.BedrockRuntime(t).Shapes
	for name, s := range shapes {
		full, renamed := own[name]
		if !renamed {
			full = name
		}
		if full == "" || s.kind == "document" {
			continue
		}
		v, ok := vendors[full]
		if !ok {
			t.Errorf("%s is not in the definition", full)
			continue
		}
		kind := v.Type
		if v.Union {
			kind = "union"
		}
		if kind != s.kind {
			t.Errorf("%s is a %s, not a %s", name, kind, s.kind)
		}
		var theirs, ours []string
		for m := range v.Members {
			theirs = append(theirs, m)
		}
		for m := range s.members {
			ours = append(ours, m)
		}
		sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
		theirs = remove(theirs, "modelId") // stands in the path
		if d := cmp.Diff(theirs, ours, sorted, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: members %s", name, d)
		}
		if d := cmp.Diff(remove(v.Required, "modelId"), s.required, sorted, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: required %s", name, d)
		}
		if d := cmp.Diff(v.Enum, s.enum, sorted, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: enum %s", name, d)
		}
		if orZero(v.Min) != s.min || orZero(v.Max) != s.max {
			t.Errorf("%s: %g..%g, not %g..%g", name, orZero(v.Min), orZero(v.Max), s.min, s.max)
		}
		pattern := ""
		if s.pattern != nil {
			pattern = s.pattern.String()
			pattern = pattern[len("^(?:") : len(pattern)-len(")$")]
		}
		if v.Pattern != pattern {
			t.Errorf("%s: pattern %q, not %q", name, v.Pattern, pattern)
		}
	}
}

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func remove(list []string, s string) []string {
	var out []string
	for _, e := range list {
		if e != s {
			out = append(out, e)
		}
	}
	return out
}
