package canary

import (
	"fmt"
	"slices"
	"time"
)

// evidence is the state of one gate in one cell.
type evidence interface {
	fold(*Cluster) error
	// foldNoise adds a cluster of the control in the trial's place. It must not
	// change what decides.
	foldNoise(*Cluster) error
	finding(c *Config, gates int) Finding
}

// A cell is sub-module × candidate. Its memory does not grow with its clusters.
type cell struct {
	submodule, candidate string
	gates                []evidence
	// quality tells that a gate must be vouched for by the control.
	quality bool
	control controlState
	// liveCosts is what the gates on live's costs rest on.
	liveCosts liveCosts

	clusters, pairs, leftOut int
	// unsampled pairs were not drawn for judging.
	unsampled   int
	first, last time.Time
	blocks      [4]int
}

func newCell(submodule, candidate string, s *Submodule) *cell {
	c := &cell{submodule: submodule, candidate: candidate, control: newControlState()}
	for _, g := range slices.SortedFunc(slices.Values(s.Criteria.Gates), compareGates) {
		c.gates = append(c.gates, newEvidence(g, s))
		c.quality = c.quality || g.quality()
	}
	return c
}

func newEvidence(g Gate, s *Submodule) evidence {
	switch g.Name {
	case "cost_ratio":
		return newCostRatio(g)
	case "cost_per_unit_usd":
		return newUnitCost(g)
	case "expense_ratio":
		return newExpenseRatio(g, s.OtherCostUSD)
	}
	m, _ := measureOf(g) // known: the criteria were validated
	return newMeanGate(g, m)
}

func (c *cell) fold(k *Cluster) error {
	if err := c.gather(k); err != nil {
		return fmt.Errorf("cell %s × %s: %w", c.submodule, c.candidate, err)
	}
	c.clusters++
	c.pairs += len(k.Pairs)
	for i := range k.Pairs {
		if !k.Pairs[i].sampled() {
			c.unsampled++
		}
	}
	c.leftOut += k.LeftOut
	c.liveCosts.fold(k)
	c.blocks[blockOf(k.Start)]++
	if c.first.IsZero() || k.Start.Before(c.first) {
		c.first = k.Start
	}
	if k.Start.After(c.last) {
		c.last = k.Start
	}
	return nil
}

// gather adds a cluster to all evidence of the cell.
func (c *cell) gather(k *Cluster) error {
	again := k.controls()
	for _, g := range c.gates {
		if err := g.fold(k); err != nil {
			return err
		}
		if again == nil {
			continue
		}
		if err := g.foldNoise(again); err != nil {
			return err
		}
	}
	return c.control.fold(k)
}

// findings of all gates, in their order.
func (c *cell) findings(cfg *Config) []Finding {
	out := make([]Finding, len(c.gates))
	for i, g := range c.gates {
		out[i] = g.finding(cfg, len(c.gates))
		if out[i].readsLiveCost() {
			out[i].LiveCost = c.liveCosts.show()
		}
	}
	return out
}
