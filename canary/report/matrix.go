package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"understudy/canary"
)

// month and year are what a saving is stated for.
const (
	month = 30 * 24 * time.Hour
	year  = 365 * 24 * time.Hour
)

// shortestSpan is the observed time below which no saving is projected.
const shortestSpan = time.Hour

// A Row of the decision matrix says which endpoint a sub-module should run on.
type Row struct {
	Submodule string `json:"submodule"`
	Priority  string `json:"priority"`
	// Selected is the promoted candidate that costs least, else the baseline.
	Selected  string `json:"selected"`
	Rationale string `json:"rationale"`
	// SavingUSDMonth is live cost less the selected endpoint's, at the volume
	// measured, over 30 days, SavingUSDYear over 365; null where less than an
	// hour was observed or a cost is unknown.
	SavingUSDMonth canary.Number `json:"saving_usd_month"`
	SavingUSDYear  canary.Number `json:"saving_usd_year"`

	Baseline string `json:"baseline"`
	Promoted bool   `json:"promoted"`
	// RequestsMonth is the volume that the saving is projected from, over
	// ObservedSeconds from the first exchange to the last.
	RequestsMonth   canary.Number `json:"requests_month"`
	ObservedSeconds canary.Number `json:"observed_seconds"`
	// Unit is the business unit, and what AI costs of it in this sub-module today
	// and as selected, over Units.
	Unit                   string        `json:"unit"`
	CostUSDPerUnitNow      canary.Number `json:"cost_usd_per_unit_now"`
	CostUSDPerUnitSelected canary.Number `json:"cost_usd_per_unit_selected"`
	Units                  int           `json:"units"`
}

// Totals are the sums of the matrix; unknown where a row's is.
type Totals struct {
	SavingUSDMonth canary.Number `json:"saving_usd_month"`
	SavingUSDYear  canary.Number `json:"saving_usd_year"`
	// NotStated are the sub-modules whose saving is not known.
	NotStated []string `json:"not_stated"`
	Promoted  int      `json:"promoted"`
}

// saved is what the candidate of a cell would save, or why that is not stated.
type saved struct {
	month, year canary.Number
	why         string
}

func matrix(cells []Cell, submodules canary.Submodules, volumes map[string]canary.Volume) []Row {
	bySubmodule := map[string][]Cell{}
	for _, s := range submodules {
		if s.Name != canary.Any {
			bySubmodule[s.Name] = nil
		}
	}
	for _, c := range cells {
		bySubmodule[c.Submodule] = append(bySubmodule[c.Submodule], c)
	}
	rows := make([]Row, 0, len(bySubmodule))
	for name, cells := range bySubmodule {
		if entry := submodules.Find(name); entry != nil {
			rows = append(rows, row(name, entry, cells, volumes[name]))
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Submodule, b.Submodule) })
	return rows
}

func row(name string, entry *canary.Submodule, cells []Cell, v canary.Volume) Row {
	r := Row{Submodule: name, Priority: entry.Priority, Selected: entry.Baseline, Baseline: entry.Baseline, Unit: entry.Unit,
		CostUSDPerUnitNow: canary.Unknown(), CostUSDPerUnitSelected: canary.Unknown()}
	r.RequestsMonth, r.ObservedSeconds = project(v, month), canary.Unknown()
	if v.Exchanges > 0 {
		r.ObservedSeconds = canary.Number(v.LastAt.Sub(v.FirstAt).Seconds())
	}
	promoted := slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return c.Verdict != canary.Promote })
	if len(promoted) == 0 {
		r.Rationale = kept(entry.Baseline, cells)
		if most := counted(cells); most != nil {
			r.CostUSDPerUnitNow, r.CostUSDPerUnitSelected, r.Units = most.Live.CostUSDPerUnit, most.Live.CostUSDPerUnit, most.Units
		}
		return r
	}
	best := slices.MinFunc(promoted, func(a, b Cell) int { return cmp.Compare(price(a), price(b)) })
	r.Selected, r.Promoted = best.Candidate, true
	r.CostUSDPerUnitNow, r.CostUSDPerUnitSelected, r.Units = best.Live.CostUSDPerUnit, best.Trial.CostUSDPerUnit, best.Units
	r.Rationale = fmt.Sprintf("proven on all %d gates over %d conversations", len(best.Gates), best.Clusters)
	if len(promoted) > 1 {
		r.Rationale += fmt.Sprintf(", cheapest of %d promoted", len(promoted))
	}
	s := saving(&best, v)
	r.SavingUSDMonth, r.SavingUSDYear = s.month, s.year
	if s.why != "" {
		r.Rationale += "; " + s.why
	}
	return r
}

