package replay

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// A lane works off the exchanges of one endpoint in one role: its durable
// consumer, its concurrency, its pauses. Lanes never wait for each other.
type lane struct {
	r        *Replay
	c        Candidate
	money    *purse
	log      *slog.Logger
	slots    chan struct{} // one for each call that may be in flight
	inFlight atomic.Int64

	mu          sync.Mutex
	pausedUntil time.Time
	pausedFor   string
	faults      int // our own faults in a row
	// proposals are changes of capabilities that refusals have suggested.
	proposals []string

	claims *journal.Claims
}

func newLane(r *Replay, c Candidate) *lane {
	l := &lane{r: r, c: c, slots: make(chan struct{}, c.Endpoint.Concurrency)}
	l.money, l.log = r.money[journal.RoleCandidate], r.log.With("candidate", c.Endpoint.Name)
	if l.control() {
		l.money, l.log = r.money[journal.RoleControl], r.log.With("control", c.Endpoint.Name)
	}
	return l
}

func (l *lane) control() bool { return l.c.Role == journal.RoleControl }

// consumer opens the lane's durable, which every process shares.
func (l *lane) consumer(ctx context.Context, inHand int) (*journal.Consumer, error) {
	open := l.r.j.ExchangeConsumer
	if l.control() {
		open = l.r.j.ControlConsumer
	}
	return open(ctx, l.c.Endpoint.Name, l.c.Submodules, inHand, l.r.cfg.AckWait)
}

// run fetches until ctx ends and waits for the work in hand, which runs under work.
func (l *lane) run(ctx, work context.Context, claims *journal.Claims) {
	l.claims = claims
	var wg sync.WaitGroup
	defer wg.Wait()
	limit := l.c.Endpoint.Concurrency + l.r.cfg.Prefetch
	hand := make(chan struct{}, limit) // one for each message in hand
	var cons *journal.Consumer
	for ctx.Err() == nil {
		if cons == nil {
			var err error
			cons, err = l.consumer(ctx, limit)
			if err != nil {
				l.log.Warn("open consumer; trying again", "err", err)
				sleep(ctx, time.Second)
				continue
			}
		}
		if l.pauseLeft() > 0 {
			sleep(ctx, 50*time.Millisecond)
			continue
		}
		select {
		case hand <- struct{}{}:
		case <-ctx.Done():
			return
		}
		d, err := cons.Next(ctx, time.Second)
		if err != nil || d == nil {
			<-hand
		}
		if err != nil {
			if ctx.Err() == nil {
				l.log.Debug("fetch; opening the consumer again", "err", err)
				cons = nil
				sleep(ctx, 500*time.Millisecond)
			}
			continue
		}
		if d == nil {
			continue
		}
		wg.Go(func() {
			defer func() { <-hand }()
			l.deliver(work, d)
		})
	}
}

// deliver takes one message to its end: acknowledged when all of its records
// are terminal, else given back.
func (l *lane) deliver(ctx context.Context, d *journal.Delivery) {
	alive, stop := context.WithCancel(ctx)
	defer stop()
	go l.heartbeat(alive, d)

	again, err := l.records(ctx, d)
	stop()
	if err == nil && again == 0 {
		err = d.Ack(context.WithoutCancel(ctx))
		if err != nil { // it comes again and is then found done
			l.log.Debug("ack", "err", err)
		}
		return
	}
	if err != nil && ctx.Err() == nil {
		l.log.Warn("exchange not tried; it comes again", "seq", d.Seq, "err", err)
		again = max(again, time.Second)
	}
	if err := d.Nak(again); err != nil {
		l.log.Debug("nak", "err", err)
	}
}

func (l *lane) heartbeat(ctx context.Context, d *journal.Delivery) {
	for sleep(ctx, l.r.cfg.AckWait/3) {
		if err := d.InProgress(); err != nil {
			l.log.Debug("heartbeat", "err", err)
		}
	}
}

// records processes the records of a message side by side. again above 0 asks
// for the message to come again after that time.
func (l *lane) records(ctx context.Context, d *journal.Delivery) (again time.Duration, err error) {
	if d.Err != nil && !errors.Is(d.Err, journal.ErrNotFound) {
		return 0, d.Err
	}
	var list []*journal.Exchange
	err = d.Err
	if err == nil {
		list, err = journal.ReadExchanges(d.Subject, d.Data)
	}
	if err != nil {
		return 0, l.deadMessage(ctx, d, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, ex := range list {
		if !l.c.Wants(ex.Submodule) {
			continue
		}
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return 0, ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-l.slots }()
			wait, e := l.try(ctx, ex, d)
			mu.Lock()
			defer mu.Unlock()
			again, err = max(again, wait), errors.Join(err, e)
		})
	}
	wg.Wait()
	return again, err
}

// pauseLeft is how much longer the lane waits after a fault of ours, 0 when it
// does not.
func (l *lane) pauseLeft() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.pausedUntil))
}

// pause stops the lane after a fault that says nothing about the model, longer
// each time in a row, and gives how long.
func (l *lane) pause(err *llm.Error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := time.Until(l.pausedUntil); left > 0 {
		return max(left, time.Millisecond) // one of many calls that met the same fault
	}
	base, most := time.Second, 30*time.Second
	if !err.Class.Retryable() {
		base, most = 5*time.Second, 2*time.Minute
	}
	wait := min(base<<min(l.faults, 10), most)
	wait = wait/2 + rand.N(wait/2+1) // jitter
	wait = max(wait, min(err.RetryAfter, 10*time.Minute))
	l.faults++
	l.pausedUntil, l.pausedFor = time.Now().Add(wait), err.Summary()+"; "+hint(err)
	l.log.Warn("endpoint paused: this failure is no trial", "class", err.Class, "err", err.Summary(), "wait", wait.Round(time.Millisecond).String(), "hint", hint(err))
	l.count("pauses", "class", string(err.Class))
	return wait
}

func hint(err *llm.Error) string {
	switch err.Class {
	case llm.ClassAccess:
		return "check credentials and that the account has access to the model"
	case llm.ClassNotFound:
		return "check the endpoint's model and region"
	case llm.ClassQuota:
		return "raise the quota, or wait until it is renewed"
	case llm.ClassThrottled:
		return "lower the endpoint's concurrency or raise its quota"
	}
	return "check the endpoint's base_url and that it is reachable"
}

// propose tells the operator, once, of a change of capabilities that a refusal
// suggests. Nothing is changed: the refused trial stands as one.
func (l *lane) propose(change string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if change == "" || slices.Contains(l.proposals, change) {
		return
	}
	l.proposals = append(l.proposals, change)
	l.log.Warn("the model refused what the family table says it takes; consider the endpoint's capabilities", "proposal", change)
}

// worked ends a row of faults.
func (l *lane) worked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = 0
}

func (l *lane) status() LaneStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LaneStatus{InFlight: int(l.inFlight.Load()), Proposals: slices.Clone(l.proposals)}
	if until := l.pausedUntil; time.Now().Before(until) {
		s.PausedUntil, s.PausedFor = &until, l.pausedFor
	}
	return s
}
