package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"understudy/internal/journal"
)

// backfills runs what persons have ordered, beside the lanes' own feeds, under the same
// limits and out of the same purse. All processes work at each.
type backfills struct {
	r *Replay

	mu      sync.Mutex
	running map[string]*running
	// ended are those that are over and whose durable this process has ended.
	ended map[string]bool
	// through are those whose last look said so; of the one goroutine that looks.
	through map[string]bool
	wait    sync.WaitGroup
}

// running is the feed of one backfill in this process.
type running struct {
	stop context.CancelFunc
	// fetched is closed once nothing is fetched any more.
	fetched chan struct{}
}

// backfillLook is how often it is looked whether a backfill is through.
const backfillLook = time.Second

func newBackfills(r *Replay) *backfills {
	return &backfills{r: r, running: map[string]*running{}, ended: map[string]bool{}, through: map[string]bool{}}
}

// follow starts and stops feeds as backfills are ordered, paused, resumed and
// cancelled, until ctx ends; then it waits for the work in hand.
func (b *backfills) follow(ctx, work context.Context) {
	b.r.j.Keep(ctx, "backfills", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		changed := make(chan struct{}, 1)
		watching := make(chan error, 1)
		go func() {
			watching <- b.r.j.WatchBackfills(ctx, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
		}()
		return b.looks(ctx, work, changed, watching)
	})
	b.mu.Lock()
	for _, job := range b.running {
		job.stop()
	}
	b.mu.Unlock()
	b.wait.Wait()
}

// looks looks after each change and, while something runs, every second.
func (b *backfills) looks(ctx, work context.Context, changed <-chan struct{}, watching <-chan error) error {
	tick := time.NewTicker(backfillLook)
	defer tick.Stop()
	for {
		select {
		case err := <-watching:
			return err
		case <-changed:
		case <-tick.C:
			if !b.any() {
				continue
			}
		}
		if err := b.look(ctx, work); err != nil && ctx.Err() == nil {
			b.r.log.Debug("look at backfills", "err", err)
		}
	}
}

func (b *backfills) any() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.running) > 0
}

// look brings the feeds in line with what is ordered. One backfill's trouble holds up
// no other.
func (b *backfills) look(ctx, work context.Context) error {
	list, err := b.r.j.Backfills(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, job := range list {
		if job.State != journal.BackfillRunning {
			b.stop(job.ID)
		}
		switch {
		case job.State == journal.BackfillRunning:
			delete(b.ended, job.ID)
			b.start(ctx, work, job)
			errs = append(errs, b.finish(ctx, job))
		case !job.Active():
			errs = append(errs, b.end(ctx, job))
		}
	}
	return errors.Join(errs...)
}

// covers tells whether the lane has all that a backfill asks for. Where it has not, the
// order is another configuration's: what this process left out would pass for done.
func (l *lane) covers(job *journal.Backfill) bool {
	if len(job.Submodules) == 0 {
		return l.c.Submodules == nil
	}
	for _, s := range job.Submodules {
		if !l.c.Wants(s) {
			return false
		}
	}
	return true
}

func (b *backfills) start(ctx, work context.Context, job *journal.Backfill) {
	l := b.r.candidate(job.Candidate)
	if l == nil || !l.covers(job) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running[job.ID] != nil || ctx.Err() != nil {
		return
	}
	// The feed outlives an interruption of the watching.
	feeding, stop := context.WithCancel(work)
	run := &running{stop: stop, fetched: make(chan struct{})}
	b.running[job.ID] = run
	f := &feed{l: l, job: job, over: feeding.Done(), fetched: run.fetched, open: func(ctx context.Context, inHand int) (*journal.Consumer, error) {
		return b.open(ctx, job, inHand)
	}}
	l.log.Info("backfill", "id", job.ID, "since", job.Since, "until", job.Until, "planned", job.Planned)
	b.wait.Go(func() { f.run(feeding, work) })
}

// open opens the durable of a backfill that still runs: one that is over must not come
// back with it.
func (b *backfills) open(ctx context.Context, job *journal.Backfill, inHand int) (*journal.Consumer, error) {
	now, err := b.r.j.Backfill(ctx, job.ID)
	if err != nil {
		return nil, err
	}
	if now.State != journal.BackfillRunning {
		return nil, fmt.Errorf("backfill %s is %s", job.ID, now.State)
	}
	return b.r.j.BackfillConsumer(ctx, job, inHand, b.r.cfg.AckWait)
}

// stop ends a feed. Calls that run may end; nothing is fetched once it returns.
func (b *backfills) stop(id string) {
	b.mu.Lock()
	run := b.running[id]
	delete(b.running, id)
	b.mu.Unlock()
	if run == nil {
		return
	}
	run.stop()
	<-run.fetched
	b.r.log.Info("backfill goes no further in this process", "id", id)
}

// end forgets the durable of a backfill that is over. Every process does so, once, after
// its own feed has ended: whoever is last has the last word.
func (b *backfills) end(ctx context.Context, job *journal.Backfill) error {
	if b.ended[job.ID] || time.Since(job.Changed) > endedLong {
		return nil
	}
	if err := b.r.j.EndBackfill(ctx, job.ID); err != nil {
		return err
	}
	b.ended[job.ID] = true
	return nil
}

// endedLong is after what time nobody looks for the durable of a backfill that is over:
// the broker forgets it by itself.
const endedLong = time.Hour

// finish ends a backfill whose last message is through.
func (b *backfills) finish(ctx context.Context, job *journal.Backfill) error {
	_, through, err := b.r.j.BackfillLeft(ctx, job)
	before := b.through[job.ID]
	b.through[job.ID] = through && err == nil
	if err != nil || !through || !before { // twice: a durable that was just made may not know yet
		return err
	}
	delete(b.through, job.ID)
	job.State = journal.BackfillDone
	if err := b.r.j.PutBackfill(ctx, job); errors.Is(err, journal.ErrContested) {
		return nil // paused, cancelled or ended by somebody else
	} else if err != nil {
		return err
	}
	b.r.log.Info("backfill is done", "id", job.ID)
	b.stop(job.ID)
	return b.end(ctx, job)
}

// candidate is the lane of an endpoint in the role of a candidate, nil without one.
func (r *Replay) candidate(name string) *lane {
	for _, l := range r.lanes {
		if !l.control() && l.c.Endpoint.Name == name {
			return l
		}
	}
	return nil
}
