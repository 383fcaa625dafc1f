package canary

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

// records makes the three streams that a run of observations comes from.
func records(list []Observation) (x []*journal.Exchange, t []*journal.Trial, v []*journal.Verdict) {
	for i := range list {
		o := &list[i]
		x = append(x, &journal.Exchange{ID: o.ExchangeID, At: o.At, Source: journal.SourceCapture, Submodule: o.Submodule, Conversation: o.Conversation, Unit: o.Unit, SampleShare: 0.5})
		class := llm.ClassOK
		if o.Trial.Error {
			class = llm.ClassTimeout
		}
		t = append(t, &journal.Trial{ID: "t" + o.ExchangeID, ExchangeID: o.ExchangeID, At: o.At, Source: journal.SourceCapture, Submodule: o.Submodule, Candidate: o.Candidate,
			Conversation: o.Conversation, Unit: o.Unit, Disposition: journal.Tried, Class: class, LagMS: 40,
			Gaps: []llm.Gap{{Path: "/messages/3/name", Severity: llm.Semantic}, {Path: "/messages/5/name", Severity: llm.Semantic}}})
		v = append(v, &journal.Verdict{TrialID: "t" + o.ExchangeID, ExchangeID: o.ExchangeID, At: o.At, Source: journal.SourceCapture, Submodule: o.Submodule,
			Candidate: o.Candidate, Conversation: o.Conversation, Unit: o.Unit, Live: o.Live, Trial: o.Trial})
	}
	return x, t, v
}

// interleave calls the feeds, each in its order, in a random order among them.
func interleave(rng *rand.Rand, feeds ...[]func()) {
	for len(feeds) > 0 {
		i := rng.IntN(len(feeds))
		if len(feeds[i]) == 0 {
			feeds = slices.Delete(feeds, i, i+1)
			continue
		}
		feeds[i][0]()
		feeds[i] = feeds[i][1:]
	}
}

func feeds(a *Analyzer, list []Observation) [][]func() {
	x, t, v := records(list)
	out := make([][]func(), 3)
	for i := range x {
		out[0] = append(out[0], func() { a.Exchange(x[i]) })
		out[1] = append(out[1], func() { a.Trial(t[i]) })
		out[2] = append(out[2], func() { a.Verdict(v[i]) })
	}
	return out
}

// A live run that has ended and an offline pass over its observations give the
// same numbers, however the three streams interleave, and whether they are read
// again at once or were looked at all the way.
func TestLiveEqualsOffline(t *testing.T) {
	s := good().with("live", func(s *scenario) { s.conversations, s.unknown, s.errors, s.turns = 300, 0.02, 0.02, 4 })
	list := s.observations(8)
	for i := range list { // some late turns, some single exchanges
		switch {
		case i%37 == 5:
			list[i].At = list[i].At.Add(40 * time.Minute)
		case i%41 == 7:
			list[i].Conversation = ""
		}
	}
	looks, err := Analyze(DefaultConfig(), sixGates(), slices.Clone(list), 0)
	if err != nil {
		t.Fatal(err)
	}
	want, end := looks[0], day.Add(1000*time.Hour)
	rng := rand.New(rand.NewPCG(9, 9))

	again := NewAnalyzer(DefaultConfig(), sixGates())
	interleave(rng, feeds(again, list)...)
	if l := again.Look(end); l.Clusters != 0 {
		t.Errorf("%d conversations were folded while the streams were still being read", l.Clusters)
	}
	again.SetCurrent()
	if diff := cmp.Diff(want, again.Look(end), sameLooks); diff != "" {
		t.Errorf("read again at once:\n%s", diff)
	}

	watched := NewAnalyzer(DefaultConfig(), sixGates())
	watched.SetCurrent()
	slices.SortStableFunc(list, compareObservations)
	for i := 0; i < len(list); i += 25 {
		part := list[i:min(i+25, len(list))]
		interleave(rng, feeds(watched, part)...)
		watched.Look(part[len(part)-1].At)
	}
	if diff := cmp.Diff(want, watched.Look(end), sameLooks); diff != "" {
		t.Errorf("looked at all the way:\n%s", diff)
	}
}

func oneGate() Submodules {
	return Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"cost_ratio", 0.4}, {"latency_mean_ms", 500}}}}}
}

