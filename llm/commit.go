package llm

import (
	"context"
	"sync/atomic"
	"time"
)

// A watch passes the events of one call of a chain on and decides, once, between two
// things: content came and the caller has seen it, or the time for it was over and
// nothing of this call will ever be seen.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	emit   func(Event)
	start  time.Time
	timed  bool // the time to the first content says something of the endpoint
	state  atomic.Int32
	begun  atomic.Int64 // time to the first content
}

const (
	undecided = iota
	committed
	expired
)

// watch begins to wait for the first content of a step: for FirstContent, and for no
// more than its share of the time that is left for all who can be asked. An answer
// that gives no event before it is whole has that share.
func (c *Chain) watch(ctx context.Context, call *Call, s *step) *watch {
	w := &watch{emit: call.Emit, start: time.Now(), timed: s.call.Streamed && !s.call.Buffered}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	if s.behind == 0 {
		return w
	}
	wait := c.cfg.FirstContent
	if deadline, ok := ctx.Deadline(); ok {
		share := time.Until(deadline) / time.Duration(s.behind+1)
		if wait = min(wait, share); !w.timed {
			wait = share
		}
	}
	w.timer = time.AfterFunc(wait, func() {
		if w.state.CompareAndSwap(undecided, expired) {
			w.cancel(errStalled)
		}
	})
	return w
}

// call is the step's call with events that go through the watch.
func (w *watch) call(prepared *Call) *Call {
	own := *prepared
	own.Emit = w.event
	return &own
}

// event passes an event on. The first one decides: that it is the finish means that
// the answer is empty, which is an answer.
func (w *watch) event(e Event) {
	if w.state.CompareAndSwap(undecided, committed) {
		w.begun.Store(int64(time.Since(w.start)))
		if w.timer != nil {
			w.timer.Stop()
		}
	}
	if w.state.Load() == committed && w.emit != nil {
		w.emit(e)
	}
}

// committed tells whether the caller has seen something of the answer. Without an
// Emit of its own the caller sees nothing before the answer is whole.
func (w *watch) committed() bool { return w.emit != nil && w.state.Load() == committed }

// first is the time to the first content, or to the end where none came; 0 for an
// answer that does not stream, whose length says nothing of the endpoint.
func (w *watch) first() time.Duration {
	switch d := w.begun.Load(); {
	case !w.timed:
		return 0
	case d > 0:
		return time.Duration(d)
	}
	return time.Since(w.start)
}

// complete says that the answer is whole. Should its time have been over in the very
// moment when it came, nothing of it was passed on yet.
func (w *watch) complete(resp *Response) {
	if w.state.Load() == expired && w.emit != nil {
		resp.Emit(w.emit)
	}
}

// end frees what the watch holds.
func (w *watch) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.cancel(nil)
}
