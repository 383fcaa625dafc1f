package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/canary"
	"understudy/internal/daemon"
	"understudy/internal/journal"
	"understudy/judge"
	"understudy/llm/bedrock"
	"understudy/replay"
)

// workers are the stages behind the journal. They keep no state of their own
// that the streams do not have, so a reload ends them and starts new ones.
type workers struct {
	p      *process
	replay *replay.Replay
	judge  *judge.Stage
	panel  *judge.Panel // nil where no model judges
	canary *canary.Stage
	policy *bedrock.RegionPolicy
	learn  func(context.Context) error // nil where no region is restricted
	// ackWait is the life of the leases on trials.
	ackWait time.Duration
	group   *daemon.Group
}

func newWorkers(p *process, cfg *Config) (*workers, error) {
	w := &workers{p: p, policy: bedrock.NewRegionPolicy(cfg.Replay.AllowedRegions), ackWait: cfg.Replay.AckWait}
	if len(cfg.Replay.AllowedRegions) > 0 && (p.runs("replay") || p.runs("judge")) {
		w.learn = func(ctx context.Context) error { return learnRegions(ctx, cfg, p.who, w.policy, p.log) }
	}
	if p.runs("replay") {
		var err error
		if w.replay, err = newReplay(cfg, p, p.who, w.policy, p.set); err != nil {
			return nil, err
		}
	}
	if p.runs("judge") {
		var err error
		if w.judge, err = judge.New(cfg.Judge, p.j, p.log, p.set); err != nil {
			return nil, err
		}
		if len(cfg.Judge.Endpoints) > 0 {
			judges, err := newJudges(cfg, p.who, w.policy)
			if err != nil {
				return nil, err
			}
			w.panel = judge.NewPanel(cfg.Judge, judges, cfg.judgeScope(judges, instanceName()), p.j, p.log, p.set)
		}
	}
	// Without stages the process reads only; it reports, and decides nothing.
	if p.runs("canary") || len(p.stages) == 0 {
		w.canary = canary.NewStage(cfg.Canary, cfg.wired(), p.j, p.runs("canary"), p.log, p.set)
	}
	return w, nil
}

// newReplay makes the stage replay; its metrics go into set.
func newReplay(cfg *Config, p *process, who identify, policy *bedrock.RegionPolicy, set *metrics.Set) (*replay.Replay, error) {
	candidates, err := newCandidates(cfg, who, policy)
	if err != nil {
		return nil, err
	}
	r := replay.New(cfg.Replay, p.j, candidates, cfg.baselineRates, instanceName(), p.log, set)
	r.Spread(p.accounts, cfg.submoduleNames())
	r.LimitSubmodules(cfg.submoduleBudgets())
	r.KeepRejected(func(submodule string) bool { s, _ := cfg.submodule(submodule); return s.Keep })
	return r, nil
}

// instanceName tells processes apart in claims.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), journal.NewID(time.Now()))
}

// newCandidates makes a client for every endpoint that is a candidate or a control
// somewhere; one that is both has two.
func newCandidates(cfg *Config, who identify, policy *bedrock.RegionPolicy) ([]replay.Candidate, error) {
	var out []replay.Candidate
	for _, ep := range cfg.Endpoints {
		name := ep.Name
		candidate := replay.Candidate{Wants: func(submodule string) bool { return slices.Contains(cfg.candidates(submodule), name) }}
		paired := func(submodule string) bool {
			s, ok := cfg.submodule(submodule)
			_, asked := cfg.controlOf(s)
			return ok && asked && len(s.Candidates) > 0
		}
		control := replay.Candidate{
			Role: journal.RoleControl,
			Wants: func(submodule string) bool {
				s, ok := cfg.submodule(submodule)
				c, asked := cfg.controlOf(s)
				return ok && asked && c.Name == name
			},
			Full: func(submodule string) bool {
				s, _ := cfg.submodule(submodule)
				return s.NeedsAgreement()
			},
		}
		for _, c := range []replay.Candidate{candidate, control} {
			scope, any := cfg.scope(c.Wants)
			if !any {
				continue
			}
			c.Paired = paired
			var err error
			if c.Client, err = newClient(ep, who); err != nil {
				return nil, err
			}
			restrict(c.Client, ep, policy)
			c.Endpoint, c.Submodules = ep, scope
			c.Rates, _ = cfg.rates(ep) // known: the configuration was validated
			out = append(out, c)
		}
	}
	return out, nil
}

