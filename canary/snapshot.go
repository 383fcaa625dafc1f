package canary

import (
	"maps"
	"math"
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
	Failures     map[llm.Class]int
	// What ended without a comparison.
	NotComparable, OverBudget, DeadLetter int
	// LagMS is the mean time from an exchange to its trial's first call.
	LagMS Number
}

// A Volume is the traffic of a sub-module.
type Volume struct {
	Exchanges int
	// Requests is what the captured exchanges stand for, with the share of
	// traffic that was captured at the time.
	Requests        float64
	FirstAt, LastAt time.Time
}

// Snapshot looks at now and copies the figures.
func (a *Analyzer) Snapshot(now time.Time) Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Snapshot{At: now, Look: a.look(now), Volumes: map[string]Volume{}}
	for i := range s.Look.Cells {
		c := &s.Look.Cells[i]
		s.Figures = append(s.Figures, a.figure(c.Submodule, c.Candidate).show())
	}
	for name, v := range a.volumes {
		s.Volumes[name] = Volume{Exchanges: v.exchanges, Requests: v.weighted, FirstAt: v.first, LastAt: v.last}
	}
	return s
}

func (f *figures) show() Figures {
	return Figures{
		Compared: f.pairs, Live: f.live.show(f.pairs, len(f.units)), Trial: f.trial.show(f.pairs, len(f.units)),
		Costs: f.live.costs, Units: len(f.units), Gaps: sortGaps(f.gaps), Failures: maps.Clone(f.failures),
		NotComparable: f.notComparable, OverBudget: f.overBudget, DeadLetter: f.deadLetter, LagMS: per(f.lag, f.lagCount),
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
