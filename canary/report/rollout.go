package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"understudy/canary"
	"understudy/llm"
)

// Where a sub-module begins to be of some complexity (one point) and of much (two).
// A sub-module of short single requests without tools has none.
const (
	someTurns, manyTurns       = 1.5, 4.0 // exchanges a conversation, on average
	someMessages, manyMessages = 4.0, 10.0
	manyRequests               = 0.5 // share of requests with tools, or with a JSON format; some is any
	someTokens, manyTokens     = 4_000.0, 32_000.0
)

// rule says how the order is made and what the points stand for.
var rule = []string{
	"Order: the configured risk, lowest first; among equals the complexity, lowest first, what is not measured yet last; then the name.",
	fmt.Sprintf("turns: 1 point above %v exchanges a conversation or %v messages a request on average, 2 above %v or %v.", someTurns, someMessages, manyTurns, manyMessages),
	fmt.Sprintf("tools, structured output: 1 point where any request has them, 2 where more than %v %% have.", 100*manyRequests),
	fmt.Sprintf("context: 1 point where the 99th percentile of input tokens is above %v, 2 above %v.", someTokens, manyTokens),
	"gaps: 1 point for a semantic gap, 2 for a blocking one, of the selected candidate, or of any while none is selected.",
}

// A Rung is a sub-module's place in the proposed order of the rollout.
type Rung struct {
	Submodule  string     `json:"submodule"`
	Complexity Complexity `json:"complexity"`
	Risk       int        `json:"risk"`
	Order      int        `json:"order"`
	// Selected is the endpoint of the matrix, Ready whether it is a promoted one.
	Selected string `json:"selected"`
	Ready    bool   `json:"ready"`
}

// Complexity is 0 to 2 points for each of five things, nil where nothing was
// measured.
type Complexity struct {
	Turns      *int `json:"turns"`
	Tools      *int `json:"tools"`
	Structured *int `json:"structured"`
	Context    *int `json:"context"`
	Gaps       *int `json:"gaps"`
	Total      *int `json:"total"`
}

func rollout(rows []Row, cells []Cell, submodules canary.Submodules, volumes map[string]canary.Volume) []Rung {
	out := make([]Rung, 0, len(rows))
	for i := range rows {
		m := &rows[i]
		g := Rung{Submodule: m.Submodule, Selected: m.Selected, Ready: m.Promoted, Complexity: complexity(volumes[m.Submodule], gapPoints(m, cells))}
		if s := submodules.Find(m.Submodule); s != nil {
			g.Risk = s.Risk
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Rung) int {
		return cmp.Or(cmp.Compare(a.Risk, b.Risk), cmp.Compare(a.Complexity.rank(), b.Complexity.rank()), cmp.Compare(a.Submodule, b.Submodule))
	})
	for i := range out {
		out[i].Order = i + 1
	}
	return out
}

// rank is the total; unknown ones come last.
func (c *Complexity) rank() int {
	if c.Total == nil {
		return 11
	}
	return *c.Total
}

func complexity(v canary.Volume, gaps *int) Complexity {
	c := Complexity{
		Turns: larger(points(v.Turns, someTurns, manyTurns), points(v.Messages, someMessages, manyMessages)),
		Tools: points(v.ToolShare, 0, manyRequests), Structured: points(v.JSONShare, 0, manyRequests),
		Context: points(v.InputTokensP99, someTokens, manyTokens), Gaps: gaps,
	}
	if v.Exchanges == 0 {
		return Complexity{Gaps: gaps}
	}
	sum := 0
	for _, p := range []*int{c.Turns, c.Tools, c.Structured, c.Context, c.Gaps} {
		if p == nil {
			return c
		}
		sum += *p
	}
	c.Total = &sum
	return c
}

// points are 0, 1 above some and 2 above many.
func points(n canary.Number, some, many float64) *int {
	if !n.Known() {
		return nil
	}
	p := 0
	if float64(n) > some {
		p = 1
	}
	if float64(n) > many {
		p = 2
	}
	return &p
}

// larger of two; of one where the other is unknown.
func larger(a, b *int) *int {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// gapPoints look at the selected candidate, or at all where none is selected;
// unknown before any trial has ended.
func gapPoints(m *Row, cells []Cell) *int {
	var most *int
	for i := range cells {
		c := &cells[i]
		if c.Submodule != m.Submodule || m.Promoted && c.Candidate != m.Selected || c.Compared+c.NotComparable == 0 {
			continue
		}
		p := 0
		for _, g := range c.Gaps {
			switch g.Severity {
			case llm.Blocking:
				p = 2
			case llm.Semantic:
				p = max(p, 1)
			}
		}
		most = larger(most, &p)
	}
	return most
}

func (r *Report) describeRollout(d *document) {
	if len(r.Rollout) == 0 {
		return
	}
	d.heading(2, "Proposed rollout order")
	var rows [][]string
	for i := range r.Rollout {
		g := &r.Rollout[i]
		now := "not yet: stays on " + g.Selected
		if g.Ready {
			now = "ready: " + g.Selected
		}
		c := &g.Complexity
		rows = append(rows, []string{strconv.Itoa(g.Order), g.Submodule, strconv.Itoa(g.Risk), outOf(c.Total, 10), outOf(c.Turns, 2), outOf(c.Tools, 2),
			outOf(c.Structured, 2), outOf(c.Context, 2), outOf(c.Gaps, 2), now})
	}
	d.table(rows, number("order"), word("sub-module"), number("risk"), number("complexity"), number("turns"), number("tools"), number("structured output"),
		number("context"), number("gaps"), word("now"))
	d.list(rule)
}

func outOf(points *int, most int) string {
	if points == nil {
		return "not measured"
	}
	return fmt.Sprintf("%d of %d", *points, most)
}
