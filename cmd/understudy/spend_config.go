package main

import (
	"slices"

	"understudy/canary"
	"understudy/internal/journal"
	"understudy/llm"
)

// cells are the sub-modules that are configured by name with the endpoints that are asked
// for them in a role.
func (c *Config) cells(role journal.Role) []journal.Cell {
	var out []journal.Cell
	for _, s := range c.Submodules {
		if s.Name == canary.Any {
			continue
		}
		for _, name := range c.asked(s, role) {
			out = append(out, journal.Cell{Submodule: s.Name, Endpoint: name, Role: role})
		}
	}
	return out
}

// asked are the endpoints that are asked for a sub-module in a role.
func (c *Config) asked(s canary.Submodule, role journal.Role) []string {
	switch role {
	case journal.RoleControl:
		if ep, ok := c.controlOf(s); ok {
			return []string{ep.Name}
		}
	case journal.RoleJudge:
		if ep, _, ok := c.judgeOf(s); ok && c.judged(s) {
			return []string{ep.Name}
		}
	default:
		return s.Candidates
	}
	return nil
}

// budgets are all daily budgets, as the stages open them: each account's own, then those
// of its endpoints, then those of its sub-modules.
func (c *Config) budgets() []journal.Budget {
	out := []journal.Budget{{Account: journal.AccountReplay, CapUSD: c.Replay.DailyUSD}}
	out = append(out, c.endpointBudgets(journal.AccountReplay, journal.RoleCandidate)...)
	for _, s := range c.Submodules {
		if s.DailyUSD > 0 {
			out = append(out, journal.Budget{Account: journal.AccountReplay, Submodule: s.Name, CapUSD: s.DailyUSD})
		}
	}
	out = append(out, journal.Budget{Account: journal.AccountControl, CapUSD: c.Replay.ControlDailyUSD})
	out = append(out, c.endpointBudgets(journal.AccountControl, journal.RoleControl)...)
	out = append(out, journal.Budget{Account: journal.AccountJudge, CapUSD: c.Judge.DailyUSD})
	return append(out, c.endpointBudgets(journal.AccountJudge, journal.RoleJudge)...)
}

// endpointBudgets are the budgets of endpoints in a role; an endpoint's own holds in each
// of its roles by itself.
func (c *Config) endpointBudgets(account string, role journal.Role) (out []journal.Budget) {
	has := func(ep llm.Endpoint) bool {
		if role == journal.RoleJudge {
			return slices.Contains(c.Judge.Endpoints, ep.Name)
		}
		return slices.ContainsFunc(c.Submodules, func(s canary.Submodule) bool { return slices.Contains(c.asked(s, role), ep.Name) })
	}
	for _, ep := range c.Endpoints {
		if ep.DailyUSD > 0 && has(ep) {
			out = append(out, journal.Budget{Account: account, Endpoint: ep.Name, CapUSD: ep.DailyUSD})
		}
	}
	return out
}
