package capture

import (
	"context"
	"errors"
	"time"

	"understudy/internal/journal"
)

// publish stores one batch, in the journal or, where that does not take it, in the
// spool. Without a spool it tries however long NATS is away. It returns when the batch
// is settled, or left in doubt because ctx ended.
func (p *publisher) publish(ctx context.Context, batch []*item) {
	defer p.release(batch)
	recs := make([]*journal.Exchange, len(batch))
	for i, it := range batch {
		recs[i] = it.rec
	}
	for try := 0; len(recs) > 0; try++ {
		var seq uint64
		err := guarded(ctx, patience(try), func(ctx context.Context) (err error) {
			seq, err = p.to.PublishExchanges(ctx, recs[0].Submodule, recs)
			return err
		})
		if err == nil {
			p.up()
			p.ledger.captured(len(recs), seq)
			return
		}
		away := errors.Is(err, journal.ErrUnavailable)
		if away {
			p.lost(err)
		}
		if (away || errors.Is(err, journal.ErrFull)) && p.divert(recs) {
			return
		}
		if away && !pause(ctx, try) {
			p.ledger.doubt(len(recs))
			return
		}
		stored, ok := p.confirm(ctx, len(recs))
		if !ok {
			return
		}
		recs = recs[stored:]
		if !away {
			p.refuse(len(recs), err)
			return
		}
	}
}

// confirm counts as captured those of n records in hand that are stored after
// all: a batch may need several messages, and an attempt may have come through
// without its acknowledgement. They are stored in order. When ctx ends before
// the journal answers, the n records are left in doubt.
func (p *publisher) confirm(ctx context.Context, n int) (stored int, ok bool) {
	stored, last, ok := p.ask(ctx)
	if !ok {
		p.ledger.doubt(n)
		return 0, false
	}
	if stored = min(stored, n); stored > 0 {
		p.ledger.captured(stored, last)
	}
	return stored, true
}

// refuse drops n records that the journal does not take.
func (p *publisher) refuse(n int, err error) {
	if n == 0 {
		return
	}
	p.ledger.dropped(refusal(err), n)
	p.log.Debug("records refused", "records", n, "err", err)
}

// refusal is why the journal does not take records.
func refusal(err error) string {
	if errors.Is(err, journal.ErrFull) {
		return reasonFull
	}
	return reasonRefused
}

// ask asks the journal what it holds after the last acknowledged message, until
// it answers; false when ctx ended before.
func (p *publisher) ask(ctx context.Context) (n int, last uint64, ok bool) {
	for try := 0; ; try++ {
		n, last, err := p.askOnce(ctx, try)
		if err == nil {
			return n, last, true
		}
		if !pause(ctx, try) {
			return 0, 0, false
		}
	}
}

// askOnce is one attempt of ask.
func (p *publisher) askOnce(ctx context.Context, try int) (n int, last uint64, err error) {
	instance, seq := p.ledger.position()
	err = guarded(ctx, patience(try), func(ctx context.Context) (err error) {
		n, last, err = p.to.CountSince(ctx, instance, seq)
		return err
	})
	if err != nil {
		p.lost(err)
		return 0, 0, err
	}
	p.up()
	return n, last, nil
}

func (p *publisher) up() {
	if p.down.Swap(false) {
		p.log.Info("the journal is back; recorded exchanges are published again")
	}
}

func (p *publisher) lost(err error) {
	if !p.down.Swap(true) {
		p.log.Warn("the journal is not available; recorded exchanges wait, live traffic goes on", "err", err)
	}
}

// pause waits before the next attempt; false when ctx ended.
func pause(ctx context.Context, try int) bool {
	t := time.NewTimer(pauseOf(try))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func pauseOf(try int) time.Duration { return min(lastPause, firstPause<<min(try, 10)) }
