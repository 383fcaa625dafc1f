package replay

import (
	"context"
	"sync"
	"time"
)

// A limit is how many calls of an endpoint may be in flight. A provider that
// throttles halves it, calls that it takes raise it again, slowly, up to what is
// configured.
type limit struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	allowed float64
	busy    int
	cut     time.Time // of the last halving
	waiting []chan struct{}
}

func newLimit(most int) *limit {
	return &limit{most: most, now: time.Now, allowed: float64(most)}
}

// acquire waits for a slot, first come first served.
func (l *limit) acquire(ctx context.Context) error {
	l.mu.Lock()
	if len(l.waiting) == 0 && l.busy < int(l.allowed) {
		l.busy++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // it came just now
		l.busy--
		l.next()
	default:
		for i, w := range l.waiting {
			if w == turn {
				l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
				break
			}
		}
	}
	return ctx.Err()
}

func (l *limit) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.next()
}

// next gives free slots to those that wait.
func (l *limit) next() {
	for len(l.waiting) > 0 && l.busy < int(l.allowed) {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.busy++
	}
}

// throttled halves the limit, once for all calls that were in flight together.
func (l *limit) throttled(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.Before(l.cut) {
		return
	}
	l.allowed = max(1, l.allowed/2)
	l.cut = l.now()
}

// worked raises the limit by one for each round of calls that the provider took.
func (l *limit) worked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allowed = min(float64(l.most), l.allowed+1/l.allowed)
	l.next()
}

// state is how many calls may be in flight now, and how many are.
func (l *limit) state() (allowed, busy int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.allowed), l.busy
}
