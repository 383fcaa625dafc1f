// Package capture is the live path: a proxy for the OpenAI API that passes every
// byte untouched and records Chat Completions calls beside it.
//
// The live answer depends on nothing but the upstream. While it passes, its
// bytes are copied once, under a budget; parsing, hashing and publishing happen
// elsewhere, and where they cannot keep up the exchange is dropped and counted.
// Every request ends in exactly one bucket of the Accounts.
package capture

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/capture/spool"
)

// saveEvery is how often the accounts are saved: what a kill can lose.
const saveEvery = 250 * time.Millisecond

// workers parse the recorded exchanges. Two keep up with what one host relays;
// more would compete with the live path.
const workers = 2

// A Home says where a proxy keeps its files.
type Home struct {
	// Shared holds what all proxies of the host have in common: the hash key, and whether
	// they are bypassed.
	Shared string
	// Own holds the accounts and the spool; it belongs to one process at a time.
	Own string
	// KeepFree is what the spool leaves free of its file system, in bytes: an embedded
	// NATS may have its store there.
	KeepFree int64
}

// A Capture is the proxy. Its Handler serves at once; Run carries what was
// recorded to the journal. All methods are safe for concurrent use.
type Capture struct {
	home     Home
	log      *slog.Logger
	key      []byte
	settings atomic.Pointer[settings]
	reload   sync.Mutex // one reload at a time

	budget    budget
	ledger    *ledger
	queue     *queue
	publisher *publisher
	spool     *spool.Spool // nil without one
	meters    *meters
	inflight  atomic.Int64
	bypass    atomic.Pointer[Bypass] // nil: it records
	buffers   sync.Pool              // of *[copyBuffer]byte
	estimates estimates
	history   *history
	refused   refused

	// drain bounds how long Run goes on after its context ended.
	drain time.Duration
}

// New makes a proxy from a valid configuration. known tells which sub-modules a
// client may name; nil accepts every valid name. The directories of home must
// exist. Nothing is sent to pub before Run.
func New(cfg Config, upstreams []Upstream, known func(submodule string) bool, pub Publisher, home Home, log *slog.Logger, set *metrics.Set) (*Capture, error) {
	if info, err := os.Stat(home.Own); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("start capture: state directory %s is not there", home.Own)
	}
	key, err := openKey(home.Shared)
	if err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	s, err := compile(cfg, upstreams, known, key, nil)
	if err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	c := &Capture{home: home, key: key, log: log, queue: newQueue(), drain: 10 * time.Second}
	c.history = newHistory(c.key)
	if c.ledger, err = openLedger(home.Own, log); err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	c.buffers.New = func() any { return new([copyBuffer]byte) }
	c.settings.Store(s)
	c.budget.limit.Store(s.memory)
	sp, err := openSpool(&cfg, home, key, log)
	if err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	c.spool = sp
	c.publisher = newPublisher(pub, c.ledger, &c.budget, newOverflow(home.Own, c.ledger, sp), log)
	c.meters = newMeters(set, c)
	c.ledger.watch = c.meters.outcome
	c.lookForBypass()
	return c, nil
}

// Handler serves the data port. It expects the client's connection itself: a
// ServeMux before it would clean paths.
func (c *Capture) Handler() http.Handler { return http.HandlerFunc(c.serve) }

// Reload replaces the configuration for the requests that begin from now on, or
// keeps the old one and says why. The listen address is the caller's matter.
func (c *Capture) Reload(cfg Config, upstreams []Upstream, known func(submodule string) bool) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	before := c.settings.Load()
	s, err := compile(cfg, upstreams, known, c.key, before)
	if err != nil {
		return fmt.Errorf("reload capture: %w", err)
	}
	c.settings.Store(s)
	c.budget.limit.Store(s.memory)
	before.transports.closeIdle(s.transports)
	return nil
}

// Accounts tell what became of every request so far, over all lives of the
// proxy in this state directory. They are answered from memory.
func (c *Capture) Accounts() Accounts { return c.ledger.read() }

// Resumed is closed once the accounts hold what an earlier life of the proxy left
// open. It waits for the journal.
func (c *Capture) Resumed() <-chan struct{} { return c.publisher.resumed }

// Instance is the name of this proxy in the messages that it publishes; it
// belongs to the state directory and outlives the process.
func (c *Capture) Instance() string { return c.ledger.instance }

// Spool says what waits on disk for NATS; nil where no spool is configured.
func (c *Capture) Spool() *spool.State {
	if c.spool == nil {
		return nil
	}
	s := c.spool.State()
	return &s
}

// Passed counts the requests that were passed without being recorded, by path
// group, since the process began.
func (c *Capture) Passed() map[string]int64 { return c.meters.passedByPath() }

// Run parses and publishes what the handler recorded, and saves the accounts,
// until ctx ends. Then it finishes what is in hand, within seconds; what cannot
// be published by then is counted as dropped. Let the server finish its streams
// before. Run is called once.
func (c *Capture) Run(ctx context.Context) error {
	defer func() { c.settings.Load().transports.closeIdle(nil) }()
	var parse, rest sync.WaitGroup
	for range workers {
		parse.Go(c.work)
	}
	publish, stopPublish := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPublish()
	rest.Go(func() { c.publisher.run(publish) })
	saved := make(chan struct{})
	rest.Go(func() { c.keepSaving(saved) })
	rest.Go(func() { c.followBypass(saved) })

	<-ctx.Done()
	deadline := time.AfterFunc(c.drain, stopPublish)
	defer deadline.Stop()
	c.queue.close()
	parse.Wait()
	c.publisher.finish()
	c.publisher.wait()
	close(saved)
	rest.Wait()
	if c.spool != nil {
		c.spool.Close()
	}
	if err := c.ledger.save(c.home.Own); err != nil {
		return fmt.Errorf("stop capture: %w", err)
	}
	return nil
}

// work parses takes until the queue is closed and empty.
func (c *Capture) work() {
	for t := c.queue.next(); t != nil; t = c.queue.next() {
		c.digest(t)
		runtime.Gosched() // live requests that wait for the processor go first
	}
}

func (c *Capture) keepSaving(stop <-chan struct{}) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	drops := dropReport{log: c.log}
	failing := false
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			err := c.ledger.save(c.home.Own)
			if err != nil && !failing {
				c.log.Error("the accounts cannot be saved; they would be lost with the process", "err", err)
			}
			failing = err != nil
			drops.tell(now, c.ledger.read(), c)
		}
	}
}
