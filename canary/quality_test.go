package canary

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/internal/journal"
)

// judgedPair is a drawn pair in which everything is known, changed by change.
func judgedPair(change func(o *Observation)) Observation {
	o := Observation{
		Live:  journal.Side{Scores: map[string]float64{"style": 0.75, "harmfulness": 0.25}},
		Trial: journal.Side{Scores: map[string]float64{"style": 0.5, "harmfulness": 0.5}},
		Agree: ptr(0.5), ControlAgree: ptr(0.75), Preference: ptr("win"),
	}
	if change != nil {
		change(&o)
	}
	return o
}

func TestQualityReadings(t *testing.T) {
	style, harm, margin := Gate{"score.style", 0.05}, Gate{"harmfulness", 0.01}, Gate{"harmfulness_margin", 0.01}
	wins, agree := Gate{"win_rate", 0.45}, Gate{"agreement", 0.1}
	data := func(v float64) reading { return reading{value: v, data: true} }
	value := func(v float64) reading { return reading{value: v} }
	out, missing := reading{out: true}, reading{missing: true}
	none := func(o *Observation) {
		o.Live.Scores, o.Trial.Scores, o.Preference, o.Agree = nil, nil, nil, nil
	}
	failed := func(o *Observation) { o.Trial.Error, o.Trial.Scores, o.Preference, o.Agree = true, nil, nil, nil }
	failedAsWritten := func(o *Observation) { o.Trial.Error = true }
	liveFailed := func(o *Observation) { o.Live.Error, o.Preference, o.Agree = true, nil, nil }
	bothFailed := func(o *Observation) { liveFailed(o); failed(o) }
	undrawn := func(o *Observation) { none(o); o.Judged = ptr(false) }
	control := func(o *Observation) {
		o.Control = &journal.Side{Scores: map[string]float64{"style": 0.25, "harmfulness": 0.75}}
	}
	for _, c := range []struct {
		name   string
		change func(*Observation)
		gate   Gate
		want   reading
	}{
		{"all known", nil, style, data(-0.25)},
		{"all known", nil, harm, data(0.5)},
		{"all known", nil, margin, data(0.25)},
		{"all known", nil, wins, data(1)},
		{"all known", nil, agree, data(-0.25)},
		{"tie", func(o *Observation) { o.Preference = ptr("tie") }, wins, data(0.5)},
		{"loss", func(o *Observation) { o.Preference = ptr("loss") }, wins, data(0)},
		{"no agreement of the control", func(o *Observation) { o.ControlAgree = nil }, agree, data(-0.5)},
		{"live is the mean of both answers", control, style, data(0)},
		{"live is the mean of both answers", control, margin, data(0)},
		{"the candidate's own score", control, harm, data(0.5)},
		{"control's score alone is no live score", func(o *Observation) { control(o); o.Live.Scores = nil }, style, missing},

		{"nobody judged", none, style, missing},
		{"nobody judged", none, harm, missing},
		{"nobody judged", none, margin, missing},
		{"nobody judged", none, wins, missing},
		{"nobody judged", none, agree, missing},
		{"live's alone", func(o *Observation) { o.Trial.Scores = nil }, style, missing},
		{"judged is true", func(o *Observation) { none(o); o.Judged = ptr(true) }, style, missing},
		{"no verdict at the deadline", func(o *Observation) { o.lost = true }, style, missing},
		{"no verdict at the deadline", func(o *Observation) { o.lost = true }, agree, missing},

		{"trial failed", failed, style, value(-0.75)},
		{"trial failed, a score is written", failedAsWritten, style, value(-0.75)},
		{"trial failed", failed, harm, value(0)},
		{"trial failed, harm is written", failedAsWritten, harm, value(0.5)},
		{"trial failed", failed, margin, value(-0.25)},
		{"trial failed", failed, wins, value(0)},
		{"trial failed, a preference is written", failedAsWritten, wins, value(1)},
		{"trial failed", failed, agree, value(-0.75)},
		{"trial failed, live unknown", func(o *Observation) { failed(o); o.Live.Scores = nil }, style, missing},
		{"trial failed, live unknown", func(o *Observation) { failed(o); o.Live.Scores = nil }, margin, missing},

		{"live failed", liveFailed, style, out},
		{"live failed", liveFailed, harm, data(0.5)},
		{"live failed", liveFailed, margin, data(0.25)},
		{"live failed", liveFailed, wins, out},
		{"live failed, a preference is written", func(o *Observation) { o.Live.Error = true }, wins, data(1)},
		{"live failed", liveFailed, agree, out},
		{"live failed, harm unknown", func(o *Observation) { liveFailed(o); none(o) }, harm, missing},
		{"both failed", bothFailed, style, out},
		{"both failed", bothFailed, wins, out},
		{"both failed", bothFailed, agree, out},

		{"not drawn", undrawn, style, out},
		{"not drawn", undrawn, harm, out},
		{"not drawn", undrawn, margin, out},
		{"not drawn", undrawn, wins, out},
		{"not drawn: agreement needs no judge", undrawn, agree, missing},
		{"not drawn and failed", func(o *Observation) { undrawn(o); failed(o) }, style, out},
		{"not drawn and failed", func(o *Observation) { undrawn(o); failed(o) }, harm, out},
		{"not drawn and failed", func(o *Observation) { undrawn(o); failed(o) }, wins, out},
		{"not drawn, live failed", func(o *Observation) { undrawn(o); o.Live.Error = true }, style, out},
		{"not drawn and lost", func(o *Observation) { undrawn(o); o.lost = true }, style, out},
		{"not drawn, but written", func(o *Observation) { o.Judged = ptr(false) }, style, data(-0.25)},

		{"not applicable", func(o *Observation) { none(o); o.NotApplicable = []string{"style"} }, style, out},
		{"not applicable", func(o *Observation) { none(o); o.NotApplicable = []string{"harmfulness"} }, harm, out},
		{"not applicable", func(o *Observation) { none(o); o.NotApplicable = []string{"harmfulness"} }, margin, out},
		{"another is not applicable", func(o *Observation) { none(o); o.NotApplicable = []string{"tone"} }, style, missing},
		{"not applicable, but one side has it", func(o *Observation) { o.Trial.Scores, o.NotApplicable = nil, []string{"style"} }, style, missing},
	} {
		m, is := measureOf(c.gate)
		if !is {
			t.Fatalf("%s is no mean", c.gate.Name)
		}
		o := judgedPair(c.change)
		if diff := cmp.Diff(c.want, m.read(&o), cmp.AllowUnexported(reading{})); diff != "" {
			t.Errorf("%s, %s:\n%s", c.gate.Name, c.name, diff)
		}
	}
}

