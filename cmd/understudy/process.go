package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/canary"
	"understudy/capture"
	"understudy/internal/daemon"
	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/bedrock"
)

// A process is one running understudy: the journal, the stages it was asked to
// run, and the admin side. `run`, `demo` and the offline reader are all one.
type process struct {
	log    *slog.Logger
	stages []string
	set    *metrics.Set
	start  time.Time
	who    identify
	level  *slog.LevelVar // of log, nil where a reload does not change it

	j        *journal.Journal
	admin    *daemon.Admin
	accounts *journal.Accounts
	proxies  *proxies
	capture  *capture.Capture // nil without the stage
	data     net.Listener
	given    *daemon.Inherited // nil for a reader

	crowd     crowd         // of the data port
	succeeded chan struct{} // closed once a successor serves
	leaving   atomic.Bool   // its clients are to go over to the successor

	mu      sync.Mutex // guards what a reload replaces
	cfg     *Config
	workers *workers
	// backfills as they were last seen; nil before they were.
	backfills []*journal.Backfill

	// judgeFrom holds the stage judge back until it is closed; nil does not.
	judgeFrom <-chan struct{}

	reloading sync.Mutex // held by a reload, and for good by the process's end
	ready     atomic.Bool
	warm      chan struct{} // closed once the figures cover the whole store
}

// newProcess takes the state directory and the ports; nothing runs yet. On
// error everything is given back.
func newProcess(cfg *Config, stages []string, given *daemon.Inherited, log *slog.Logger) (*process, error) {
	return newProcessWith(cfg, stages, given, log, bedrock.LoadCredentials)
}

// identify says with which credentials a Bedrock endpoint is called.
type identify func(context.Context, llm.Endpoint) (bedrock.Credentials, error)

