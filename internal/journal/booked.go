package journal

import (
	"maps"
	"strconv"
	"time"
)

// A Cell is one sub-module at one endpoint in one role.
type Cell struct {
	Submodule string
	Endpoint  string
	Role      Role
}

// A Spent is what trials of one cell, or judgements of a judge, were booked with on one
// UTC day, over all hosts.
type Spent struct {
	Trials int
	USD    float64
}

// meanWeight is the weight of the latest value in a mean of many.
const meanWeight = 0.02

// A lately is the mean of what came lately: of all while they are few.
type lately struct {
	mean float64
	n    int
}

func (l *lately) add(x float64) {
	l.n++
	l.mean += max(meanWeight, 1/float64(l.n)) * (x - l.mean)
}

// A cost is what a cell's trials were booked with lately, and which share of its
// exchanges were asked or would have been, had there been the money.
type cost struct{ usd, asked lately }

func (a *Accounts) cost(c Cell) *cost {
	k := a.costs[c]
	if k == nil {
		k = &cost{}
		a.costs[c] = k
	}
	return k
}

// trialCost counts what a stored trial was booked with. What could not be compared, or
// was not drawn, costs nothing.
func (a *Accounts) trialCost(c Cell, m *Message, d Disposition) {
	if d == Tried {
		a.book(c, m)
	}
	if m.Header.Get(HeaderReplaces) != "" {
		return // a further attempt set says nothing of how many exchanges are asked
	}
	asked := 0.0
	if d == Tried || d == OverBudget {
		asked = 1
	}
	a.cost(c).asked.add(asked)
}

// book counts what a record was booked with, on the day on which it was stored.
func (a *Accounts) book(c Cell, m *Message) {
	booked, err := strconv.ParseInt(m.Header.Get(HeaderBooked), 10, 64)
	if err != nil {
		return
	}
	at, usd := m.At.UTC(), inUSD(booked)
	day := at.Format(time.DateOnly)
	if a.spent[day] == nil {
		a.spent[day] = map[Cell]Spent{}
		for d := range a.spent {
			if d < at.AddDate(0, 0, -usualDays-1).Format(time.DateOnly) {
				delete(a.spent, d)
			}
		}
	}
	s := a.spent[day][c]
	a.spent[day][c] = Spent{s.Trials + 1, s.USD + usd}
	a.cost(c).usd.add(usd)
}

// judgement counts what a judgement was booked with, by the judge.
func (a *Accounts) judgement(m *Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	submodule, _, ok := subjectCell(m.Subject)
	if judge := m.Header.Get(HeaderJudge); ok && judge != "" {
		a.book(Cell{submodule, judge, RoleJudge}, m)
	}
	a.saw(2, m)
	return nil
}

// MeanUSD is what a trial of the cell, or a judgement, was booked with, lately; false
// before there was one.
func (a *Accounts) MeanUSD(c Cell) (float64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.costs[c]
	if k == nil || k.usd.n == 0 {
		return 0, false
	}
	return k.usd.mean, true
}

// PerExchangeUSD is what one exchange of the sub-module costs the cell in the mean,
// where there is the money for all: not every exchange is asked, or judged. False before
// there was a trial or a judgement.
func (a *Accounts) PerExchangeUSD(c Cell) (float64, bool) {
	mean, ok := a.MeanUSD(c)
	if !ok {
		return 0, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.Role != RoleJudge {
		return mean * a.costs[c].asked.mean, true
	}
	exchanges, judgements := 0, 0
	for day, by := range a.traffic.days {
		if hours := by[c.Submodule]; hours != nil {
			for _, n := range hours {
				exchanges += n
			}
		}
		judgements += a.spent[day][c].Trials
	}
	if exchanges == 0 {
		return 0, false
	}
	return mean * float64(judgements) / float64(exchanges), true
}

// Spent gives what trials and judgements were booked with on a UTC day, by cell, over
// all hosts. It knows today and the eight days before, and counts a record on the day on
// which it was stored.
func (a *Accounts) Spent(day string) map[Cell]Spent {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[Cell]Spent{}
	maps.Copy(out, a.spent[day])
	return out
}
