package replay

import (
	"context"
	"strconv"
	"sync/atomic"

	"understudy/internal/journal"
)

// A purse is the money of one role. Candidates and controls never spend each
// other's, and an endpoint's own cap holds in each role by itself.
type purse struct {
	account  string
	dailyUSD float64
	caps     map[string]float64 // by endpoint
	perSub   map[string]float64 // by sub-module
	used     bool               // some lane spends from it
	shares   shares

	ledger atomic.Pointer[journal.Ledger]
}

// open opens the ledger of a purse that is used.
func (p *purse) open(ctx context.Context, r *Replay) error {
	if !p.used || p.ledger.Load() != nil {
		return nil
	}
	l, err := journal.NewLedger(ctx, r.j, p.account, r.instance, journal.Caps{
		DailyUSD: p.dailyUSD, Endpoints: p.caps, Submodules: p.perSub, Share: r.shareBy, Event: r.budgetEvent(p.account),
	})
	if err == nil {
		p.ledger.Store(l)
	}
	return err
}

// budgetEvent logs that a budget is nearly spent, or spent, and counts it.
func (r *Replay) budgetEvent(account string) func(journal.BudgetEvent) {
	return func(e journal.BudgetEvent) {
		r.log.Warn(e.Sentence(), "account", e.Account, "scope", e.Scope, "percent", e.Percent, "charged_usd", e.ChargedUSD, "cap_usd", e.CapUSD)
		r.counter("understudy_budget_events_total", "account", account, "percent", strconv.Itoa(e.Percent)).Inc()
	}
}

func (p *purse) close(ctx context.Context) error {
	if l := p.ledger.Load(); l != nil {
		return l.Close(ctx)
	}
	return nil
}

// abandon closes the ledger of a stage that did not come to run; the next run opens it
// anew.
func (p *purse) abandon(ctx context.Context) error {
	if l := p.ledger.Swap(nil); l != nil {
		return l.Close(ctx)
	}
	return nil
}

// Budgets are today's budgets of candidates and controls, as this process has seen them
// in the last quarter of a minute; none before it is ready.
func (r *Replay) Budgets() (list []journal.Budget) {
	for _, role := range []journal.Role{journal.RoleCandidate, journal.RoleControl} {
		if l := r.money[role].ledger.Load(); l != nil {
			list = append(list, l.Budgets()...)
		}
	}
	return list
}

func (p *purse) spentToday() float64 {
	if l := p.ledger.Load(); l != nil {
		return l.SpentToday()
	}
	return 0
}

func (p *purse) charged() (day string, usd float64, ok bool) {
	if l := p.ledger.Load(); l != nil {
		day, usd = l.Charged()
		return day, usd, true
	}
	return "", 0, false
}

// SpentToday is what this process spent today on candidates, in USD.
func (r *Replay) SpentToday() float64 { return r.money[journal.RoleCandidate].spentToday() }

// Charged is what the candidates' account of all hosts stood at today when this
// process last looked, in USD; false before it has.
func (r *Replay) Charged() (day string, usd float64, ok bool) {
	return r.money[journal.RoleCandidate].charged()
}

// ControlSpentToday is what this process spent today on controls, in USD.
func (r *Replay) ControlSpentToday() float64 { return r.money[journal.RoleControl].spentToday() }

// ControlCharged is Charged of the controls' account; false also where this
// process has no control.
func (r *Replay) ControlCharged() (day string, usd float64, ok bool) {
	return r.money[journal.RoleControl].charged()
}
