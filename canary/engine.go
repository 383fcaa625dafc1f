package canary

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"

	"understudy/canary/stats"
)

// An Engine folds clusters into the evidence of their cells and says what it
// amounts to. It has no clock and is not safe for concurrent use. Apart from the
// drift detectors, which depend on order, all it holds are sums.
type Engine struct {
	config     Config
	submodules Submodules
	cells      map[cellKey]*cell
	// conversations are the distinct (sub-module, conversation) that entered, by
	// a hash of 64 bits.
	conversations map[uint64]struct{}
}

type cellKey struct{ submodule, candidate string }

// NewEngine makes an engine with a cell for every configured sub-module ×
// candidate. Both arguments must have passed Validate.
func NewEngine(c Config, s Submodules) *Engine {
	e := &Engine{config: c, submodules: s, cells: map[cellKey]*cell{}, conversations: map[uint64]struct{}{}}
	for i := range s {
		if s[i].Name == Any {
			continue
		}
		for _, candidate := range s[i].Candidates {
			e.cell(s[i].Name, candidate)
		}
	}
	return e
}

// Known tells whether the configuration has a cell for the sub-module and candidate.
func (e *Engine) Known(submodule, candidate string) bool {
	return slices.Contains(e.submodules.Candidates(submodule), candidate)
}

// Fold adds a cluster to its cell, which must be Known. An error means that the
// cluster holds a value outside what was declared; the cell is then unreliable.
func (e *Engine) Fold(c *Cluster) error {
	if err := e.cell(c.Submodule, c.Candidate).fold(c); err != nil {
		return err
	}
	e.conversations[hash64(c.Submodule, c.Conversation)] = struct{}{}
	return nil
}

// leaveOut counts a pair that came after its cluster had entered.
func (e *Engine) leaveOut(submodule, candidate string) { e.cell(submodule, candidate).leftOut++ }

func (e *Engine) cell(submodule, candidate string) *cell {
	key := cellKey{submodule, candidate}
	c := e.cells[key]
	if c == nil {
		c = newCell(submodule, candidate, e.submodules.Find(submodule))
		e.cells[key] = c
	}
	return c
}

// Look says what the evidence amounts to now. Looking changes nothing and costs
// no error: look as often as you like.
func (e *Engine) Look() Look {
	look := Look{Clusters: len(e.conversations), Cells: []CellLook{}}
	cells := make([]*cell, 0, len(e.cells))
	for _, c := range e.cells {
		cells = append(cells, c)
		look.Pairs += c.pairs
	}
	slices.SortFunc(cells, func(a, b *cell) int {
		return cmp.Or(cmp.Compare(a.submodule, b.submodule), cmp.Compare(a.candidate, b.candidate))
	})
	for len(cells) > 0 {
		n := 1
		for n < len(cells) && cells[n].submodule == cells[0].submodule {
			n++
		}
		look.Cells = append(look.Cells, e.family(cells[:n])...)
		cells = cells[n:]
	}
	return look
}

// family looks at all cells of one sub-module: its candidates compete, so the
// evidence for each must bear that there are several.
func (e *Engine) family(cells []*cell) []CellLook {
	out := make([]CellLook, len(cells))
	evidence := make([]float64, len(cells))
	for i, c := range cells {
		out[i] = CellLook{Submodule: c.submodule, Candidate: c.candidate, Gates: c.findings(&e.config),
			Clusters: c.clusters, Pairs: c.pairs, LeftOut: c.leftOut, Control: c.control.show(), FirstAt: c.first, LastAt: c.last}
		evidence[i] = weakest(out[i].Gates)
	}
	size := max(len(cells), len(e.submodules.Candidates(cells[0].submodule)))
	accepted := stats.Holm(evidence, size, e.config.AlphaPromote)
	for i, c := range cells {
		d := decision{config: &e.config, cell: c, gates: out[i].Gates, control: out[i].Control, accepted: accepted[i], family: size}
		out[i].Verdict, out[i].Reasons = d.verdict()
	}
	return out
}

// weakest is the log e-value of a cell: that of its least proven gate.
func weakest(gates []Finding) float64 {
	least := math.Inf(1)
	for i := range gates {
		if gates[i].Status == NoData {
			return math.Inf(-1)
		}
		least = min(least, float64(gates[i].LogProven))
	}
	if len(gates) == 0 {
		return math.Inf(-1)
	}
	return least
}

// hash64 is a hash of names that two processes compute alike.
func hash64(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum64()
}
