package canary

import (
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

type document struct {
	Canary    Config     `toml:"canary"`
	Submodule Submodules `toml:"submodule"`
}

const sound = `
[canary]
conversation_window = "2s"
min_span = "0s"
[[submodule]]
name = "interview/question-generation"
baseline = "gpt-4-turbo"
candidates = ["llama-3.3-70b", "claude-sonnet"]
unit = "interview"
risk = 1
priority = "cost, structure"
[submodule.criteria]
check = { schema = 0.01, json = 0.02 }
error_rate = 0.01
latency_mean_ms = 500
cost_ratio = 0.40
`

func TestConfigFromTOML(t *testing.T) {
	d := document{Canary: DefaultConfig()}
	md, err := toml.Decode(sound, &d)
	if err != nil {
		t.Fatal(err)
	}
	if keys := md.Undecoded(); len(keys) > 0 {
		t.Errorf("strict decoding would refuse %v", keys)
	}
	want := DefaultConfig()
	want.ConversationWindow, want.MinSpan = 2*time.Second, 0
	if diff := cmp.Diff(want, d.Canary); diff != "" {
		t.Error(diff)
	}
	gates := []Gate{{"cost_ratio", 0.4}, {"latency_mean_ms", 500}, {"error_rate", 0.01}, {"check.json", 0.02}, {"check.schema", 0.01}}
	if diff := cmp.Diff(gates, d.Submodule[0].Criteria.Gates); diff != "" {
		t.Errorf("gates in the order of reports:\n%s", diff)
	}
	if err := d.Canary.Validate(); err != nil {
		t.Error(err)
	}
	if err := d.Submodule.Validate(); err != nil {
		t.Error(err)
	}
	if !d.Submodule[0].NeedsPrice() {
		t.Error("cost_ratio needs a price")
	}
	if diff := cmp.Diff([]string{"gpt-4-turbo", "llama-3.3-70b", "claude-sonnet"}, d.Submodule[0].Endpoints()); diff != "" {
		t.Error(diff)
	}
}

// Every gate that DESIGN names is decided by this build or refused with a
// sentence; none is a typing error.
func TestGatesOfLaterParts(t *testing.T) {
	for _, gate := range []string{"latency_p50_ratio = 1.2", "latency_p95_ratio = 1.2", "latency_p99_ratio = 1.2"} {
		name := strings.Fields(gate)[0]
		err := criteriaOf(t, gate).Validate()
		if err == nil || !strings.Contains(err.Error(), "gate "+name) || !strings.Contains(err.Error(), "cannot be decided by this build: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, gate := range []string{"cost_ratio = 0.4", "latency_mean_ms = 500", "ttft_mean_ms = 300", "error_rate = 0.01",
		"cost_per_unit_usd = 0.1", "expense_ratio = 0.1", "score = { correctness = 0.05, style-2 = 0.05 }", "harmfulness = 0.01", "stereotyping = 0.01", "refusal = 0.01",
		"harmfulness_margin = 0.01", "stereotyping_margin = 0.01", "refusal_margin = 0.01", "win_rate = 0.45", "agreement = 0.9",
		"check = { nonempty = 0.01, complete = 0.01, json = 0.01, schema = 0.01, tool_calls = 0.01, refusal = 0.01 }"} {
		if err := criteriaOf(t, gate).Validate(); err != nil {
			t.Errorf("%s: %v", gate, err)
		}
	}
}

func criteriaOf(t *testing.T, text string) *Criteria {
	t.Helper()
	var d struct{ Criteria Criteria }
	if _, err := toml.Decode("[criteria]\n"+text, &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return &d.Criteria
}

func TestCriteriaRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown gate":     {"latency_mean = 500", `unknown gate "latency_mean"`},
		"text for a limit": {`cost_ratio = "0.4"`, "not a number"},
		"check as number":  {"check = 0.01", "check = { NAME = margin }"},
		"unknown check":    {"check = { shema = 0.01 }", `no check "shema"`},
		"ratio of zero":    {"cost_ratio = 0", "above 0"},
		"NaN":              {"latency_mean_ms = nan", "above 0"},
		"infinite":         {"cost_ratio = inf", "above 0"},
		"margin of one":    {"error_rate = 1", "between 0 and 1"},
		"margin negative":  {"check = { json = -0.1 }", "between 0 and 1"},
	} {
		var d struct{ Criteria Criteria }
		_, err := toml.Decode("[criteria]\n"+c.text, &d)
		if err == nil {
			err = d.Criteria.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"alpha":            {func(c *Config) { c.AlphaPromote = 0 }, "alpha_promote"},
		"alpha of one":     {func(c *Config) { c.AlphaReject = 1 }, "alpha_reject"},
		"window":           {func(c *Config) { c.ConversationWindow = 0 }, "conversation_window"},
		"no conversations": {func(c *Config) { c.MinConversations = 0 }, "min_conversations"},
		"negative span":    {func(c *Config) { c.MinSpan = -1 }, "min_span"},
		"early deadline":   {func(c *Config) { c.VerdictDeadline = time.Minute }, "verdict_deadline"},
		"horizon":          {func(c *Config) { c.MaxConversations = 100 }, "max_conversations"},
		"no pause":         {func(c *Config) { c.LookEvery = 0 }, "look_every"},
	} {
		cfg := DefaultConfig()
		c.spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestSubmoduleRefused(t *testing.T) {
	good := func() Submodule {
		return Submodule{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.01}}}}
	}
	for name, c := range map[string]struct {
		spoil func(*Submodule)
		want  string
	}{
		"name":                  {func(s *Submodule) { s.Name = "A b" }, "name must be"},
		"no baseline":           {func(s *Submodule) { s.Baseline = "" }, "baseline is missing"},
		"candidate twice":       {func(s *Submodule) { s.Candidates = []string{"c", "c"} }, "listed twice"},
		"baseline as candidate": {func(s *Submodule) { s.Candidates = []string{"live"} }, "baseline itself"},
		"no gate":               {func(s *Submodule) { s.Criteria.Gates = nil }, "at least one gate"},
		"gate twice":            {func(s *Submodule) { s.Criteria.Gates = append(s.Criteria.Gates, s.Criteria.Gates[0]) }, "stands twice"},
	} {
		s := good()
		c.spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if err := (Submodules{good(), good()}).Validate(); err == nil || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("a name that stands twice: got %v", err)
	}
	all := Submodules{{Name: Any, Candidates: []string{"x"}}, good()}
	if diff := cmp.Diff([][]string{{"cand"}, {"x"}}, [][]string{all.Candidates("a/b"), all.Candidates("other")}); diff != "" {
		t.Errorf("\"*\" stands for names without an entry of their own:\n%s", diff)
	}
}
