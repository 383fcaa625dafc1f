package replay

import (
	"context"
	"errors"
	"fmt"

	"understudy/internal/journal"
)

// deadLetters stores as such what the broker gives out no more, until ctx ends: after
// many deliveries nothing was stored for it, as when it ends every process that takes it.
func (r *Replay) deadLetters(ctx context.Context) error {
	return r.j.DeadLetterNotices(ctx, func(ctx context.Context, n *journal.DeadLetterNotice) error {
		for _, l := range r.lanes {
			if l.name == n.Consumer {
				return l.giveUp(ctx, n)
			}
		}
		return nil // of a backfill, or of an endpoint that is asked no more
	})
}

// giveUp stores a dead letter for each record of a message that has no trial.
func (l *lane) giveUp(ctx context.Context, n *journal.DeadLetterNotice) error {
	d, err := l.r.j.Message(ctx, n.Seq)
	if errors.Is(err, journal.ErrNotFound) {
		return nil // it has left the stream, and is counted as expired
	}
	if err != nil {
		return err
	}
	reason := fmt.Sprintf("given out %d times, and nothing was stored for it", n.Deliveries)
	if n.Reason != "" {
		reason += ": " + n.Reason
	}
	l.log.Error("message is given up; its records are dead letters", "seq", n.Seq, "reason", reason)
	m := &message{f: l.live(), d: d}
	if err := m.read(); err != nil {
		if errors.Is(err, errAway) {
			return d.Err
		}
		return m.f.deadMessage(ctx, d, err)
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	var errs []error
	for i, ex := range m.list {
		if !m.done[i] {
			errs = append(errs, l.finish(ctx, l.newTrial(ex, d.Seq, 0), journal.DeadLetter, codeGivenUp, reason))
		}
	}
	return errors.Join(errs...)
}
