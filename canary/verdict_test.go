package canary

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
)

// steady makes n conversations of one pair, every quarter of an hour, changed by
// change.
func steady(n int, change func(i int, o *Observation)) []Observation {
	out := make([]Observation, n)
	for i := range out {
		cost := 0.02 + 0.01*float64(i%7)/7
		trial := cost * (0.1 + 0.05*float64(i%3))
		out[i] = Observation{
			At: day.Add(time.Duration(i) * 15 * time.Minute), ExchangeID: fmt.Sprintf("e%05d", i), Submodule: "a/b", Candidate: "cand",
			Conversation: fmt.Sprintf("c%05d", i),
			Live:         journal.Side{LatencyMS: ptr(850.0), CostUSD: &cost, Checks: map[string]bool{"json": true}},
			Trial:        journal.Side{LatencyMS: ptr(300 + float64(i%11)), CostUSD: &trial, Checks: map[string]bool{"json": true}},
		}
		if change != nil {
			change(i, &out[i])
		}
	}
	return out
}

func TestVerdictRules(t *testing.T) {
	gates := []Gate{{"cost_ratio", 0.4}, {"latency_mean_ms", 500}, {"error_rate", 0.05}, {"check.json", 0.05}}
	fail := func(o *Observation) { o.Trial.Error, o.Trial.Checks = true, nil }
	for _, c := range []struct {
		name   string
		n      int
		gates  []Gate
		config func(*Config)
		change func(i int, o *Observation)
		others []string // further candidates of the sub-module
		want   string
	}{
		{name: "all proven", n: 600, want: "PROMOTE proven"},
		{name: "no traffic", n: 0, want: "COLLECTING open:cost_ratio open:latency_mean_ms open:error_rate open:check.json open:min_conversations open:min_span"},
		{name: "too few conversations and hours", n: 50, gates: []Gate{{"latency_mean_ms", 500}},
			want: "COLLECTING open:min_conversations open:min_span open:blocks"},
		{name: "too few in a block of the day", n: 220, gates: []Gate{{"latency_mean_ms", 500}},
			change: func(i int, o *Observation) { // 200 in the night of ten days, 20 in the morning
				o.At = day.Add(time.Duration(i%10) * 24 * time.Hour).Add(time.Duration(i) * time.Minute)
				if i >= 200 {
					o.At = o.At.Add(6 * time.Hour)
				}
			}, want: "COLLECTING open:blocks"},
		{name: "not firmly enough for one of five", n: 230, gates: []Gate{{"error_rate", 0.02}}, others: []string{"x", "y", "z", "w"}, want: "COLLECTING open:e_holm"},
		{name: "a violated gate rejects before any minimum", n: 60, change: func(i int, o *Observation) { o.Trial.LatencyMS = ptr(2000.0) },
			want: "REJECT violated:latency_mean_ms"},
		{name: "every violated gate is named", n: 300, change: func(i int, o *Observation) {
			if o.Trial.CostUSD = ptr(1.0); i%4 > 0 {
				fail(o)
			}
		}, want: "REJECT violated:cost_ratio violated:latency_mean_ms violated:error_rate violated:check.json"},
		{name: "failing only: no data in latency, errors reject", n: 60, change: func(i int, o *Observation) { fail(o) },
			want: "REJECT violated:error_rate"},
		{name: "missing values hold", n: 600, change: func(i int, o *Observation) {
			if i%15 == 0 {
				o.Trial.LatencyMS = nil
			}
		}, want: "HOLD missing_judge_scores:latency_mean_ms"},
		{name: "unknown costs hold", n: 600, change: func(i int, o *Observation) {
			if i%10 == 0 {
				o.Live.CostUSD = nil
			}
		}, want: "HOLD missing_judge_scores:cost_ratio"},
		{name: "missing values below the minimum collect", n: 150, gates: []Gate{{"latency_mean_ms", 500}},
			change: func(i int, o *Observation) { o.Trial.LatencyMS = nil }, want: "COLLECTING open:latency_mean_ms open:min_conversations open:blocks"},
		{name: "late pairs hold", n: 600, change: func(i int, o *Observation) {
			if i%10 == 1 { // the conversation of the one before, 31 minutes later
				o.Conversation = fmt.Sprintf("c%05d", i-1)
				o.At = o.At.Add(time.Hour)
			}
		}, want: "HOLD left_out"},
		{name: "one bad block of the day holds", n: 960, gates: []Gate{{"latency_mean_ms", 500}}, change: func(i int, o *Observation) {
			if h := o.At.Hour(); h >= 6 && h < 12 {
				o.Trial.LatencyMS = ptr(700.0)
			}
		}, want: "HOLD stratum_violation:latency_mean_ms"},
		{name: "a late change holds", n: 700, gates: []Gate{{"check.json", 0.2}}, change: func(i int, o *Observation) {
			if i > 640 {
				o.Trial.Checks = map[string]bool{"json": i%2 == 0}
			}
		}, want: "HOLD recent_violation:check.json"},
		{name: "one conversation carries the costs", n: 600, change: func(i int, o *Observation) {
			if i == 300 {
				o.Live.CostUSD, o.Trial.CostUSD = ptr(40.0), ptr(1.0)
			}
		}, want: "HOLD cost_dominated_by_one_conversation"},
		{name: "one conversation carries a fifth of the costs' variation", n: 600, change: func(i int, o *Observation) {
			if i == 300 {
				o.Live.CostUSD, o.Trial.CostUSD = ptr(0.35), ptr(0.02)
			}
		}, want: "HOLD cost_dominated_by_one_conversation"},
		{name: "an open gate collects", n: 600, gates: []Gate{{"error_rate", 0.001}}, want: "COLLECTING open:error_rate"},
		{name: "an open gate at the horizon holds", n: 600, gates: []Gate{{"error_rate", 0.001}},
			config: func(c *Config) { c.MaxConversations = 600 }, want: "HOLD budget_exhausted:error_rate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			if c.config != nil {
				c.config(&cfg)
			}
			if c.gates == nil {
				c.gates = gates
			}
			s := Submodules{{Name: "a/b", Baseline: "live", Candidates: append([]string{"cand"}, c.others...), Criteria: Criteria{Gates: c.gates}}}
			looks, err := Analyze(cfg, s, steady(c.n, c.change), 0)
			if err != nil {
				t.Fatal(err)
			}
			cell := looks[len(looks)-1].Cells[0]
			if got := cell.Verdict + " " + codesOf(cell.Reasons); got != c.want {
				t.Errorf("got  %s\nwant %s\n%s", got, c.want, strings.Join(cell.Reasons, "\n"))
			}
			for _, r := range cell.Reasons {
				if !strings.Contains(r, " ") {
					t.Errorf("reason %q has no words", r)
				}
			}
		})
	}
}

