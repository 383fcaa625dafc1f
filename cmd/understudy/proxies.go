package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"sync"
	"time"

	"understudy/capture"
)

// proxies holds the last counters heard of every proxy, so that any process
// can add them up, also while NATS is away.
type proxies struct {
	mu    sync.Mutex
	by    map[string]capture.Accounts
	heard bool
}

func newProxies() *proxies { return &proxies{by: map[string]capture.Accounts{}} }

// watchProxies listens for the counters of other proxies until ctx ends.
func (p *process) watchProxies(ctx context.Context) error {
	p.j.Keep(ctx, "counters of the proxies", func(ctx context.Context) error {
		return p.j.WatchCounters(ctx, func(instance string, data []byte) {
			p.proxies.mu.Lock()
			defer p.proxies.mu.Unlock()
			if instance == "" { // the stored ones are through
				p.proxies.heard = true
				return
			}
			var a capture.Accounts
			if err := json.Unmarshal(data, &a); err == nil {
				p.proxies.by[instance] = a
			}
		})
	})
	return nil
}

// set notes what a proxy's accounts are.
func (p *proxies) set(instance string, a capture.Accounts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.by[instance] = a
}

// watched tells whether the stored counters have been read.
func (p *proxies) watched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// sum adds all proxies up; own replaces what was heard of this process's proxy.
func (p *proxies) sum(own *capture.Capture) capture.Accounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := capture.Accounts{}
	for instance, a := range p.by {
		if own == nil || instance != own.Instance() {
			total = total.Plus(a)
		}
	}
	if own != nil {
		total = total.Plus(own.Accounts())
	}
	return total
}

// publishCounters tells the other processes this proxy's counters once a
// second, until ctx ends.
func (p *process) publishCounters(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := map[string]time.Time{}
	for {
		p.saveCounters(ctx)
		p.tellRefused(ctx, told)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tellRefused tells the stage that replays where live requests were refused for want of
// quota, once for each second in which they were.
func (p *process) tellRefused(ctx context.Context, told map[string]time.Time) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for account, at := range p.capture.Refused() {
		if !at.After(told[account]) {
			continue
		}
		if err := p.j.PutBusy(ctx, account, at); err != nil {
			p.log.Debug("tell where live requests are refused", "err", err)
			continue
		}
		told[account] = at
	}
}

func (p *process) saveCounters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := p.j.PutCounters(ctx, p.capture.Instance(), p.capture.Accounts()); err != nil {
		p.log.Debug("publish counters", "err", err)
	}
}

// readPast completes the counters of the proxy that used this state directory
// last: its file is younger than what it had published when it was killed.
func (p *process) readPast(ctx context.Context) error {
	for _, dir := range places(p.config().NATS.Dir) {
		instance, a, err := capture.ReadAccounts(ctx, &p.config().Capture, dir, p.j)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.proxies.set(instance, a)
	}
	return nil
}
