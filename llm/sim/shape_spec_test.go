package sim

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// specShape is a shape of the vendor's service definition.
type specShape struct {
	Type     string
	Union    bool
	Required []string
	Members  map[string]struct{ Shape string }
	Member   struct{ Shape string }
	Enum     []string
	Min, Max *float64
	Pattern  string
}

// own maps our short names to the definition's.
var own = map[string]string{
	"MaxTokens": "InferenceConfigurationMaxTokensInteger", "Share": "InferenceConfigurationTemperatureFloat",
	"StopSequences": "InferenceConfigurationStopSequencesList", "Empty": "AutoToolChoice", "Effort": "OutputConfigEffortString",
	"ResponsePaths": "ConverseRequestAdditionalModelResponseFieldPathsList", "ResponsePath": "ConverseRequestAdditionalModelResponseFieldPathsListMemberString",
	"MetadataString": "",
}

// vendorShapes reads the definition beside the repository, or skips the test.
func vendorShapes(t *testing.T) map[string]specShape {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	f, err := os.Open(filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "specs", "bedrock-runtime.service-2.json.gz"))
	if err != nil {
		t.Skip("../shared/specs is not beside the repository")
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var spec struct{ Shapes map[string]specShape }
	if err := json.NewDecoder(z).Decode(&spec); err != nil {
		t.Fatal(err)
	}
	return spec.Shapes
}

// TestShapesAreTheVendors holds our table against the vendor's definition.
func TestShapesAreTheVendors(t *testing.T) {
	vendors := vendorShapes(t)
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
