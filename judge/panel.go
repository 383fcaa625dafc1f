package judge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

const (
	// durableModels begins the name of each judge's consumer of trials, shared by all
	// processes: a judge that is away holds up no other.
	durableModels = "judge-models-"
	// modelsAckWait is the broker's redelivery time, renewed by heartbeats.
	modelsAckWait = 30 * time.Second
	// LeaseLife is how long a lease on a question lives without a sign of life: the
	// time-to-live of the bucket journal.BucketJudgeClaims.
	LeaseLife = modelsAckWait
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
	// Submodules are those that a judge judges, nil for all.
	Submodules func(judge string) []string
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
		p.askers[judge.Endpoint.Name] = newAsker(judge, &p.cfg, p.counts, p.log)
	}
	return p
}

// Run judges until ctx ends, which is no error. Questions in flight may end within
// a few seconds; what is in hand goes back to the broker.
func (p *Panel) Run(ctx context.Context) error {
	if err := p.open(ctx); ctx.Err() != nil {
		return nil // it ended before it began
	} else if err != nil {
		return fmt.Errorf("start judges: %w", err)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, cancel) })()
	var side sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	side.Go(func() { p.draws.run(reading) })
	side.Go(func() { p.forget(reading) })
	err := p.consumeAll(ctx, work)
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
	ledger, err := journal.NewLedger(ctx, p.j, journal.AccountJudge, p.scope.Instance, journal.Caps{DailyUSD: p.cfg.DailyUSD, Endpoints: caps, Event: p.budgetEvent})
	if err != nil {
		return err
	}
	key, err := p.j.SiteKey(ctx)
	if err != nil {
		return err
	}
	claims, err := p.j.Claims(ctx, journal.BucketJudgeClaims, p.scope.Instance, LeaseLife)
	if err != nil {
		return err
	}
	p.ledger.Store(ledger)
	p.memory = &memory{j: p.j, key: key, claims: claims, log: p.log}
	for _, a := range p.askers {
		a.ledger = ledger
		a.quota = p.j.NewQuota(a.judge.Endpoint.QuotaKey(), a.judge.Endpoint.RPM, a.judge.Endpoint.TPM)
	}
	return nil
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

// Budgets are today's budgets of the judges, as this process has seen them in the last
// quarter of a minute; none before it is ready.
func (p *Panel) Budgets() []journal.Budget {
	if l := p.ledger.Load(); l != nil {
		return l.Budgets()
	}
	return nil
}

// budgetEvent logs that the judges' budget is nearly spent, or spent, and counts it.
func (p *Panel) budgetEvent(e journal.BudgetEvent) {
	p.log.Warn(e.Sentence(), "account", e.Account, "scope", e.Scope, "percent", e.Percent, "charged_usd", e.ChargedUSD, "cap_usd", e.CapUSD)
	p.counts.budget(e.Percent)
}
