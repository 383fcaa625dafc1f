package canary

import (
	"fmt"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// One exchange with several trials on one candidate, told to an analyzer.
type retold struct {
	t *testing.T
	a *Analyzer
	n int
}

var retoldRules = Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.05}}}}}

func retell(t *testing.T) *retold {
	a := NewAnalyzer(DefaultConfig(), retoldRules)
	a.SetCurrent()
	return &retold{t: t, a: a}
}

// exchange begins a conversation of its own.
func (r *retold) exchange(conversation string) *journal.Exchange {
	r.n++
	x := &journal.Exchange{ID: fmt.Sprintf("e%03d", r.n), At: day.Add(time.Duration(r.n) * time.Minute), Source: journal.SourceCapture,
		Submodule: "a/b", Conversation: conversation, Class: llm.ClassOK}
	r.a.Exchange(x)
	return x
}

func (r *retold) trial(x *journal.Exchange, set int, d, replaces journal.Disposition, after time.Duration) *journal.Trial {
	t := &journal.Trial{ID: fmt.Sprint(x.ID, "-", set), ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: "cand",
		Conversation: x.Conversation, AttemptSet: set, Disposition: d, Replaces: replaces, StoredAt: x.At.Add(after)}
	r.a.Trial(t)
	return t
}

func (r *retold) verdict(t *journal.Trial, failed bool) {
	v := &journal.Verdict{TrialID: t.ID, ExchangeID: t.ExchangeID, At: t.At, Source: t.Source, Submodule: t.Submodule, Candidate: t.Candidate, Conversation: t.Conversation,
		Live: journal.Side{LatencyMS: ptr(800.0)}, Trial: journal.Side{LatencyMS: ptr(300.0), Error: failed}, JudgedAt: t.StoredAt.Add(time.Second)}
	if t.AttemptSet > 0 {
		v.AttemptSet, v.Replaces, v.TriedAt = t.AttemptSet, t.Replaces, t.StoredAt
	}
	r.a.Verdict(v)
}

func (r *retold) cell(after time.Duration) CellLook {
	r.t.Helper()
	l := r.a.Look(day.Add(after))
	if len(l.Cells) != 1 {
		r.t.Fatalf("%d cells", len(l.Cells))
	}
	return l.Cells[0]
}

// A failure that was tried again until it went well stays a failure, also where the
// later verdict comes first, and where the second try found no money.
func TestFailuresAreNotPickedAway(t *testing.T) {
	cases := map[string]func(r *retold, x *journal.Exchange){
		"in order": func(r *retold, x *journal.Exchange) {
			r.verdict(r.trial(x, 0, journal.Tried, "", time.Minute), true)
			r.verdict(r.trial(x, 1, journal.Tried, journal.Tried, 2*time.Minute), false)
		},
		"the good one first": func(r *retold, x *journal.Exchange) {
			first := r.trial(x, 0, journal.Tried, "", time.Minute)
			r.verdict(r.trial(x, 1, journal.Tried, journal.Tried, 2*time.Minute), false)
			r.verdict(first, true)
		},
		"by way of an empty purse": func(r *retold, x *journal.Exchange) {
			first := r.trial(x, 0, journal.Tried, "", time.Minute)
			r.trial(x, 1, journal.OverBudget, journal.Tried, 2*time.Minute)
			r.verdict(r.trial(x, 2, journal.Tried, journal.Tried, 3*time.Minute), false)
			r.verdict(first, true)
		},
		"over budget, failed, went well": func(r *retold, x *journal.Exchange) {
			r.trial(x, 0, journal.OverBudget, "", time.Minute)
			second := r.trial(x, 1, journal.Tried, journal.OverBudget, 2*time.Minute)
			r.verdict(r.trial(x, 2, journal.Tried, journal.Tried, 3*time.Minute), false)
			r.verdict(second, true)
		},
	}
	for name, tell := range cases {
		for _, conversation := range []string{"c", ""} {
			t.Run(name+" in conversation "+conversation, func(t *testing.T) {
				r := retell(t)
				tell(r, r.exchange(conversation))
				c := r.cell(48 * time.Hour)
				if g := c.Gates[0]; c.Pairs != 1 || c.Clusters != 1 || g.Estimate != 1 || c.LeftOut != 0 {
					t.Errorf("%d pairs, %d clusters, error rate %v, %d left out", c.Pairs, c.Clusters, g.Estimate, c.LeftOut)
				}
				if n := r.a.Open(); n != 0 {
					t.Errorf("%d are open", n)
				}
			})
		}
	}
}

// What was over budget takes part when it was tried while its conversation's window was
// open; later it is neither evidence nor left out nor missing.
func TestSecondTriesEnterWithinTheWindow(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		pairs int
	}{"within": {29 * time.Minute, 2}, "after": {31 * time.Minute, 1}, "much later": {40 * time.Hour, 1}} {
		for _, before := range []journal.Disposition{journal.OverBudget, journal.DeadLetter} {
			t.Run(name+" "+string(before), func(t *testing.T) {
				r := retell(t)
				x, y := r.exchange("c"), r.exchange("c")
				r.trial(x, 0, before, "", time.Minute)
				r.verdict(r.trial(y, 0, journal.Tried, "", time.Minute), false)
				if c.after > time.Hour {
					if got := r.cell(2 * time.Hour); got.Pairs != 1 || got.Clusters != 1 {
						t.Fatalf("without the second try: %+v", got)
					}
				}
				r.verdict(r.trial(x, 1, journal.Tried, before, c.after), true)
				got := r.cell(60 * time.Hour)
				if got.Pairs != c.pairs || got.Clusters != 1 || got.LeftOut != 0 || got.Gates[0].Missing != 0 {
					t.Errorf("%d pairs in %d clusters, %d left out, %d missing; want %d pairs", got.Pairs, got.Clusters, got.LeftOut, got.Gates[0].Missing, c.pairs)
				}
				f := r.a.Snapshot(day.Add(60 * time.Hour)).Figures[0]
				if f.OverBudget != 0 || f.DeadLetter != 0 || f.Compared != 2 {
					t.Errorf("figures: %d over budget, %d dead letters, %d compared", f.OverBudget, f.DeadLetter, f.Compared)
				}
			})
		}
	}
}

// What is never tried again opens no cluster and does not stay in memory.
func TestUntriedPairsAreGivenUp(t *testing.T) {
	r := retell(t)
	r.trial(r.exchange("c"), 0, journal.OverBudget, "", time.Minute)
	r.trial(r.exchange(""), 0, journal.OverBudget, "", time.Minute)
	if c := r.cell(20 * time.Minute); c.Pairs != 0 || r.a.Open() != 2 {
		t.Errorf("%+v, %d open", c, r.a.Open())
	}
	if c := r.cell(time.Hour); c.Pairs != 0 || c.Clusters != 0 || r.a.Open() != 0 {
		t.Errorf("%+v, %d open", c, r.a.Open())
	}
	r.cell(100 * time.Hour)
	if n := len(r.a.talks); n != 0 {
		t.Errorf("%d conversations are remembered", n)
	}
}