// No data is never a pass: a cell without a single pair is there, and collects.
func TestCellsWithoutTraffic(t *testing.T) {
	s := Submodules{
		{Name: "b", Baseline: "live", Candidates: []string{"y", "x"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.01}}}},
		{Name: "a", Baseline: "live", Candidates: []string{"x"}, Criteria: Criteria{Gates: []Gate{{"cost_ratio", 0.4}}}},
		{Name: Any, Baseline: "live", Candidates: []string{"x"}, Criteria: Criteria{Gates: []Gate{{"cost_ratio", 0.4}}}},
	}
	var got []string
	for _, c := range NewEngine(DefaultConfig(), s).Look().Cells {
		got = append(got, c.Submodule+" "+c.Candidate+" "+c.Verdict+" "+c.Gates[0].Status)
	}
	want := []string{"a x COLLECTING no_data", "b x COLLECTING no_data", "b y COLLECTING no_data"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the gates of a plain run say, in numbers that can be checked by hand.
func TestFindings(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"cost_ratio", 0.4}, {"latency_mean_ms", 500}, {"error_rate", 0.05}}}}}
	looks, err := Analyze(DefaultConfig(), s, steady(440, func(i int, o *Observation) {
		o.Trial.LatencyMS, o.Live.CostUSD, o.Trial.CostUSD = ptr(float64(300+100*(i%2))), ptr(0.2), ptr(0.01+0.02*float64(i%2))
	}), 0)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, Status string
		Estimate     float64
		Remaining    Number
		Clusters     int
	}
	var got []row
	for _, f := range looks[0].Cells[0].Gates {
		got = append(got, row{f.Name, f.Status, float64(int(1e6*f.Estimate+0.5)) / 1e6, f.Remaining, f.Clusters})
		if f.Bound < f.Estimate || f.Interval[0] > f.Estimate || f.Interval[1] < f.Bound {
			t.Errorf("%s: estimate %v, bound %v, interval %v do not nest", f.Name, f.Estimate, f.Bound, f.Interval)
		}
		if (f.Bound < Number(f.Limit)) != (f.Status == Proven) {
			t.Errorf("%s: bound %v beyond limit %v must mean proven, status is %s", f.Name, f.Bound, f.Limit, f.Status)
		}
	}
	if diff := cmp.Diff([]row{{"cost_ratio", Proven, 0.1, 0, 440}, {"latency_mean_ms", Proven, 350, 0, 440}, {"error_rate", Proven, 0, 0, 440}}, got); diff != "" {
		t.Error(diff)
	}
}
