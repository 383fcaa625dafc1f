package report

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/canary"
)

func TestSavingNeedsAnHour(t *testing.T) {
	c := &Cell{}
	c.Live.CostUSDPerExchange, c.Trial.CostUSDPerExchange = 0.5, 0.1
	for name, v := range map[string]struct {
		span time.Duration
		want bool
	}{"59 minutes": {59 * time.Minute, false}, "an hour": {time.Hour, true}} {
		s := saving(c, canary.Volume{Requests: 10, FirstAt: begin, LastAt: begin.Add(v.span)})
		if s.month.Known() != v.want || s.year.Known() != v.want || (s.why == "") != v.want {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func priced(name, verdict string, cost canary.Number) Cell {
	c := Cell{CellLook: canary.CellLook{Submodule: "s", Candidate: name, Verdict: verdict}}
	c.Live.CostUSDPerExchange, c.Trial.CostUSDPerExchange = 3, cost
	return c
}

func TestCheapestPromotedIsSelected(t *testing.T) {
	entry := &canary.Submodule{Name: "s", Baseline: "live"}
	r := row("s", entry, []Cell{priced("dear", canary.Promote, 2), priced("unknown", canary.Promote, canary.Unknown()), priced("cheap", canary.Promote, 1), priced("free", canary.Reject, 0)}, canary.Volume{})
	if r.Selected != "cheap" || !r.Promoted {
		t.Errorf("selected %s", r.Selected)
	}
}

func TestTotals(t *testing.T) {
	known := Row{Submodule: "a", Promoted: true, SavingUSDMonth: 10, SavingUSDYear: 120}
	kept := Row{Submodule: "b"}
	unknown := Row{Submodule: "c", Promoted: true, SavingUSDMonth: canary.Unknown(), SavingUSDYear: canary.Unknown()}
	if got := totals([]Row{known, kept}); got.SavingUSDMonth != 10 || got.SavingUSDYear != 120 || got.Promoted != 1 || len(got.NotStated) != 0 {
		t.Errorf("%+v", got)
	}
	if got := totals([]Row{known, kept, unknown}); got.SavingUSDMonth.Known() || got.Promoted != 2 || !cmp.Equal(got.NotStated, []string{"c"}) {
		t.Errorf("with an unknown saving: %+v", got)
	}
}

// The case: three sub-modules of an interview that costs $0.25 on the baseline and
// $0.375 besides AI, so that AI is 40 % of it.
func TestUnitsAreSummedOverTheirSubmodules(t *testing.T) {
	other := ptr(0.375)
	entries := canary.Submodules{{Name: "a", Unit: "interview", OtherCostUSD: other}, {Name: "b", Unit: "interview", OtherCostUSD: other}, {Name: "c", Unit: "interview", OtherCostUSD: other}, {Name: "d", Unit: "call"}, {Name: "e"}}
	rows := []Row{
		{Submodule: "a", Unit: "interview", CostUSDPerUnitNow: 0.1, CostUSDPerUnitSelected: 0.01, Units: 40},
		{Submodule: "b", Unit: "interview", CostUSDPerUnitNow: 0.05, CostUSDPerUnitSelected: 0.005, Units: 30},
		{Submodule: "c", Unit: "interview", CostUSDPerUnitNow: 0.1, CostUSDPerUnitSelected: 0.01, Units: 40},
		{Submodule: "d", Unit: "call", CostUSDPerUnitNow: canary.Unknown(), CostUSDPerUnitSelected: canary.Unknown()},
		{Submodule: "e", CostUSDPerUnitNow: 5, CostUSDPerUnitSelected: 5},
	}
	got := units(rows, entries)
	if len(got) != 2 || got[0].Unit != "call" || got[1].Unit != "interview" {
		t.Fatalf("%+v", got)
	}
	u := got[1]
	for _, n := range []struct {
		name      string
		got, want canary.Number
	}{{"now", u.CostUSDNow, 0.25}, {"selected", u.CostUSDSelected, 0.025}, {"saved", u.SavingShare, 0.9}, {"share now", u.ExpenseRatioNow, 0.4}, {"share selected", u.ExpenseRatioSelected, 0.0625}} {
		if !(math.Abs(float64(n.got-n.want)) < 1e-12) {
			t.Errorf("%s: %v, want %v", n.name, n.got, n.want)
		}
	}
	if u.Units != 30 || !cmp.Equal(u.Submodules, []string{"a", "b", "c"}) || len(u.Unknown) != 0 {
		t.Errorf("%+v", u)
	}
	if call := got[0]; call.CostUSDNow.Known() || call.SavingShare.Known() || call.ExpenseRatioNow.Known() || call.OtherCostUSD.Known() || !cmp.Equal(call.Unknown, []string{"d"}) {
		t.Errorf("unknown costs: %+v", call)
	}
}

// What stays on the baseline costs as selected what it costs today.
func TestKeptSubmoduleCostsWhatItCosts(t *testing.T) {
	a, b := priced("a", canary.Reject, 1), priced("b", canary.Hold, 1)
	a.Units, a.Live.CostUSDPerUnit = 3, 7
	b.Units, b.Live.CostUSDPerUnit = 9, 8
	r := row("s", &canary.Submodule{Name: "s", Baseline: "live", Unit: "u"}, []Cell{a, b}, canary.Volume{})
	if r.CostUSDPerUnitNow != 8 || r.CostUSDPerUnitSelected != 8 || r.Units != 9 {
		t.Errorf("%+v", r)
	}
	if r := row("s", &canary.Submodule{Name: "s", Baseline: "live"}, nil, canary.Volume{}); r.CostUSDPerUnitNow.Known() {
		t.Errorf("without a cell: %+v", r)
	}
}
