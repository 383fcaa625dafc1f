package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"understudy/capture/spool"
	"understudy/internal/journal"
)

// How each record is stored once, although NATS is away and processes are killed.
//
// Records are stored in one order, which is that of their sub-modules: first what is in the
// spool, then what is in memory. So
// the journal's count of this proxy's records behind the last acknowledged message
// (CountSince) says which of those in doubt it has, as long as it is known which come
// first. That is kept so:
//
//   - Before the first record goes into an empty spool, the accounts are saved with the last
//     message that is acknowledged. What was sent and not answered goes in first. From then
//     on the count is of the head of the spool.
//   - When the spool has run empty, the accounts are saved before anything is published
//     past it. From then on the count is of what is published directly.
//   - Accounts that are saved meanwhile say how far the spool is published, together with
//     the message up to which it is. Segments are deleted behind that.
//   - A record counts as captured once it is in the spool, on disk. The accounts say up to
//     which number records are counted; at the next start those behind are.
//   - A life that has not heard yet what the one before it had published directly marks its
//     accounts (unsettled): then the count is of those, although the spool is not empty.
//     Nothing is published before it has heard.

// An overflow is the spool of a publisher.
type overflow struct {
	*spool.Spool
	dir   string // where the accounts are saved
	began time.Time
	// direct tells that the spool is empty, and that the accounts on disk say so.
	direct bool
	// skip is how many records of the first entry are stored already, doubt that one more
	// message of it may be.
	skip  int
	doubt bool
	tries int
	held  int // records that went into it since it was empty
	// broken tells that the disk does not take what it should; until is when it is tried
	// again.
	broken atomic.Bool
	until  time.Time
}

// brokenPause is how long a spool whose disk failed is left alone.
const brokenPause = 5 * time.Second

// newOverflow counts what is in a spool; nil for none. The accounts lie in dir.
func newOverflow(dir string, l *ledger, s *spool.Spool) *overflow {
	if s == nil {
		return nil
	}
	o := &overflow{Spool: s, dir: dir, began: time.Now()}
	o.skip = l.openSpool(s)
	o.held = int(s.End() - s.Next())
	return o
}

// openSpool opens the spool of a proxy; nil where the configuration has none and nothing
// was left in one.
func openSpool(cfg *Config, home Home, key []byte, log *slog.Logger) (*spool.Spool, error) {
	if cfg.SpoolMax == 0 {
		return existingSpool(cfg, home, key, log)
	}
	return spool.Open(cfg.SpoolDir(home.Own), int64(cfg.SpoolMax), home.KeepFree, keyed(key, "spool"), log)
}

// existingSpool is openSpool where there is one already.
func existingSpool(cfg *Config, home Home, key []byte, log *slog.Logger) (*spool.Spool, error) {
	dir := cfg.SpoolDir(home.Own)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return spool.Open(dir, int64(cfg.SpoolMax), home.KeepFree, keyed(key, "spool"), log)
}

// SpoolDir is the directory of the spool of a proxy whose own files lie in own.
func (c *Config) SpoolDir(own string) string {
	if c.Spool != "" {
		return filepath.Join(c.Spool, filepath.Base(own))
	}
	return filepath.Join(own, "capture-spool")
}

// spooling tells that records go through the spool: it is not empty, or it is not on disk
// yet that it is.
func (p *publisher) spooling() bool { return p.spool != nil && !p.spool.direct }

// divert puts records that the journal may have or not into the spool, in front of all
// others; false where that cannot be.
func (p *publisher) divert(recs []*journal.Exchange) bool {
	return p.spool != nil && p.append(recs)
}

// unload puts what waits in memory into the spool.
func (p *publisher) unload() {
	if p.spool == nil {
		return
	}
	for batch := p.any(); batch != nil; batch = p.any() {
		recs := make([]*journal.Exchange, len(batch))
		for i, it := range batch {
			recs[i] = it.rec
		}
		if !p.append(recs) {
			p.back(batch)
			return
		}
		p.release(batch)
	}
}