func TestOpenConversations(t *testing.T) {
	at := func(d time.Duration) time.Time { return day.Add(d) }
	for _, c := range []struct {
		name string
		feed func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict)
		now  time.Time
		// clusters, pairs, missing of the latency gate, left out
		want [4]int
	}{
		{"within the window", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			a.Exchange(x[0])
			a.Verdict(v[0])
		}, at(29 * time.Minute), [4]int{}},
		{"complete after window and grace", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			a.Exchange(x[0])
			a.Exchange(x[1])
			a.Verdict(v[0])
			a.Verdict(v[1])
		}, at(32 * time.Minute), [4]int{1, 2, 0, 0}},
		{"a pair without verdict holds it open", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			a.Exchange(x[0])
			a.Exchange(x[1])
			a.Verdict(v[0])
			a.Trial(tr[1])
		}, at(23 * time.Hour), [4]int{}},
		{"until the deadline: it is missing", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			a.Exchange(x[0])
			a.Exchange(x[1])
			a.Verdict(v[0])
		}, at(24 * time.Hour), [4]int{1, 2, 1, 0}},
		{"a trial that was not tried does not", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			a.Exchange(x[0])
			a.Exchange(x[1])
			a.Verdict(v[0])
			tr[1].Disposition = journal.NotComparable
			a.Trial(tr[1])
		}, at(time.Hour), [4]int{1, 1, 0, 0}},
		{"nor when it is read before its exchange", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			tr[1].Disposition = journal.OverBudget
			a.Trial(tr[1])
			a.Verdict(v[0])
			a.Exchange(x[0])
			a.Exchange(x[1])
		}, at(time.Hour), [4]int{1, 1, 0, 0}},
		{"a late pair is left out", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			v[1].At = at(31 * time.Minute)
			a.Verdict(v[0])
			a.Look(at(33 * time.Minute))
			a.Verdict(v[1])
			a.Verdict(v[1])
		}, at(time.Hour), [4]int{1, 1, 0, 1}},
		{"redelivery counts once", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			a.Verdict(v[0])
			a.Verdict(v[0])
			a.Look(at(33 * time.Minute))
			a.Exchange(x[0])
			a.Verdict(v[0])
		}, at(time.Hour), [4]int{1, 1, 0, 0}},
		{"foreign publishers never enter", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			x[0].Source, tr[0].Source, v[0].Source = "gateway", "gateway", "gateway"
			a.Exchange(x[0])
			a.Trial(tr[0])
			a.Verdict(v[0])
		}, at(48 * time.Hour), [4]int{}},
		{"a candidate that is configured no more", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			tr[0].Candidate, v[0].Candidate = "former", "former"
			a.Trial(tr[0])
			a.Verdict(v[0])
		}, at(48 * time.Hour), [4]int{}},
		{"numbers that no measurement gives", func(a *Analyzer, x []*journal.Exchange, tr []*journal.Trial, v []*journal.Verdict) {
			v[0].Trial.CostUSD = ptr(-1.0)
			a.Verdict(v[0])
			a.Verdict(v[1])
		}, at(time.Hour), [4]int{1, 1, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAnalyzer(DefaultConfig(), oneGate())
			a.SetCurrent()
			list := steady(2, func(i int, o *Observation) { o.Conversation, o.At = "c", at(time.Duration(i)*time.Minute) })
			x, tr, v := records(list)
			c.feed(a, x, tr, v)
			cell := a.Look(c.now).Cells[0]
			if got := [4]int{cell.Clusters, cell.Pairs, cell.Gates[1].Missing, cell.LeftOut}; got != c.want {
				t.Errorf("clusters, pairs, missing, left out: got %v, want %v", got, c.want)
			}
		})
	}
}

// One open conversation blocks no other.
func TestOpenConversationBlocksNoOther(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	a.SetCurrent()
	x, _, v := records(steady(5, nil))
	for i := range x {
		a.Exchange(x[i])
		if i > 0 {
			a.Verdict(v[i])
		}
	}
	if got := a.Look(day.Add(5 * time.Hour)).Clusters; got != 4 {
		t.Errorf("got %d conversations, want the four complete ones", got)
	}
}

func TestDecideOnceAndRestore(t *testing.T) {
	list := steady(400, nil)
	a := NewAnalyzer(DefaultConfig(), oneGate())
	if d, err := a.Decide(day); err != nil || len(d) != 0 {
		t.Fatalf("decided %v, %v before the streams were read", d, err)
	}
	a.SetCurrent()
	var log []journal.Decision
	decide := func(a *Analyzer, now time.Time) []string {
		t.Helper()
		d, err := a.Decide(now)
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, d...)
		var out []string
		for _, d := range d {
			out = append(out, d.Verdict+" "+codesOf(d.Reasons))
		}
		return out
	}
	if diff := cmp.Diff([]string{"COLLECTING open:cost_ratio open:latency_mean_ms open:min_conversations open:min_span"}, decide(a, day)); diff != "" {
		t.Error(diff)
	}
	interleave(rand.New(rand.NewPCG(1, 1)), feeds(a, list)...)
	end := day.Add(1000 * time.Hour)
	if diff := cmp.Diff([]string{"PROMOTE proven"}, decide(a, end)); diff != "" {
		t.Error(diff)
	}
	if again := decide(a, end.Add(time.Hour)); len(again) > 0 {
		t.Errorf("the same decision was made again: %v", again)
	}
	if d := log[len(log)-1]; d.By != "canary" || d.Clusters != 400 || len(d.Gates) == 0 || d.ID == "" {
		t.Errorf("the decision lacks its evidence: %+v", d)
	}

	restarted := NewAnalyzer(DefaultConfig(), oneGate())
	for i := range log {
		restarted.Restore(&log[i])
	}
	interleave(rand.New(rand.NewPCG(2, 2)), feeds(restarted, list)...)
	restarted.SetCurrent()
	if again := decide(restarted, end); len(again) > 0 {
		t.Errorf("a restart made the same decision again: %v", again)
	}
	restarted.Reset()
	restarted.SetCurrent()
	if back := decide(restarted, end); len(back) != 1 || !strings.HasPrefix(back[0], Collecting) {
		t.Errorf("a change after a restart was not decided: %v", back)
	}
}