func newProcessWith(cfg *Config, stages []string, given *daemon.Inherited, log *slog.Logger, who identify) (*process, error) {
	if slices.Contains(stages, "capture") && len(cfg.Upstreams) == 0 {
		return nil, fmt.Errorf("%w: the stage capture needs an [[upstream]] section", errConfig)
	}
	p, err := newBare(cfg, stages, given.Successor(), log, who)
	if err != nil {
		return nil, err
	}
	p.given = given
	if p.admin, err = daemon.ListenAdmin(cfg.Admin.Listen, cfg.NATS.Dir, given.Take(daemon.SocketAdmin)); err != nil {
		p.close()
		return nil, err
	}
	if p.runs("capture") {
		if p.data = given.Take(daemon.SocketData); p.data == nil {
			p.data, err = net.Listen("tcp", cfg.Capture.Listen)
		}
		if err != nil {
			p.close()
			return nil, fmt.Errorf("capture.listen: %w; free the address or set another [capture] listen", err)
		}
		p.capture, err = capture.New(cfg.Capture, cfg.Upstreams, p.known, p.j, p.home(), log, p.set)
		if err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// newReader is a process without stages and without ports, for the verbs that
// read a store whose daemon does not run.
func newReader(cfg *Config, log *slog.Logger) (*process, error) {
	p, err := newBare(cfg, nil, false, log, nil)
	if err != nil {
		return nil, err
	}
	if p.admin, err = daemon.ListenSocket(cfg.NATS.Dir); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func newBare(cfg *Config, stages []string, successor bool, log *slog.Logger, who identify) (*process, error) {
	j, err := openJournal(cfg.NATS, successor, func(c journal.Config) (*journal.Journal, error) { return journal.Open(c, log) })
	if err != nil {
		return nil, err
	}
	p := &process{log: log, stages: stages, set: metrics.NewSet(), start: time.Now(), j: j, cfg: cfg, who: who, warm: make(chan struct{}), succeeded: make(chan struct{})}
	p.accounts = journal.NewAccounts(j, cfg.candidates)
	if p.runs("replay") && !cfg.NATS.Create && !p.runs("canary") { // it may not read verdicts (docs/deploy.md)
		p.accounts.LeaveJudgements()
	}
	p.proxies = newProxies()
	p.workers, err = newWorkers(p, cfg)
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *process) runs(stage string) bool { return slices.Contains(p.stages, stage) }

// known tells the proxy whether a caller may name the sub-module.
func (p *process) known(submodule string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg.knownSubmodule(submodule)
}

func (p *process) config() *Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg
}

// submoduleNames are those with an entry of their own, and age is how long a sub-module's
// records are kept, 0 for as long as all.
func (p *process) submoduleNames() (names []string) {
	for _, s := range p.config().Submodules {
		if s.Name != canary.Any {
			names = append(names, s.Name)
		}
	}
	return names
}

func (p *process) age(submodule string) time.Duration {
	s, _ := p.config().submodule(submodule)
	return s.Retention
}

func (p *process) close() {
	if p.data != nil {
		p.data.Close()
	}
	if p.admin != nil {
		p.admin.Close()
	}
	p.j.Close()
}

// run serves until ctx ends, then drains: not ready, no new requests, live
// streams to their end, what was recorded to the journal, what is in hand back
// to the broker. reload reads the configuration anew; nil without reloads.
func (p *process) run(ctx context.Context, reload func() (*Config, error)) error {
	defer p.close()
	if err := p.needNATS(ctx); err != nil {
		return err
	}
	background := context.WithoutCancel(ctx)
	side := daemon.NewGroup(background, p.log) // ends last: it shows the drain
	side.Go("admin", func(ctx context.Context) error { return p.admin.Serve(ctx, p.openHandler(), p.fullHandler()) })
	if p.books() {
		side.Go("accounts", p.accounts.Run)
		if len(p.stages) > 0 {
			side.Go("ages", func(ctx context.Context) error { return p.j.KeepAges(ctx, p.submoduleNames, p.age) })
		}
		side.Go("backfills", p.watchBackfills)
		side.Go("proxies", func(ctx context.Context) error { return p.watchProxies(ctx) })
	}
	p.currentWorkers().start(background)

	live := daemon.NewGroup(background, p.log)
	var server *capture.Server
	if p.capture != nil {
		server = capture.NewServer(p.courteous(p.capture.Handler()), p.capture.TLS(), p.log)
		server.ConnState = p.crowd.watch
		live.Go("capture", p.capture.Run)
		side.Go("data", func(context.Context) error { return ignoreClosed(server.Serve(p.data)) })
		side.Go("counters", p.publishCounters)
		side.Go("others", p.settleOthers)
		side.Go("memory", p.boundMemory)
	}
	side.Go("warm", func(ctx context.Context) error {
		if p.settled(ctx) == nil {
			close(p.warm)
		}
		return nil
	})
	if reload != nil {
		side.Go("upgrade", p.onUpgrade)
		onReload(ctx, p.log, func() error { return p.reload(background, reload) })
	}
	p.ready.Store(true)
	p.announce()

	var failed error
	select {
	case <-ctx.Done():
	case <-p.succeeded:
	case <-side.Failed():
	case <-live.Failed():
	}
	p.ready.Store(false)
	notify(p.log, "STOPPING=1")
	workersDone := make(chan struct{})
	go func() { defer close(workersDone); p.lastWorkers().stop() }()
	if server != nil {
		p.drain(server)
		failed = live.Stop()
		p.saveCounters(background)
	}
	<-workersDone
	return errors.Join(failed, side.Stop())
}

func (p *process) drain(server *capture.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), p.config().Admin.DrainTimeout)
	defer cancel()
	select {
	case <-p.succeeded:
		p.dismiss(p.config().Admin.DrainTimeout)
	default:
	}
	if err := server.Shutdown(ctx); err != nil {
		p.log.Warn("live requests were cut after the drain timeout", "err", err)
		server.Close()
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// announce says in one line what runs where.
func (p *process) announce() {
	cfg := p.config()
	attrs := []any{"version", version(), "stages", strings.Join(p.stages, ","), "submodules", len(cfg.Submodules),
		"endpoints", len(cfg.Endpoints), "daily_usd", cfg.Replay.DailyUSD, "admin", p.admin.Addr()}
	if p.data != nil {
		attrs = append(attrs, "data", p.data.Addr().String())
	}
	if url := p.j.URL(); url != "" {
		attrs = append(attrs, "nats", url)
	}
	if len(p.stages) > 0 {
		p.log.Info("understudy is running", attrs...)
	}
	notify(p.log, "READY=1")
	if err := p.given.Ready(); err != nil {
		p.log.Warn("the process that this one takes over from was not told", "err", err)
	}
}

// afterHold is run once the stage judge may begin.
func (p *process) afterHold(run func(context.Context) error) func(context.Context) error {
	if p.judgeFrom == nil {
		return run
	}
	return func(ctx context.Context) error {
		select {
		case <-p.judgeFrom:
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *process) currentWorkers() *workers {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workers
}

// lastWorkers are the ones that no reload replaces any more.
func (p *process) lastWorkers() *workers {
	p.reloading.Lock()
	return p.currentWorkers()
}

// settled waits until accounts and report have read what the store holds, and
// gives ctx's error when it ends before.
func (p *process) settled(ctx context.Context) error {
	for {
		ok, err := p.caughtUp(ctx)
		if err == nil && ok && p.resumed() && (!p.books() || p.sawBackfills()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// caughtUp tells whether everything that the store holds and this process reads has
// been counted.
func (p *process) caughtUp(ctx context.Context) (bool, error) {
	if !p.books() {
		return true, nil
	}
	ok, err := p.accounts.CaughtUp(ctx)
	if err == nil && ok && p.proxies.watched() {
		return p.currentWorkers().caughtUp(ctx)
	}
	return false, err
}

// resumed tells whether the proxy's accounts hold what its last life left open.
func (p *process) resumed() bool {
	if p.capture == nil {
		return true
	}
	select {
	case <-p.capture.Resumed():
		return true
	default:
		return false
	}
}

// waitWarm holds an answer back for a moment after a start, so that figures
// are not shown while they are being read. It never waits long.
func (p *process) waitWarm(ctx context.Context) {
	select {
	case <-p.warm:
	case <-ctx.Done():
	case <-time.After(2 * time.Second):
	}
}
