package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"understudy/internal/journal"
)

// pairGap is by how much the second of a pair, candidate or control, begins later.
// Which of them that is, a hash of the exchange draws.
const pairGap = 500 * time.Millisecond

// slack is how far behind its schedule a lane may be before the schedule begins anew:
// then it was away or is held up by quotas, and does not rush to catch up.
const slack = time.Minute

// farthest is how far ahead an exchange may be due: a longer silence in what was
// captured, or a time that makes no sense, begins the schedule anew as well.
const farthest = 24 * time.Hour

// A window is a part of every UTC day, from and until in minutes after midnight; it
// may go over midnight.
type window struct{ from, until int }

// parseWindow reads "20:00-06:00".
func parseWindow(s string) (window, error) {
	a, b, ok := strings.Cut(s, "-")
	from, err1 := time.Parse("15:04", strings.TrimSpace(a))
	if strings.TrimSpace(b) == "24:00" {
		b = "00:00"
	}
	until, err2 := time.Parse("15:04", strings.TrimSpace(b))
	if !ok || err1 != nil || err2 != nil {
		return window{}, fmt.Errorf("%q is not a part of the day like \"20:00-06:00\" (UTC)", s)
	}
	w := window{from.Hour()*60 + from.Minute(), until.Hour()*60 + until.Minute()}
	if w.from == w.until {
		return window{}, fmt.Errorf("%q begins where it ends; without windows it is the whole day", s)
	}
	return w, nil
}

func (w window) holds(minute int) bool {
	if w.from < w.until {
		return w.from <= minute && minute < w.until
	}
	return minute >= w.from || minute < w.until
}

// closedFor is how long it is until one of the windows opens, 0 inside of one and
// where there is none.
func closedFor(windows []window, now time.Time) time.Duration {
	if len(windows) == 0 {
		return 0
	}
	now = now.UTC()
	minute := now.Hour()*60 + now.Minute()
	into := time.Duration(now.Second())*time.Second + time.Duration(now.Nanosecond())
	wait := 24 * time.Hour
	for _, w := range windows {
		if w.holds(minute) {
			return 0
		}
		wait = min(wait, time.Duration((w.from-minute+24*60)%(24*60))*time.Minute-into)
	}
	return wait
}

// A pace is a lane's schedule: exchanges are tried in the rhythm in which they were
// captured, speed times as fast. All hosts share it.
type pace struct {
	speed float64
	read  func(context.Context) (journal.Pace, error)
	write func(context.Context, journal.Pace) error
	now   func() time.Time

	mu     sync.Mutex
	anchor journal.Pace
	until  time.Time // when the anchor is read again
}

// anchorLife is how long the shared schedule is believed without a look.
const anchorLife = time.Second

func newPace(j *journal.Journal, lane string, speed float64) *pace {
	return &pace{
		speed: speed, now: time.Now,
		read:  func(ctx context.Context) (journal.Pace, error) { return j.Pace(ctx, lane) },
		write: func(ctx context.Context, p journal.Pace) error { return j.PutPace(ctx, lane, p) },
	}
}

// due is when an exchange of that time is to be tried; the zero time is at once.
func (p *pace) due(ctx context.Context, at time.Time) (time.Time, error) {
	if p.speed <= 0 {
		return time.Time{}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.now().After(p.until) {
			anchor, err := p.read(ctx)
			if err != nil {
				return time.Time{}, err
			}
			p.anchor, p.until = anchor, p.now().Add(anchorLife)
		}
		due := p.anchor.Wall.Add(time.Duration(float64(at.Sub(p.anchor.Event)) / p.speed))
		if p.anchor.Speed == p.speed && p.now().Sub(due) < slack && due.Sub(p.now()) < farthest {
			return due, nil
		}
		p.until = time.Time{} // whatever comes of it, the stored one counts
		now := p.now().UTC()
		err := p.write(ctx, journal.Pace{Wall: now, Event: at, Speed: p.speed, Revision: p.anchor.Revision})
		if err != nil && !errors.Is(err, journal.ErrContested) {
			return time.Time{}, err
		}
	}
}

// second tells whether the lane is the second of the exchange's pair.
func (l *lane) second(ex *journal.Exchange, seq uint64) bool {
	if l.c.Paired == nil || !l.c.Paired(ex.Submodule) {
		return false
	}
	controlFirst := journal.Share("order", ex.Key(seq)) < 0.5
	return controlFirst != l.control()
}

// waitFor is how long an exchange that was stored at the given time has to wait.
func (f *feed) waitFor(ctx context.Context, ex *journal.Exchange, seq uint64, stored time.Time) (time.Duration, error) {
	due, err := f.l.pace.due(ctx, ex.At)
	if err != nil {
		return 0, err
	}
	if f.l.second(ex, seq) {
		if later := stored.Add(pairGap); later.After(due) {
			due = later
		}
	}
	return time.Until(due), nil
}