// append puts records into the spool, or counts them as dropped where it is full; false
// where the disk does not take them.
func (p *publisher) append(recs []*journal.Exchange) bool {
	o := p.spool
	if o.broken.Load() && time.Now().Before(o.until) {
		return false
	}
	var payload []byte
	var err error
	for _, e := range recs {
		if payload, err = journal.AppendExchange(payload, e); err != nil {
			p.refuse(len(recs), err) // it could not be published either
			return true
		}
	}
	if o.direct || o.Next() == o.End() {
		err = p.ledger.saveNow(o.dir)
	}
	if err == nil {
		_, err = o.Append(len(recs), payload, time.Now())
	}
	switch {
	case errors.Is(err, spool.ErrFull):
		p.ledger.dropped(reasonSpoolFull, len(recs))
		return true
	case err != nil:
		if !o.broken.Swap(true) {
			p.log.Error("the spool cannot be written; recorded exchanges wait in memory", "err", err)
		}
		o.until = time.Now().Add(brokenPause)
		return false
	}
	if o.broken.Swap(false) {
		p.log.Info("the spool can be written again")
	}
	if o.direct {
		o.direct, o.began, o.held = false, time.Now(), 0
		p.log.Warn("recorded exchanges go to the spool", "journal_away", p.down.Load())
	}
	o.held += len(recs)
	p.ledger.spooled(len(recs), o.End())
	return true
}

// during runs one call of the journal and meanwhile puts what comes into the spool, where
// it has to go there anyway.
func (p *publisher) during(call func()) {
	done := make(chan struct{})
	go func() { defer close(done); call() }()
	for {
		select {
		case <-done:
			return
		case <-p.woken:
			p.unload()
		}
	}
}

// rest waits before the next attempt, and meanwhile puts what comes into the spool.
func (p *publisher) rest(ctx context.Context, d time.Duration) bool {
	for end := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(end)
		if left <= 0 {
			return true
		}
		p.sleep(ctx, left)
		p.unload()
		if p.over() {
			return false
		}
	}
	return false
}

// settle settles what an earlier life of the proxy left open, before anything new is
// published; it returns when that is done, or nothing more comes.
func (p *publisher) settle(ctx context.Context) {
	if p.ledger.fresh {
		p.startDirect()
		return
	}
	if p.spool == nil {
		if n, last, ok := p.ask(ctx); ok { // else it stays open for the next life
			p.ledger.resume(n, last)
		}
		return
	}
	for try := 0; ctx.Err() == nil; try++ {
		var n int
		var last uint64
		var err error
		p.during(func() { n, last, err = p.askOnce(ctx, try) })
		if err == nil {
			p.settled(ctx, n, last)
			return
		}
		p.unload()
		if p.over() || !p.rest(ctx, pauseOf(try)) {
			return
		}
	}
}

// settled takes the journal's count of what it has behind the last message that was
// known. Nothing is published before the accounts on disk say so.
func (p *publisher) settled(ctx context.Context, n int, last uint64) {
	o := p.spool
	o.skip += p.ledger.resumeSpool(n, last, o.Next() < o.End())
	p.passStored()
	for {
		err := p.ledger.saveNow(o.dir)
		if err == nil {
			break
		}
		p.log.Warn("accounts not saved; nothing is published before they are", "err", err)
		if !p.rest(ctx, lastPause) {
			return
		}
	}
	p.startDirect()
}

// startDirect lets records be published past the spool, once it is empty and the accounts
// on disk say so.
func (p *publisher) startDirect() {
	o := p.spool
	if o == nil || o.direct || o.Head() != nil {
		return
	}
	p.gone()
	err := p.ledger.saveNow(o.dir)
	if err != nil { // a full disk, it may be: all of the spool is published, so that it can go
		err = errors.Join(o.Forget(), p.ledger.saveNow(o.dir))
	}
	if err != nil {
		p.log.Warn("accounts not saved; recorded exchanges go through the spool", "err", err)
		return
	}
	if o.direct = true; o.held > 0 {
		p.log.Info("the spool is empty", "records", o.held, "after", time.Since(o.began).Round(time.Second).String())
	}
	o.skip, o.doubt = 0, false
	if err := o.Forget(); err != nil {
		p.log.Warn("spool", "err", err)
	}
}

// gone counts records of the spool that were damaged: they had been captured.
func (p *publisher) gone() {
	if lost := p.ledger.skipTo(p.spool.Next()); lost > 0 {
		p.spool.skip = 0
	}
}

