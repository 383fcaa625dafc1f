package main

import (
	"fmt"
	"slices"
	"strings"

	"understudy/canary"
	"understudy/judge"
	"understudy/llm"
	"understudy/llm/bedrock"
)

// A Unit is a section [unit.NAME]: a business unit that cost is counted by.
type Unit struct {
	// OtherCostUSD is what one unit costs besides AI.
	OtherCostUSD *float64 `toml:"other_cost_usd"`
}

// Validate reports what is wrong with the section.
func (u *Unit) Validate() error {
	if v := u.OtherCostUSD; v != nil && !(*v >= 0 && *v <= 1e8) {
		return fmt.Errorf("other_cost_usd is %v: 0 to 100 million", *v)
	}
	return nil
}

// judged tells whether judge models see the pairs of a sub-module: a gate needs
// them, or metrics are listed.
func (c *Config) judged(s canary.Submodule) bool {
	return len(c.Judge.Endpoints) > 0 && c.Judge.Share > 0 && len(s.Candidates) > 0 && (s.NeedsJudge() || len(c.Judge.Metrics) > 0)
}

// judgeOf is the judge of a sub-module: the first of the list that may judge all
// of its sides. why names what is in the way of each.
func (c *Config) judgeOf(s canary.Submodule) (ep llm.Endpoint, why []string, ok bool) {
	for _, name := range c.Judge.Endpoints {
		ep, known := c.endpoint(name)
		if !known {
			continue // said elsewhere
		}
		reason := c.conflict(ep, s)
		if reason == "" {
			return ep, nil, true
		}
		why = append(why, reason)
	}
	return llm.Endpoint{}, why, false
}

// conflict says why an endpoint may not judge a sub-module, "" where it may.
func (c *Config) conflict(judge llm.Endpoint, s canary.Submodule) string {
	family := familyOf(judge)
	for _, name := range append([]string{s.Baseline}, s.Candidates...) {
		if name == judge.Name {
			return fmt.Sprintf("%s is a side itself", judge.Name)
		}
		side, ok := c.endpoint(name)
		if !ok || c.Judge.AllowSameFamily || family == "" {
			continue
		}
		if familyOf(side) == family {
			return fmt.Sprintf("%s is of the family %s, as is %s", judge.Name, family, name)
		}
	}
	return ""
}

// families tells a model's family by a part of its id. An ARN names none.
var families = []struct{ part, family string }{
	{"gpt", "gpt"}, {"chatgpt", "gpt"}, {"o1", "gpt"}, {"o3", "gpt"}, {"o4", "gpt"}, {"claude", "claude"}, {"llama", "llama"},
	{"mistral", "mistral"}, {"mixtral", "mistral"}, {"nova", "nova"}, {"gemini", "gemini"}, {"deepseek", "deepseek"}, {"qwen", "qwen"},
}

// familyOf is the family of an endpoint: as declared, else as its model id says;
// "" where neither does.
func familyOf(ep llm.Endpoint) string {
	if ep.Family != "" {
		return ep.Family
	}
	if ep.Provider == "bedrock" {
		if f, ok := bedrock.FamilyOf("", ep.Model); ok {
			return f.Name
		}
		return ""
	}
	model := strings.ToLower(ep.Model)
	for _, f := range families {
		if strings.HasPrefix(model, f.part) || len(f.part) > 2 && strings.Contains(model, f.part) {
			return f.family
		}
	}
	return ""
}

