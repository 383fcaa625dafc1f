package journal

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The same endpoint is a candidate of one sub-module and the control of another:
// neither counts as the other, and a control holds no exchange open.
func TestAccountsOfControlsAreApart(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx, cancel := context.WithCancel(t.Context())
	acc := NewAccounts(j, func(s string) []string {
		if s == "a" {
			return []string{"x"}
		}
		return nil
	})
	done := make(chan error)
	go func() { done <- acc.Run(ctx) }()
	defer func() { cancel(); <-done }()

	a, b := []*Exchange{exchange("a", 1), exchange("a", 2)}, []*Exchange{}
	ends := []Disposition{Tried, NotComparable, OverBudget, DeadLetter, NotDrawn, NotDrawn}
	for i := range ends {
		b = append(b, exchange("b", i))
	}
	j.PublishExchanges(ctx, "a", a)
	j.PublishExchanges(ctx, "b", b)
	store := func(e *Exchange, seq uint64, endpoint string, role Role, d Disposition) {
		tr := &Trial{Schema: 1, ID: TrialID(e.ID, endpoint, "", "", 0), ExchangeSeq: seq, Submodule: e.Submodule, Candidate: endpoint, Role: role, Disposition: d}
		if stored, err := j.StoreTrial(ctx, tr); err != nil || !stored {
			t.Fatal(stored, err)
		}
	}
	store(a[0], 1, "x", RoleCandidate, Tried)
	store(a[1], 1, "x", RoleCandidate, Tried)
	store(a[0], 1, "base", RoleControl, Tried) // comes after the message was forgotten
	for i, d := range ends {
		store(b[i], 2, "x", RoleControl, d)
	}
	want := map[string]ControlBuckets{
		"base": {Trial: 1},
		"x":    {Trial: 1, NotComparable: 1, OverBudget: 1, DeadLetter: 1, NotDrawn: 2},
	}
	deadline := time.Now().Add(10 * time.Second)
	for cmp.Diff(want, acc.Controls()) != "" {
		if time.Now().After(deadline) {
			t.Fatal(cmp.Diff(want, acc.Controls()))
		}
		<-time.After(10 * time.Millisecond)
	}
	for { // the exchanges may be read after the trials
		if ok, err := acc.CaughtUp(ctx); err != nil {
			t.Fatal(err)
		} else if ok {
			break
		}
	}
	if d := cmp.Diff(map[string]Buckets{"x": {Trial: 2}}, acc.Candidates()); d != "" {
		t.Error(d)
	}
	acc.mu.Lock()
	defer acc.mu.Unlock()
	if len(acc.open) != 0 {
		t.Errorf("%d messages are held open", len(acc.open))
	}
}

func TestControlHasADurableOfItsOwn(t *testing.T) {
	j := openTest(t, testConfig(t))
	if _, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)}); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(context.Context, string, []string, int, int, time.Duration) (*Consumer, error){j.ExchangeConsumer, j.ControlConsumer} {
		c, err := open(t.Context(), "x", []string{"a"}, 10, 100, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Next(t.Context(), 5*time.Second)
		if err != nil || d == nil {
			t.Fatalf("delivery %v, %v", d, err)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
