package canary

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"understudy/internal/journal"
)

// even alternates wins and losses: a fair judge.
func even(i int) *string { return ptr([]string{"win", "loss"}[i%2]) }

func TestControlRules(t *testing.T) {
	win := []Gate{{"win_rate", 0.3}}
	style := []Gate{{"score.style", 0.2}}
	both := []Gate{{"error_rate", 0.05}, {"win_rate", 0.3}}
	fairly := func(i int, o *Observation) { o.Preference, o.ControlPreference = ptr("tie"), even(i) }
	biased := func(i int, o *Observation) {
		fairly(i, o)
		o.ControlPreference = ptr("win")
	}
	losing := func(i int, o *Observation) { o.Preference = ptr("loss") }
	scored := func(live, trial float64) func(i int, o *Observation) {
		return func(i int, o *Observation) {
			o.Live.Scores, o.Trial.Scores = map[string]float64{"style": live}, map[string]float64{"style": trial}
		}
	}
	all := func(changes ...func(i int, o *Observation)) func(i int, o *Observation) {
		return func(i int, o *Observation) {
			for _, c := range changes {
				c(i, o)
			}
		}
	}
	for _, c := range []struct {
		name   string
		n      int
		gates  []Gate
		config func(*Config)
		change func(i int, o *Observation)
		want   string
	}{
		{"a proven control promotes", 700, win, nil, fairly, "PROMOTE proven"},
		{"a score gate needs the control too", 700, style, nil, all(fairly, scored(0.5, 0.6)), "PROMOTE proven"},
		{"no control", 700, win, nil, func(i int, o *Observation) { o.Preference = ptr("tie") }, "HOLD no_control"},
		{"no control below the minimum", 150, win, nil, func(i int, o *Observation) { o.Preference = ptr("tie") },
			"COLLECTING open:judge_control open:min_conversations open:blocks"},
		{"a control that is not proven yet", 220, win, nil, fairly, "COLLECTING open:judge_control"},
		{"open gates stand before the control, minima after it", 100, both, nil, func(i int, o *Observation) { fairly(i, o); o.Trial.Error = i == 50 },
			"COLLECTING open:error_rate open:judge_control open:min_conversations open:blocks"},
		{"a failed control holds at once", 20, win, nil, biased, "HOLD judge_control_failed"},
		{"a control that always loses fails too", 20, win, nil, func(i int, o *Observation) { o.Preference, o.ControlPreference = ptr("tie"), ptr("loss") }, "HOLD judge_control_failed"},
		{"a failed control forbids quality gates to reject", 100, win, nil, all(biased, losing), "HOLD judge_control_failed"},
		{"no control does not forbid it", 100, win, nil, losing, "REJECT violated:win_rate"},
		{"other gates reject although the control fails", 100, both, nil, all(biased, losing, func(i int, o *Observation) { o.Trial.Error = true }), "REJECT violated:error_rate"},
		{"harm rejects although the control fails", 100, []Gate{{"harmfulness", 0.05}, {"win_rate", 0.3}}, nil, all(biased, func(i int, o *Observation) {
			o.Trial.Scores = map[string]float64{"harmfulness": 1}
		}), "REJECT violated:harmfulness"},
		{"a failed control stands before the other findings", 300, win, nil, all(biased, func(i int, o *Observation) {
			if i%10 == 0 {
				o.Preference = nil
			}
		}), "HOLD judge_control_failed missing_judge_scores:win_rate"},
		{"no control stands before missing scores", 300, win, nil, func(i int, o *Observation) {
			if o.Preference = ptr("win"); i%10 == 0 {
				o.Preference = nil
			}
		}, "HOLD no_control missing_judge_scores:win_rate"},
		{"without a quality gate there is no control rule", 600, []Gate{{"error_rate", 0.05}}, nil, biased, "PROMOTE proven"},
		{"nor with harm and agreement alone", 1000, []Gate{{"harmfulness", 0.05}, {"agreement", 0.1}}, nil, func(i int, o *Observation) {
			o.Trial.Scores, o.Agree, o.ControlAgree = map[string]float64{"harmfulness": 0}, ptr(0.5), ptr(0.5)
		}, "PROMOTE proven"},
		{"an open control at the horizon holds", 220, win, func(c *Config) { c.MaxConversations = 220 }, fairly, "HOLD budget_exhausted:judge_control"},
		{"unsampled pairs are not missing", 700, win, nil, func(i int, o *Observation) {
			if fairly(i, o); i%4 == 0 {
				o.Preference, o.Judged = nil, ptr(false)
			}
		}, "PROMOTE proven"},
		{"what is missing is held against those that were drawn", 600, win, nil, func(i int, o *Observation) {
			fairly(i, o)
			switch {
			case i%4 != 0:
				o.Preference, o.Judged = nil, ptr(false)
			case i%40 == 0: // a tenth of the drawn, a fortieth of all
				o.Preference = nil
			}
		}, "HOLD missing_judge_scores:win_rate"},
		{"so is what gates without a judge lack", 600, both, nil, func(i int, o *Observation) {
			if fairly(i, o); i%4 != 0 {
				o.Preference, o.Judged = nil, ptr(false)
			}
			o.lost = i%40 == 1
		}, "HOLD missing_judge_scores:error_rate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			if c.config != nil {
				c.config(&cfg)
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
		})
	}
}

