package llm

import (
	"context"
	"errors"
	"io"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// errStalled is the cause of a context that an Attempt ended in silence.
var errStalled = errors.New("nothing arrived within the stall timeout")

// An Attempt is the clock of one call: it gives the call its deadline, ends it
// when an answer that has begun falls silent, measures it, and tells afterwards
// what an error of the transport meant. Both wires share it, so that their
// timings and classes mean the same.
type Attempt struct {
	caller context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc
	stall  time.Duration
	timer  *time.Timer
	start  time.Time
	sent   atomic.Bool
}

// StartAttempt begins a call that may last timeout, and in whose answer at most
// stall may pass between two pieces. End must be called.
func StartAttempt(ctx context.Context, timeout, stall time.Duration) *Attempt {
	a := &Attempt{caller: ctx, stall: stall, start: time.Now()}
	limited, stop := context.WithTimeout(ctx, timeout)
	a.stop = stop
	traced := httptrace.WithClientTrace(limited, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.sent.Store(true) }})
	a.ctx, a.cancel = context.WithCancelCause(traced)
	return a
}

// Context ends with the attempt.
func (a *Attempt) Context() context.Context { return a.ctx }

// End frees what the attempt holds and cancels what still runs under it.
func (a *Attempt) End() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.cancel(context.Canceled)
	a.stop()
}

// Restart sets the clock to zero: the request leaves now.
func (a *Attempt) Restart() { a.start = time.Now() }

// Elapsed is the time since the request left.
func (a *Attempt) Elapsed() time.Duration { return time.Since(a.start) }

// Heard says that something arrived. The first call starts the watch for a
// stall: until an answer begins only the deadline counts, because a model may
// think for long. Not for concurrent use.
func (a *Attempt) Heard() { a.expectWithin(a.stall) }

func (a *Attempt) expectWithin(d time.Duration) {
	if a.timer == nil {
		a.timer = time.AfterFunc(d, func() { a.cancel(errStalled) })
		return
	}
	a.timer.Reset(d)
}

// Reader reads r, which is an answer's body, and calls Heard at each piece.
func (a *Attempt) Reader(r io.Reader) io.Reader { return heardReader{a, r} }

type heardReader struct {
	a *Attempt
	r io.Reader
}

func (h heardReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.a.Heard()
	}
	return n, err
}

// Drain reads the little that may follow an answer that is complete, so that
// its connection can serve the next call. It takes a quarter of a second at
// most; after it the attempt is of no more use.
func (a *Attempt) Drain(body io.Reader) {
	a.expectWithin(250 * time.Millisecond)
	_, _ = io.CopyN(io.Discard, body, 64<<10)
}

// Sent tells whether a connection was there for the request: before that no byte
// of it has left the machine.
func (a *Attempt) Sent() bool { return a.sent.Load() }

// Class says what an error of the transport meant: the caller went away, time
// ran out, or the connection broke, before an answer had begun (network) or
// after (truncated).
func (a *Attempt) Class(err error, begun bool) Class {
	switch cause := context.Cause(a.ctx); {
	case errors.Is(cause, errStalled):
		return ClassTimeout
	case errors.Is(a.caller.Err(), context.Canceled):
		return ClassCancelled
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return ClassTimeout
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ClassTimeout
	}
	if begun {
		return ClassTruncated
	}
	return ClassNetwork
}
