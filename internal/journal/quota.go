package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Quota paces the calls of one model, over all hosts together, to so many requests
// and so many tokens a minute. It is a schedule in a bucket: a host takes the next
// stretch of it by compare-and-set and uses it itself, so that calls are spread
// evenly and a host that dies leaves a stretch of a quarter of a second unused. It
// lies in memory: after a restart of the broker the schedule begins anew.
type Quota struct {
	requests, tokens *schedule
}

// quotaStretch is how much of a schedule a host takes at once.
const quotaStretch = 250 * time.Millisecond

// quotaMemory is how long tokens that a call did not need may be used by the next.
const quotaMemory = time.Minute

// quotaFarthest is how far ahead a schedule may be, beside a number of calls of the size
// at hand: those that wait do not book more. What lies further ahead was written by a host whose clock was wrong, and would hold
// every host up until then.
const (
	quotaFarthest = time.Hour
	quotaWaiting  = 256
)

// NewQuota opens the quota of a model, by a key that names provider, region and model;
// 0 of either is no limit, and a Quota without both never waits.
func (j *Journal) NewQuota(key string, requestsPerMinute, tokensPerMinute int) *Quota {
	return &Quota{j.newSchedule(key+"-requests", requestsPerMinute), j.newSchedule(key+"-tokens", tokensPerMinute)}
}

// Limited tells whether there is a limit at all.
func (q *Quota) Limited() bool { return q.requests != nil || q.tokens != nil }

// Take waits until a call of so many tokens may begin. It fails with the broker's error,
// or with that of ctx.
func (q *Quota) Take(ctx context.Context, tokens int) error {
	if err := q.requests.take(ctx, 1); err != nil {
		return err
	}
	return q.tokens.take(ctx, tokens)
}

// Return gives back the tokens that a call took and did not use; below 0 are those
// that it used beyond.
func (q *Quota) Return(unused int) {
	if q.tokens == nil {
		return
	}
	q.tokens.mu.Lock()
	defer q.tokens.mu.Unlock()
	q.tokens.credit += unused
	q.tokens.credited = time.Now()
}

// A schedule gives out units at even distances.
type schedule struct {
	j     *Journal
	key   string
	every float64 // nanoseconds between two units

	mu       sync.Mutex
	next     time.Time // of the units in hand
	left     int
	credit   int // units given back
	credited time.Time
}

func (j *Journal) newSchedule(key string, perMinute int) *schedule {
	if perMinute <= 0 {
		return nil
	}
	return &schedule{j: j, key: "rate." + Escape(key), every: float64(time.Minute) / float64(perMinute)}
}

// take waits for n units. Callers wait in turn for the schedule, and then side by side
// for their own moments.
func (s *schedule) take(ctx context.Context, n int) error {
	if s == nil || n <= 0 {
		return nil
	}
	at, err := s.book(ctx, n)
	if err != nil {
		return err
	}
	wait := time.Until(at)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// book takes n units and gives the moment of the first.
func (s *schedule) book(ctx context.Context, n int) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.credited) > quotaMemory {
		s.credit = min(s.credit, 0)
	}
	if s.credit != 0 {
		used := min(n, s.credit) // a debt makes it more
		n, s.credit = n-used, s.credit-used
	}
	if n <= 0 {
		return now, nil
	}
	if now.Sub(s.next) > quotaStretch { // what was not used in its time is gone
		s.left = 0
	}
	if s.left == 0 {
		if err := s.stretch(ctx, n); err != nil {
			return now, err
		}
	}
	at := s.next
	s.left = max(0, s.left-n)
	s.next = s.next.Add(time.Duration(float64(n) * s.every))
	if s.left == 0 {
		s.next = time.Time{}
	}
	return at, nil
}

// stretch takes the next part of the schedule that all hosts share: a quarter of a
// second of it, and at least n units.
func (s *schedule) stretch(ctx context.Context, n int) error {
	units := max(n, int(float64(quotaStretch)/s.every))
	for {
		kv, err := s.j.Bucket(ctx, BucketQuota)
		if err != nil {
			return err
		}
		var state struct {
			Next time.Time `json:"next"`
		}
		entry, err := kv.Get(ctx, s.key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			entry = nil
		case err != nil:
			return classify("read quota", err)
		default:
			if err := json.Unmarshal(entry.Value(), &state); err != nil {
				return fmt.Errorf("decode quota %s: %w", s.key, err)
			}
		}
		begin := time.Now()
		if ahead := state.Next.Sub(begin); ahead > 0 && ahead <= quotaFarthest+time.Duration(quotaWaiting*float64(units)*s.every) {
			begin = state.Next
		}
		state.Next = begin.Add(time.Duration(float64(units) * s.every))
		data, err := json.Marshal(state)
		if err != nil {
			return fmt.Errorf("encode quota: %w", err)
		}
		if entry == nil {
			_, err = kv.Create(ctx, s.key, data)
		} else {
			_, err = kv.Update(ctx, s.key, data, entry.Revision())
		}
		if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(rand.N(5 * time.Millisecond)):
			}
			continue
		}
		if err != nil {
			return classify("write quota", err)
		}
		s.next, s.left = begin, units
		return nil
	}
}