// passStored passes the entries of which every record is stored.
func (p *publisher) passStored() {
	o := p.spool
	for e := o.Head(); e != nil && o.skip >= e.Records; e = o.Head() {
		o.skip -= e.Records
		o.Pass()
	}
}

// forward publishes the first entry of the spool, or waits until that can be tried again.
func (p *publisher) forward(ctx context.Context) {
	o := p.spool
	p.unload()
	e := o.Head()
	if e == nil {
		if p.startDirect(); !o.direct {
			p.rest(ctx, lastPause)
		}
		return
	}
	if e.First > p.ledger.spoolPosition() {
		p.gone()
	}
	if err := p.forwardEntry(ctx, e); err != nil {
		if errors.Is(err, journal.ErrUnavailable) {
			p.lost(err)
		} else if o.tries == 0 {
			p.log.Warn("the journal does not take what is spooled; it waits", "err", err)
		}
		o.tries++
		p.rest(ctx, pauseOf(o.tries))
		return
	}
	o.tries = 0
	p.passStored()
	if o.Spent() {
		p.forget()
	}
}

// forget deletes what is published, once the accounts on disk say that it is.
func (p *publisher) forget() {
	err := p.ledger.saveNow(p.spool.dir)
	if err == nil {
		err = p.spool.Forget()
	}
	if err != nil {
		p.log.Warn("the published part of the spool is not deleted yet", "err", err)
	}
}

// forwardEntry publishes what is not stored of the first entry, and of those behind it that
// go into the same message.
func (p *publisher) forwardEntry(ctx context.Context, e *spool.Entry) (err error) {
	o := p.spool
	if o.doubt {
		var n int
		var last uint64
		p.during(func() { n, last, err = p.askOnce(ctx, o.tries) })
		if err != nil {
			return err
		}
		o.skip, o.doubt = o.skip+n, false
		p.ledger.forwarded(n, last)
		if n > 0 {
			return nil // what is stored is passed, then the rest is published
		}
	}
	recs, err := journal.DecodeExchanges(e.Payload)
	if err != nil || len(recs) != e.Records { // sealed and checked, so it was written so
		p.dropSpooled(e.Records-o.skip, fmt.Errorf("read from the spool: %w", err))
		return nil
	}
	recs = o.fill(recs, len(e.Payload))[o.skip:]
	var seq uint64
	p.during(func() {
		err = guarded(ctx, patience(o.tries), func(ctx context.Context) (err error) {
			seq, err = p.to.PublishExchanges(ctx, recs[0].Submodule, recs)
			return err
		})
	})
	switch {
	case err == nil:
		p.up()
		o.skip += len(recs)
		p.ledger.forwarded(len(recs), seq)
	case errors.Is(err, journal.ErrUnavailable), errors.Is(err, journal.ErrFull):
		o.doubt = true
		return err
	default: // some of its messages may be stored
		n, last, ok := p.ask(ctx)
		if !ok {
			o.doubt = true
			return err
		}
		n = min(n, len(recs))
		o.skip += n
		p.ledger.forwarded(n, last)
		p.dropSpooled(len(recs)-n, err)
	}
	return nil
}

// fill adds to the records of the first entry, which has size bytes, those of the entries
// behind it, as long as they are of the same sub-module and fit into one message: entries
// are short where the traffic is, and a message each would be stored more slowly than new
// ones come.
func (o *overflow) fill(recs []*journal.Exchange, size int) []*journal.Exchange {
	for i := 1; len(recs) < batchRecords && size < batchBytes; i++ {
		e := o.After(i)
		if e == nil || len(recs)+e.Records > batchRecords || size+len(e.Payload) > batchBytes {
			break
		}
		more, err := journal.DecodeExchanges(e.Payload)
		if err != nil || len(more) != e.Records || more[0].Submodule != recs[0].Submodule {
			break
		}
		recs, size = append(recs, more...), size+len(e.Payload)
	}
	return recs
}

// dropSpooled drops records of the first entry that had been captured.
func (p *publisher) dropSpooled(n int, err error) {
	p.spool.skip += n
	p.ledger.uncaptured(n, refusal(err))
	p.log.Error("spooled records are refused", "records", n, "err", err)
}
