package canary

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/judge"
	"understudy/llm"
)

// counted makes live's cost one from our own count of tokens.
func counted(o *Observation) { o.Live.Estimated = true }

// checked puts our own count beside live's cost, off by a share.
func checked(o *Observation, off float64) { o.Live.EstimateUSD = ptr((1 + off) * *o.Live.CostUSD) }

// mixed estimates every other live cost and checks the first n of the others.
func mixed(n int, off float64) func(int, *Observation) {
	return func(i int, o *Observation) {
		if i%2 == 0 {
			counted(o)
		} else if i/2 < n {
			checked(o, off)
		}
	}
}

func TestEstimatedUsage(t *testing.T) {
	dear := func(i int, o *Observation) { o.Trial.CostUSD = ptr(2 * *o.Live.CostUSD) }
	late := func(i int, o *Observation) {
		if i%10 == 1 { // the conversation of the one before, after its window
			o.Conversation, o.At = steady(i, nil)[i-1].Conversation, o.At.Add(time.Hour)
		}
	}
	and := func(all ...func(int, *Observation)) func(int, *Observation) {
		return func(i int, o *Observation) {
			for _, change := range all {
				change(i, o)
			}
		}
	}
	both := []Gate{{"cost_ratio", 0.4}, {"latency_mean_ms", 500}}
	for _, c := range []struct {
		name   string
		n      int
		gates  []Gate
		config func(*Config)
		change func(int, *Observation)
		want   string
	}{
		{name: "reported and counted right", change: func(i int, o *Observation) { checked(o, 0) }, want: "PROMOTE proven"},
		{name: "reported, our count is of no use and of no matter", change: func(i int, o *Observation) { checked(o, 0.5) }, want: "PROMOTE proven"},
		{name: "reported, hardly checked", change: func(i int, o *Observation) {
			if i < 5 {
				checked(o, 0)
			}
		}, want: "PROMOTE proven"},
		{name: "estimated, just right", change: mixed(300, 0.02), want: "PROMOTE proven"},
		{name: "estimated too low, just right", change: mixed(300, -0.02), want: "PROMOTE proven"},
		{name: "estimated too high", change: mixed(300, 0.021), want: "HOLD estimated_usage:cost_ratio"},
		{name: "estimated too low", change: mixed(300, -0.021), want: "HOLD estimated_usage:cost_ratio"},
		{name: "one estimate is enough", change: func(i int, o *Observation) {
			if checked(o, 0.03); i == 7 {
				o.Live.EstimateUSD = nil
				counted(o)
			}
		}, want: "HOLD estimated_usage:cost_ratio"},
		{name: "30 checks", change: mixed(30, 0), want: "PROMOTE proven"},
		{name: "29 checks", change: mixed(29, 0), want: "HOLD estimated_usage:cost_ratio"},
		{name: "no check", change: func(i int, o *Observation) { counted(o) }, want: "HOLD estimated_usage:cost_ratio"},
		{name: "a count beside an estimate is no check", change: func(i int, o *Observation) {
			checked(o, 0)
			counted(o)
		}, want: "HOLD estimated_usage:cost_ratio"},
		{name: "wrong, however open the gate is", gates: []Gate{{"cost_ratio", 0.151}}, change: mixed(300, 0.03), want: "HOLD estimated_usage:cost_ratio"},
		{name: "unchecked, and the gate is open", gates: []Gate{{"cost_ratio", 0.151}}, change: mixed(0, 0), want: "COLLECTING open:cost_ratio"},
		{name: "dearer, counted right", change: and(dear, mixed(300, 0.01)), want: "REJECT violated:cost_ratio"},
		{name: "dearer by a wrong count", change: and(dear, mixed(300, 0.03)), want: "HOLD estimated_usage:cost_ratio"},
		{name: "dearer by an unchecked count", change: and(dear, mixed(0, 0)), want: "HOLD estimated_usage:cost_ratio"},
		{name: "another gate rejects", change: and(dear, mixed(300, 0.03), func(i int, o *Observation) { o.Trial.LatencyMS = ptr(2000.0) }),
			want: "REJECT violated:latency_mean_ms"},
		{name: "below the minimum", config: func(c *Config) { c.MinConversations = 700 }, change: mixed(300, 0.03), want: "COLLECTING open:min_conversations"},
		{name: "dearer below the minimum", config: func(c *Config) { c.MinConversations = 700 }, change: and(dear, mixed(300, 0.03)),
			want: "COLLECTING open:cost_ratio open:min_conversations"},
		{name: "after left_out, before a dominated cost", change: and(mixed(300, 0.03), late, func(i int, o *Observation) {
			if i == 300 {
				o.Live.CostUSD, o.Trial.CostUSD = ptr(40.0), ptr(1.0)
			}
		}), want: "HOLD left_out estimated_usage:cost_ratio cost_dominated_by_one_conversation"},
		{name: "before a bad block of the day", n: 960, change: and(mixed(480, 0.03), func(i int, o *Observation) {
			if h := o.At.Hour(); h >= 6 && h < 12 {
				o.Trial.LatencyMS = ptr(700.0)
			}
		}), want: "HOLD estimated_usage:cost_ratio stratum_violation:latency_mean_ms"},
		{name: "a gate that reads no live cost", gates: []Gate{{"cost_per_unit_usd", 0.02}, {"latency_mean_ms", 500}},
			change: and(mixed(0, 0), func(i int, o *Observation) { o.Unit = o.ExchangeID }), want: "PROMOTE proven"},
		{name: "today is good, the days before were not", n: 672, change: func(i int, o *Observation) { // seven days of 96
			if off := 0.0; i%2 == 0 {
				counted(o)
			} else {
				if i < 576 {
					off = 0.2
				}
				checked(o, off)
			}
		}, want: "PROMOTE proven"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			if c.config != nil {
				c.config(&cfg)
			}
			if c.n == 0 {
				c.n = 600
			}
			if c.gates == nil {
				c.gates = both
			}
			s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: c.gates}}}
			looks, err := Analyze(cfg, s, steady(c.n, c.change), 0)
			if err != nil {
				t.Fatal(err)
			}
			cell := looks[0].Cells[0]
			if got := cell.Verdict + " " + codesOf(cell.Reasons); got != c.want {
				t.Errorf("got  %s\nwant %s\n%s", got, c.want, strings.Join(cell.Reasons, "\n"))
			}
			for _, r := range cell.Reasons {
				if strings.HasPrefix(r, "estimated_usage") && !strings.HasSuffix(r, "set [capture] ask_usage = true, or let some answers carry usage (stream_options.include_usage)") {
					t.Errorf("%q does not say what to do", r)
				}
			}
		})
	}
}