// submoduleNames are the sub-modules with a section of their own.
func (c *Config) submoduleNames() []string {
	var names []string
	for _, s := range c.Submodules {
		if s.Name != canary.Any {
			names = append(names, s.Name)
		}
	}
	return names
}

// submoduleBudgets are the daily budgets of those that have one of their own, in USD.
func (c *Config) submoduleBudgets() map[string]float64 {
	usd := map[string]float64{}
	for _, s := range c.Submodules {
		if s.DailyUSD > 0 {
			usd[s.Name] = s.DailyUSD
		}
	}
	return usd
}

// scope lists the sub-modules that are wanted, nil for all where "*" is among them.
func (c *Config) scope(wants func(string) bool) (names []string, any bool) {
	for _, s := range c.Submodules {
		if !wants(s.Name) {
			continue
		}
		if s.Name == canary.Any {
			return nil, true
		}
		names = append(names, s.Name)
	}
	return names, len(names) > 0
}

// start runs the stages; a stage that fails is started again, since its work
// waits on the broker.
func (w *workers) start(ctx context.Context) {
	w.group = daemon.NewGroup(ctx, w.p.log)
	if w.learn != nil {
		w.group.Go("regions", w.learn)
	}
	if nats := w.p.config().NATS; nats.Mode == "external" && nats.Create && w.p.runs("canary") {
		w.group.Go("leases", w.makeLeases)
	}
	if w.replay != nil {
		w.group.Go("replay", w.again("replay", w.counted(w.replay.Run)))
	}
	if w.judge != nil {
		w.group.Go("judge", w.again("judge", w.p.afterHold(w.judge.Run)))
	}
	if w.panel != nil {
		w.group.Go("judge models", w.again("judge models", w.p.afterHold(w.panel.Run)))
	}
	if w.canary != nil {
		w.group.Go("canary", w.again("canary", w.canary.Run))
	}
}

func (w *workers) again(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := w.p.j.WaitReady(ctx); err != nil {
			return nil
		}
		for {
			err := run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			w.p.log.Warn("stage ended; starting it again", "stage", name, "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	}
}

// counted is run once the accounts have read what the store holds: what a part of it says
// of the usual traffic would draw other conversations than the whole does. It waits no
// longer than countedWait: busy streams have no end.
func (w *workers) counted(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		late := time.Now().Add(countedWait)
		for w.p.books() && time.Now().Before(late) {
			if ok, err := w.p.accounts.CaughtUp(ctx); err == nil && ok {
				break
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(20 * time.Millisecond):
			}
		}
		return run(ctx)
	}
}

const countedWait = time.Minute

func (w *workers) stop() {
	if w.group != nil {
		w.group.Stop()
	}
}

func (w *workers) caughtUp(ctx context.Context) (bool, error) {
	if w.canary == nil {
		return true, nil
	}
	return w.canary.CaughtUp(ctx)
}

// reload validates everything, then swaps once, or keeps the old configuration
// and says why.
func (p *process) reload(ctx context.Context, read func() (*Config, error)) error {
	if !p.reloading.TryLock() {
		return errors.New("the process is ending")
	}
	defer p.reloading.Unlock()
	cfg, err := read()
	if err != nil {
		return err
	}
	old := p.config()
	for _, fixed := range []struct {
		name     string
		old, new any
	}{
		{"[nats]", old.NATS, cfg.NATS},
		{"[admin] listen", old.Admin.Listen, cfg.Admin.Listen},
		{"[capture] listen", old.Capture.Listen, cfg.Capture.Listen},
	} {
		if !reflect.DeepEqual(fixed.old, fixed.new) {
			return errors.New(fixed.name + " changed, which needs a restart")
		}
	}
	w, err := newWorkers(p, cfg)
	if err != nil {
		return err
	}
	if p.capture != nil {
		if err := p.capture.Reload(cfg.Capture, cfg.Upstreams, cfg.knownSubmodule); err != nil {
			return err
		}
	}
	p.mu.Lock()
	before := p.workers
	p.cfg, p.workers = cfg, w
	p.mu.Unlock()
	if p.level != nil {
		cfg.Log.Apply(p.level)
	}
	p.accounts.SetCandidates(cfg.candidates)
	before.stop()
	w.start(ctx)
	return nil
}
