package replay

import (
	"context"
	"errors"
	"sync"
	"time"

	"understudy/internal/journal"
)

// backfills runs what persons have ordered, beside the lanes' own feeds, under the same
// limits and out of the same purse. All processes work at each.
type backfills struct {
	r *Replay

	mu      sync.Mutex
	running map[string]context.CancelFunc
	wait    sync.WaitGroup
}

// backfillLook is how often it is looked whether a backfill is through.
const backfillLook = time.Second

// follow starts and stops feeds as backfills are ordered, paused, resumed and
// cancelled, until ctx ends.
func (b *backfills) follow(ctx, work context.Context) {
	b.r.j.Keep(ctx, "backfills", func(ctx context.Context) error {
		changed := make(chan struct{}, 1)
		go func() {
			tick := time.NewTicker(backfillLook)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-changed:
				case <-tick.C:
					if !b.any() {
						continue
					}
				}
				if err := b.look(ctx, work); err != nil {
					b.r.log.Debug("look at backfills", "err", err)
				}
			}
		}()
		return b.r.j.WatchBackfills(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	b.mu.Lock()
	for id, stop := range b.running {
		stop()
		delete(b.running, id)
	}
	b.mu.Unlock()
	b.wait.Wait()
}

func (b *backfills) any() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.running) > 0
}

// look brings the feeds in line with what is ordered.
func (b *backfills) look(ctx, work context.Context) error {
	list, err := b.r.j.Backfills(ctx)
	if err != nil {
		return err
	}
	for _, job := range list {
		if job.State != journal.BackfillRunning {
			if b.stop(job.ID) && !job.Active() {
				if err := b.r.j.EndBackfill(ctx, job.ID); err != nil {
					return err
				}
			}
		}
		if job.State == journal.BackfillRunning {
			b.start(ctx, work, job)
			if err := b.finish(ctx, job); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *backfills) start(ctx, work context.Context, job *journal.Backfill) {
	l := b.r.candidate(job.Candidate)
	if l == nil {
		return // another host's configuration
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running[job.ID] != nil || ctx.Err() != nil {
		return
	}
	feeding, stop := context.WithCancel(ctx)
	b.running[job.ID] = stop
	f := &feed{l: l, job: job, open: func(ctx context.Context, inHand int) (*journal.Consumer, error) {
		return b.r.j.BackfillConsumer(ctx, job, inHand, b.r.cfg.AckWait)
	}}
	l.log.Info("backfill", "id", job.ID, "since", job.Since, "until", job.Until, "planned", job.Planned)
	b.wait.Go(func() { f.run(feeding, work) })
}

// stop ends a feed and tells whether there was one.
func (b *backfills) stop(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	stop := b.running[id]
	if stop != nil {
		stop()
		delete(b.running, id)
	}
	return stop != nil
}

// finish ends a backfill whose last message is through.
func (b *backfills) finish(ctx context.Context, job *journal.Backfill) error {
	_, done, err := b.r.j.BackfillLeft(ctx, job)
	if err != nil || !done {
		return err
	}
	job.State = journal.BackfillDone
	if err := b.r.j.PutBackfill(ctx, job); errors.Is(err, journal.ErrContested) {
		return nil // paused, cancelled or ended by somebody else
	} else if err != nil {
		return err
	}
	b.stop(job.ID)
	b.r.log.Info("backfill is done", "id", job.ID)
	return b.r.j.EndBackfill(ctx, job.ID)
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