// What is shown of the count, by the latest day that has checks enough.
func TestLiveCostShown(t *testing.T) {
	on := func(day, n int, off float64) func(*liveCosts) {
		return func(s *liveCosts) {
			for range n {
				s.add(begin.AddDate(0, 0, day), &journal.Side{CostUSD: ptr(0.5), EstimateUSD: ptr(0.5 * (1 + off))})
			}
		}
	}
	estimates := func(n int) func(*liveCosts) {
		return func(s *liveCosts) {
			for range n {
				s.add(begin, &journal.Side{CostUSD: ptr(0.5), Estimated: true})
			}
		}
	}
	plain := func(s *liveCosts) { s.add(begin, &journal.Side{CostUSD: ptr(0.5)}) }
	free := func(s *liveCosts) { s.add(begin, &journal.Side{CostUSD: ptr(0.0), EstimateUSD: ptr(0.0)}) }
	for name, c := range map[string]struct {
		of   []func(*liveCosts)
		want *LiveCost
	}{
		"nothing":              {nil, nil},
		"all reported":         {[]func(*liveCosts){plain}, nil},
		"all estimated":        {[]func(*liveCosts){estimates(3)}, &LiveCost{EstimatedShare: 1, Error: Unknown()}},
		"too few checks":       {[]func(*liveCosts){estimates(10), plain, on(0, 29, 0.5)}, &LiveCost{EstimatedShare: 0.25, Error: Unknown(), Checks: 29}},
		"free checks nothing":  {[]func(*liveCosts){estimates(10), free, on(0, 29, 0.5)}, &LiveCost{EstimatedShare: 0.25, Error: Unknown(), Checks: 29}},
		"checks of two days":   {[]func(*liveCosts){estimates(10), on(0, 15, 0.25), on(1, 15, -0.75)}, &LiveCost{EstimatedShare: 0.25, Error: 0.25, Checks: 30}},
		"the latest day":       {[]func(*liveCosts){on(3, 30, 0.5), on(1, 99, 1)}, &LiveCost{Error: 0.5, Checks: 30, Day: "2026-11-23"}},
		"a later day has less": {[]func(*liveCosts){on(3, 29, 0.5), on(1, 30, -1)}, &LiveCost{Error: 1, Checks: 30, Day: "2026-11-21"}},
	} {
		var s liveCosts
		for _, add := range c.of {
			add(&s)
		}
		if diff := cmp.Diff(c.want, s.show(), sameLooks); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// begin is late in a day, in a zone in which the next one has begun.
var begin = time.Date(2026, 11, 21, 1, 0, 0, 0, time.FixedZone("", 2*3600))

// The estimates are those of the exchanges, whichever day their conversation began, and
// whichever side is asked again.
func TestLiveCostsAreTakenByExchange(t *testing.T) {
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	var pairs []Observation
	for i := range 31 {
		o := steady(1, nil)[0]
		o.ExchangeID, o.At = string(rune('a'+i)), midnight.Add(time.Duration(i-1)*time.Second)
		checked(&o, 0)
		pairs = append(pairs, o)
	}
	lost := Observation{At: midnight, ExchangeID: "lost", Submodule: "a/b", Candidate: "cand", lost: true}
	pairs[5].Control = &journal.Side{CostUSD: ptr(0.1), Estimated: true}
	pairs[6].Trial.Estimated = true
	var s liveCosts
	s.fold(newCluster(append(pairs, lost), time.Hour))
	want := &LiveCost{Checks: 30, Day: "2026-11-21"}
	if diff := cmp.Diff(want, s.show(), sameLooks); diff != "" {
		t.Error(diff)
	}
	if s.known != 31 {
		t.Errorf("%d costs known, want 31", s.known)
	}
}

// Whatever the order of the records, and whether they are read again: the same.
func TestLiveCostsInAnyOrder(t *testing.T) {
	list := steady(600, func(i int, o *Observation) {
		mixed(300, 0.004*float64(i%5))(i, o)
		o.At = day.Add(time.Duration(i) * time.Hour)
	})
	end := day.Add(2000 * time.Hour)
	var want *LiveCost
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 3))
		mixed := slices.Clone(list)
		rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		a := NewAnalyzer(DefaultConfig(), oneGate())
		a.SetCurrent()
		for k := 0; k < len(mixed); k += 60 {
			interleave(rng, feeds(a, mixed[k:k+60])...)
			a.Look(end)
		}
		a.Reset()
		a.SetCurrent()
		interleave(rng, feeds(a, mixed)...)
		got := a.Snapshot(end).Look.Cells[0].Gates[0].LiveCost
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got, sameLooks); diff != "" || got.EstimatedShare != 0.5 || got.Checks != 300 || got.Day != "" {
			t.Fatalf("seed %d: %+v\n%s", seed, got, diff)
		}
	}
}

