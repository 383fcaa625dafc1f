package journal

import (
	"errors"
	"testing"
)

// A ledger shows its budgets from memory: what it has seen of them, by its own caps.
func TestBudgetsAsTheLedgerSeesThem(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	caps := Caps{DailyUSD: 1, Endpoints: map[string]float64{"e": 0.8}, Submodules: map[string]float64{"a/b": 0.9}}
	l := s.ledger("a", caps)
	s.reserve(l, "x", 0.5).SettleFull()
	if _, err := l.Reserve(t.Context(), Spend{Endpoint: "e", Submodule: "a/b"}, 0.4); !errors.Is(err, ErrOverBudget) {
		t.Fatal(err)
	}
	other := s.ledger("b", caps)
	for _, l := range []*Ledger{l, other} { // the second has read it at its start
		list := l.Budgets()
		if len(list) != 3 || list[0].Account != AccountReplay || list[0].Endpoint+list[0].Submodule != "" || list[1].Endpoint != "e" || list[2].Submodule != "a/b" {
			t.Fatalf("budgets %+v", list)
		}
		if list[0].Ended != nil || list[1].Ended == nil || list[1].ChargedUSD != 0.5 || list[1].CapUSD != 0.8 {
			t.Errorf("budgets %+v", list)
		}
	}
	raised := s.ledger("c", Caps{DailyUSD: 1, Endpoints: map[string]float64{"e": 2}})
	if b := raised.Budgets()[1]; b.Ended != nil || b.CapUSD != 2 || b.LeftUSD() != 1.5 {
		t.Errorf("a budget that was raised: %+v", b)
	}
	// What another host spends is seen without spending oneself.
	big := s.ledger("d", Caps{DailyUSD: 1})
	r, err := big.Reserve(t.Context(), Spend{Endpoint: "f"}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	r.SettleFull()
	if err := other.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := other.Budgets()[0]; b.ChargedUSD < 1-1e-9 {
		t.Errorf("seen %+v", b)
	}
}
