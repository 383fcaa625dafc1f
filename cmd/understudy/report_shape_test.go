package main

import "testing"

// demoReport is what tests read of `report -o json`.
type demoReport struct {
	Cells    []cellShape `json:"cells"`
	Accounts Status      `json:"-"`
}

type cellShape struct {
	Submodule string      `json:"submodule"`
	Candidate string      `json:"candidate"`
	Verdict   string      `json:"verdict"`
	Reasons   []string    `json:"reasons"`
	Pairs     int         `json:"pairs"`
	Clusters  int         `json:"clusters"`
	Gates     []gateShape `json:"gates"`
}

type gateShape struct {
	Name     string  `json:"name"`
	Estimate float64 `json:"estimate"`
	Limit    float64 `json:"limit"`
	Status   string  `json:"status"`
	Clusters int     `json:"clusters"`
}

func (r *demoReport) cell(t testing.TB, submodule, candidate string) cellShape {
	t.Helper()
	for _, c := range r.Cells {
		if c.Submodule == submodule && c.Candidate == candidate {
			return c
		}
	}
	t.Fatalf("no cell %s %s", submodule, candidate)
	return cellShape{}
}

func (c *cellShape) gate(t testing.TB, name string) gateShape {
	t.Helper()
	for _, g := range c.Gates {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no gate %s in %s %s", name, c.Submodule, c.Candidate)
	return gateShape{}
}