// A verdict whose estimate no measurement gives is not used.
func TestImpossibleEstimate(t *testing.T) {
	for _, bad := range []float64{-1, inf(1)} {
		a := NewAnalyzer(DefaultConfig(), oneGate())
		a.SetCurrent()
		_, _, v := records(steady(1, func(i int, o *Observation) { o.Live.EstimateUSD = &bad }))
		a.Verdict(v[0])
		if l := a.Look(day.Add(time.Hour)); l.BadLines != 1 || l.Pairs != 0 {
			t.Errorf("%v: %d bad, %d pairs", bad, l.BadLines, l.Pairs)
		}
	}
}

// An observation says nothing of estimates, so that analyze never speaks of them.
func TestAnalyzeKnowsNoEstimates(t *testing.T) {
	var lines strings.Builder
	for _, o := range steady(600, mixed(0, 0)) {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(b, '\n'))
	}
	if !strings.Contains(lines.String(), `"cost_estimated":true`) {
		t.Fatal("the lines do not tell")
	}
	list, bad, err := ReadObservations(strings.NewReader(lines.String()), oneGate(), func(int, error) {})
	if err != nil || bad > 0 {
		t.Fatal(bad, err)
	}
	looks, err := Analyze(DefaultConfig(), oneGate(), list, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(looks[0])
	if err != nil || strings.Contains(string(b), "live_cost") || looks[0].Cells[0].Verdict != Promote {
		t.Errorf("%s, %v", b, err)
	}
}

