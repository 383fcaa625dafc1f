package canary

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

func judgementOf(exchange string, change func(*journal.Judgement)) *journal.Judgement {
	rating := func(v float64) journal.Rating { return journal.Rating{Label: "x", Score: &v, Parse: "tool"} }
	j := &journal.Judgement{ExchangeID: exchange, At: day, Source: journal.SourceCapture, Submodule: "a/b", Candidate: "cand", Judge: "claude", Model: "claude-x",
		Live: map[string]journal.Rating{"style": rating(0.5)}, Trial: map[string]journal.Rating{"style": rating(0.75)},
		Pairwise: &journal.Pairwise{Preference: journal.Win, Consistent: true, LiveFirst: journal.Rating{Label: "B"}, TrialFirst: journal.Rating{Label: "A"}},
		Calls:    3, Cached: 1, CostUSD: ptr(0.5), JudgedAt: day}
	if change != nil {
		change(j)
	}
	return j
}

func TestJudgedFigures(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), judgedSubmodule())
	list := []*journal.Judgement{
		judgementOf("e0", nil),
		judgementOf("e1", func(j *journal.Judgement) { j.Pairwise.Preference, j.Pairwise.Consistent = journal.Tie, false }),
		judgementOf("e2", func(j *journal.Judgement) {
			*j.Pairwise = journal.Pairwise{Preference: journal.Tie, Identical: true, Consistent: true}
		}),
		judgementOf("e3", func(j *journal.Judgement) {
			j.Pairwise.Preference, j.Pairwise.TrialFirst = "", journal.Rating{Parse: "failed"}
			j.Trial["style"] = journal.Rating{Parse: "failed"}
			j.CostUSD = nil
		}),
		judgementOf("e4", func(j *journal.Judgement) {
			j.Pairwise.Preference, j.TrialFlags = journal.Loss, []string{"label"}
		}),
		judgementOf("e5", func(j *journal.Judgement) {
			j.Unasked, j.Live, j.Trial, j.Pairwise, j.Calls, j.Cached = "over_budget", nil, nil, nil, 0, 0
		}),
		judgementOf("e0", func(j *journal.Judgement) { j.Candidate, j.Role = "live", journal.RoleControl }),
		judgementOf("e6", func(j *journal.Judgement) { j.Candidate = "former" }),
	}
	for range 2 { // redelivery counts once
		for _, j := range list {
			a.Judgement(j)
		}
	}
	got := a.Snapshot(day).Figures[0].Judged
	want := JudgedFigures{Pairs: 5, OverBudget: 1, Unparsed: 2, Flagged: 1, Wins: 1, Ties: 2, Losses: 1, Identical: 1, Consistent: 2, Inconsistent: 1,
		Calls: 15, Cached: 5, CostUSD: 2.5, Judge: "claude", Model: "claude-x", Scores: map[string]ScoreFigures{"style": {Live: 0.5, Trial: 0.75, Control: 0.75, N: 3}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestControlFiguresAndLiveFailures(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), judgedSubmodule())
	for i := range 10 {
		x := &journal.Exchange{ID: fmt.Sprint("e", i), At: day, Source: journal.SourceCapture, Submodule: "a/b", Class: llm.ClassOK, Unit: fmt.Sprint("u", i/2)}
		if i < 3 {
			x.Class = llm.ClassTimeout
		}
		v := &journal.Verdict{ExchangeID: x.ID, At: day, Source: x.Source, Submodule: "a/b", Candidate: "live", Role: journal.RoleControl, Unit: x.Unit,
			Trial: journal.Side{LatencyMS: ptr(700.0), CostUSD: ptr(0.25), Error: i == 0}}
		for range 2 {
			a.Exchange(x)
			a.Verdict(v)
		}
		v.Candidate = "another"
		a.Verdict(v)
	}
	s := a.Snapshot(day)
	for i, f := range s.Figures { // both candidates' cells show it
		if f.ControlPairs != 10 || f.Control.CostUSDPerExchange != 0.25 || f.Control.CostUSDPerUnit != 0.5 || f.Control.ErrorRate != 0.1 || f.Control.LatencyMS.Count != 9 {
			t.Errorf("control of cell %d: %d pairs, %+v", i, f.ControlPairs, f.Control)
		}
		if diff := cmp.Diff(map[llm.Class]int{llm.ClassTimeout: 3}, f.LiveFailures); diff != "" || f.Compared != 0 {
			t.Errorf("%d compared, live failures:\n%s", f.Compared, diff)
		}
	}
	if v := s.Volumes["a/b"]; v.UnitsSeen != 5 || v.Conversations != 10 {
		t.Errorf("%+v", v)
	}
}

