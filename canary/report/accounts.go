package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// accounts are the parts of `status -o json` that the text shows.
type accounts struct {
	Received    *int           `json:"received"`
	Captured    int            `json:"captured"`
	SampledOut  int            `json:"sampled_out"`
	Excluded    int            `json:"excluded"`
	Dropped     map[string]int `json:"dropped"`
	Unaccounted int            `json:"unaccounted"`
	Pending     int            `json:"pending"`
	Candidates  map[string]struct {
		Trial         int `json:"trial"`
		NotComparable int `json:"not_comparable"`
		OverBudget    int `json:"over_budget"`
		DeadLetter    int `json:"dead_letter"`
		Expired       int `json:"expired"`
		Pending       int `json:"pending"`
	} `json:"candidates"`
}

// describeAccounts shows the accounts and whether they close. Accounts of another
// form than status has are for JSON alone.
func describeAccounts(d *document, from any) {
	b, err := json.Marshal(from)
	var a accounts
	if err != nil || json.Unmarshal(b, &a) != nil || a.Received == nil {
		return
	}
	d.heading(2, "Accounts")
	sum := a.Captured + a.SampledOut + a.Excluded + a.Unaccounted + a.Pending
	parts := []string{fmt.Sprintf("%d captured", a.Captured), fmt.Sprintf("%d sampled out", a.SampledOut), fmt.Sprintf("%d excluded", a.Excluded)}
	for _, reason := range slices.Sorted(maps.Keys(a.Dropped)) {
		sum += a.Dropped[reason]
		parts = append(parts, fmt.Sprintf("%d dropped (%s)", a.Dropped[reason], reason))
	}
	if a.Unaccounted > 0 {
		parts = append(parts, fmt.Sprintf("%d unaccounted", a.Unaccounted))
	}
	if a.Pending > 0 {
		parts = append(parts, fmt.Sprintf("%d in hand", a.Pending))
	}
	closes := "closes"
	if sum != *a.Received {
		closes = fmt.Sprintf("DOES NOT CLOSE: the parts add up to %d", sum)
	}
	items := []string{fmt.Sprintf("%d requests received = %s: %s", *a.Received, strings.Join(parts, " + "), closes)}
	for _, name := range slices.Sorted(maps.Keys(a.Candidates)) {
		c := a.Candidates[name]
		items = append(items, fmt.Sprintf("%s: %d exchanges = %d tried + %d not comparable + %d over budget + %d dead letters + %d expired + %d pending", name,
			c.Trial+c.NotComparable+c.OverBudget+c.DeadLetter+c.Expired+c.Pending,
			c.Trial, c.NotComparable, c.OverBudget, c.DeadLetter, c.Expired, c.Pending))
	}
	d.list(items)
}
