package canary

import (
	"math"

	"understudy/canary/stats"
)

// Shares of sum Z^2 that one conversation may have: above the first the cell
// holds at any time, above the second where it would be promoted.
const (
	dominates     = 0.80
	dominatesLate = 0.10
)

// A costGate is the evidence about the cost ratio: candidate over live, each
// conversation's costs summed as billed. A pair whose cost is unknown on either
// side leaves the sums and counts as missing.
type costGate struct {
	gate          Gate
	ratio         stats.Ratio
	largest       float64 // greatest Z^2 of one cluster at the limit
	missing, data int
}

func newCostGate(g Gate) *costGate { return &costGate{gate: g} }

// fold adds a whole cluster.
func (e *costGate) fold(c *Cluster) error {
	var live, trial float64
	known := 0
	for i := range c.Pairs {
		p := &c.Pairs[i]
		if p.lost || p.Live.CostUSD == nil || p.Trial.CostUSD == nil {
			e.missing++
			continue
		}
		live += *p.Live.CostUSD
		trial += *p.Trial.CostUSD
		known++
		if !p.Trial.Error {
			e.data++
		}
	}
	if known == 0 {
		return nil
	}
	e.ratio.Add(live, trial)
	z := e.gate.Limit*live - trial
	e.largest = max(e.largest, z*z)
	return nil
}

func (e *costGate) finding(c *Config, gates int) Finding {
	f := Finding{Name: e.gate.Name, Limit: e.gate.Limit, Clusters: int(e.ratio.N), Missing: e.missing,
		Estimate: Number(e.ratio.Estimate()), Bound: Unknown(), Interval: [2]Number{Unknown(), Unknown()}, Remaining: Unknown(),
		LogProven: Number(e.ratio.LogBelow(e.gate.Limit)), LogViolated: Number(e.ratio.LogAbove(e.gate.Limit))}
	if e.ratio.N > 0 {
		f.Bound = Number(e.ratio.Upper(c.AlphaPromote))
		f.Interval = [2]Number{Number(e.ratio.Lower(c.AlphaPromote / 2)), Number(e.ratio.Upper(c.AlphaPromote / 2))}
	}
	f.Status = statusOf(&f, c, gates, e.data)
	if f.Status != NoData {
		if n := e.ratio.RemainingBelow(e.gate.Limit, c.AlphaPromote); n >= 0 {
			f.Remaining = Number(n)
		}
	}
	if sum := e.ratio.SumZ2(e.gate.Limit); sum > 0 {
		f.guards.largest = math.Min(1, e.largest/sum)
	}
	return f
}
