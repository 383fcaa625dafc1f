package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"understudy/internal/journal"
)

// holdMost is how long a message is kept in hand while its endpoint is paused; then
// other hosts may try.
const holdMost = 10 * time.Minute

// A message is one delivery in hand: up to a few dozen exchanges of one sub-module.
type message struct {
	f    *feed
	d    *journal.Delivery
	list []*journal.Exchange
	done []bool
	// set is the attempt set that is to be stored of each exchange, stored what the last
	// one that is stored came to, and replaces the bucket in which they left it.
	set      []int
	stored   []journal.Stored
	replaces []journal.Disposition
	// lost counts, by record, calls whose hosts died before the answer was stored.
	lost map[string]int
	// places are those of its records in the feed's hand; nil outside of a feed.
	places *places
}

// deliver takes one message to its end: acknowledged when all of its records
// are terminal, else given back.
func (f *feed) deliver(ctx context.Context, d *journal.Delivery, places *places) {
	l := f.l
	alive, stop := context.WithCancel(ctx)
	defer stop()
	go l.heartbeat(alive, d)

	m := &message{f: f, d: d, places: places}
	again, err := m.work(ctx)
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

// work does what there is to do, waiting while the endpoint is paused. again above 0
// asks for the message to come again after that time.
func (m *message) work(ctx context.Context) (again time.Duration, err error) {
	if err := m.read(); err != nil {
		if errors.Is(err, errAway) {
			return 0, m.d.Err
		}
		return 0, m.f.deadMessage(ctx, m.d, err)
	}
	for began := time.Now(); ; {
		again, elsewhere, err := m.claimed(ctx)
		if err != nil || again == 0 || elsewhere || m.f.halted() || time.Since(began)+again > holdMost {
			return again, err
		}
		if m.f.l.faulty() { // it may be this host alone: others may have them at once
			return min(again, time.Second), nil
		}
		if !sleep(ctx, again) {
			return 0, ctx.Err()
		}
	}
}

// errAway tells that a body cannot be read now.
var errAway = errors.New("body is not readable now")

func (m *message) read() (err error) {
	d := m.d
	if d.Err != nil && !errors.Is(d.Err, journal.ErrNotFound) {
		return errAway
	}
	if d.Err != nil {
		return d.Err
	}
	m.list, err = journal.ReadExchanges(d.Subject, d.Data)
	m.done, m.set = make([]bool, len(m.list)), make([]int, len(m.list))
	m.stored, m.replaces = make([]journal.Stored, len(m.list)), make([]journal.Disposition, len(m.list))
	for i, ex := range m.list {
		m.done[i] = !m.f.wants(ex, d.Seq)
	}
	return err
}

// claimed does the work under a claim on the message, so that no other host does it as
// well; elsewhere tells that another one does, or died while doing it.
func (m *message) claimed(ctx context.Context) (again time.Duration, elsewhere bool, err error) {
	l := m.f.l
	claim, err := l.claims.Take(ctx, fmt.Sprintf("%s.%d", l.name, m.d.Seq))
	if err != nil {
		return 0, false, err
	}
	if claim == nil {
		if err := m.look(ctx); err != nil || m.finished() {
			return 0, false, err
		}
		return l.r.cfg.AckWait / 2, true, nil
	}
	release := claim.Hold(ctx)
	defer func() {
		if err := release(); err != nil {
			l.log.Debug("release claim", "err", err)
		}
	}()
	// Only now: whoever held the claim before may have stored trials.
	if err := m.look(ctx); err != nil {
		return 0, false, err
	}
	again, err = m.tryAll(ctx)
	return again, false, err
}

// look finds out which of the records are done, and what is known of earlier calls.
func (m *message) look(ctx context.Context) error {
	l := m.f.l
	if err := lookUp(ctx, l.r.j, []*message{m}, m.d.Deliveries > 1 || m.f.job != nil); err != nil {
		return err
	}
	if (m.d.Deliveries > 1 || m.f.job != nil) && m.lost == nil && !m.finished() {
		var err error
		m.lost, err = l.money.ledger.Load().Lost(ctx)
		return err
	}
	return nil
}

// lookUp finds out which records of the messages are done, and which attempt set the
// others are at; sure is as of StoredTrials.
func lookUp(ctx context.Context, j *journal.Journal, list []*message, sure bool) error {
	for again := true; again; {
		again = false
		var subjects []string
		for _, m := range list {
			for i := range m.list {
				if !m.done[i] {
					subjects = append(subjects, m.subject(i))
				}
			}
		}
		if len(subjects) == 0 {
			return nil
		}
		stored, err := j.StoredTrials(ctx, subjects, sure)
		if err != nil {
			return err
		}
		for _, m := range list {
			for i := range m.list {
				if s, ok := stored[m.subject(i)]; ok && !m.done[i] {
					again = m.next(i, s) || again
				}
			}
		}
	}
	return nil
}

// setsMost is how many attempt sets an exchange may have.
const setsMost = 100

// next goes to the attempt set behind one that is stored, where the feed tries again;
// else the exchange is done.
func (m *message) next(i int, s journal.Stored) bool {
	m.stored[i] = s
	if m.f.job == nil || !m.f.job.Again(s) || m.set[i] >= setsMost {
		m.done[i] = true
		return false
	}
	m.set[i]++
	if m.replaces[i] != journal.Tried {
		m.replaces[i] = s.Disposition
	}
	return true
}

func (m *message) finished() bool {
	for _, done := range m.done {
		if !done {
			return false
		}
	}
	return true
}

// tryAll tries the records that are not done side by side. again above 0 asks to go on
// after that time.
func (m *message) tryAll(ctx context.Context) (again time.Duration, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range m.list {
		if m.done[i] {
			continue
		}
		wg.Go(func() {
			wait, e := m.try(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			if m.done[i] = e == nil && wait == 0; m.done[i] && m.places != nil {
				m.places.give()
			}
			again, err = max(again, wait), errors.Join(err, e)
		})
	}
	wg.Wait()
	return again, err
}

// subject is where the trial of an exchange goes.
func (m *message) subject(i int) string {
	ex, ep := m.list[i], &m.f.l.c.Endpoint
	return journal.TrialSubject(ex.Submodule, ep.Name, journal.TrialID(ex.Key(m.d.Seq), ep.Name, ep.Model, "", m.set[i]))
}

// wants tells whether the exchange is the feed's to try.
func (f *feed) wants(ex *journal.Exchange, seq uint64) bool {
	return f.l.c.Wants(ex.Submodule) && (f.job == nil || f.job.Wants(ex, seq))
}

// deadMessage gives every record of an unreadable message up. Where not even
// their number is known it is one.
func (f *feed) deadMessage(ctx context.Context, d *journal.Delivery, cause error) error {
	l := f.l
	submodule, source, ok := journal.SubjectOf(d.Subject)
	if !ok || f.job != nil || !l.c.Wants(submodule) {
		return nil
	}
	l.log.Error("message cannot be read; its records are dead letters", "seq", d.Seq, "err", cause)
	var errs []error
	for i := range d.Records() {
		id := fmt.Sprintf("message-%d-%d", d.Seq, i)
		t := l.newTrial(&journal.Exchange{ID: id, At: time.Now().UTC(), Source: source, Submodule: submodule}, d.Seq, 0)
		errs = append(errs, l.finish(ctx, t, journal.DeadLetter, codeUnreadable, "message cannot be read: "+cause.Error()))
	}
	return errors.Join(errs...)
}
