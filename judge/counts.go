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
