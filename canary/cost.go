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

// A costGate is the evidence about a ratio of sums: the candidate's costs as
// billed, each conversation's summed, over something else of the conversation. A
// pair without what the gate reads leaves the sums and counts as missing.
type costGate struct {
	gate Gate
	// limit is the gate's on the scale of the ratio; NaN where it is not known:
	// then the gate has no data, and takes none.
	limit float64
	// show turns a ratio into the gate's own unit; nil where it is that already.
	// It must rise with the ratio.
	show func(float64) float64
	// base reads what a conversation's costs are divided by.
	base func(c *Cluster) costReading
	// newNoise makes the same gate for the control, which has units of its own.
	newNoise func() *costGate

	ratio         stats.Ratio
	largest       float64 // greatest Z^2 of one cluster at the limit
	missing, data int
	noise         *costGate
}

// A costReading is what the pairs of a cluster say to a gate on costs.
type costReading struct {
	base, trial          float64
	known, missing, data int
}

// newCostRatio makes the gate on candidate cost over live cost.
func newCostRatio(g Gate) *costGate {
	return &costGate{gate: g, limit: g.Limit, base: readLiveCost, newNoise: func() *costGate { return newCostRatio(g) }}
}

func readLiveCost(c *Cluster) (r costReading) {
	for i := range c.Pairs {
		p := &c.Pairs[i]
		if p.lost || p.Live.CostUSD == nil || p.Trial.CostUSD == nil {
			r.missing++
			continue
		}
		r.base += *p.Live.CostUSD
		r.take(p)
	}
	return r
}

// take counts a pair whose values are known.
func (r *costReading) take(p *Observation) {
	r.trial += *p.Trial.CostUSD
	r.known++
	if !p.Trial.Error {
		r.data++
	}
}

// fold adds a whole cluster.
func (e *costGate) fold(c *Cluster) error {
	if math.IsNaN(e.limit) {
		return nil
	}
	r := e.base(c)
	e.missing += r.missing
	e.data += r.data
	if r.known == 0 {
		return nil
	}
	e.ratio.Add(r.base, r.trial)
	z := e.limit*r.base - r.trial
	e.largest = max(e.largest, z*z)
	return nil
}

// foldNoise adds a cluster of controls.
func (e *costGate) foldNoise(c *Cluster) error {
	if e.noise == nil {
		e.noise = e.newNoise()
	}
	return e.noise.fold(c)
}

func (e *costGate) finding(c *Config, gates int) Finding {
	f := Finding{Name: e.gate.Name, Limit: e.gate.Limit, Clusters: int(e.ratio.N), Missing: e.missing,
		Estimate: e.shown(e.ratio.Estimate()), Bound: Unknown(), Interval: [2]Number{Unknown(), Unknown()}, Remaining: Unknown(),
		LogProven: Number(e.ratio.LogBelow(e.limit)), LogViolated: Number(e.ratio.LogAbove(e.limit))}
	if e.ratio.N > 0 {
		f.Bound, f.Interval = e.shown(e.ratio.Upper(c.AlphaPromote)), e.interval(c)
	}
	f.Status = statusOf(&f, c, gates, e.data)
	if f.Status != NoData {
		if n := e.ratio.RemainingBelow(e.limit, c.AlphaPromote); n >= 0 {
			f.Remaining = Number(n)
		}
	}
	if n := e.noise; n != nil && n.ratio.N > 0 {
		f.Noise = &Noise{Estimate: n.shown(n.ratio.Estimate()), Interval: n.interval(c), Clusters: int(n.ratio.N)}
	}
	if sum := e.ratio.SumZ2(e.limit); sum > 0 && e.gate.Name == "cost_ratio" {
		f.guards.largest = math.Min(1, e.largest/sum)
	}
	return f
}

func (e *costGate) interval(c *Config) [2]Number {
	return [2]Number{e.shown(e.ratio.Lower(c.AlphaPromote / 2)), e.shown(e.ratio.Upper(c.AlphaPromote / 2))}
}

func (e *costGate) shown(ratio float64) Number {
	if e.show == nil {
		return Number(ratio)
	}
	return Number(e.show(ratio))
}
