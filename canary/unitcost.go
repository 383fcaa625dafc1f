package canary

import "math"

// newUnitCost makes the gate on what this sub-module alone spends on a business
// unit: the ratio of sums whose base is 1 for each unit that a conversation brings
// and that was not seen before. A cost belongs to no other conversation of its
// unit, so that evidence depends a little on which of them came first; the
// estimate does not.
func newUnitCost(g Gate) *costGate {
	return &costGate{gate: g, limit: g.Limit, base: readUnits(), newNoise: func() *costGate { return newUnitCost(g) }}
}

// newExpenseRatio makes the gate on the share that this sub-module's AI has in the
// cost of a unit, which costs other besides. A share c/(c+other) of at most e is a
// cost c of at most e other/(1-e), so the evidence is that of the cost per unit.
// Without other the gate has no data.
func newExpenseRatio(g Gate, other *float64) *costGate {
	e := newUnitCost(g)
	e.newNoise = func() *costGate { return newExpenseRatio(g, other) }
	if other == nil || !(*other > 0) {
		e.limit = math.NaN()
		return e
	}
	o := *other
	e.limit = g.Limit * o / (1 - g.Limit)
	e.show = func(perUnit float64) float64 {
		if math.IsInf(perUnit, 1) {
			return 1
		}
		return perUnit / (perUnit + o)
	}
	return e
}

// readUnits remembers the units by hash.
func readUnits() func(c *Cluster) costReading {
	seen := map[uint64]struct{}{}
	return func(c *Cluster) (r costReading) {
		for i := range c.Pairs {
			p := &c.Pairs[i]
			if p.lost || p.Unit == "" || p.Trial.CostUSD == nil {
				r.missing++
				continue
			}
			h := hash64(p.Unit)
			if _, again := seen[h]; !again {
				seen[h] = struct{}{}
				r.base++
			}
			r.take(p)
		}
		return r
	}
}
