package replay

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
	"understudy/llm"
)

// The money of a call that panics does not stay reserved: whoever finds none free would
// wait for it for ever, and the lane with it.
func TestPanicLeavesNoMoneyReserved(t *testing.T) {
	b := newBench(t, &scripted{})
	b.client.answer = func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		if n == 1 {
			panic("x")
		}
		return fine(ctx, n, call)
	}
	b.ep.Concurrency = 1
	b.cfg.DailyUSD = 0.45 // a call may cost 0.2, one that is answered costs 0.015
	all := publish(t, b.j, 40, nil)
	b.start("one")
	count := map[journal.Disposition]int{}
	for _, tr := range b.trials(len(all)) {
		count[tr.Disposition]++
		if tr.Disposition == journal.DeadLetter && (tr.BookedUSD != 0.2 || tr.BookedBy == "") {
			t.Errorf("the panic was booked with %v by %q, want all of 0.2", tr.BookedUSD, tr.BookedBy)
		}
	}
	if count[journal.DeadLetter] != 1 || count[journal.Tried] == 0 || count[journal.OverBudget] == 0 {
		t.Errorf("dispositions %v", count)
	}
	s, err := b.j.Spending(t.Context(), time.Now().UTC().Format(time.DateOnly))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.Balances {
		t.Logf("charged %v settled %v reserved %v held %v", x.ChargedUSD, x.SettledUSD, x.ReservedUSD, x.HeldUSD)
	}
}

// A stage that could not start leaves no open ledger behind: each keeps a loop running.
func TestStageThatDoesNotStartClosesItsLedgers(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	r := New(b.cfg, b.j, []Candidate{b.as(journal.RoleCandidate, "a/b")}, func(string) (llm.Rates, bool) { return llm.Rates{}, false }, "one", quiet(), metrics.NewSet())
	if err := r.money[journal.RoleCandidate].open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	l := r.money[journal.RoleCandidate].ledger.Load()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if r.money[journal.RoleCandidate].ledger.Load() != nil || l == nil {
		t.Error("the ledger is open still")
	}
}

type flat struct{}

func (flat) Due(time.Time) (float64, bool)               { return 0.05, true }
func (flat) Rest(string, time.Time) float64              { return 0 }
func (flat) MeanUSD(journal.Cell) (float64, bool)        { return 0, false }
func (flat) PerExchangeUSD(journal.Cell) (float64, bool) { return 0, false }

// What a sub-module's own budget does not allow yet holds no other sub-module up.
func TestSubmodulesBudgetHoldsNoOtherUp(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.cfg.DailyUSD = 1000
	c := b.as(journal.RoleCandidate, "")
	c.Submodules, c.Wants = []string{"a/b", "c/d"}, func(string) bool { return true }
	publishAs(t, b.j, "a/b", 8, nil)
	all := publishAs(t, b.j, "c/d", 40, nil)
	b.run("one", func(r *Replay) {
		r.Spread(flat{}, []string{"a/b", "c/d"})
		r.LimitSubmodules(map[string]float64{"a/b": 1}) // a call may cost 0.2, and 0.1 is due
	}, c)
	b.trials(len(all))
}
