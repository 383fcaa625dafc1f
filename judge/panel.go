package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

const (
	// durableModels names the panel's consumer of trials, shared by all its processes.
	durableModels = "judge-models"
	// modelsAckWait is the broker's redelivery time, renewed by heartbeats.
	modelsAckWait = 30 * time.Second
	// drainTimeout is how long questions in flight may take to end at a shutdown.
	drainTimeout = 5 * time.Second
	// handPerJudge is how many trials are in hand for each call that may run: most
	// wait for their conversation's window, or are not drawn.
	handPerJudge = 2
)

// A Scope says which trials judge models see, and how.
type Scope struct {
	// Judge is who judges a sub-module; false where nobody does.
	Judge func(submodule string) (Judge, bool)
	// Metrics are scored in a sub-module.
	Metrics func(submodule string) []string
	// Compared tells whether an endpoint is a candidate or the control of a sub-module.
	Compared func(submodule, endpoint string) bool
	// Window and Deadline are the canary's: one pair of each conversation's window is
	// judged, and none after the deadline.
	Window, Deadline time.Duration
	// Instance tells processes apart in leases.
	Instance string
}

// A Panel has judge models judge one drawn pair of each conversation.
type Panel struct {
	cfg    Config
	scope  Scope
	j      *journal.Journal
	log    *slog.Logger
	counts *counts
	draws  *draws

	mu     sync.Mutex
	askers map[string]*asker
	ledger atomic.Pointer[journal.Ledger]
	memory *memory
	inHand map[*journal.Delivery]time.Time
}

// NewPanel makes the panel of the given judges. Its metrics go into set.
func NewPanel(cfg Config, judges []Judge, scope Scope, j *journal.Journal, log *slog.Logger, set *metrics.Set) *Panel {
	p := &Panel{cfg: cfg, scope: scope, j: j, log: log.With("stage", "judge"), counts: newCounts(set),
		askers: map[string]*asker{}, inHand: map[*journal.Delivery]time.Time{}}
	p.draws = newDraws(j, scope.Window, p.log)
	for _, judge := range judges {
		p.counts.declare(judge.Endpoint.Name)
		p.askers[judge.Endpoint.Name] = newAsker(judge, cfg.Attempts, p.counts, p.log)
	}
	return p
}

// Run judges until ctx ends, which is no error. Questions in flight may end within
// a few seconds; what is in hand goes back to the broker.
func (p *Panel) Run(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return fmt.Errorf("start judges: %w", err)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, cancel) })()
	var side sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	side.Go(func() { p.draws.run(reading) })
	side.Go(func() { p.forget(reading) })
	err := p.consume(ctx, work)
	stop()
	side.Wait()
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	if err := p.ledger.Load().Close(closing); err != nil {
		p.log.Warn("unspent allowance of the judges stays charged for today", "err", err)
	}
	return err
}

func (p *Panel) open(ctx context.Context) error {
	caps := map[string]float64{}
	for name, a := range p.askers {
		if usd := a.judge.Endpoint.DailyUSD; usd > 0 {
			caps[name] = usd
		}
	}
	ledger, err := journal.NewLedger(ctx, p.j, journal.AccountJudge, p.cfg.DailyUSD, caps)
	if err != nil {
		return err
	}
	key, err := p.j.SiteKey(ctx)
	if err != nil {
		return err
	}
	claims, err := p.j.Claims(ctx, journal.BucketJudgeClaims, p.scope.Instance, modelsAckWait)
	if err != nil {
		return err
	}
	p.ledger.Store(ledger)
	p.memory = &memory{j: p.j, key: key, claims: claims, log: p.log}
	for _, a := range p.askers {
		a.ledger = ledger
	}
	return nil
}

// consume fetches trials until ctx ends and waits for the work in hand.
func (p *Panel) consume(ctx, work context.Context) error {
	limit := 0
	for _, a := range p.askers {
		limit += handPerJudge * a.judge.Endpoint.Concurrency
	}
	cons, err := p.j.TrialConsumer(ctx, durableModels, limit, modelsAckWait)
	if err != nil {
		return err
	}
	hand := make(chan struct{}, limit)
	var wg sync.WaitGroup
	defer wg.Wait()
	// Also where fetching fails: what waits for a window must not hold up a new start.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case hand <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		d, err := cons.Next(ctx, time.Second)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if d == nil {
			<-hand
			continue
		}
		wg.Go(func() {
			defer func() { <-hand }()
			p.deliver(ctx, work, d)
		})
	}
	return nil
}