// counted is the cell that knows live's cost of most units.
func counted(cells []Cell) *Cell {
	var most *Cell
	for i := range cells {
		if most == nil || cells[i].Units > most.Units {
			most = &cells[i]
		}
	}
	return most
}

// kept says why the baseline stays.
func kept(baseline string, cells []Cell) string {
	if len(cells) == 0 {
		return "stays on " + baseline + ": no candidate"
	}
	var parts []string
	for _, c := range cells {
		parts = append(parts, fmt.Sprintf("%s %s (%s)", c.Candidate, c.Verdict, codes(c.Reasons)))
	}
	return "stays on " + baseline + ": " + strings.Join(parts, ", ")
}

func codes(reasons []string) string {
	out := make([]string, len(reasons))
	for i, r := range reasons {
		out[i] = canary.Code(r)
	}
	return strings.Join(out, ", ")
}

// price orders candidates; an unknown cost comes last.
func price(c Cell) float64 {
	if !c.Trial.CostUSDPerExchange.Known() {
		return 1e300
	}
	return float64(c.Trial.CostUSDPerExchange)
}

// saving projects what the candidate saves: the difference in cost per exchange ×
// the requests that as long a time would bring at the volume measured. Days unlike
// those observed, such as a weekend, are not foreseen.
func saving(c *Cell, v canary.Volume) saved {
	s := saved{month: canary.Unknown(), year: canary.Unknown()}
	switch {
	case !c.Live.CostUSDPerExchange.Known() || !c.Trial.CostUSDPerExchange.Known():
		s.why = "saving not stated: the costs are unknown"
		return s
	case !project(v, month).Known():
		s.why = "saving not stated: less than an hour was observed"
		return s
	}
	each := c.Live.CostUSDPerExchange - c.Trial.CostUSDPerExchange
	s.month, s.year = each*project(v, month), each*project(v, year)
	return s
}

// project is the number of requests that a time would bring; unknown where too
// little of it was observed.
func project(v canary.Volume, over time.Duration) canary.Number {
	observed := v.LastAt.Sub(v.FirstAt)
	if observed < shortestSpan {
		return canary.Unknown()
	}
	return canary.Number(v.Requests * float64(over) / float64(observed))
}

func totals(rows []Row) Totals {
	t := Totals{NotStated: []string{}}
	for i := range rows {
		r := &rows[i]
		if r.Promoted {
			t.Promoted++
		}
		if !r.SavingUSDMonth.Known() {
			t.NotStated = append(t.NotStated, r.Submodule)
		}
		t.SavingUSDMonth += r.SavingUSDMonth
		t.SavingUSDYear += r.SavingUSDYear
	}
	return t
}

func (r *Report) describeMatrix(d *document) {
	if len(r.Matrix) == 0 {
		return
	}
	d.heading(2, "Decision matrix")
	d.say("Savings are projected: the difference in cost per exchange × the requests that 30 or 365 days bring at the volume measured.")
	var rows [][]string
	for i := range r.Matrix {
		m := &r.Matrix[i]
		over := "no traffic yet"
		if m.ObservedSeconds.Known() {
			over = span(time.Duration(float64(m.ObservedSeconds) * float64(time.Second)))
		}
		rows = append(rows, []string{m.Submodule, orDash(m.Priority), m.Selected, stateSaving(m.SavingUSDMonth), stateSaving(m.SavingUSDYear),
			decimal(m.RequestsMonth, 0), over, m.Rationale})
	}
	promoted := fmt.Sprintf("%d of %s promoted", r.Totals.Promoted, count(len(r.Matrix), "sub-module"))
	if n := r.Totals.NotStated; len(n) > 0 {
		promoted += "; the saving of " + strings.Join(n, ", ") + " is not stated"
	}
	rows = append(rows, []string{"total", "", "", stateSaving(r.Totals.SavingUSDMonth), stateSaving(r.Totals.SavingUSDYear), "", "", promoted})
	d.table(rows, word("sub-module"), word("priority"), word("selected"), number("saving a month"), number("saving a year"),
		number("requests a month"), number("measured over"), word("why"))
}

func stateSaving(n canary.Number) string {
	if !n.Known() {
		return "not stated"
	}
	return usd(n)
}