func TestVolumeOutline(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	for i, request := range []string{
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null},{"role":"user"}],"tools":[{"type":"function"}],"response_format":{"type":"json_schema","json_schema":{}}}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}],"tools":[],"response_format":{"type":"text"}}`,
		`{"messages":[1,2],"response_format":{"type":"json_object"}}`,
		`{"messages":[{}],"tools":null,"response_format":"odd"}`,
		`{"messages":`, `{"input":"x"}`, ``,
	} {
		x := &journal.Exchange{ID: fmt.Sprint("e", i), At: day, Source: journal.SourceCapture, Submodule: "a/b", Conversation: fmt.Sprint("c", i/4), Request: []byte(request)}
		if i == 0 {
			x.Usage = &llm.Usage{InputTokens: 5000}
		}
		a.Exchange(x)
	}
	got := a.Snapshot(day).Volumes["a/b"]
	want := Volume{Exchanges: 7, Requests: 7, FirstAt: day, LastAt: day, Turns: 3.5, Messages: 7.0 / 4, ToolShare: 0.25, JSONShare: 0.5, Conversations: 2}
	if p99 := got.InputTokensP99; p99 < 5000 || p99 > 5100 {
		t.Errorf("input tokens %v; the percentile is up to 2 %% above", p99)
	}
	got.InputTokensP99 = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWorst(t *testing.T) {
	fold := func(order []int) []Worst {
		f := newFigures()
		for _, i := range order {
			o := Observation{ExchangeID: fmt.Sprint("e", i), Conversation: fmt.Sprint("c", i), At: day.Add(time.Duration(i) * time.Hour),
				Live: journal.Side{Checks: map[string]bool{"json": true, "schema": false}, Scores: map[string]float64{"style": 0.75, "harmfulness": 0}}}
			o.Trial = o.Live
			switch i {
			case 0:
				o.Trial = journal.Side{Error: true}
			case 1:
				o.Trial.Checks = map[string]bool{"json": false, "schema": false}
			case 2:
				o.Trial.Scores = map[string]float64{"style": 0.5, "harmfulness": 0.25}
				o.Preference = ptr("loss")
			case 3:
				o.Trial.Scores = map[string]float64{"style": 0.5, "harmfulness": 0}
			case 4, 5:
				o.Preference = ptr("loss")
			case 6: // better than live
				o.Trial.Scores, o.Preference = map[string]float64{"style": 1, "harmfulness": 0}, ptr("win")
			case 7:
				o.lost = true
			}
			f.entered(&Cluster{Pairs: []Observation{o}})
		}
		return f.worst
	}
	got := fold([]int{0, 1, 2, 3, 4, 5, 6, 7})
	why := map[string][]string{}
	var ids []string
	for _, w := range got {
		ids = append(ids, w.ExchangeID)
		why[w.ExchangeID] = w.Why
	}
	if diff := cmp.Diff([]string{"e0", "e2", "e1", "e4", "e5"}, ids); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"e0": {"the trial failed"}, "e1": {"check json failed, which live passed"},
		"e2": {"harmfulness 0.25, live 0", "style 0.5, live 0.75", "the judge preferred live"}, "e4": {"the judge preferred live"}, "e5": {"the judge preferred live"}}, why); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(got, fold([]int{7, 3, 5, 4, 6, 0, 2, 1})); diff != "" {
		t.Errorf("another order:\n%s", diff)
	}
}

func TestControlsOfSubmodules(t *testing.T) {
	proven := &Control{Estimate: 0.5, Interval: [2]Number{0.41, 0.59}}
	wide := &Control{Estimate: 0.5, Interval: [2]Number{0.39, 0.59}}
	failed := &Control{Estimate: 0.55, Interval: [2]Number{0.51, 0.59}}
	s := Submodules{{Name: "a", Control: "live"}, {Name: "b", Control: "live"}, {Name: "c"}, {Name: "d", Control: "live"}, {Name: "e", Control: "live"}}
	cell := func(name string, c *Control) CellLook { return CellLook{Submodule: name, Control: c} }
	got := s.controls(Look{Cells: []CellLook{cell("a", proven), cell("a", proven), cell("b", wide), cell("b", proven), cell("c", proven), cell("d", failed), cell("e", proven), cell("e", nil)}})
	if diff := cmp.Diff(map[string]bool{"a": true, "b": false, "d": false, "e": false}, got); diff != "" {
		t.Error(diff)
	}
}
