package replay

import (
	"context"
	"sync"
	"time"

	"understudy/internal/journal"
)

// Traffic is what is known of the usual traffic, to spread a day's budget by.
type Traffic interface {
	// Due is the part of a usual day's traffic that has come by a moment of the day, 0
	// to 1; false before a whole day was seen.
	Due(now time.Time) (float64, bool)
	// Rest is how many exchanges of a sub-module are usually still to come that day.
	Rest(submodule string, now time.Time) float64
	// MeanUSD is what a trial of a sub-module at an endpoint was booked with, lately;
	// false before there was one.
	MeanUSD(submodule, endpoint string, role journal.Role) (float64, bool)
}

// early is how much of the day's budget may be spent before it is due.
const early = 0.05

// shareBy is the part of a day's budgets that may be spent by a moment: as the usual
// traffic comes, and all of it where none is known.
func (r *Replay) shareBy(now time.Time) float64 {
	if r.traffic == nil {
		return 1
	}
	due, known := r.traffic.Due(now.UTC())
	if !known {
		return 1
	}
	return min(1, due+early)
}

// sharesLife is how long a share of conversations is kept before it is worked out anew.
const sharesLife = 15 * time.Second

// shares remembers for a moment which share of a role's conversations the day's budget
// reaches for.
type shares struct {
	mu    sync.Mutex
	value map[string]float64
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
		s.value, s.until = l.r.reaches(l.money, now.UTC()), now.Add(sharesLife)
	}
	if v, ok := s.value[l.c.Endpoint.Name+"\x00"+submodule]; ok {
		return v
	}
	return 1
}

// reaches works out the shares of all of a purse's lanes: of each budget what is left of
// it, divided by what the rest of a usual day would cost.
func (r *Replay) reaches(p *purse, now time.Time) map[string]float64 {
	ledger := p.ledger.Load()
	if r.traffic == nil || ledger == nil {
		return nil
	}
	if _, known := r.traffic.Due(now); !known {
		return nil
	}
	type cell struct{ endpoint, submodule string }
	cost := map[cell]float64{}
	all, byEndpoint, bySubmodule := 0.0, map[string]float64{}, map[string]float64{}
	for _, l := range r.lanes {
		if l.money != p {
			continue
		}
		for _, submodule := range r.submodules {
			mean, ok := r.traffic.MeanUSD(submodule, l.c.Endpoint.Name, l.c.Role)
			if !ok || !l.c.Wants(submodule) {
				continue
			}
			usd := mean * r.traffic.Rest(submodule, now)
			cost[cell{l.c.Endpoint.Name, submodule}] = usd
			all, byEndpoint[l.c.Endpoint.Name], bySubmodule[submodule] = all+usd, byEndpoint[l.c.Endpoint.Name]+usd, bySubmodule[submodule]+usd
		}
	}
	left := ledger.Left()
	out := map[string]float64{}
	for c := range cost {
		share := part(left.All, all)
		if usd, ok := left.Endpoints[c.endpoint]; ok {
			share = min(share, part(usd, byEndpoint[c.endpoint]))
		}
		if usd, ok := left.Submodules[c.submodule]; ok {
			share = min(share, part(usd, bySubmodule[c.submodule]))
		}
		out[c.endpoint+"\x00"+c.submodule] = share
	}
	return out
}

func part(left, cost float64) float64 {
	if !(cost > 0) {
		return 1
	}
	return min(1, max(0, left/cost))
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
