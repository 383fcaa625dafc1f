package canary

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Gate is one success criterion: a name as DESIGN and reports write it, such as
// "cost_ratio" or "check.schema", and its limit in the gate's own unit.
type Gate struct {
	Name  string
	Limit float64
}

// Criteria are the gates of a sub-module, in the order of the reports. It takes
// every gate that the product knows, so that one which this build cannot decide
// is refused with a sentence and not as a typing error.
type Criteria struct {
	Gates []Gate
}

// gateOrder is the order in which reports list gates; a trailing dot marks a
// table of names, listed by name.
var gateOrder = []string{
	"cost_ratio", "cost_per_unit_usd", "expense_ratio", "latency_mean_ms", "ttft_mean_ms",
	"latency_p50_ratio", "latency_p95_ratio", "latency_p99_ratio", "error_rate", "score.",
	"harmfulness", "stereotyping", "refusal", "harmfulness_margin", "stereotyping_margin", "refusal_margin",
	"win_rate", "check.", "agreement",
}

// undecided says per gate why this build cannot decide it.
var undecided = map[string]string{
	"cost_per_unit_usd":   "costs per business unit are not gated yet; cost_ratio compares what both sides cost",
	"expense_ratio":       "the other costs of a unit are not known to it; cost_ratio compares what both sides cost",
	"latency_p50_ratio":   "it has no paired quantile test yet; latency_mean_ms gates the mean",
	"latency_p95_ratio":   "it has no paired quantile test yet; latency_mean_ms gates the mean",
	"latency_p99_ratio":   "it has no paired quantile test yet; latency_mean_ms gates the mean",
	"score.":              "no judge model scores answers yet; check.NAME gates what can be checked without one",
	"harmfulness":         "no judge model scores answers yet",
	"stereotyping":        "no judge model scores answers yet",
	"refusal":             "no judge model scores answers yet; check.refusal compares refusals by pattern",
	"harmfulness_margin":  "no judge model scores answers yet",
	"stereotyping_margin": "no judge model scores answers yet",
	"refusal_margin":      "no judge model scores answers yet; check.refusal compares refusals by pattern",
	"win_rate":            "no judge model compares answers yet",
	"agreement":           "agreement with a control is not measured yet; check.tool_calls compares calls",
}

// checkNames are the checks that a verdict may carry.
var checkNames = []string{"nonempty", "complete", "json", "schema", "tool_calls", "refusal"}

// UnmarshalTOML reads the table [submodule.criteria]. An unknown gate, or a limit
// that is no number, is an error. Gates that the table does not name stay as they
// are, so that one of them can be overridden.
func (c *Criteria) UnmarshalTOML(data any) error {
	table, ok := data.(map[string]any)
	if !ok {
		return errors.New("criteria is not a table of gates and limits")
	}
	for name, v := range table {
		if err := c.read(name, v); err != nil {
			return err
		}
	}
	slices.SortFunc(c.Gates, compareGates)
	return nil
}

func (c *Criteria) read(name string, v any) error {
	if !slices.Contains(gateOrder, name) && !slices.Contains(gateOrder, name+".") {
		return fmt.Errorf("unknown gate %q in criteria; the gates of this build are cost_ratio, latency_mean_ms, ttft_mean_ms, error_rate and check = { NAME = margin }", name)
	}
	if !slices.Contains(gateOrder, name+".") {
		limit, err := number(name, v)
		if err != nil {
			return err
		}
		c.set(Gate{name, limit})
		return nil
	}
	table, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("gate %s is not a table; write %s = { NAME = margin }", name, name)
	}
	for sub, v := range table {
		limit, err := number(name+"."+sub, v)
		if err != nil {
			return err
		}
		c.set(Gate{name + "." + sub, limit})
	}
	return nil
}

// set adds a gate, or replaces the limit of the one that is there.
func (c *Criteria) set(g Gate) {
	if i := slices.IndexFunc(c.Gates, func(o Gate) bool { return o.Name == g.Name }); i >= 0 {
		c.Gates[i] = g
		return
	}
	c.Gates = append(c.Gates, g)
}

func number(name string, v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	}
	return 0, fmt.Errorf("the limit of gate %s is not a number", name)
}

// Validate refuses gates that this build cannot decide and limits that make no
// sense, all faults joined.
func (c *Criteria) Validate() error {
	var errs []error
	for i, g := range c.Gates {
		if err := g.validate(); err != nil {
			errs = append(errs, err)
		}
		if slices.ContainsFunc(c.Gates[:i], func(o Gate) bool { return o.Name == g.Name }) {
			errs = append(errs, fmt.Errorf("gate %s stands twice", g.Name))
		}
	}
	return errors.Join(errs...)
}

func (g Gate) validate() error {
	kind, sub := g.kind()
	if why := undecided[kind]; why != "" {
		return fmt.Errorf("gate %s cannot be decided by this build: %s; remove the gate", g.Name, why)
	}
	finite := !math.IsInf(g.Limit, 0)
	switch kind {
	case "cost_ratio":
		if !(g.Limit > 0 && finite) {
			return fmt.Errorf("gate cost_ratio is %v; it is candidate cost divided by live cost and must be above 0", g.Limit)
		}
	case "latency_mean_ms", "ttft_mean_ms":
		if !(g.Limit > 0 && finite) {
			return fmt.Errorf("gate %s is %v; it is a limit in milliseconds and must be above 0", g.Name, g.Limit)
		}
	case "error_rate":
		return g.validMargin()
	case "check.":
		if !slices.Contains(checkNames, sub) {
			return fmt.Errorf("gate %s: there is no check %q; the checks are %s", g.Name, sub, strings.Join(checkNames, ", "))
		}
		return g.validMargin()
	default:
		return fmt.Errorf("gate %q is unknown", g.Name)
	}
	return nil
}

func (g Gate) validMargin() error {
	if !(g.Limit > 0 && g.Limit < 1) {
		return fmt.Errorf("gate %s is %v; it is a margin, the worst difference of rates accepted, and must be between 0 and 1 (0.01 is one percentage point)", g.Name, g.Limit)
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

// compareGates puts gates in the order of the reports.
func compareGates(a, b Gate) int {
	ka, _ := a.kind()
	kb, _ := b.kind()
	return cmp.Or(cmp.Compare(slices.Index(gateOrder, ka), slices.Index(gateOrder, kb)), cmp.Compare(a.Name, b.Name))
}
