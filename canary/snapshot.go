package canary

import (
	"maps"
	"math"
	"slices"
	"time"

	"understudy/canary/stats"
	"understudy/llm"
)

// A Snapshot is a look with everything that a report shows beside it.
type Snapshot struct {
	At   time.Time
	Look Look
	// Figures stand in the order of Look.Cells.
	Figures []Figures
	// Volumes by sub-module.
	Volumes map[string]Volume
}

// Times are the mean and percentiles of what was measured, in milliseconds, over
// answered calls; the percentiles are up to 2 % above the true ones.
type Times struct {
	Mean  Number `json:"mean"`
	P50   Number `json:"p50"`
	P95   Number `json:"p95"`
	P99   Number `json:"p99"`
	Count int64  `json:"count"`
}

// SideFigures are one side of a cell's pairs in numbers.
type SideFigures struct {
	LatencyMS Times `json:"latency_ms"`
	TTFTMS    Times `json:"ttft_ms"`
	// Costs are of the pairs whose cost is known on both sides. A unit's cost is
	// what this sub-module alone spends on it.
	CostUSDPerExchange Number `json:"cost_usd_per_exchange"`
	CostUSDPerUnit     Number `json:"cost_usd_per_unit"`
	ErrorRate          Number `json:"error_rate"`
}

// A GapCount says how many trials had a gap. Numbers in the path are "*".
type GapCount struct {
	Path     string       `json:"path"`
	Severity llm.Severity `json:"severity"`
	Count    int          `json:"count"`
}

// Figures are what a report shows of a cell besides its gates.
type Figures struct {
	// Compared pairs so far; those of open conversations are among them.
	Compared    int
	Live, Trial SideFigures
	// Costs is the number of pairs whose cost is known on both sides, Units the
	// number of distinct units among them.
	Costs, Units int
	Gaps         []GapCount
	// Control is the baseline asked again, over the ControlPairs of the sub-module
	// that have its answer, whichever candidate they are of.
	Control      SideFigures
	ControlPairs int
	// Failures of the candidate's trials by class; LiveFailures of the
	// sub-module's captured exchanges.
	Failures, LiveFailures map[llm.Class]int
	Judged                 JudgedFigures
	// Worst are the exchanges of the cell whose answers fell most behind live's,
	// worst first, five at most. Those of open conversations are not among them.
	Worst []Worst
	// What ended without a comparison.
	NotComparable, OverBudget, DeadLetter int
	// LagMS is the mean time from an exchange to its trial's first call.
	LagMS Number
	// What the calls behind the trials looked like; none of it decides.
	Attempts   AttemptFigures
	Divergence DivergenceFigures
	Lag        LagFigures
}

// A Volume is the traffic of a sub-module.
type Volume struct {
	Exchanges int
	// Requests is what the captured exchanges stand for, with the share of
	// traffic that was captured at the time.
	Requests        float64
	FirstAt, LastAt time.Time

	// What says how complex the sub-module is, over its exchanges: exchanges a
	// conversation, messages a request, the shares of requests with tools and with
	// a response format of JSON, and the 99th percentile of input tokens (a
	// quarter of the request's bytes where the provider did not report them).
	Turns, Messages          Number
	ToolShare, JSONShare     Number
	InputTokensP99           Number
	Conversations, UnitsSeen int
}

// Snapshot looks at now and copies the figures.
func (a *Analyzer) Snapshot(now time.Time) Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Snapshot{At: now, Look: a.look(now), Volumes: map[string]Volume{}}
	for i := range s.Look.Cells {
		c := &s.Look.Cells[i]
		f := a.figure(c.Submodule, c.Candidate).show(a.controlFigures(c.Submodule))
		f.LiveFailures = map[llm.Class]int{}
		if v := a.volumes[c.Submodule]; v != nil {
			f.LiveFailures = maps.Clone(v.failures)
		}
		s.Figures = append(s.Figures, f)
	}
	for name, v := range a.volumes {
		s.Volumes[name] = v.show()
	}
	return s
}

func (f *figures) show(control *controlFigures) Figures {
	return Figures{
		Compared: f.pairs, Live: f.live.show(f.pairs, len(f.units)), Trial: f.trial.show(f.pairs, len(f.units)),
		Costs: f.live.costs, Units: len(f.units), Gaps: sortGaps(f.gaps), Failures: maps.Clone(f.failures),
		NotComparable: f.notComparable, OverBudget: max(0, f.overBudget), DeadLetter: max(0, f.deadLetter), LagMS: per(f.lag, f.lagCount),
		Control: control.show(), ControlPairs: control.pairs, Judged: f.judged.show(control.scores), Worst: slices.Clone(f.worst),
		Attempts: f.tried.attempts(), Divergence: f.tried.divergence(), Lag: f.tried.lag.show(),
	}
}

func (s *sideFigures) show(pairs, units int) SideFigures {
	return SideFigures{
		LatencyMS: times(&s.latency), TTFTMS: times(&s.ttft),
		CostUSDPerExchange: per(s.cost, s.costs), CostUSDPerUnit: per(s.unitCost, units),
		ErrorRate: per(float64(s.errors), pairs),
	}
}

func times(h *stats.Histogram) Times {
	return Times{Mean: Number(h.Mean()), P50: Number(h.Quantile(0.50)), P95: Number(h.Quantile(0.95)), P99: Number(h.Quantile(0.99)), Count: h.N}
}

func per(sum float64, n int) Number {
	if n == 0 {
		return Number(math.NaN())
	}
	return Number(sum / float64(n))
}