// Through the streams: what the trials say of live's cost is in their verdicts, holds
// the cell, stands in the decision, and is there again after a restart.
func TestStageHoldsOnEstimates(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	nats := journal.DefaultConfig()
	nats.Dir, nats.Sync, nats.MaxStore = t.TempDir(), "interval", 256<<20
	j, err := journal.Open(nats, log)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	list := steady(250, mixed(125, 0.05))
	x, tr, _ := records(list)
	for i := range x {
		x[i].Schema, x[i].Instance, x[i].Request, x[i].Response = journal.SchemaVersion, "proxy-1", []byte("{}"), []byte("{}")
	}
	if _, err := j.PublishExchanges(ctx, "a/b", x); err != nil {
		t.Fatal(err)
	}
	for i := range tr {
		tr[i].Live, tr[i].CostUSD = list[i].Live, list[i].Trial.CostUSD
		tr[i].Attempts = []journal.Attempt{{Class: llm.ClassOK, LatencyMS: *list[i].Trial.LatencyMS}}
		if _, err := j.StoreTrial(ctx, tr[i]); err != nil {
			t.Fatal(err)
		}
	}
	checks := judge.NewChecker()
	err = j.Read(ctx, journal.StreamTrials, nil, func(m *journal.Message) error {
		var t journal.Trial
		if err := m.Decode(&t); err != nil {
			return err
		}
		v, _, err := checks.Judge(nil, &t)
		if err == nil {
			_, err = j.StoreVerdict(ctx, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.LookEvery = 20 * time.Millisecond
	// 96 pairs a day, 48 of them checked; the third day has 58 pairs.
	want := &LiveCost{EstimatedShare: 0.5, Error: 0.05, Checks: 48, Day: day.AddDate(0, 0, 1).Format(time.DateOnly)}
	if last := 250 - 2*96; last/2 >= tokenChecks {
		t.Fatalf("the last day has %d checks", last/2)
	}
	decisions := func() (stored []journal.Decision) {
		err := j.Read(ctx, journal.StreamDecisions, nil, func(m *journal.Message) error {
			var d journal.Decision
			err := m.Decode(&d)
			stored = append(stored, d)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	for life := range 2 {
		s := NewStage(cfg, oneGate(), j, true, log, metrics.NewSet())
		running, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(running) }()
		eventually(t, "held", func() bool { return s.Analyzer().Look(time.Now()).Cells[0].Verdict == Hold })
		eventually(t, "decided", func() bool { return len(decisions()) > 0 })
		stop()
		<-ended
		cell := s.Analyzer().Snapshot(time.Now()).Look.Cells[0]
		if diff := cmp.Diff(want, cell.Gates[0].LiveCost, sameLooks); diff != "" || cell.Gates[1].LiveCost != nil {
			t.Errorf("life %d:\n%s", life, diff)
		}
		if got := codesOf(cell.Reasons); got != "estimated_usage:cost_ratio" {
			t.Errorf("life %d: %s", life, got)
		}
	}
	stored := decisions()
	if len(stored) != 1 || stored[0].Verdict != Hold {
		t.Fatalf("decisions %+v; want one HOLD", stored)
	}
	var gates []struct {
		Name     string
		LiveCost *LiveCost `json:"live_cost"`
	}
	if err := json.Unmarshal(stored[0].Gates, &gates); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, gates[0].LiveCost, sameLooks); diff != "" || gates[1].LiveCost != nil {
		t.Errorf("the decision's findings:\n%s", diff)
	}
}
