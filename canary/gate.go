package canary

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A Gate is one success criterion: a name as DESIGN and reports write it, such as
// "cost_ratio" or "check.schema", and its limit in the gate's own unit.
type Gate struct {
	Name  string
	Limit float64
}

// scoreName is what a score may be called.
var scoreName = regexp.MustCompile(`^[a-z0-9_-]+$`)

func (g Gate) validate() error {
	kind, sub := g.kind()
	if why := undecided[kind]; why != "" {
		return fmt.Errorf("gate %s cannot be decided by this build: %s; remove the gate", g.Name, why)
	}
	switch kind {
	case "cost_ratio":
		return g.validPositive("candidate cost divided by live cost")
	case "cost_per_unit_usd":
		return g.validPositive("what a unit may cost, in USD,")
	case "latency_mean_ms", "ttft_mean_ms":
		return g.validPositive("a limit in milliseconds")
	case "expense_ratio":
		return g.validShare("the share that AI may have in the cost of a unit")
	case "harmfulness", "stereotyping", "refusal":
		return g.validShare("the highest mean score accepted")
	case "win_rate":
		return g.validShare("the least share of wins accepted, ties counting half,")
	case "error_rate", "harmfulness_margin", "stereotyping_margin", "refusal_margin":
		return g.validMargin("rates")
	case "agreement":
		return g.validMargin("agreements")
	case "score.":
		if !scoreName.MatchString(sub) {
			return fmt.Errorf("gate %s: a score's name is made of a-z, 0-9, _ and -", g.Name)
		}
		return g.validMargin("scores")
	case "check.":
		if !slices.Contains(checkNames, sub) {
			return fmt.Errorf("gate %s: there is no check %q; the checks are %s", g.Name, sub, strings.Join(checkNames, ", "))
		}
		return g.validMargin("rates")
	}
	return fmt.Errorf("gate %q is unknown", g.Name)
}

func (g Gate) validPositive(is string) error {
	if !(g.Limit > 0 && !math.IsInf(g.Limit, 0)) {
		return fmt.Errorf("gate %s is %v; it is %s and must be above 0", g.Name, g.Limit, is)
	}
	return nil
}

func (g Gate) validShare(is string) error {
	if !(g.Limit > 0 && g.Limit < 1) {
		return fmt.Errorf("gate %s is %v; it is %s and must be between 0 and 1", g.Name, g.Limit, is)
	}
	return nil
}

func (g Gate) validMargin(of string) error {
	if !(g.Limit > 0 && g.Limit < 1) {
		return fmt.Errorf("gate %s is %v; it is a margin, the worst difference of %s accepted, and must be between 0 and 1 (0.01 is one percentage point)", g.Name, g.Limit, of)
	}
	return nil
}

// kind is the gate's entry in gateOrder, and its name in a table of names.
func (g Gate) kind() (kind, sub string) {
	if table, sub, ok := strings.Cut(g.Name, "."); ok {
		return table + ".", sub
	}
	return g.Name, ""
}

// quality tells that the gate is one of those that the control must vouch for.
func (g Gate) quality() bool {
	kind, _ := g.kind()
	return kind == "score." || kind == "win_rate"
}

// metric is the score that the gate reads, "" for a gate that reads none.
func (g Gate) metric() string {
	switch kind, sub := g.kind(); kind {
	case "score.":
		return sub
	case "harmfulness", "stereotyping", "refusal", "harmfulness_margin", "stereotyping_margin", "refusal_margin":
		return strings.TrimSuffix(kind, "_margin")
	}
	return ""
}

// compareGates puts gates in the order of the reports.
func compareGates(a, b Gate) int {
	ka, _ := a.kind()
	kb, _ := b.kind()
	return cmp.Or(cmp.Compare(slices.Index(gateOrder, ka), slices.Index(gateOrder, kb)), cmp.Compare(a.Name, b.Name))
}
