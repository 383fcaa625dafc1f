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

// A Candidate is an endpoint that exchanges are tried on, as a candidate or as a
// control.
type Candidate struct {
	Endpoint llm.Endpoint
	// Role is RoleCandidate, or RoleControl for a baseline that is asked again.
	// The same endpoint may be here once in each role; no sub-module may be in
	// the scope of both.
	Role   journal.Role
	Client llm.Client
	Rates  llm.Rates
	// Submodules is the candidate's scope; nil means all. Wants decides about
	// each exchange, so that a wildcard scope may have exceptions.
	Submodules []string
	Wants      func(submodule string) bool
	// Full names the sub-modules that a control is asked of in full, whatever is
	// proven: a gate needs every pair. nil means none. Candidates always are.
	Full func(submodule string) bool
	// Paired tells that an exchange of the sub-module is asked both of candidates and
	// of a control; which of them comes first is then drawn. nil is never.
	Paired func(submodule string) bool
}

// A Replay is the stage: one lane for each candidate and each control.
type Replay struct {
	cfg      Config
	j        *journal.Journal
	lanes    []*lane
	money    map[journal.Role]*purse
	proofs   *proofs
	rejected *rejected
	decided  atomic.Bool // the decisions so far have been read
	traffic  Traffic
	// submodules are those that are configured by name.
	submodules []string
	windows    []window
	baseline   func(submodule string) (llm.Rates, bool)
	instance   string
	log        *slog.Logger
	set        *metrics.Set
}

// New makes the stage. baseline prices the live side of a sub-module; false
// where its price is unknown. instance names this process in claims.
func New(cfg Config, j *journal.Journal, candidates []Candidate, baseline func(string) (llm.Rates, bool), instance string, log *slog.Logger, set *metrics.Set) *Replay {
	r := &Replay{cfg: cfg, j: j, baseline: baseline, instance: instance, log: log.With("stage", "replay"), set: set}
	r.proofs = &proofs{read: j.Control, life: proofLife, known: map[string]proof{}, fail: func(submodule string, err error) {
		r.log.Warn("state of the control is not known; it is asked in full", "submodule", submodule, "err", err)
	}}
	r.money = map[journal.Role]*purse{
		journal.RoleCandidate: {account: journal.AccountReplay, dailyUSD: cfg.DailyUSD, caps: map[string]float64{}},
		journal.RoleControl:   {account: journal.AccountControl, dailyUSD: cfg.ControlDailyUSD, caps: map[string]float64{}},
	}
	for _, p := range r.money {
		for _, percent := range []string{"80", "100"} {
			r.counter("understudy_budget_events_total", "account", p.account, "percent", percent)
		}
	}
	r.rejected = &rejected{cells: map[[2]string]time.Time{}}
	for _, s := range cfg.Windows {
		if w, err := parseWindow(s); err == nil { // validated before
			r.windows = append(r.windows, w)
		}
	}
	for _, c := range candidates {
		l := newLane(r, c)
		l.money.used = true
		if c.Endpoint.DailyUSD > 0 {
			l.money.caps[c.Endpoint.Name] = c.Endpoint.DailyUSD
		}
		r.lanes = append(r.lanes, l)
	}
	return r
}

// Run works until ctx ends, then lets calls in flight end for the drain
// timeout, gives back what is in hand and returns.
func (r *Replay) Run(ctx context.Context) error {
	if opened, err := r.open(ctx); err != nil || !opened {
		r.closeMoney(ctx, (*purse).abandon) // one may be open although the other is not
		return err
	}
	r.watch(ctx)
	// Work in hand outlives ctx by the drain timeout.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(r.cfg.DrainTimeout, cancel) })
	defer stop()

	var wg sync.WaitGroup
	for _, l := range r.lanes {
		wg.Go(func() { l.live().run(ctx, work) })
	}
	wg.Go(func() { newBackfills(r).follow(ctx, work) })
	wg.Wait()
	r.closeMoney(ctx, (*purse).close)
	return nil
}

// closeMoney closes the ledgers, also after ctx has ended.
func (r *Replay) closeMoney(ctx context.Context, end func(*purse, context.Context) error) {
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	for _, p := range r.money {
		if err := end(p, closing); err != nil {
			r.log.Warn("unspent allowance stays charged for today", "account", p.account, "err", err)
		}
	}
}

// open opens the ledgers and the claims and reads what is rejected, trying again while
// NATS is away; false without an error when ctx ended meanwhile.
func (r *Replay) open(ctx context.Context) (bool, error) {
	if err := r.j.WaitReady(ctx); err != nil {
		return false, nil // stopped before NATS came
	}
	for {
		var errs []error
		for _, p := range r.money {
			errs = append(errs, p.open(ctx, r))
		}
		claims, err := r.j.Claims(ctx, journal.BucketClaims, r.instance, r.cfg.AckWait)
		for _, l := range r.lanes {
			l.claims = claims
		}
		err = errors.Join(append(errs, err, r.rejected.read(ctx, r.j))...)
		if err == nil {
			r.decided.Store(true)
			return true, nil
		}
		if !errors.Is(err, journal.ErrUnavailable) && ctx.Err() == nil {
			return false, fmt.Errorf("start replay: %w", err)
		}
		if !sleep(ctx, time.Second) {
			return false, nil
		}
	}
}

// watch reads until ctx ends what other stages say to this one.
func (r *Replay) watch(ctx context.Context) {
	go r.j.Keep(ctx, "decisions", func(ctx context.Context) error { return r.rejected.follow(ctx, r.j) })
	go r.j.Keep(ctx, "busy accounts", r.yield)
	go r.j.Keep(ctx, "dead letters", r.deadLetters)
}

// Spread makes the stage spread the daily budgets over the day by the usual traffic of
// the named sub-modules. It must be called before Run.
func (r *Replay) Spread(t Traffic, submodules []string) { r.traffic, r.submodules = t, submodules }

// LimitSubmodules gives sub-modules a daily budget of their own, in USD. It must be
// called before Run.
func (r *Replay) LimitSubmodules(usd map[string]float64) { r.money[journal.RoleCandidate].perSub = usd }

// KeepRejected names the sub-modules whose candidates are tried on also once they are
// rejected. It must be called before Run.
func (r *Replay) KeepRejected(keep func(submodule string) bool) { r.rejected.keep = keep }

// A LaneStatus says how one lane is doing.
type LaneStatus struct {
	InFlight int `json:"in_flight"`
	// Concurrency is how many calls may be in flight now: what is configured, or less
	// while the provider throttles.
	Concurrency int `json:"concurrency"`
	// Configured is how many are configured.
	Configured int `json:"concurrency_configured"`
	// Paused tells until when the lane waits, and why; empty when it works.
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	PausedFor   string     `json:"paused_for,omitempty"`
	// Proposals are changes of the endpoint's capabilities that refusals of its
	// model have suggested since the process started.
	Proposals []string `json:"proposals,omitempty"`
}

// Status of every candidate's lane, by candidate.
func (r *Replay) Status() map[string]LaneStatus { return r.status(journal.RoleCandidate) }

// Controls is the status of every control's lane, by endpoint.
func (r *Replay) Controls() map[string]LaneStatus { return r.status(journal.RoleControl) }

func (r *Replay) status(role journal.Role) map[string]LaneStatus {
	out := map[string]LaneStatus{}
	for _, l := range r.lanes {
		if l.c.Role == role {
			out[l.c.Endpoint.Name] = l.status()
		}
	}
	return out
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