// The bounds, the null and the direction of each gate; a missing value is the worst
// there is for the promotion, and the best for the rejection.
func TestQualityMeasures(t *testing.T) {
	for _, c := range []struct {
		gate           Gate
		a, b, null     float64
		lower          bool
		worstEstimates float64
	}{
		{Gate{"score.style", 0.05}, -1, 1, -0.05, false, -1},
		{Gate{"harmfulness", 0.01}, 0, 1, 0.01, true, 1},
		{Gate{"stereotyping", 0.02}, 0, 1, 0.02, true, 1},
		{Gate{"refusal", 0.03}, 0, 1, 0.03, true, 1},
		{Gate{"harmfulness_margin", 0.01}, -1, 1, 0.01, true, 1},
		{Gate{"stereotyping_margin", 0.01}, -1, 1, 0.01, true, 1},
		{Gate{"refusal_margin", 0.01}, -1, 1, 0.01, true, 1},
		{Gate{"win_rate", 0.45}, 0, 1, 0.45, false, 0},
		{Gate{"agreement", 0.1}, -1, 1, -0.1, false, -1},
	} {
		m, _ := measureOf(c.gate)
		if m.a != c.a || m.b != c.b || m.null != c.null || m.lowerIsBetter != c.lower {
			t.Errorf("%s: [%v, %v], null %v, lower is better %v", c.gate.Name, m.a, m.b, m.null, m.lowerIsBetter)
		}
		e := newMeanGate(c.gate, m)
		for i := range 50 {
			if err := e.fold(newCluster([]Observation{{At: day, ExchangeID: fmt.Sprint(i)}}, time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		cfg := DefaultConfig()
		f := e.finding(&cfg, 1)
		if float64(f.Estimate) != c.worstEstimates || f.Missing != 50 || f.Status != NoData || f.LogProven > 0 || f.LogViolated > 0 || !f.guards.recent {
			t.Errorf("%s: fifty missing values give %+v", c.gate.Name, f)
		}
	}
}

// What a unit costs, by hand: 300 units of two conversations, 1 and 2 cents each.
func TestUnitCostGates(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, OtherCostUSD: ptr(0.97), Criteria: Criteria{
		Gates: []Gate{{"cost_per_unit_usd", 0.04}, {"expense_ratio", 0.02}}}}}
	list := steady(600, func(i int, o *Observation) {
		o.Unit, o.Trial.CostUSD = fmt.Sprint("u", i/2), ptr(0.01+0.01*float64(i%2))
		o.Control = &journal.Side{CostUSD: ptr(0.05)}
	})
	look := func(s Submodules, list []Observation) []Finding {
		looks, err := Analyze(DefaultConfig(), s, list, 0)
		if err != nil {
			t.Fatal(err)
		}
		return looks[0].Cells[0].Gates
	}
	near := cmpopts.EquateApprox(0, 1e-12)
	perUnit, share := look(s, list)[0], look(s, list)[1]
	if diff := cmp.Diff([]float64{0.03, 0.03}, []float64{float64(perUnit.Estimate), float64(share.Estimate)}, near); diff != "" {
		t.Error(diff)
	}
	if perUnit.Status != Proven || share.Status != Violated || perUnit.Clusters != 600 || perUnit.Noise == nil || math.Abs(float64(perUnit.Noise.Estimate)-0.1) > 1e-12 {
		t.Errorf("per unit %+v, noise %+v\nshare %+v", perUnit, perUnit.Noise, share)
	}
	// A share is the cost per unit on another scale, with the same evidence.
	for i, n := range perUnit.Interval {
		if want := float64(n) / (float64(n) + 0.97); math.Abs(float64(share.Interval[i])-want) > 1e-12 {
			t.Errorf("interval %v of the share, want %v", share.Interval[i], want)
		}
	}
	if share.LogViolated == perUnit.LogViolated || share.Limit != 0.02 {
		t.Errorf("the share's limit is another one: %+v", share)
	}

	list = steady(600, func(i int, o *Observation) {
		o.Unit = fmt.Sprint("u", i/2)
		switch i % 3 {
		case 0:
			o.Unit = ""
		case 1:
			o.Trial.CostUSD = nil
		}
	})
	s[0].OtherCostUSD = nil
	f := look(s, list)
	if f[0].Missing != 400 || f[0].Clusters != 200 || f[1].Status != NoData || f[1].Missing != 0 {
		t.Errorf("unknown units and costs: %+v\nwithout other costs: %+v", f[0], f[1])
	}
}

// Few conversations bring no evidence, and an infinite bound is a share of one.
func TestExpenseRatioBeforeItsStart(t *testing.T) {
	e := newExpenseRatio(Gate{"expense_ratio", 0.1}, ptr(1.0))
	o := Observation{At: day, ExchangeID: "e", Unit: "u", Trial: journal.Side{CostUSD: ptr(0.25)}}
	if err := e.fold(newCluster([]Observation{o}, time.Hour)); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	f := e.finding(&cfg, 1)
	if f.Bound != 1 || f.Interval != [2]Number{0, 1} || f.Estimate != 0.2 || f.Status != Open {
		t.Errorf("%+v", f)
	}
}

func TestSubmoduleNeeds(t *testing.T) {
	type needs struct{ price, judge, control, unit bool }
	for gate, want := range map[string]needs{
		"cost_ratio": {price: true}, "cost_per_unit_usd": {price: true}, "expense_ratio": {price: true, unit: true},
		"score.style": {judge: true, control: true}, "win_rate": {judge: true, control: true}, "agreement": {control: true},
		"harmfulness": {judge: true}, "refusal_margin": {judge: true}, "error_rate": {}, "check.refusal": {},
	} {
		s := Submodule{Criteria: Criteria{Gates: []Gate{{gate, 0.1}}}}
		if got := (needs{s.NeedsPrice(), s.NeedsJudge(), s.NeedsControl(), s.NeedsUnitCost()}); got != want {
			t.Errorf("%s: %+v, want %+v", gate, got, want)
		}
	}
	s := Submodule{Criteria: Criteria{Gates: []Gate{{"score.style", 1}, {"score.tone-2", 1}, {"harmfulness", 1}, {"harmfulness_margin", 1}, {"refusal_margin", 1}, {"win_rate", 1}}}}
	if diff := cmp.Diff([]string{"style", "tone-2", "harmfulness", "refusal"}, s.Metrics()); diff != "" {
		t.Error(diff)
	}
}
