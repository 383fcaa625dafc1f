package canary

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/internal/journal"
	"understudy/llm"
)

func TestSaidBy(t *testing.T) {
	score := func(v float64) journal.Rating { return journal.Rating{Label: "x", Score: &v, Parse: "tool"} }
	na, failed := journal.Rating{Label: "na", Parse: "tool"}, journal.Rating{Parse: "failed"}
	j := func(change func(*journal.Judgement)) *journal.Judgement {
		j := &journal.Judgement{
			Live:     map[string]journal.Rating{"style": score(0.5), "tone": na, "form": na, "care": na, "odd": score(2)},
			Trial:    map[string]journal.Rating{"style": score(0.75), "tone": na, "form": failed, "care": score(1), "odd": score(1)},
			Pairwise: &journal.Pairwise{Preference: journal.Win},
		}
		if change != nil {
			change(j)
		}
		return j
	}
	live, trial := map[string]float64{"style": 0.5}, map[string]float64{"style": 0.75, "care": 1, "odd": 1}
	for name, c := range map[string]struct {
		j    *journal.Judgement
		want said
	}{
		"whole":                  {j(nil), said{live: live, trial: trial, inapplicable: []string{"tone"}, preference: ptr("win")}},
		"live speaks to a judge": {j(func(j *journal.Judgement) { j.LiveFlags = []string{"x"} }), said{trial: trial}},
		"the trial does":         {j(func(j *journal.Judgement) { j.TrialFlags = []string{"x"} }), said{live: live}},
		"the trial failed": {j(func(j *journal.Judgement) { j.Trial, j.Pairwise = nil, nil }),
			said{live: live, inapplicable: []string{"care", "form", "tone"}}},
		"an order unparsed": {j(func(j *journal.Judgement) { j.Pairwise.Preference = "" }), said{live: live, trial: trial, inapplicable: []string{"tone"}}},
		"not compared":      {j(func(j *journal.Judgement) { j.Pairwise = nil }), said{live: live, trial: trial, inapplicable: []string{"tone"}}},
		"over budget":       {j(func(j *journal.Judgement) { j.Unasked = "over_budget" }), said{outside: true}},
		"outside the share": {j(func(j *journal.Judgement) { j.Unasked = "outside_share" }), said{outside: true}},
		"unreadable":        {j(func(j *journal.Judgement) { j.Unasked = "unreadable" }), said{}},
	} {
		if diff := cmp.Diff(c.want, *saidBy(c.j), cmp.AllowUnexported(said{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestJoin(t *testing.T) {
	own := &said{live: map[string]float64{"style": 0.5}, trial: map[string]float64{"style": 0.75}, preference: ptr("win"), inapplicable: []string{"tone"}}
	controls := &said{live: map[string]float64{"style": 0.25}, trial: map[string]float64{"style": 1}, preference: ptr("tie")}
	control := func(s *said) *again {
		return &again{observed: true, side: journal.Side{LatencyMS: ptr(9.0)}, agree: ptr(0.5), said: s}
	}
	outside := &said{outside: true}
	no := ptr(false)
	failed := Observation{Trial: journal.Side{Error: true}}
	for _, c := range []struct {
		name     string
		judged   bool
		join     join
		in, want Observation
	}{
		{"no judge", false, join{said: own, drawn: true}, Observation{}, Observation{}},
		{"no judge, a control", false, join{control: control(controls)}, Observation{},
			Observation{Control: &journal.Side{LatencyMS: ptr(9.0)}, ControlAgree: ptr(0.5)}},
		{"judged", true, join{said: own, drawn: true, other: true}, Observation{}, Observation{
			Live: journal.Side{Scores: own.live}, Trial: journal.Side{Scores: own.trial}, Preference: ptr("win"), NotApplicable: []string{"tone"}}},
		{"judged although another was drawn", true, join{said: own, other: true}, Observation{}, Observation{
			Live: journal.Side{Scores: own.live}, Trial: journal.Side{Scores: own.trial}, Preference: ptr("win"), NotApplicable: []string{"tone"}}},
		{"not drawn", true, join{}, Observation{}, Observation{Judged: no}},
		{"not drawn and failed", true, join{}, failed, Observation{Trial: failed.Trial, Judged: no}},
		{"drawn, but the judge drew another", true, join{drawn: true, other: true}, Observation{}, Observation{Judged: no}},
		{"drawn and never judged", true, join{drawn: true}, Observation{}, Observation{}},
		{"drawn and not judged yet", true, join{drawn: true, pending: true}, Observation{}, Observation{Judged: no}},
		{"drawn, failed and not judged yet", true, join{drawn: true, pending: true}, failed, Observation{Trial: failed.Trial, Judged: no}},
		{"drawn, failed and never judged", true, join{drawn: true}, failed, failed},
		{"drawn and failed", true, join{drawn: true, said: &said{live: own.live}}, failed, Observation{Live: journal.Side{Scores: own.live}, Trial: failed.Trial}},
		{"drawn, live failed", true, join{drawn: true}, Observation{Live: journal.Side{Error: true}}, Observation{Live: journal.Side{Error: true}, Judged: no}},
		{"over budget", true, join{said: outside, drawn: true, other: true}, Observation{}, Observation{Judged: no}},
		{"with the control", true, join{said: own, drawn: true, control: control(controls)}, Observation{}, Observation{
			Live: journal.Side{Scores: own.live}, Trial: journal.Side{Scores: own.trial}, Preference: ptr("win"), NotApplicable: []string{"tone"},
			ControlPreference: ptr("tie"), ControlAgree: ptr(0.5), Control: &journal.Side{LatencyMS: ptr(9.0), Scores: controls.trial}}},
		{"drawn and failed on a day without money", true, join{drawn: true, said: outside}, failed, Observation{Trial: failed.Trial, Judged: no}},
	} {
		got := c.in
		c.join.complete(&Submodule{Judged: c.judged}, &got)
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Observation{})); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// A share of the conversations is judged: failures outside it count as little as
// answers do.
func TestJudgeShare(t *testing.T) {
	s := &Submodule{Judged: true, JudgeShare: 0.5}
	in := 0
	for _, o := range steady(1000, nil) {
		o.Trial.Error = true
		j := join{drawn: true}
		if j.complete(s, &o); o.Judged == nil {
			in++
		}
	}
	if in < 430 || in > 570 {
		t.Errorf("%d of 1000 failed trials are in a share of one half", in)
	}
	o := Observation{ExchangeID: "e", Submodule: "a/b"}
	if want := journal.Share("judge", "a/b\x00e") < 0.5; s.sampled(&o) != want {
		t.Error("an exchange without conversation is drawn by its own id")
	}
}

func TestDrawn(t *testing.T) {
	at := func(minutes int) time.Time { return day.Add(time.Duration(minutes) * time.Minute) }
	list := []member{{"late", at(30)}, {"a", at(0)}, {"b", at(1)}, {"c", at(29)}}
	want, least := "", ^uint64(0)
	for _, m := range list[1:] {
		if k := journal.DrawKey("s", "c", m.id); k < least {
			want, least = m.id, k
		}
	}
	if got := drawn("s", "c", list, 30*time.Minute); got != want {
		t.Errorf("drawn %s, want %s", got, want)
	}
	for i := range 100 { // whatever its key, a late one is never drawn
		list[0].id = fmt.Sprint("late", i)
		if got := drawn("s", "c", list, 30*time.Minute); got == list[0].id {
			t.Fatalf("%q was drawn after the window", got)
		}
	}
	if drawn("s", "c", nil, time.Hour) != "" || drawn("s", "", []member{{"x", at(0)}}, time.Hour) != "x" {
		t.Error("no exchange draws none, and one draws itself")
	}
}

// What a judged conversation of two exchanges waits for. The one with the smaller
// key is x[0] here.
func TestWhatAJudgedConversationWaitsFor(t *testing.T) {
	type records struct {
		x     [2]*journal.Exchange
		v, c  [2]*journal.Verdict
		j, jc *journal.Judgement
		a     *Analyzer
	}
	// clusters, missing in the score gate, unsampled of all
	type state [3]int
	at := func(d time.Duration) time.Time { return day.Add(d) }
	for _, c := range []struct {
		name string
		feed func(r *records)
		now  time.Duration
		want state
	}{
		{"its judgement", func(r *records) {}, 2 * time.Hour, state{}},
		{"all there", func(r *records) { r.a.Judgement(r.j); r.a.Judgement(r.jc) }, 2 * time.Hour, state{1, 0, 1}},
		{"all there, but within the window", func(r *records) { r.a.Judgement(r.j); r.a.Judgement(r.jc) }, 20 * time.Minute, state{}},
		{"the control's judgement", func(r *records) { r.a.Judgement(r.j) }, 2 * time.Hour, state{}},
		{"until the deadline: the drawn is missing", func(r *records) {}, 24 * time.Hour, state{1, 1, 1}},
		{"a judgement after the deadline is none", func(r *records) {
			r.j.JudgedAt = at(25 * time.Hour)
			r.a.Judgement(r.j)
		}, 26 * time.Hour, state{1, 1, 1}},
		{"over budget: unsampled", func(r *records) {
			r.j.Unasked, r.j.Live, r.j.Trial = "over_budget", nil, nil
			r.a.Judgement(r.j)
			r.a.Judgement(r.jc)
		}, 2 * time.Hour, state{1, 0, 2}},
		{"unreadable: missing", func(r *records) {
			r.j.Unasked, r.j.Live, r.j.Trial = "unreadable", nil, nil
			r.a.Judgement(r.j)
			r.a.Judgement(r.jc)
		}, 2 * time.Hour, state{1, 1, 1}},
		{"a judgement after the window is none of it", func(r *records) {
			late := *r.j
			late.ExchangeID, late.At = "three", at(40*time.Minute)
			lateControl := *r.jc
			lateControl.ExchangeID, lateControl.At = late.ExchangeID, late.At
			r.a.Judgement(&late)
			r.a.Judgement(&lateControl)
		}, 2 * time.Hour, state{}},
		{"such a judgement, at the deadline: the drawn is missing", func(r *records) {
			late := *r.j
			late.ExchangeID, late.At = "three", at(40*time.Minute)
			r.a.Judgement(&late)
		}, 24 * time.Hour, state{1, 1, 1}},
		{"the judge drew another exchange", func(r *records) {
			r.j.ExchangeID, r.jc.ExchangeID = r.x[1].ID, r.x[1].ID
			r.a.Judgement(r.j)
			r.a.Judgement(r.jc)
		}, 2 * time.Hour, state{1, 0, 1}},
		{"a foreign judgement is none", func(r *records) {
			r.j.Source, r.jc.Source = "gateway", "gateway"
			r.a.Judgement(r.j)
			r.a.Judgement(r.jc)
		}, 2 * time.Hour, state{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Judged: true, Control: "live", Criteria: Criteria{Gates: []Gate{{"score.style", 0.05}}}}}
			r := &records{a: NewAnalyzer(DefaultConfig(), s)}
			r.a.SetCurrent()
			for i, id := range []string{"one", "two"} {
				r.x[i] = &journal.Exchange{ID: id, At: at(time.Duration(i) * time.Minute), Source: journal.SourceCapture, Submodule: "a/b", Conversation: "c"}
			}
			if journal.DrawKey("a/b", "c", "one") > journal.DrawKey("a/b", "c", "two") {
				r.x[0].ID, r.x[1].ID = "two", "one"
			}
			for i, x := range r.x {
				r.v[i] = &journal.Verdict{ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: "cand", Conversation: "c", JudgedAt: x.At}
				control := *r.v[i]
				control.Candidate, control.Role = "live", journal.RoleControl
				r.c[i] = &control
				r.a.Exchange(x)
				r.a.Verdict(r.v[i])
				r.a.Verdict(r.c[i])
			}
			half := 0.5
			ratings := map[string]journal.Rating{"style": {Label: "x", Score: &half}}
			r.j = &journal.Judgement{ExchangeID: r.x[0].ID, At: r.x[0].At, Source: journal.SourceCapture, Submodule: "a/b", Candidate: "cand", Conversation: "c",
				Live: ratings, Trial: ratings, JudgedAt: at(time.Hour)}
			control := *r.j
			control.Candidate, control.Role = "live", journal.RoleControl
			r.jc = &control
			c.feed(r)
			look := r.a.Snapshot(at(c.now))
			cell := look.Look.Cells[0]
			if got := (state{cell.Clusters, cell.Gates[0].Missing, look.Figures[0].Judged.Unsampled}); got != c.want {
				t.Errorf("clusters, missing, unsampled: got %v, want %v", got, c.want)
			}
		})
	}
}

// What a sub-module with a control, and without judges, waits for.
func TestWhatAControlledPairWaitsFor(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Control: "live", Criteria: Criteria{Gates: []Gate{{"agreement", 0.1}}}}}
	control := func(d journal.Disposition) *journal.Trial {
		return &journal.Trial{ExchangeID: "e00000", At: day, Source: journal.SourceCapture, Submodule: "a/b", Candidate: "live", Role: journal.RoleControl,
			Conversation: "c00000", Disposition: d}
	}
	answer := func(agree float64) *journal.Verdict {
		return &journal.Verdict{ExchangeID: "e00000", At: day, Source: journal.SourceCapture, Submodule: "a/b", Candidate: "live", Role: journal.RoleControl,
			Conversation: "c00000", Agree: &agree}
	}
	for _, c := range []struct {
		name    string
		records []any
		now     time.Duration
		want    Number // -1 for a cluster that is still open
	}{
		{"nothing of the control", nil, time.Hour, -1},
		{"tried, without its verdict", []any{control(journal.Tried)}, time.Hour, -1},
		{"not drawn", []any{control(journal.NotDrawn)}, time.Hour, -0.5},
		{"over budget", []any{control(journal.OverBudget)}, time.Hour, -0.5},
		{"answered", []any{control(journal.Tried), answer(0.75)}, time.Hour, -0.25},
		{"with numbers that no measurement gives", []any{answer(7)}, time.Hour, -0.5},
		{"nothing until the deadline", nil, 24 * time.Hour, -0.5},
	} {
		a := NewAnalyzer(DefaultConfig(), s)
		x, _, v := records(steady(1, nil))
		v[0].Agree = ptr(0.5)
		for _, r := range append(c.records, x[0], v[0]) { // the control's may come first
			feed(a, r)
		}
		a.SetCurrent()
		cell := a.Look(day.Add(c.now)).Cells[0]
		got := Number(-1)
		if cell.Clusters == 1 {
			got = cell.Gates[0].Estimate
		}
		if got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if f := a.Snapshot(day.Add(c.now)).Figures[0]; f.Compared != 1 {
			t.Errorf("%s: %d compared; a control is no candidate", c.name, f.Compared)
		}
	}
}

// A conversation of which nothing can be compared is forgotten after the deadline.
func TestNothingComparableIsForgotten(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), judgedSubmodule())
	a.SetCurrent()
	x, tr, _ := records(steady(1, nil))
	a.Exchange(x[0])
	for _, name := range []string{"cand", "other"} {
		end := *tr[0]
		end.Candidate, end.Disposition, end.Class = name, journal.NotComparable, llm.Class("")
		a.Trial(&end)
	}
	a.Look(day.Add(time.Hour))
	if a.Open() != 0 || len(a.talks) != 1 {
		t.Errorf("%d open, %d remembered; the draw may still need it", a.Open(), len(a.talks))
	}
	if a.Look(day.Add(24 * time.Hour)); len(a.talks) != 0 {
		t.Error("it is remembered after the deadline")
	}
}

func TestObservationWithJudgesReadsBack(t *testing.T) {
	o := steady(1, nil)[0]
	o.Judged, o.NotApplicable, o.ControlPreference, o.ControlAgree, o.Agree = ptr(false), []string{"tone"}, ptr("tie"), ptr(0.5), ptr(0.25)
	o.Control = &journal.Side{LatencyMS: ptr(1.0), Scores: map[string]float64{"style": 0.5}}
	line, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseObservation(line)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, got, cmpopts.IgnoreUnexported(Observation{})); diff != "" {
		t.Error(diff)
	}
}
