package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"understudy/internal/journal"
)

// A Publisher stores what the proxy recorded. Its methods return soon after
// their context ends.
type Publisher interface {
	// PublishExchanges stores records of one sub-module and returns once they
	// are acknowledged, with the sequence of the last message. An error of
	// journal.ErrUnavailable leaves open whether they are stored: the same
	// records may be given again. On any other error those up to seq are
	// stored and the rest are not.
	PublishExchanges(ctx context.Context, submodule string, recs []*journal.Exchange) (seq uint64, err error)
	// CountSince counts the records of one proxy that are stored after message
	// seq, and gives the last message that has some.
	CountSince(ctx context.Context, instance string, seq uint64) (records int, last uint64, err error)
}

const (
	// A message holds up to batchRecords, of up to batchBytes together, and
	// waits at most batchWait for more.
	batchRecords = 64
	batchBytes   = 512 << 10
	batchWait    = 5 * time.Millisecond
	// publishTimeout bounds one attempt; quickTimeout the first quickTries in a row.
	publishTimeout = 5 * time.Second
	quickTimeout   = 1500 * time.Millisecond
	quickTries     = 6
	// Pauses between attempts while NATS is away double from the first.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	// backlogShare is the part of the budget that records may hold while they wait for a
	// journal that is slower than the traffic; what is more goes to the spool.
	backlogShare = 4
)

// An item is a record on its way to the journal, charged to the budget.
type item struct {
	rec    *journal.Exchange
	charge int64
	queued time.Time
}

// A publisher stores records in the order in which they come, one message at a
// time: with one in flight, what the journal holds and what is counted can
// always be told apart, also after a kill. What cannot be stored at the moment
// goes to the spool (spooling.go).
type publisher struct {
	to     Publisher
	ledger *ledger
	budget *budget
	log    *slog.Logger
	spool  *overflow // nil without one
	// untilEmpty has run go on until the spool is empty, too.
	untilEmpty bool

	mu      sync.Mutex
	lanes   map[string][]*item // by sub-module, each in order
	waiting int64              // what the records in the lanes are charged
	done    bool               // nothing more comes
	woken   chan struct{}
	stopped chan struct{}
	resumed chan struct{} // closed when what an earlier life left open is settled
	down    atomic.Bool
}

func newPublisher(to Publisher, l *ledger, b *budget, spool *overflow, log *slog.Logger) *publisher {
	return &publisher{
		to: to, ledger: l, budget: b, spool: spool, log: log,
		lanes: map[string][]*item{}, woken: make(chan struct{}, 1), stopped: make(chan struct{}), resumed: make(chan struct{}),
	}
}

// put takes a record; false once the publisher has stopped.
func (p *publisher) put(it *item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return false
	}
	p.lanes[it.rec.Submodule] = append(p.lanes[it.rec.Submodule], it)
	p.waiting += it.charge
	p.wake()
	return true
}

func (p *publisher) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// finish says that nothing more comes; wait waits for the rest to be stored.
func (p *publisher) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	p.wake()
}

func (p *publisher) wait() { <-p.stopped }

// stuck tells that records can neither be stored nor spooled at the moment.
func (p *publisher) stuck() bool { return p.down.Load() && (p.spool == nil || p.spool.broken.Load()) }

// oldest is since when the oldest record in memory waits; zero when there is none.
func (p *publisher) oldest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, at := p.first()
	return at
}

// first is the sub-module whose first record waits longest.
func (p *publisher) first() (submodule string, at time.Time) {
	for name, lane := range p.lanes {
		if at.IsZero() || lane[0].queued.Before(at) {
			submodule, at = name, lane[0].queued
		}
	}
	return submodule, at
}

