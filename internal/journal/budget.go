package journal

import (
	"context"
	"time"
)

// A Budget is one budget of a day as somebody last saw it, in USD.
type Budget struct {
	// Account is AccountReplay, AccountControl or AccountJudge. Endpoint or Submodule
	// names what has a budget of its own inside it; neither is the account itself.
	Account, Endpoint, Submodule string

	CapUSD float64
	// ChargedUSD is what hosts hold or have spent: never less than the bill.
	ChargedUSD float64
	// LostUSD and LostCalls are of calls in flight when their host died.
	LostUSD   float64
	LostCalls int
	// Near and Ended are when 80 percent were charged, and when a call was first refused
	// for the day; nil where that has not been.
	Near, Ended *time.Time
}

// LeftUSD is what is not charged, never below 0.
func (b *Budget) LeftUSD() float64 { return max(0, b.CapUSD-b.ChargedUSD) }

// Pays tells whether a cell of the budget's account spends from it.
func (b *Budget) Pays(c Cell) bool {
	return (b.Endpoint == "" || b.Endpoint == c.Endpoint) && (b.Submodule == "" || b.Submodule == c.Submodule)
}

// budget is an entry of the bucket in the terms of its readers.
func (a *account) budget(scope string) Budget {
	b := Budget{CapUSD: inUSD(a.CapNano), ChargedUSD: inUSD(a.ChargedNano), LostUSD: inUSD(a.LostNano), LostCalls: a.LostCalls, Near: a.Near, Ended: a.Ended}
	b.Account, b.Endpoint, b.Submodule = scopeNames(scope)
	return b
}

func inUSD(nano int64) float64 { return float64(nano) / 1e9 }

// look reads today's accounts, which other hosts may have changed.
func (l *Ledger) look(ctx context.Context) error {
	day := l.today()
	for scope := range l.limit {
		acc, _, err := l.account(ctx, day+"."+scope)
		if err != nil {
			return err
		}
		l.saw(day+"."+scope, acc)
	}
	return nil
}

func (l *Ledger) saw(key string, acc account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[key] = acc
}

// Budgets are today's budgets of the ledger, as this process has seen them in the last
// quarter of a minute; the account itself is the first. The caps are its own.
func (l *Ledger) Budgets() []Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	day, list := l.today(), []Budget{}
	for scope := range l.limit {
		acc := l.seen[day+"."+scope]
		l.raise(day+"."+scope, &acc)
		list = append(list, acc.budget(scope))
	}
	sortBudgets(list, func(b *Budget) *Budget { return b })
	return list
}

// Charged is what today's common account was last seen to be charged, in USD.
func (l *Ledger) Charged() (day string, usd float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	day = l.today()
	return day, inUSD(l.seen[day+"."+l.name].ChargedNano)
}

// SpentToday is what this process booked today over all endpoints, in USD.
func (l *Ledger) SpentToday() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return inUSD(l.spent[l.today()])
}
