// Package report shows decisions and their evidence: as JSON for scripts and as
// text for a terminal. It measures nothing itself.
package report

import (
	"slices"
	"time"

	"understudy/canary"
	"understudy/llm"
)

// A Report is what `report -o json` prints. Its fields are a contract: they are
// only ever added to. Numbers are unrounded, unknown ones null.
type Report struct {
	At time.Time `json:"at"`
	// Clusters are the distinct conversations analysed, Pairs the pairs.
	Clusters int    `json:"clusters"`
	Pairs    int    `json:"pairs"`
	Cells    []Cell `json:"cells"`
	Matrix   []Row  `json:"matrix"`
	// Accounts are whatever the caller accounts for; text shows those of status.
	Accounts any `json:"accounts"`
	// Notes are sentences that a reader must know to judge the rest.
	Notes []string `json:"notes,omitempty"`

	config canary.Config
}

// A Cell is one sub-module × candidate: its verdict with findings, and both sides
// in numbers.
type Cell struct {
	canary.CellLook
	Live  canary.SideFigures `json:"live"`
	Trial canary.SideFigures `json:"trial"`
	Gaps  []canary.GapCount  `json:"gaps"`
	// Compared pairs so far, with those of open conversations; Costs of them with
	// a cost on both sides, Units the distinct units among these.
	Compared int `json:"compared"`
	Costs    int `json:"costs"`
	Units    int `json:"units"`
	// Failures counts failed trials by class; the others ended without one.
	Failures      map[llm.Class]int `json:"failures"`
	NotComparable int               `json:"not_comparable"`
	OverBudget    int               `json:"over_budget"`
	DeadLetter    int               `json:"dead_letter"`
	// LagMS is the mean time from an exchange to its trial.
	LagMS canary.Number `json:"lag_ms"`
}

// New reports what the analyzer knows at now. accounts is passed on as it is.
func New(a *canary.Analyzer, submodules []canary.Submodule, accounts any, now time.Time) *Report {
	return build(a.Snapshot(now), a.Config(), submodules, accounts)
}

func build(s canary.Snapshot, c canary.Config, submodules canary.Submodules, accounts any) *Report {
	r := &Report{At: s.At.UTC(), Clusters: s.Look.Clusters, Pairs: s.Look.Pairs, Cells: []Cell{}, Accounts: accounts, config: c}
	for i := range s.Look.Cells {
		f := &s.Figures[i]
		r.Cells = append(r.Cells, Cell{
			CellLook: s.Look.Cells[i], Live: f.Live, Trial: f.Trial, Gaps: f.Gaps, Compared: f.Compared, Costs: f.Costs, Units: f.Units,
			Failures: f.Failures, NotComparable: f.NotComparable, OverBudget: f.OverBudget, DeadLetter: f.DeadLetter, LagMS: f.LagMS,
		})
	}
	r.Matrix = matrix(r.Cells, submodules, s.Volumes)
	return r
}

// Only is the report on one sub-module. Clusters, pairs and accounts stay those of
// the whole.
func (r *Report) Only(submodule string) *Report {
	only := *r
	only.Cells = slices.DeleteFunc(slices.Clone(r.Cells), func(c Cell) bool { return c.Submodule != submodule })
	only.Matrix = slices.DeleteFunc(slices.Clone(r.Matrix), func(w Row) bool { return w.Submodule != submodule })
	return &only
}
