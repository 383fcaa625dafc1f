package llm

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerConfig says when an endpoint of a chain is left alone.
type BreakerConfig struct {
	// Window is how far back calls count, MinCalls how many it must hold before they
	// say anything.
	Window   time.Duration
	MinCalls int
	// FailureRate and SlowRate, 0 to 1, open the breaker where the share of failures,
	// or of calls slower than SlowAfter, is as high.
	FailureRate, SlowRate float64
	// SlowAfter is the time to the first content above which a call is slow.
	SlowAfter time.Duration
	// OpenFor is how long the endpoint is left alone before Probes calls try it; all
	// of them must do well to close the breaker.
	OpenFor time.Duration
	Probes  int
}

// DefaultBreakerConfig opens after half of at least ten calls in half a minute.
func DefaultBreakerConfig() BreakerConfig {
	return BreakerConfig{Window: 30 * time.Second, MinCalls: 10, FailureRate: 0.5, SlowRate: 0.8, SlowAfter: 5 * time.Second, OpenFor: 15 * time.Second, Probes: 2}
}

// Validate reports what is wrong, all faults joined.
func (c *BreakerConfig) Validate() error {
	var errs faults
	if c.Window <= 0 || c.OpenFor <= 0 || c.SlowAfter <= 0 {
		errs.add("window, open_for and slow_after must be above 0")
	}
	if c.MinCalls < 1 || c.Probes < 1 {
		errs.add("min_calls and probes must be at least 1")
	}
	if !(c.FailureRate > 0 && c.FailureRate <= 1 && c.SlowRate > 0 && c.SlowRate <= 1) {
		errs.add("failure_rate and slow_rate are shares above 0, at most 1")
	}
	return errors.Join(errs...)
}

// windowParts is in how many parts the window moves on.
const windowParts = 10

// A breaker leaves an endpoint alone that fails too often or is too slow. It is two of
// the library's, since each has its own rate; an endpoint is asked when both allow it.
type breaker struct {
	failures, slowness *gobreaker.TwoStepCircuitBreaker[struct{}]
	slowAfter          time.Duration
}

// What is told to the library: a bad call, or one that says nothing.
var (
	errBad     = errors.New("bad")
	errNeutral = errors.New("neutral")
)

func newBreaker(c BreakerConfig) *breaker {
	one := func(rate float64) *gobreaker.TwoStepCircuitBreaker[struct{}] {
		return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			MaxRequests: uint32(c.Probes), Interval: c.Window, BucketPeriod: c.Window / windowParts, Timeout: c.OpenFor,
			ReadyToTrip: func(n gobreaker.Counts) bool {
				calls := n.TotalSuccesses + n.TotalFailures
				return int(calls) >= c.MinCalls && float64(n.TotalFailures) >= rate*float64(calls)
			},
			IsExcluded: func(err error) bool { return errors.Is(err, errNeutral) },
		})
	}
	return &breaker{failures: one(c.FailureRate), slowness: one(c.SlowRate), slowAfter: c.SlowAfter}
}

// allow asks whether a call may be made; ok tells, and done must then be told how it
// went: its class, and the time to its first content.
func (b *breaker) allow() (done func(Class, time.Duration), ok bool) {
	failed, ok := begin(b.failures)
	if !ok {
		return nil, false
	}
	slow, ok := begin(b.slowness)
	if !ok {
		failed(errNeutral)
		return nil, false
	}
	return func(class Class, first time.Duration) {
		failed(failure(class))
		slow(b.slow(class, first))
	}, true
}

// begin asks one of the library's breakers for a call. It counts a call in the part of
// the window in which it began, and forgets that of one that hung for as long as the
// window is; so a call that is not a probe is told when it ends.
func begin(b *gobreaker.TwoStepCircuitBreaker[struct{}]) (done func(error), ok bool) {
	if b.State() != gobreaker.StateClosed {
		done, err := b.Allow()
		return done, err == nil
	}
	return func(result error) {
		if b.State() != gobreaker.StateClosed {
			return // it opened meanwhile, and probes decide
		}
		if done, err := b.Allow(); err == nil {
			done(result)
		}
	}, true
}

// failure is what a class tells of the endpoint.
func failure(class Class) error {
	switch {
	case class.CountsAgainst():
		return errBad
	case class == ClassOK:
		return nil
	}
	return errNeutral
}

// slow is what the time to the first content tells.
func (b *breaker) slow(class Class, first time.Duration) error {
	switch {
	case class == ClassCancelled, first == 0: // no time was measured
		return errNeutral
	case first > b.slowAfter:
		return errBad
	case class == ClassOK:
		return nil
	}
	return errNeutral
}

func (b *breaker) open() bool {
	return b.failures.State() == gobreaker.StateOpen || b.slowness.State() == gobreaker.StateOpen
}
