package canary

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

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
	"latency_p50_ratio": "it has no paired quantile test yet; latency_mean_ms gates the mean",
	"latency_p95_ratio": "it has no paired quantile test yet; latency_mean_ms gates the mean",
	"latency_p99_ratio": "it has no paired quantile test yet; latency_mean_ms gates the mean",
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
		return fmt.Errorf("unknown gate %q in criteria; the gates of this build are %s", name, decidedNames())
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

// decidedNames lists the gates of this build as a configuration writes them.
func decidedNames() string {
	var out []string
	for _, kind := range gateOrder {
		if undecided[kind] != "" {
			continue
		}
		if table, ok := strings.CutSuffix(kind, "."); ok {
			kind = table + " = { NAME = margin }"
		}
		out = append(out, kind)
	}
	return strings.Join(out, ", ")
}
