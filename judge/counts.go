package judge

import (
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

// counts are the stage's metrics.
type counts struct {
	set             *metrics.Set
	verdicts        *metrics.Counter
	duplicates      *metrics.Counter
	withoutExchange *metrics.Counter
	seconds         *metrics.PrometheusHistogram
}

func newCounts(set *metrics.Set) *counts {
	c := &counts{
		set:             set,
		verdicts:        set.GetOrCreateCounter("understudy_judge_verdicts_total"),
		duplicates:      set.GetOrCreateCounter("understudy_judge_duplicates_total"),
		withoutExchange: set.GetOrCreateCounter("understudy_judge_without_exchange_total"),
		seconds: set.GetOrCreatePrometheusHistogramExt("understudy_judge_seconds",
			[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}),
	}
	for _, name := range CheckNames() {
		for _, side := range []string{"live", "trial"} {
			c.failures(name, side)
		}
	}
	return c
}

func (c *counts) failures(check, side string) *metrics.Counter {
	return c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_check_failures_total{check=%q,side=%q}", check, side))
}

// note counts a stored verdict.
func (c *counts) note(v *journal.Verdict, unchecked []Unchecked, took time.Duration) {
	c.verdicts.Inc()
	c.seconds.Update(took.Seconds())
	for name, good := range v.Live.Checks {
		if !good {
			c.failures(name, "live").Inc()
		}
	}
	for name, good := range v.Trial.Checks {
		if !good {
			c.failures(name, "trial").Inc()
		}
	}
	for _, u := range unchecked {
		c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_unchecked_total{check=%q,side=%q,reason=%q}", u.Check, u.Side, u.Reason)).Inc()
	}
}

// declare makes the counters of a judge appear before anything is counted.
func (c *counts) declare(endpoint string) {
	for _, name := range []string{
		fmt.Sprintf("understudy_judge_calls_total{endpoint=%q,class=\"ok\"}", endpoint),
		fmt.Sprintf("understudy_judge_questions_total{endpoint=%q,parse=%q}", endpoint, parseFailed),
		fmt.Sprintf("understudy_judge_remembered_total{endpoint=%q}", endpoint),
		fmt.Sprintf("understudy_judge_judgements_total{endpoint=%q,outcome=\"judged\"}", endpoint),
		fmt.Sprintf("understudy_judge_pauses_total{endpoint=%q,class=\"throttled\"}", endpoint),
		`understudy_judge_flagged_total{side="live"}`, `understudy_judge_flagged_total{side="trial"}`,
	} {
		c.set.GetOrCreateCounter(name)
	}
}

// verdict counts a question that was answered, by how its label was found.
func (c *counts) verdict(endpoint, parse string) {
	c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_questions_total{endpoint=%q,parse=%q}", endpoint, parse)).Inc()
}

// call counts one call of a judge by how it ended.
func (c *counts) call(endpoint, class string) {
	c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_calls_total{endpoint=%q,class=%q}", endpoint, class)).Inc()
}

func (c *counts) pause(endpoint, class string) {
	c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_pauses_total{endpoint=%q,class=%q}", endpoint, class)).Inc()
}

// judged counts a stored judgement.
func (c *counts) judged(v *journal.Judgement) {
	outcome := v.Unasked
	if outcome == "" {
		outcome = "judged"
	}
	c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_judgements_total{endpoint=%q,outcome=%q}", v.Judge, outcome)).Inc()
	c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_remembered_total{endpoint=%q}", v.Judge)).Add(v.Cached)
	for side, flags := range map[string][]string{"live": v.LiveFlags, "trial": v.TrialFlags} {
		if len(flags) > 0 {
			c.set.GetOrCreateCounter(fmt.Sprintf("understudy_judge_flagged_total{side=%q}", side)).Inc()
		}
	}
}

// budget counts that the judges' budget has come to that percentage.
func (c *counts) budget(percent int) {
	c.set.GetOrCreateCounter(fmt.Sprintf("understudy_budget_events_total{account=%q,percent=\"%d\"}", journal.AccountJudge, percent)).Inc()
}