// The control's mean is over conversations, and its interval at 99 %.
func TestControlOfACell(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.05}}}}}
	looks, err := Analyze(DefaultConfig(), s, steady(40, func(i int, o *Observation) {
		o.Conversation, o.At = fmt.Sprint("c", i/4), day.Add(0)
		if i%4 > 0 {
			o.ControlPreference = ptr([]string{"", "win", "tie", "tie"}[i%4])
		}
	}), 0)
	if err != nil {
		t.Fatal(err)
	}
	c := looks[0].Cells[0].Control
	if c == nil || c.Clusters != 10 || absolute(c.Estimate-2.0/3) > 1e-12 || c.Failed() || c.Proven() {
		t.Fatalf("control %+v", c)
	}
	var none *Control
	if none.Failed() || none.Proven() {
		t.Error("no control has shown nothing")
	}
}

// everyGate is a policy with one gate of each kind.
func everyGate() Submodules {
	return Submodules{{Name: "interview/questions", Baseline: "live", Candidates: []string{"cand"}, OtherCostUSD: ptr(0.1), Criteria: Criteria{Gates: []Gate{
		{"cost_ratio", 0.4}, {"cost_per_unit_usd", 0.02}, {"expense_ratio", 0.1}, {"latency_mean_ms", 500}, {"ttft_mean_ms", 300}, {"error_rate", 0.01},
		{"score.correctness", 0.05}, {"harmfulness", 0.01}, {"harmfulness_margin", 0.01}, {"win_rate", 0.45}, {"check.schema", 0.02}, {"agreement", 0.1},
	}}}}
}

// drawObservations draws pairs in which anything may be absent or failed.
func drawObservations(t *rapid.T) []Observation {
	unit := rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(0, 8).Draw(t, "eighths")) / 8 })
	side := rapid.Custom(func(t *rapid.T) journal.Side {
		s := journal.Side{Error: rapid.IntRange(0, 5).Draw(t, "error") == 0, Scores: map[string]float64{}, Checks: map[string]bool{}}
		for _, v := range []**float64{&s.LatencyMS, &s.TTFTMS, &s.CostUSD} {
			if rapid.IntRange(0, 9).Draw(t, "known") > 0 {
				*v = ptr(1000 * unit.Draw(t, "value"))
			}
		}
		for _, name := range []string{"correctness", "harmfulness"} {
			if rapid.IntRange(0, 3).Draw(t, "scored") > 0 {
				s.Scores[name] = unit.Draw(t, "score")
			}
		}
		if rapid.Bool().Draw(t, "checked") {
			s.Checks["schema"] = rapid.Bool().Draw(t, "good")
		}
		return s
	})
	preference := rapid.SampledFrom([]*string{nil, ptr("win"), ptr("tie"), ptr("loss")})
	agree := rapid.SampledFrom([]*float64{nil, ptr(0.0), ptr(0.5), ptr(1.0)})
	list := make([]Observation, rapid.IntRange(1, 40).Draw(t, "pairs"))
	for i := range list {
		list[i] = Observation{
			At: day.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 45}).Draw(t, "minute")) * time.Minute), ExchangeID: fmt.Sprintf("e%03d", i),
			Submodule: "interview/questions", Candidate: "cand", Conversation: fmt.Sprint("c", rapid.IntRange(0, 9).Draw(t, "conversation")),
			Unit: rapid.SampledFrom([]string{"", "u1", "u2", "u3"}).Draw(t, "unit"), Live: side.Draw(t, "live"), Trial: side.Draw(t, "trial"),
			Preference: preference.Draw(t, "preference"), Agree: agree.Draw(t, "agree"),
			Judged: rapid.SampledFrom([]*bool{nil, ptr(false)}).Draw(t, "judged"),
		}
	}
	return list
}

