package journal

import (
	"maps"
	"strconv"

	"understudy/llm"
)

// A BackfillCount is what the trials of one backfill came to, over all hosts.
type BackfillCount struct {
	// Answers are trials that succeeded, Failures the others by class.
	Answers  int               `json:"answers"`
	Failures map[llm.Class]int `json:"failures,omitempty"`
	// NotComparable, OverBudget and DeadLetter were not tried.
	NotComparable int `json:"not_comparable"`
	OverBudget    int `json:"over_budget"`
	DeadLetter    int `json:"dead_letter"`
	// SpentUSD is what the ledger booked for the trials. Calls whose process died
	// before their answer was stored are in the ledger alone.
	SpentUSD float64 `json:"spent_usd"`
}

// Failed is the number of trials that failed.
func (c *BackfillCount) Failed() int {
	n := 0
	for _, k := range c.Failures {
		n += k
	}
	return n
}

// Done is the number of exchanges that the backfill has a record of.
func (c *BackfillCount) Done() int {
	return c.Answers + c.Failed() + c.NotComparable + c.OverBudget + c.DeadLetter
}

// backfilled counts a trial of a backfill.
func (a *Accounts) backfilled(id string, m *Message, d Disposition) {
	c := a.backfills[id]
	if c == nil {
		c = &BackfillCount{Failures: map[llm.Class]int{}}
		a.backfills[id] = c
	}
	switch d {
	case Tried:
		if class := llm.Class(m.Header.Get(HeaderClass)); class == llm.ClassOK {
			c.Answers++
		} else {
			c.Failures[class]++
		}
		if booked, err := strconv.ParseInt(m.Header.Get(HeaderBooked), 10, 64); err == nil {
			c.SpentUSD += float64(booked) / 1e9
		}
	case NotComparable:
		c.NotComparable++
	case OverBudget:
		c.OverBudget++
	case DeadLetter:
		c.DeadLetter++
	}
}

// Backfill is what the trials of a backfill came to, as far as they were read.
func (a *Accounts) Backfill(id string) BackfillCount {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.backfills[id]
	if c == nil {
		return BackfillCount{}
	}
	out := *c
	out.Failures = maps.Clone(c.Failures)
	return out
}