// deliver takes one trial to its end: acknowledged when it is judged or will not
// be, else given back.
func (p *Panel) deliver(ctx, work context.Context, d *journal.Delivery) {
	alive, stop := context.WithCancel(work)
	defer stop()
	go func() {
		tick := time.NewTicker(modelsAckWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-alive.Done():
				return
			case <-tick.C:
				if err := d.InProgress(); err != nil {
					p.log.Debug("heartbeat", "err", err)
				}
			}
		}
	}()
	again, err := p.handle(ctx, work, d)
	stop()
	p.release(d)
	if err == nil && again == 0 {
		if err := d.Ack(context.WithoutCancel(work)); err != nil { // it comes again and is then found judged
			p.log.Debug("ack", "err", err)
		}
		return
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errAway) {
		p.log.Warn("pair not judged; it comes again", "subject", d.Subject, "err", err)
	}
	if err := d.Nak(max(again, time.Second)); err != nil {
		p.log.Debug("nak", "err", err)
	}
}

// handle waits until the trial's conversation is over and judges the trial if it is
// the drawn one. again above 0 asks for it to come again after that time.
func (p *Panel) handle(ctx, work context.Context, d *journal.Delivery) (again time.Duration, err error) {
	if d.Err != nil {
		if errors.Is(d.Err, journal.ErrNotFound) {
			return 0, nil // the object has aged out before its message
		}
		return 0, d.Err
	}
	var t journal.Trial
	if err := json.Unmarshal(d.Data, &t); err != nil {
		p.log.Error("trial cannot be read; it is not judged", "subject", d.Subject, "err", err)
		return 0, nil
	}
	judge, ok := p.wants(&t)
	if !ok {
		return 0, nil
	}
	p.hold(d, t.At)
	arrived := time.Now()
	for {
		found := p.draws.look(&t, arrived, time.Now())
		if found.wait == 0 {
			if !found.drawn || time.Now().After(found.start.Add(p.scope.Deadline)) {
				return 0, nil
			}
			return p.judge(work, judge, &t)
		}
		select {
		case <-ctx.Done():
			return time.Second, nil
		case <-time.After(min(found.wait, time.Minute)):
		}
	}
}

// wants tells whether a trial may be judged at all, and by whom.
func (p *Panel) wants(t *journal.Trial) (*asker, bool) {
	if t.Disposition != journal.Tried || t.Source != journal.SourceCapture || trialFailed(t) || t.Live.Error {
		return nil, false
	}
	if !p.scope.Compared(t.Submodule, t.Candidate) {
		return nil, false
	}
	judge, ok := p.scope.Judge(t.Submodule)
	if !ok {
		return nil, false
	}
	a := p.askers[judge.Endpoint.Name]
	return a, a != nil
}

// awayAgain is when a pair comes again whose judge is paused.
const awayAgain = 2 * time.Second

// judge makes and stores the judgement of a drawn trial.
func (p *Panel) judge(ctx context.Context, a *asker, t *journal.Trial) (again time.Duration, err error) {
	if left := a.pauseLeft(); left > 0 {
		return max(awayAgain, left), nil
	}
	if _, err := p.j.Judgement(ctx, t.Submodule, t.Candidate, t.ID); !errors.Is(err, journal.ErrNotFound) {
		return 0, err // it is judged already, or NATS is away
	}
	v, err := p.judgement(ctx, a, t)
	if errors.Is(err, errAway) {
		return max(awayAgain, a.pauseLeft()), nil
	}
	if err != nil {
		return 0, err
	}
	v.JudgedAt = time.Now().UTC()
	stored, err := p.j.StoreJudgement(ctx, v)
	if err == nil && stored {
		p.counts.judged(v)
	}
	return 0, err
}

// hold and release keep track of the oldest exchange in hand, for forget.
func (p *Panel) hold(d *journal.Delivery, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inHand[d] = at
}

func (p *Panel) release(d *journal.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inHand, d)
}

func (p *Panel) forget(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		oldest := time.Now()
		p.mu.Lock()
		for _, at := range p.inHand {
			if at.Before(oldest) {
				oldest = at
			}
		}
		p.mu.Unlock()
		p.draws.forget(oldest)
	}
}

// Status of every judge by name.
func (p *Panel) Status() map[string]JudgeStatus {
	out := map[string]JudgeStatus{}
	for name, a := range p.askers {
		out[name] = a.status()
	}
	return out
}

// SpentToday is what this process spent today on judges, in USD.
func (p *Panel) SpentToday() float64 {
	if l := p.ledger.Load(); l != nil {
		return l.SpentToday()
	}
	return 0
}

// Charged is what the judges' account of all processes stood at when this process
// last looked, in USD; false before it has.
func (p *Panel) Charged() (day string, usd float64, ok bool) {
	if l := p.ledger.Load(); l != nil {
		day, usd = l.Charged()
		return day, usd, true
	}
	return "", 0, false
}
