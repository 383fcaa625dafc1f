package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
	"understudy/llm"
)

// A Candidate is an endpoint in the role of a candidate.
type Candidate struct {
	Endpoint llm.Endpoint
	Client   llm.Client
	Price    llm.Price
	// Submodules is the candidate's scope; nil means all. Wants decides about
	// each exchange, so that a wildcard scope may have exceptions.
	Submodules []string
	Wants      func(submodule string) bool
}

// A Replay is the stage: one lane for each candidate.
type Replay struct {
	cfg      Config
	j        *journal.Journal
	lanes    []*lane
	caps     map[string]float64
	baseline func(submodule string) (llm.Price, bool)
	instance string
	log      *slog.Logger
	set      *metrics.Set

	ledger atomic.Pointer[journal.Ledger]
}

// New makes the stage. baseline prices the live side of a sub-module; false
// where its price is unknown. instance names this process in claims.
func New(cfg Config, j *journal.Journal, candidates []Candidate, baseline func(string) (llm.Price, bool), instance string, log *slog.Logger, set *metrics.Set) *Replay {
	r := &Replay{cfg: cfg, j: j, caps: map[string]float64{}, baseline: baseline, instance: instance, log: log.With("stage", "replay"), set: set}
	for _, c := range candidates {
		if c.Endpoint.DailyUSD > 0 {
			r.caps[c.Endpoint.Name] = c.Endpoint.DailyUSD
		}
		r.lanes = append(r.lanes, newLane(r, c))
	}
	return r
}

// Run works until ctx ends, then lets calls in flight end for the drain
// timeout, gives back what is in hand and returns.
func (r *Replay) Run(ctx context.Context) error {
	if err := r.j.WaitReady(ctx); err != nil {
		return nil // stopped before NATS came
	}
	ledger, claims, err := r.open(ctx)
	if err != nil {
		return err
	}
	if ledger == nil {
		return nil
	}
	r.ledger.Store(ledger)
	// Work in hand outlives ctx by the drain timeout.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(r.cfg.DrainTimeout, cancel) })
	defer stop()

	var wg sync.WaitGroup
	for _, l := range r.lanes {
		wg.Go(func() { l.run(ctx, work, ledger, claims) })
	}
	wg.Wait()
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	if err := ledger.Close(closing); err != nil {
		r.log.Warn("unspent allowance stays charged for today", "err", err)
	}
	return nil
}

// open opens ledger and claims, trying again while NATS is away.
func (r *Replay) open(ctx context.Context) (*journal.Ledger, *journal.Claims, error) {
	for {
		ledger, err := journal.NewLedger(ctx, r.j, journal.AccountReplay, r.cfg.DailyUSD, r.caps)
		var claims *journal.Claims
		if err == nil {
			claims, err = r.j.Claims(ctx, journal.BucketClaims, r.instance, r.cfg.AckWait)
		}
		if err == nil {
			return ledger, claims, nil
		}
		if !errors.Is(err, journal.ErrUnavailable) && ctx.Err() == nil {
			return nil, nil, fmt.Errorf("start replay: %w", err)
		}
		if !sleep(ctx, time.Second) {
			return nil, nil, nil
		}
	}
}

// A LaneStatus says how one candidate's lane is doing.
type LaneStatus struct {
	InFlight int `json:"in_flight"`
	// Paused tells until when the lane waits, and why; empty when it works.
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	PausedFor   string     `json:"paused_for,omitempty"`
}

// Status of every lane by candidate.
func (r *Replay) Status() map[string]LaneStatus {
	out := map[string]LaneStatus{}
	for _, l := range r.lanes {
		out[l.c.Endpoint.Name] = l.status()
	}
	return out
}

// SpentToday is what this process spent today on candidates, in USD.
func (r *Replay) SpentToday() float64 {
	if l := r.ledger.Load(); l != nil {
		return l.SpentToday()
	}
	return 0
}

// Charged is what the day's account of all hosts stood at when this process last
// looked, in USD; false before it has.
func (r *Replay) Charged() (day string, usd float64, ok bool) {
	if l := r.ledger.Load(); l != nil {
		day, usd = l.Charged()
		return day, usd, true
	}
	return "", 0, false
}

// sleep waits for d and tells whether ctx still stands.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
