package replay

import (
	"context"
	"sync/atomic"

	"understudy/internal/journal"
)

// A purse is the money of one role. Candidates and controls never spend each
// other's, and an endpoint's own cap holds in each role by itself.
type purse struct {
	account  string
	dailyUSD float64
	caps     map[string]float64 // by endpoint
	used     bool               // some lane spends from it

	ledger atomic.Pointer[journal.Ledger]
}

// open opens the ledger of a purse that is used.
func (p *purse) open(ctx context.Context, j *journal.Journal) error {
	if !p.used {
		return nil
	}
	l, err := journal.NewLedger(ctx, j, p.account, p.dailyUSD, p.caps)
	if err == nil {
		p.ledger.Store(l)
	}
	return err
}

func (p *purse) close(ctx context.Context) error {
	if l := p.ledger.Load(); l != nil {
		return l.Close(ctx)
	}
	return nil
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
