package judge

import (
	"errors"
	"fmt"
	"slices"
)

// Config is the section [judge].
type Config struct {
	// Endpoints that may judge, in order of preference. Each sub-module is judged
	// by the first whose family is none of its sides'. None: checks alone.
	Endpoints []string `toml:"endpoints"`
	// Metrics are scored besides those that a gate reads.
	Metrics []string `toml:"metrics"`
	// DailyUSD bounds what all judges together may cost in one UTC day.
	DailyUSD float64 `toml:"daily_usd"`
	// Share of the conversations that are judged, 0 to 1, drawn by hash.
	Share float64 `toml:"share"`
	// AllowSameFamily lets a judge judge its own family.
	AllowSameFamily bool `toml:"allow_same_family"`
	// Attempts is how often one question may be asked when the judge fails.
	Attempts int `toml:"attempts"`
	// Custom metrics, beside the six that are built in.
	Custom []Metric `toml:"metric"`
}

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config {
	return Config{Endpoints: []string{}, Metrics: []string{}, DailyUSD: 10, Share: 1, Attempts: 3}
}

// Validate reports what is wrong with the section, all faults joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for i, name := range c.Endpoints {
		if slices.Contains(c.Endpoints[:i], name) {
			bad("endpoints lists %q twice", name)
		}
	}
	if !(c.DailyUSD >= 0 && c.DailyUSD <= 1e8) {
		bad("daily_usd is %v: 0 to 100 million", c.DailyUSD)
	}
	if !(c.Share >= 0 && c.Share <= 1) {
		bad("share is %v: 0 to 1", c.Share)
	}
	if c.Attempts < 1 || c.Attempts > 10 {
		bad("attempts is %d: 1 to 10", c.Attempts)
	}
	for i := range c.Custom {
		m := &c.Custom[i]
		if err := m.Validate(); err != nil {
			bad("metric %q: %w", m.Name, err)
		}
		if slices.ContainsFunc(c.Custom[:i], func(o Metric) bool { return o.Name == m.Name }) {
			bad("metric %q is there twice", m.Name)
		}
	}
	for _, name := range c.Metrics {
		if _, err := c.Metric(name); err != nil {
			bad("metrics: %w", err)
		}
	}
	if len(c.Endpoints) == 0 && len(c.Metrics) > 0 {
		bad("metrics are listed, but endpoints is empty: nobody can score them")
	}
	return errors.Join(errs...)
}

// Metric finds a metric by name, custom ones first. The error lists what there is.
func (c *Config) Metric(name string) (*Metric, error) {
	var names []string
	for _, list := range [][]Metric{c.Custom, builtin} {
		for i := range list {
			if list[i].Name == name {
				return &list[i], nil
			}
			names = append(names, list[i].Name)
		}
	}
	return nil, fmt.Errorf("there is no metric %q; known: %v (a new one is a section [[judge.metric]])", name, names)
}