// metrics are what judges score in a sub-module: what its gates read, and what is
// listed besides.
func (c *Config) metrics(s canary.Submodule) []string {
	out := s.Metrics()
	for _, name := range c.Judge.Metrics {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// controlOf is the endpoint that is asked as the control of a sub-module: its
// baseline, where a gate needs one and the endpoint can be called.
func (c *Config) controlOf(s canary.Submodule) (llm.Endpoint, bool) {
	ep, ok := c.endpoint(s.Baseline)
	if !ok || c.Replay.ControlShare == 0 || len(s.Candidates) == 0 || !s.NeedsControl() || !canCall(ep) {
		return llm.Endpoint{}, false
	}
	_, priced := c.rates(ep)
	return ep, priced
}

// canCall tells whether an endpoint has what a call needs; a baseline that is only
// named, because the application brings its own key, has not.
func canCall(ep llm.Endpoint) bool {
	return ep.Provider == "bedrock" || ep.BaseURL != "" || ep.APIKeyEnv != "" || ep.APIKeyFile != ""
}

// wired are the sub-modules with what the rest of the configuration says of them.
func (c *Config) wired() []canary.Submodule {
	out := slices.Clone(c.Submodules)
	for i := range out {
		s := &out[i]
		s.Judged, s.JudgeShare = c.judged(*s), c.Judge.Share
		if ep, ok := c.controlOf(*s); ok {
			s.Control = ep.Name
		}
		if u, ok := c.Units[s.Unit]; ok {
			s.OtherCostUSD = u.OtherCostUSD
		}
	}
	return out
}

// judgeRoles checks what a sub-module needs of judges, metrics and units.
func (c *Config) judgeRoles(s canary.Submodule) []error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if s.NeedsUnitCost() {
		if u, ok := c.Units[s.Unit]; s.Unit == "" || !ok || u.OtherCostUSD == nil {
			bad("gate expense_ratio needs to know what a unit costs besides AI: set unit here, and other_cost_usd in a section [unit.%s]", orWord(s.Unit, "NAME"))
		}
	}
	if s.NeedsJudge() && len(c.Judge.Endpoints) == 0 {
		bad("a gate needs a judge model, but [judge] endpoints is empty; list one, or remove the gates on scores and win_rate")
		return errs
	}
	if !c.judged(s) {
		return errs
	}
	for _, name := range c.metrics(s) {
		if _, err := c.Judge.Metric(name); err != nil {
			bad("gate on %q: %w", name, err)
		}
	}
	if _, why, ok := c.judgeOf(s); !ok && len(why) > 0 {
		bad("no endpoint of [judge] may judge it: %s; list one of another family, or set [judge] allow_same_family = true", strings.Join(why, "; "))
	}
	return errs
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// judgeEndpoints checks the endpoints that [judge] lists.
func (c *Config) judgeEndpoints() []error {
	var errs []error
	for _, name := range c.Judge.Endpoints {
		ep, ok := c.endpoint(name)
		if !ok {
			errs = append(errs, fmt.Errorf("endpoints: %q has no [[endpoint]] section", name))
			continue
		}
		if err := c.callable("judge", ep); err != nil {
			errs = append(errs, fmt.Errorf("endpoints: %w", err))
		}
	}
	return errs
}

// judgeNotes are what an operator should know of judges and controls.
func (c *Config) judgeNotes() []string {
	var notes []string
	for _, name := range c.Judge.Endpoints {
		if ep, ok := c.endpoint(name); ok && familyOf(ep) == "" {
			notes = append(notes, fmt.Sprintf("judge %q: its family is not known, so that it may judge its own; set family", name))
		}
	}
	if c.Judge.AllowSameFamily {
		notes = append(notes, "judge.allow_same_family is true: a judge may favour its own family")
	}
	for _, s := range c.Submodules {
		if !s.NeedsControl() || len(s.Candidates) == 0 {
			continue
		}
		if _, ok := c.controlOf(s); !ok {
			notes = append(notes, fmt.Sprintf("sub-module %q has quality gates and no control, so that nothing is promoted (no_control): give the baseline %q a key of its own (api_key_env), a price, and replay.control_share above 0",
				s.Name, s.Baseline))
		}
	}
	return notes
}

// newJudges makes a client for every endpoint that judges.
func newJudges(cfg *Config, who identify, policy *bedrock.RegionPolicy) ([]judge.Judge, error) {
	var out []judge.Judge
	for _, name := range cfg.Judge.Endpoints {
		ep, ok := cfg.endpoint(name)
		if !ok {
			continue // the configuration was validated
		}
		client, err := newClient(ep, who)
		if err != nil {
			return nil, err
		}
		restrict(client, ep, policy)
		rates, _ := cfg.rates(ep)
		out = append(out, judge.Judge{Endpoint: ep, Client: client, Rates: rates})
	}
	return out, nil
}

// judgeScope says which trials judge models see.
func (c *Config) judgeScope(judges []judge.Judge, instance string) judge.Scope {
	of := func(submodule string) (judge.Judge, bool) {
		s, ok := c.submodule(submodule)
		if !ok || !c.judged(s) {
			return judge.Judge{}, false
		}
		ep, _, ok := c.judgeOf(s)
		i := slices.IndexFunc(judges, func(j judge.Judge) bool { return j.Endpoint.Name == ep.Name })
		if !ok || i < 0 {
			return judge.Judge{}, false
		}
		return judges[i], true
	}
	return judge.Scope{
		Judge: of,
		Submodules: func(name string) []string {
			list, any := c.scope(func(submodule string) bool {
				j, ok := of(submodule)
				return ok && j.Endpoint.Name == name
			})
			if !any {
				return []string{}
			}
			return list
		},
		Metrics: func(submodule string) []string {
			s, _ := c.submodule(submodule)
			return c.metrics(s)
		},
		Compared: func(submodule, endpoint string) bool {
			s, _ := c.submodule(submodule)
			control, ok := c.controlOf(s)
			return slices.Contains(s.Candidates, endpoint) || ok && control.Name == endpoint
		},
		Window: c.Canary.ConversationWindow, Deadline: c.Canary.VerdictDeadline, Instance: instance,
	}
}
