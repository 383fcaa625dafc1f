package replay

import (
	"context"
	"maps"
	"sync"
	"time"

	"understudy/internal/journal"
)

// Traffic is what is known of the usual traffic and of what it costs, to spread a day's
// budget by.
type Traffic interface {
	// Due is the part of a usual day's traffic that has come by a moment of the day, 0
	// to 1; false before a whole day was seen.
	Due(now time.Time) (float64, bool)
	// Rest is how many exchanges of a sub-module are usually still to come that day.
	Rest(submodule string, now time.Time) float64
	// MeanUSD is what a trial of a cell was booked with, lately; false before there was
	// one.
	MeanUSD(c journal.Cell) (float64, bool)
	// PerExchangeUSD is what an exchange of the sub-module costs a cell in the mean, those
	// that need not be asked among them; false before there was a trial.
	PerExchangeUSD(c journal.Cell) (float64, bool)
}

// early is how much of the day's budget may be spent before it is due.
const early = 0.05

// DueShare is the part of a day's budgets that may be spent by a moment: as the usual
// traffic comes, and a little more. Where none is known it is all, and known is false.
func DueShare(t Traffic, now time.Time) (share float64, known bool) {
	if t == nil {
		return 1, false
	}
	due, known := t.Due(now.UTC())
	if !known {
		return 1, false
	}
	return min(1, due+early), true
}

func (r *Replay) shareBy(now time.Time) float64 {
	share, _ := DueShare(r.traffic, now)
	return share
}

// Reach is the share of the conversations of each cell that the budgets pay for until
// the end of the day: of each budget what is left of it, divided by what the rest of a
// usual day would cost. The cells are those that spend from one account. A cell whose
// cost is not known is not there, and none is where the usual traffic is not.
func Reach(t Traffic, cells []journal.Cell, budgets []journal.Budget, now time.Time) map[journal.Cell]float64 {
	if _, known := DueShare(t, now); !known {
		return nil
	}
	cost := map[journal.Cell]float64{}
	for _, c := range cells {
		if usd, ok := t.PerExchangeUSD(c); ok {
			cost[c] = usd * t.Rest(c.Submodule, now.UTC())
		}
	}
	reach := map[journal.Cell]float64{}
	for c := range cost {
		reach[c] = 1
	}
	for i := range budgets {
		b, total := &budgets[i], 0.0
		for c, usd := range cost {
			if b.Pays(c) {
				total += usd
			}
		}
		for c := range cost {
			if b.Pays(c) && total > 0 {
				reach[c] = min(reach[c], b.LeftUSD()/total)
			}
		}
	}
	return reach
}

// sharesLife is how long a share of conversations is kept before it is worked out anew.
const sharesLife = 15 * time.Second

// shares remembers for a moment which share of a role's conversations the day's budget
// reaches for.
type shares struct {
	mu    sync.Mutex
	value map[journal.Cell]float64
	until time.Time
}

// reach is the share of the sub-module's conversations that the budgets of the rest of
// the day pay for at the endpoint. It depends on no single exchange, so that what is
// left out is drawn at random.
func (l *lane) reach(submodule string, now time.Time) float64 {
	s := &l.money.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(s.until) {
		s.value, s.until = l.r.reaches(l.money, now), now.Add(sharesLife)
	}
	if v, ok := s.value[journal.Cell{Submodule: submodule, Endpoint: l.c.Endpoint.Name, Role: l.c.Role}]; ok {
		return v
	}
	return 1
}

// Reach is the share of the conversations of each cell that the day's budgets pay for, as
// this process sees them; cells of which it is not known are not there.
func (r *Replay) Reach(now time.Time) map[journal.Cell]float64 {
	out := map[journal.Cell]float64{}
	for _, p := range r.money {
		maps.Copy(out, r.reaches(p, now))
	}
	return out
}

// reaches works out the shares of all of a purse's lanes.
func (r *Replay) reaches(p *purse, now time.Time) map[journal.Cell]float64 {
	ledger := p.ledger.Load()
	if r.traffic == nil || ledger == nil {
		return nil
	}
	var cells []journal.Cell
	for _, l := range r.lanes {
		for _, submodule := range r.submodules {
			if l.money == p && l.c.Wants(submodule) {
				cells = append(cells, journal.Cell{Submodule: submodule, Endpoint: l.c.Endpoint.Name, Role: l.c.Role})
			}
		}
	}
	return Reach(r.traffic, cells, ledger.Budgets(), now)
}

// admit holds an exchange back until it is due, and leaves it out where the day's budget
// does not reach for its conversation. The trial has a disposition where it is done.
func (f *feed) admit(ctx context.Context, t *journal.Trial, ex *journal.Exchange, d *journal.Delivery) (again time.Duration, err error) {
	l := f.l
	if f.job != nil {
		return 0, nil // a person has ordered it, and it goes as fast as quotas allow
	}
	if share := l.reach(ex.Submodule, time.Now()); share < 1 && journal.Share("budget", ex.Submodule+"\x00"+cluster(ex, d.Seq)) >= share {
		return 0, l.finish(ctx, t, journal.OverBudget, codeShare, "the day's budget does not reach for all conversations, and this one was not drawn")
	}
	wait, err := f.waitFor(ctx, ex, d.Seq, d.Stored)
	if err != nil || wait <= 0 {
		return 0, err
	}
	if wait > holdMost {
		return wait, nil
	}
	if !sleep(ctx, wait) {
		return 0, ctx.Err()
	}
	return 0, nil
}

// cluster is the conversation of an exchange; one without is one of its own.
func cluster(ex *journal.Exchange, seq uint64) string {
	if ex.Conversation == "" {
		return ex.Key(seq)
	}
	return ex.Conversation
}
