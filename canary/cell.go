package canary

import (
	"fmt"
	"slices"
	"time"
)

// evidence is the state of one gate in one cell.
type evidence interface {
	fold(*Cluster) error
	finding(c *Config, gates int) Finding
}

// A cell is sub-module × candidate. Its memory does not grow with its clusters.
type cell struct {
	submodule, candidate string
	gates                []evidence

	clusters, pairs, leftOut int
	first, last              time.Time
	blocks                   [4]int
}

func newCell(submodule, candidate string, criteria *Criteria) *cell {
	c := &cell{submodule: submodule, candidate: candidate}
	for _, g := range slices.SortedFunc(slices.Values(criteria.Gates), compareGates) {
		if m, ok := measureOf(g); ok {
			c.gates = append(c.gates, newMeanGate(g, m))
		} else {
			c.gates = append(c.gates, newCostGate(g))
		}
	}
	return c
}

func (c *cell) fold(k *Cluster) error {
	for _, g := range c.gates {
		if err := g.fold(k); err != nil {
			return fmt.Errorf("cell %s × %s: %w", c.submodule, c.candidate, err)
		}
	}
	c.clusters++
	c.pairs += len(k.Pairs)
	c.leftOut += k.LeftOut
	c.blocks[blockOf(k.Start)]++
	if c.first.IsZero() || k.Start.Before(c.first) {
		c.first = k.Start
	}
	if k.Start.After(c.last) {
		c.last = k.Start
	}
	return nil
}

// findings of all gates, in their order.
func (c *cell) findings(cfg *Config) []Finding {
	out := make([]Finding, len(c.gates))
	for i, g := range c.gates {
		out[i] = g.finding(cfg, len(c.gates))
	}
	return out
}