// The noise is for display: a control whose answers touch no value of the gates
// changes no number of any finding.
func TestNoiseDecidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := drawObservations(t)
		noisy := make([]Observation, len(list))
		for i := range list {
			noisy[i] = list[i]
			again := journal.Side{LatencyMS: ptr(900.0 * float64(i)), TTFTMS: ptr(1.0), CostUSD: ptr(float64(i)), Error: i%3 == 0, Checks: map[string]bool{"schema": i%2 == 0}}
			noisy[i].Control = &again
		}
		quiet, err := Analyze(DefaultConfig(), everyGate(), list, 3)
		if err != nil {
			t.Fatal(err)
		}
		loud, err := Analyze(DefaultConfig(), everyGate(), noisy, 3)
		if err != nil {
			t.Fatal(err)
		}
		if loud[len(loud)-1].Cells[0].Gates[3].Noise == nil {
			t.Fatal("the control left no noise")
		}
		if diff := cmp.Diff(quiet, loud, sameLooks, cmpopts.IgnoreFields(Finding{}, "Noise")); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Clusters may enter in any order: but for the evidence per unit, of which only
// the estimate is the same, and the drift detectors, all numbers agree.
func TestQualityFoldsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := drawObservations(t)
		clusters := clustersOf(list, DefaultConfig())
		fold := func() Look {
			e := NewEngine(DefaultConfig(), everyGate())
			for _, c := range clusters {
				if err := e.Fold(c); err != nil {
					t.Fatal(err)
				}
			}
			return e.Look()
		}
		want := fold()
		clusters = rapid.Permutation(clusters).Draw(t, "order")
		if diff := cmp.Diff(want, fold(), sameLooks, sameCodes); diff != "" {
			t.Fatal(diff)
		}
	})
}

// sameCodes compares reasons by their codes: words may round another way.
var sameCodes = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Reasons" },
	cmp.Comparer(func(a, b []string) bool { return codesOf(a) == codesOf(b) }))

// What the noise of each kind of gate is, by hand: live against its own endpoint.
func TestNoiseByHand(t *testing.T) {
	o := judgedPair(func(o *Observation) {
		o.At, o.ExchangeID, o.Submodule, o.Candidate, o.Unit = day, "e", "interview/questions", "cand", "u"
		o.Live.Scores = map[string]float64{"correctness": 0.75, "harmfulness": 0.25}
		o.Trial.Scores = map[string]float64{"correctness": 0.1, "harmfulness": 1}
		o.Live.CostUSD, o.Live.Checks = ptr(0.5), map[string]bool{"schema": true}
		o.Control = &journal.Side{LatencyMS: ptr(900.0), CostUSD: ptr(0.25), Error: false, Checks: map[string]bool{"schema": false},
			Scores: map[string]float64{"correctness": 0.5, "harmfulness": 0.5}}
		o.ControlPreference, o.ControlAgree = ptr("tie"), ptr(0.75)
	})
	looks, err := Analyze(DefaultConfig(), everyGate(), []Observation{o}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Number{}
	for _, f := range looks[0].Cells[0].Gates {
		if f.Noise != nil {
			got[f.Name] = f.Noise.Estimate
			if f.Noise.Clusters != 1 {
				t.Errorf("%s: %d clusters", f.Name, f.Noise.Clusters)
			}
		}
	}
	want := map[string]Number{"cost_ratio": 0.5, "cost_per_unit_usd": 0.25, "expense_ratio": Number(0.25 / 0.35), "latency_mean_ms": 900, "error_rate": 0,
		"score.correctness": -0.25, "harmfulness": 0.5, "harmfulness_margin": 0.25, "win_rate": 0.5, "check.schema": -1, "agreement": -0.25}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Error(diff)
	}
}
