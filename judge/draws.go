package judge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"understudy/internal/journal"
)

// longestGrace bounds how long after its window a conversation still waits for
// exchanges that began inside it and were stored when their answer had ended.
const longestGrace = 2 * time.Minute

// draws knows the conversations of a stretch of time, so that of each one exchange
// can be drawn once its window is over. It reads the stream of exchanges from
// where the oldest trial in hand needs it.
type draws struct {
	j      *journal.Journal
	window time.Duration
	log    *slog.Logger

	mu    sync.Mutex
	convs map[conversation]*members
	// from: every message stored since then has been read, or is being read.
	from time.Time
	seen uint64
	// current is when everything was last known to have been read.
	current time.Time
	moved   chan struct{} // closed when from moves back
}

type conversation struct{ submodule, id string }

// members are the exchanges of a conversation, in no order. Its start is kept as
// long as it goes on, so that a later exchange does not begin it anew.
type members struct {
	start, latest time.Time
	list          []member
}

type member struct {
	at  time.Time
	key uint64
}

func newDraws(j *journal.Journal, window time.Duration, log *slog.Logger) *draws {
	return &draws{j: j, window: window, log: log, convs: map[conversation]*members{}, moved: make(chan struct{})}
}

// run reads until ctx ends.
func (d *draws) run(ctx context.Context) {
	go d.watch(ctx)
	for ctx.Err() == nil {
		d.mu.Lock()
		from, seen, moved := d.from, d.seen, d.moved
		d.mu.Unlock()
		if from.IsZero() { // no trial has asked yet
			select {
			case <-ctx.Done():
			case <-moved:
			}
			continue
		}
		reading, stop := context.WithCancel(ctx)
		go func() {
			select {
			case <-moved:
			case <-reading.Done():
			}
			stop()
		}()
		err := d.j.FollowFrom(reading, journal.StreamExchanges, from, seen, func(m *journal.Message) error {
			return d.read(moved, m)
		})
		stop()
		if ctx.Err() == nil && err != nil {
			d.log.Warn("reading exchanges was interrupted; going on", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// watch notes when the reader has come to the stream's end.
func (d *draws) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		end, err := d.j.LastSeq(ctx, journal.StreamExchanges)
		if err != nil {
			continue
		}
		d.mu.Lock()
		if !d.from.IsZero() && d.seen >= end {
			d.current = now
		}
		d.mu.Unlock()
	}
}

// read takes a message, unless the reader has begun anew meanwhile.
func (d *draws) read(life chan struct{}, m *journal.Message) error {
	list, err := journal.ReadExchanges(m.Subject, m.Data)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved != life {
		return nil
	}
	if err == nil { // what cannot be read is a dead letter elsewhere
		for _, x := range list {
			d.add(x)
		}
	}
	d.seen = m.Seq
	return nil
}

func (d *draws) add(x *journal.Exchange) {
	if x.Source != journal.SourceCapture || x.Conversation == "" {
		return
	}
	k := conversation{x.Submodule, x.Conversation}
	c := d.convs[k]
	if c == nil {
		c = &members{start: x.At}
		d.convs[k] = c
	}
	if x.At.Before(c.start) {
		c.start = x.At
	}
	if x.At.After(c.latest) {
		c.latest = x.At
	}
	if !x.At.Before(c.start.Add(d.window)) {
		return // it cannot be drawn any more
	}
	c.list = append(c.list, member{x.At, journal.DrawKey(x.Submodule, x.Conversation, x.ID)})
}

// cover makes the reader begin early enough for an exchange of that time.
func (d *draws) cover(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	need := at.Add(-d.window)
	if !d.from.IsZero() && !need.Before(d.from) {
		return
	}
	d.from = need.Add(-5 * time.Minute) // trials come a little out of order
	d.seen, d.current, d.convs = 0, time.Time{}, map[conversation]*members{}
	close(d.moved)
	d.moved = make(chan struct{})
}

// forget drops conversations that ended so long before oldest, the oldest exchange
// in hand, that its own cannot be among them. One that is silent for longer than that
// and goes on, or goes on over a restart for longer than its window, counts as a new
// one here: another of its exchanges may be judged, which no gate uses.
func (d *draws) forget(oldest time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bound := oldest.Add(-2 * d.window).Add(-5 * time.Minute)
	if !bound.After(d.from) {
		return
	}
	d.from = bound
	for k, c := range d.convs {
		if c.latest.Before(bound) {
			delete(d.convs, k)
		}
	}
}

// A draw is what is known of the conversation of a trial.
type draw struct {
	// wait: ask again after that time.
	wait time.Duration
	// drawn: the exchange is the one of its conversation.
	drawn bool
	start time.Time
}

// look tells whether the trial's exchange is drawn, once its conversation's window
// is over and everything that was stored by then has been read.
// arrived is when the trial came into hand: its exchange was stored before.
func (d *draws) look(t *journal.Trial, arrived, now time.Time) draw {
	if t.Conversation == "" {
		return draw{drawn: true, start: t.At}
	}
	const again = 50 * time.Millisecond
	d.cover(t.At)
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.convs[conversation{t.Submodule, t.Conversation}]
	if c == nil {
		if d.current.Before(arrived) { // the reader is on its way
			return draw{wait: again}
		}
		return draw{drawn: true, start: t.At} // the exchange has aged out of the stream
	}
	due := c.start.Add(d.window).Add(min(d.window/2, longestGrace))
	switch {
	case now.Before(due):
		return draw{wait: due.Sub(now)}
	case d.current.Before(due):
		return draw{wait: again}
	}
	best := member{key: ^uint64(0)}
	for _, m := range c.list {
		if m.at.Before(c.start.Add(d.window)) && m.key <= best.key {
			best = m
		}
	}
	return draw{drawn: best.key == journal.DrawKey(t.Submodule, t.Conversation, t.ExchangeID), start: c.start}
}
