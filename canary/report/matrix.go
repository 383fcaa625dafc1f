package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"understudy/canary"
)

// month is what a saving is stated for.
const month = 30 * 24 * time.Hour

// shortestSpan is the observed time below which a saving per month is not stated.
const shortestSpan = time.Hour

// A Row of the decision matrix says which endpoint a sub-module should run on.
type Row struct {
	Submodule string `json:"submodule"`
	Priority  string `json:"priority"`
	// Selected is the promoted candidate that costs least, else the baseline.
	Selected  string `json:"selected"`
	Rationale string `json:"rationale"`
	// SavingUSDMonth is live cost less the selected endpoint's, at the volume
	// measured; null where less than an hour was observed or a cost is unknown.
	SavingUSDMonth canary.Number `json:"saving_usd_month"`
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
	r := Row{Submodule: name, Priority: entry.Priority, Selected: entry.Baseline}
	promoted := slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return c.Verdict != canary.Promote })
	if len(promoted) == 0 {
		r.Rationale = kept(entry.Baseline, cells)
		return r
	}
	best := slices.MinFunc(promoted, func(a, b Cell) int { return cmp.Compare(price(a), price(b)) })
	r.Selected = best.Candidate
	r.Rationale = fmt.Sprintf("proven on all %d gates over %d conversations", len(best.Gates), best.Clusters)
	if len(promoted) > 1 {
		r.Rationale += fmt.Sprintf(", cheapest of %d promoted", len(promoted))
	}
	var why string
	if r.SavingUSDMonth, why = saving(&best, v); why != "" {
		r.Rationale += "; " + why
	}
	return r
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

// saving states the saving, or why it is not stated.
func saving(c *Cell, v canary.Volume) (canary.Number, string) {
	observed := v.LastAt.Sub(v.FirstAt)
	switch {
	case !c.Live.CostUSDPerExchange.Known() || !c.Trial.CostUSDPerExchange.Known():
		return canary.Unknown(), "saving not stated: the costs are unknown"
	case observed < shortestSpan:
		return canary.Unknown(), "saving not stated: less than an hour was observed"
	}
	perExchange := c.Live.CostUSDPerExchange - c.Trial.CostUSDPerExchange
	return perExchange * canary.Number(v.Requests*float64(month)/float64(observed)), ""
}
