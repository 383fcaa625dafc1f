package canary

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"understudy/llm"
)

// Any is the name of the [[submodule]] that stands for every sub-module without
// an entry of its own.
const Any = "*"

// Submodule is one [[submodule]]: what migrates alone, to which candidates, and
// by which criteria.
type Submodule struct {
	// Name as the exchanges carry it, written module/name, or "*".
	Name string `toml:"name"`
	// Baseline is the endpoint that serves today; its price counts the live side.
	Baseline string `toml:"baseline"`
	// Candidates are the endpoints that are tried in shadow.
	Candidates []string `toml:"candidates"`
	// Unit is the business unit that cost is counted by, such as "interview".
	Unit string `toml:"unit"`
	// Risk orders the rollout, lowest first.
	Risk int `toml:"risk"`
	// Priority is what matters here, in words; the decision matrix shows it.
	Priority string `toml:"priority"`
	// DailyUSD bounds what all candidates together may cost here in one UTC day; 0
	// leaves it to the common budget.
	DailyUSD float64 `toml:"daily_usd"`
	// Keep goes on trying candidates that are rejected.
	Keep bool `toml:"keep"`
	// Retention is how long the sub-module's records are kept, 0 for as long as all.
	Retention time.Duration `toml:"retention"`
	// Criteria are the gates.
	Criteria Criteria `toml:"criteria"`

	// What follows is not of the section: whoever composes the configuration
	// knows it from other sections.

	// OtherCostUSD is what one unit costs besides AI; nil where nobody said.
	OtherCostUSD *float64 `toml:"-"`
	// Judged: judge models see one drawn pair of each conversation.
	Judged bool `toml:"-"`
	// JudgeShare is the share of conversations that judges see; 0 is all.
	JudgeShare float64 `toml:"-"`
	// Control is the endpoint that is asked as the control, "" where none is.
	Control string `toml:"-"`
}

// Validate reports what is wrong with the entry, all faults joined. Whether the
// endpoints exist is for whoever knows them: see Endpoints.
func (s *Submodule) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if s.Name != Any && !llm.ValidName(s.Name) {
		bad("name must be %s; or \"*\"", llm.NameRule)
	}
	if !(s.DailyUSD >= 0 && s.DailyUSD <= 1e8) {
		bad("daily_usd is %v: 0 (the common budget) to 100 million", s.DailyUSD)
	}
	if s.Name == Any && s.DailyUSD > 0 {
		bad("daily_usd is of one sub-module, and \"*\" stands for many")
	}
	if s.Retention != 0 && s.Retention < time.Hour {
		bad("retention is %s; at least 1h is needed, or 0", s.Retention)
	}
	if s.Baseline == "" {
		bad("baseline is missing: the name of the endpoint that serves today")
	}
	for i, c := range s.Candidates {
		if c == s.Baseline {
			bad("candidate %q is the baseline itself", c)
		}
		if slices.Contains(s.Candidates[:i], c) {
			bad("candidate %q is listed twice", c)
		}
	}
	if s.Unit != "" && !llm.ValidName(s.Unit) {
		bad("unit %q must be %s", s.Unit, llm.NameRule)
	}
	if len(s.Candidates) > 0 && len(s.Criteria.Gates) == 0 {
		bad("there are candidates but no criteria; a promotion needs at least one gate under [submodule.criteria]")
	}
	if err := s.Criteria.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Endpoints are the names of all endpoints that the entry refers to.
func (s *Submodule) Endpoints() []string {
	if s.Baseline == "" {
		return slices.Clone(s.Candidates)
	}
	return append([]string{s.Baseline}, s.Candidates...)
}

// NeedsPrice tells whether a gate is about costs, so that the endpoints need
// prices.
func (s *Submodule) NeedsPrice() bool {
	return s.has("cost_ratio", "cost_per_unit_usd", "expense_ratio")
}

// NeedsJudge tells whether a gate reads what only a judge model says.
func (s *Submodule) NeedsJudge() bool {
	return s.has("score.", "harmfulness", "stereotyping", "refusal", "harmfulness_margin", "stereotyping_margin", "refusal_margin", "win_rate")
}

// NeedsControl tells whether a gate is held against the baseline asked again.
func (s *Submodule) NeedsControl() bool { return s.has("score.", "win_rate", "agreement") }

// NeedsAgreement tells whether a gate compares every pair with its control.
func (s *Submodule) NeedsAgreement() bool { return s.has("agreement") }

// NeedsUnitCost tells whether a gate needs OtherCostUSD.
func (s *Submodule) NeedsUnitCost() bool { return s.has("expense_ratio") }

// Metrics are the names of the scores that the gates read, each once, in the order
// of the gates.
func (s *Submodule) Metrics() []string {
	var out []string
	for _, g := range s.Criteria.Gates {
		if name := g.metric(); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// has tells whether a gate is of one of the kinds.
func (s *Submodule) has(kinds ...string) bool {
	return slices.ContainsFunc(s.Criteria.Gates, func(g Gate) bool {
		kind, _ := g.kind()
		return slices.Contains(kinds, kind)
	})
}

// Submodules are all entries of a configuration.
type Submodules []Submodule

// Validate checks every entry, and that no name stands twice.
func (s Submodules) Validate() error {
	var errs []error
	for i := range s {
		if err := s[i].Validate(); err != nil {
			errs = append(errs, fmt.Errorf("submodule %q: %w", s[i].Name, err))
		}
		if slices.ContainsFunc(s[:i], func(o Submodule) bool { return o.Name == s[i].Name }) {
			errs = append(errs, fmt.Errorf("submodule %q stands twice", s[i].Name))
		}
	}
	return errors.Join(errs...)
}

// Find is the entry of a sub-module: its own, else "*", else nil.
func (s Submodules) Find(name string) *Submodule {
	var fallback *Submodule
	for i := range s {
		switch s[i].Name {
		case name:
			return &s[i]
		case Any:
			fallback = &s[i]
		}
	}
	return fallback
}

// Candidates are the candidates of a sub-module; none where no entry stands for it.
func (s Submodules) Candidates(name string) []string {
	if e := s.Find(name); e != nil {
		return e.Candidates
	}
	return nil
}