// run publishes until finish was called and nothing is left in memory, or ctx ends.
func (p *publisher) run(ctx context.Context) {
	defer close(p.stopped)
	p.settle(ctx)
	close(p.resumed)
	for ctx.Err() == nil {
		if p.backlog() {
			p.unload()
		}
		if p.spooling() {
			if p.over() {
				break
			}
			p.forward(ctx)
			continue
		}
		batch, wait := p.next(time.Now())
		if batch != nil {
			p.publish(ctx, batch)
			continue
		}
		if wait < 0 {
			break
		}
		p.sleep(ctx, wait)
	}
	p.abandon()
}

// backlog tells that more waits in memory than should: the journal is slower than the
// traffic.
func (p *publisher) backlog() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spool != nil && !p.spool.broken.Load() && p.waiting > p.budget.limit.Load()/backlogShare
}

// over tells that nothing more comes and nothing is left in memory, nor, where that is
// wanted, in the spool.
func (p *publisher) over() bool {
	if p.untilEmpty && p.spooling() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done && len(p.lanes) == 0
}

// next takes a batch that is due. Without one it says how long to wait at most:
// 0 until a record comes, below 0 when none will.
func (p *publisher) next(now time.Time) (batch []*item, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	submodule, at := p.first()
	if at.IsZero() {
		if p.done {
			return nil, -1
		}
		return nil, 0
	}
	for name, lane := range p.lanes {
		if len(lane) >= batchRecords {
			return p.cut(name), 0
		}
	}
	if due := at.Add(batchWait); !p.done && now.Before(due) {
		return nil, due.Sub(now)
	}
	return p.cut(submodule), 0
}

// any takes the batch that waits longest, due or not; nil where none does.
func (p *publisher) any() []*item {
	p.mu.Lock()
	defer p.mu.Unlock()
	submodule, at := p.first()
	if at.IsZero() {
		return nil
	}
	return p.cut(submodule)
}

// cut takes the first records of a lane, as many as one message may hold.
func (p *publisher) cut(submodule string) []*item {
	lane := p.lanes[submodule]
	n, size := 0, 0
	for n < len(lane) && n < batchRecords {
		size += len(lane[n].rec.Request) + len(lane[n].rec.Response)
		if n > 0 && size > batchBytes {
			break
		}
		p.waiting -= lane[n].charge
		n++
	}
	if n == len(lane) {
		delete(p.lanes, submodule)
	} else {
		p.lanes[submodule] = lane[n:]
	}
	return lane[:n:n]
}

// back puts a batch in front of its lane again.
func (p *publisher) back(batch []*item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := batch[0].rec.Submodule
	p.lanes[name] = append(append([]*item(nil), batch...), p.lanes[name]...)
	for _, it := range batch {
		p.waiting += it.charge
	}
}

func (p *publisher) sleep(ctx context.Context, d time.Duration) {
	var late <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ctx.Done():
	case <-p.woken:
	case <-late:
	}
}

// abandon spools what is left when the time to publish it is over, and counts what
// cannot be.
func (p *publisher) abandon() {
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
	p.unload()
	for batch := p.any(); batch != nil; batch = p.any() {
		p.ledger.dropped(reasonShutdown, len(batch))
		p.release(batch)
	}
}

// release lets go of records: the lane that they were cut from may live on.
func (p *publisher) release(batch []*item) {
	n := int64(0)
	for _, it := range batch {
		n += it.charge
	}
	clear(batch)
	p.budget.give(n)
}

// patience bounds an attempt, the first being try 0. What was sent to a server of a
// cluster that died is never answered, so the first attempts are short; a journal that
// is only slow gets its time later.
func patience(try int) time.Duration {
	if try < quickTries {
		return quickTimeout
	}
	return publishTimeout
}

// guarded runs one call of the Publisher, whose panic is an error like another.
func guarded(ctx context.Context, limit time.Duration, call func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("publish exchanges: panic (%T)", v)
		}
	}()
	if err = call(ctx); err != nil && ctx.Err() != nil && !errors.Is(err, journal.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", journal.ErrUnavailable, err) // it did not answer in time
	}
	return err
}
