package report

import (
	"strconv"
	"strings"
	"testing"

	"understudy/canary"
	"understudy/llm"
)

// said writes the points in the order turns, tools, structured, context, gaps =
// total; "-" where nothing was measured.
func said(c Complexity) string {
	var out []string
	for _, p := range []*int{c.Turns, c.Tools, c.Structured, c.Context, c.Gaps, c.Total} {
		if p == nil {
			out = append(out, "-")
			continue
		}
		out = append(out, strconv.Itoa(*p))
	}
	return strings.Join(out, " ")
}

func TestComplexityPoints(t *testing.T) {
	simple := canary.Volume{Exchanges: 10, Turns: 1, Messages: 2, InputTokensP99: 900}
	with := func(change func(*canary.Volume)) canary.Volume {
		v := simple
		change(&v)
		return v
	}
	for name, tt := range map[string]struct {
		volume canary.Volume
		want   string
	}{
		"simple":               {simple, "0 0 0 0 0 0"},
		"turns at the edge":    {with(func(v *canary.Volume) { v.Turns = 1.5 }), "0 0 0 0 0 0"},
		"some turns":           {with(func(v *canary.Volume) { v.Turns = 1.6 }), "1 0 0 0 0 1"},
		"many turns":           {with(func(v *canary.Volume) { v.Turns = 4.1 }), "2 0 0 0 0 2"},
		"many messages":        {with(func(v *canary.Volume) { v.Messages = 11 }), "2 0 0 0 0 2"},
		"messages not known":   {with(func(v *canary.Volume) { v.Messages = canary.Unknown() }), "0 0 0 0 0 0"},
		"a request with tools": {with(func(v *canary.Volume) { v.ToolShare = 0.001 }), "0 1 0 0 0 1"},
		"half with tools":      {with(func(v *canary.Volume) { v.ToolShare = 0.5 }), "0 1 0 0 0 1"},
		"most with JSON":       {with(func(v *canary.Volume) { v.JSONShare = 0.51 }), "0 0 2 0 0 2"},
		"some context":         {with(func(v *canary.Volume) { v.InputTokensP99 = 4001 }), "0 0 0 1 0 1"},
		"much context":         {with(func(v *canary.Volume) { v.InputTokensP99 = 32_001 }), "0 0 0 2 0 2"},
		"all":                  {canary.Volume{Exchanges: 1, Turns: 9, Messages: 2, ToolShare: 1, JSONShare: 1, InputTokensP99: 1e5}, "2 2 2 2 0 8"},
		"unreadable requests":  {with(func(v *canary.Volume) { v.ToolShare = canary.Unknown() }), "0 - 0 0 0 -"},
		"no traffic":           {canary.Volume{}, "- - - - 0 -"},
	} {
		if got := said(complexity(tt.volume, ptr(0))); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestGapPoints(t *testing.T) {
	cell := func(candidate string, severity llm.Severity) Cell {
		c := Cell{CellLook: canary.CellLook{Submodule: "s", Candidate: candidate}, Compared: 1}
		if severity != "" {
			c.Gaps = []canary.GapCount{{Severity: severity}}
		}
		return c
	}
	cells := []Cell{cell("none", ""), cell("cosmetic", llm.Cosmetic), cell("semantic", llm.Semantic), cell("blocking", llm.Blocking), {CellLook: canary.CellLook{Submodule: "s", Candidate: "untried"}}}
	for selected, want := range map[string]int{"none": 0, "cosmetic": 0, "semantic": 1, "blocking": 2} {
		if got := gapPoints(&Row{Submodule: "s", Selected: selected, Promoted: true}, cells); got == nil || *got != want {
			t.Errorf("%s: %v", selected, got)
		}
	}
	if got := gapPoints(&Row{Submodule: "s", Selected: "live"}, cells); *got != 2 {
		t.Errorf("none selected: %d, want the worst of all", *got)
	}
	if got := gapPoints(&Row{Submodule: "s", Selected: "live"}, cells[4:]); got != nil {
		t.Errorf("nothing tried: %d", *got)
	}
}

func TestRolloutOrder(t *testing.T) {
	plain := canary.Volume{Exchanges: 1, Turns: 1, Messages: 2, InputTokensP99: 10}
	hard := plain
	hard.ToolShare = 1
	entries := canary.Submodules{{Name: "risky", Risk: 5}, {Name: "hard", Risk: 1}, {Name: "plain-b", Risk: 1}, {Name: "plain-a", Risk: 1}, {Name: "unseen", Risk: 1}}
	volumes := map[string]canary.Volume{"risky": plain, "hard": hard, "plain-a": plain, "plain-b": plain}
	var rows []Row
	var cells []Cell
	for _, e := range entries {
		rows = append(rows, Row{Submodule: e.Name})
		if _, seen := volumes[e.Name]; seen {
			cells = append(cells, Cell{CellLook: canary.CellLook{Submodule: e.Name}, Compared: 1})
		}
	}
	var got []string
	for i, g := range rollout(rows, cells, entries, volumes) {
		got = append(got, g.Submodule)
		if g.Order != i+1 {
			t.Errorf("%s has order %d at place %d", g.Submodule, g.Order, i+1)
		}
	}
	if want := "plain-a plain-b hard unseen risky"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s: risk first, then complexity, then the name", got, want)
	}
}
