package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"understudy/canary"
)

// A Unit is what AI costs of one business unit that passes through all of the
// sub-modules that name it.
type Unit struct {
	Unit       string   `json:"unit"`
	Submodules []string `json:"submodules"`
	// Unknown are those among them whose cost per unit is not known; then the sums
	// are not either.
	Unknown []string `json:"unknown"`
	// CostUSDNow is live's, CostUSDSelected with the endpoints of the matrix.
	CostUSDNow      canary.Number `json:"cost_usd_now"`
	CostUSDSelected canary.Number `json:"cost_usd_selected"`
	// SavingShare is the part of CostUSDNow that is saved.
	SavingShare canary.Number `json:"saving_share"`
	// OtherCostUSD is what the unit costs besides AI; the expense ratios are AI's
	// share in the whole.
	OtherCostUSD         canary.Number `json:"other_cost_usd"`
	ExpenseRatioNow      canary.Number `json:"expense_ratio_now"`
	ExpenseRatioSelected canary.Number `json:"expense_ratio_selected"`
	// Units is the number measured in the sub-module that saw least.
	Units int `json:"units"`
}

func units(rows []Row, submodules canary.Submodules) []Unit {
	out := []Unit{}
	for i := range rows {
		r := &rows[i]
		if r.Unit == "" {
			continue
		}
		at := slices.IndexFunc(out, func(u Unit) bool { return u.Unit == r.Unit })
		if at < 0 {
			at = len(out)
			out = append(out, Unit{Unit: r.Unit, Unknown: []string{}, OtherCostUSD: canary.Unknown(), Units: r.Units})
		}
		out[at].add(r, submodules.Find(r.Submodule))
	}
	for i := range out {
		out[i].close()
	}
	slices.SortFunc(out, func(a, b Unit) int { return cmp.Compare(a.Unit, b.Unit) })
	return out
}

func (u *Unit) add(r *Row, s *canary.Submodule) {
	u.Submodules = append(u.Submodules, r.Submodule)
	if !r.CostUSDPerUnitNow.Known() || !r.CostUSDPerUnitSelected.Known() {
		u.Unknown = append(u.Unknown, r.Submodule)
	}
	u.CostUSDNow += r.CostUSDPerUnitNow
	u.CostUSDSelected += r.CostUSDPerUnitSelected
	u.Units = min(u.Units, r.Units)
	if s != nil && s.OtherCostUSD != nil {
		u.OtherCostUSD = canary.Number(*s.OtherCostUSD)
	}
}

// close works out the shares; what is not known stays so.
func (u *Unit) close() {
	u.SavingShare, u.ExpenseRatioNow, u.ExpenseRatioSelected = canary.Unknown(), canary.Unknown(), canary.Unknown()
	if u.CostUSDNow > 0 {
		u.SavingShare = 1 - u.CostUSDSelected/u.CostUSDNow
	}
	if u.OtherCostUSD.Known() {
		u.ExpenseRatioNow = share(u.CostUSDNow, float64(u.OtherCostUSD))
		u.ExpenseRatioSelected = share(u.CostUSDSelected, float64(u.OtherCostUSD))
	}
}

func (r *Report) describeUnits(d *document) {
	if len(r.Units) == 0 {
		return
	}
	d.heading(2, "Cost of a unit")
	d.say("AI's cost of one unit that passes through all of its sub-modules, today and with the selected models; AI's share is that cost ÷ (that cost + what the unit costs besides).")
	var rows [][]string
	var lacking []string
	for i := range r.Units {
		u := &r.Units[i]
		other := usd(u.OtherCostUSD)
		if !u.OtherCostUSD.Known() {
			other = "not configured"
		}
		rows = append(rows, []string{u.Unit, strconv.Itoa(len(u.Submodules)), usd(u.CostUSDNow), usd(u.CostUSDSelected), percent(u.SavingShare),
			other, percent(u.ExpenseRatioNow), percent(u.ExpenseRatioSelected), strconv.Itoa(u.Units)})
		if len(u.Unknown) > 0 {
			lacking = append(lacking, fmt.Sprintf("The sums of %s are not known: no unit with a cost on both sides has been measured in %s yet; they come with its first compared pairs.", u.Unit, strings.Join(u.Unknown, ", ")))
		}
	}
	d.table(rows, word("unit"), number("sub-modules"), number("AI now"), number("AI as selected"), number("saved"), number("besides AI"),
		number("AI's share now"), number("AI's share as selected"), number("units measured"))
	for _, l := range lacking {
		d.say(l)
	}
}
