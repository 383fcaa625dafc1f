// Package report shows decisions and their evidence: as JSON for scripts, as text
// for a terminal and as Markdown for a file. It measures nothing itself.
package report

import (
	"slices"
	"time"

	"understudy/canary"
)

// A Report is what `report -o json` prints. Its fields are a contract: they are
// only ever added to. Numbers are unrounded, unknown ones null.
type Report struct {
	At time.Time `json:"at"`
	// Clusters are the distinct conversations analysed, Pairs the pairs.
	Clusters int    `json:"clusters"`
	Pairs    int    `json:"pairs"`
	Cells    []Cell `json:"cells"`
	// Matrix says what each sub-module should run on, Totals what all of it saves,
	// Units what a business unit costs, Rollout in which order to migrate.
	Matrix  []Row  `json:"matrix"`
	Totals  Totals `json:"totals"`
	Units   []Unit `json:"units"`
	Rollout []Rung `json:"rollout"`
	// Settings are what the figures depend on besides the data.
	Settings Terms `json:"settings"`
	// Accounts are whatever the caller accounts for; text shows those of status.
	Accounts any `json:"accounts"`
	// Notes are sentences that a reader must know to judge the rest.
	Notes []string `json:"notes,omitempty"`

	config canary.Config
}

// New reports what the analyzer knows at now. The submodules should be those that
// it decides by; accounts is passed on as it is.
func New(a *canary.Analyzer, submodules []canary.Submodule, s Settings, accounts any, now time.Time) *Report {
	return build(a.Snapshot(now), a.Config(), submodules, s, accounts)
}

func build(s canary.Snapshot, c canary.Config, submodules canary.Submodules, settings Settings, accounts any) *Report {
	r := &Report{At: s.At.UTC(), Clusters: s.Look.Clusters, Pairs: s.Look.Pairs, Cells: []Cell{}, Accounts: accounts, config: c}
	for i := range s.Look.Cells {
		look := &s.Look.Cells[i]
		r.Cells = append(r.Cells, newCell(look, &s.Figures[i], s.Volumes[look.Submodule], submodules.Find(look.Submodule), &c, r.At))
	}
	r.Matrix = matrix(r.Cells, submodules, s.Volumes)
	r.Totals = totals(r.Matrix)
	r.Units = units(r.Matrix, submodules)
	r.Rollout = rollout(r.Matrix, r.Cells, submodules, s.Volumes)
	r.Settings = terms(settings, &c, r.Matrix, submodules, s.Volumes)
	return r
}

// Only is the report on one sub-module. Clusters, pairs, accounts, the sums of a
// unit and the places in the rollout stay those of the whole.
func (r *Report) Only(submodule string) *Report {
	only := *r
	only.Cells = slices.DeleteFunc(slices.Clone(r.Cells), func(c Cell) bool { return c.Submodule != submodule })
	only.Matrix = slices.DeleteFunc(slices.Clone(r.Matrix), func(w Row) bool { return w.Submodule != submodule })
	only.Totals = totals(only.Matrix)
	only.Units = slices.DeleteFunc(slices.Clone(r.Units), func(u Unit) bool { return !slices.Contains(u.Submodules, submodule) })
	only.Rollout = slices.DeleteFunc(slices.Clone(r.Rollout), func(g Rung) bool { return g.Submodule != submodule })
	only.Settings.Judges = slices.DeleteFunc(slices.Clone(r.Settings.Judges), func(j Judge) bool { return j.Submodule != submodule && j.Submodule != canary.Any })
	only.Settings.Endpoints = endpointsOf(r.Settings.Endpoints, submodule)
	only.Settings.Controls = slices.DeleteFunc(slices.Clone(r.Settings.Controls), func(c Control) bool { return c.Submodule != submodule })
	return &only
}