func TestSnapshotFigures(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	list := steady(100, func(i int, o *Observation) {
		o.Unit = fmt.Sprint("u", i/10)
		o.Live.CostUSD, o.Trial.CostUSD, o.Trial.LatencyMS = ptr(0.5), ptr(0.05), ptr(float64(100+i))
		o.Trial.Error = i%20 == 0
		if i == 7 {
			o.Live.CostUSD = nil
		}
	})
	interleave(rand.New(rand.NewPCG(3, 3)), feeds(a, list)...)
	s := a.Snapshot(day.Add(time.Hour))
	f, v := s.Figures[0], s.Volumes["a/b"]
	if f.Compared != 100 || f.Costs != 99 || f.Units != 10 || f.Failures[llm.ClassTimeout] != 5 || f.Trial.LatencyMS.Count != 95 || v.Exchanges != 100 || v.Requests != 200 {
		t.Errorf("counts: %+v, %+v", f, v)
	}
	for name, c := range map[string][2]Number{
		"live cost":      {f.Live.CostUSDPerExchange, 0.5},
		"trial cost":     {f.Trial.CostUSDPerExchange, 0.05},
		"live unit cost": {f.Live.CostUSDPerUnit, 0.5 * 99 / 10},
		"errors":         {f.Trial.ErrorRate, 0.05},
		"live errors":    {f.Live.ErrorRate, 0},
		"lag":            {f.LagMS, 40},
		"live mean":      {f.Live.LatencyMS.Mean, 850},
	} {
		if absolute(c[0]-c[1]) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, c[0], c[1])
		}
	}
	if p := f.Trial.LatencyMS.P50; p < 145 || p > 155 {
		t.Errorf("p50 of 101..199 ms is %v", p)
	}
	if diff := cmp.Diff([]GapCount{{Path: "/messages/*/name", Severity: llm.Semantic, Count: 100}}, f.Gaps); diff != "" {
		t.Error(diff)
	}
}

// All methods at once, for the race detector.
func TestAnalyzerConcurrently(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	a.SetCurrent()
	var wg sync.WaitGroup
	for _, feed := range feeds(a, steady(200, nil)) {
		wg.Go(func() {
			for _, f := range feed {
				f()
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			a.Snapshot(day)
			if _, err := a.Decide(day.Add(20 * time.Hour)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if got := a.Look(day.Add(1000 * time.Hour)).Pairs; got != 200 {
		t.Errorf("got %d pairs, want 200", got)
	}
}

// TestLateVerdictIsLostAlsoAfterARestart: the live run closed a conversation at its
// deadline without the verdict; a restart reads the verdict before it looks.
func TestLateVerdictIsLostAlsoAfterARestart(t *testing.T) {
	c := DefaultConfig()
	c.ConversationWindow, c.VerdictDeadline, c.MinSpan = time.Minute, time.Hour, 0
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	x := &journal.Exchange{ID: "e", At: at, Source: journal.SourceCapture, Submodule: "a", Conversation: "c"}
	ms := 100.0
	v := &journal.Verdict{ExchangeID: "e", At: at, Source: journal.SourceCapture, Submodule: "a", Candidate: "m", Conversation: "c",
		Live: journal.Side{LatencyMS: &ms}, Trial: journal.Side{LatencyMS: &ms}, JudgedAt: at.Add(2 * time.Hour)}
	s := Submodules{{Name: "a", Baseline: "b", Candidates: []string{"m"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.1}}}}}
	look := func(early bool) Finding {
		a := NewAnalyzer(c, s)
		a.SetCurrent()
		a.Exchange(x)
		if early {
			a.Look(at.Add(90 * time.Minute))
		}
		a.Verdict(v)
		l := a.Look(at.Add(3 * time.Hour))
		return l.Cells[0].Gates[0]
	}
	live, again := look(true), look(false)
	if live.Missing != 1 || again.Missing != 1 {
		t.Errorf("missing %d, after a restart %d; want 1 and 1", live.Missing, again.Missing)
	}
}
