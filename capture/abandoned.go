package capture

import (
	"context"
	"sync/atomic"
	"time"
)

// outlive gives the context of the request upstream. Where the exchange is recorded it
// goes on for a bounded time after the client has left: the provider bills what it has
// generated, and only the end of the answer says how much that is. release ends it.
func (p *passage) outlive(client context.Context) (ctx context.Context, release func()) {
	if p.take == nil || p.s.drainAbandoned == 0 {
		return client, func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() {
		t := time.NewTimer(p.s.drainAbandoned)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// slowShare and slowLeast are from which part of an exchange's time, and from how long,
// waiting for the client makes it slow.
const (
	slowShare = 0.05
	slowLeast = 50 * time.Millisecond
)

// A waited is how long an exchange waited for its client: for the bytes of the request,
// and for room for those of the answer. What the upstream did meanwhile is not known.
type waited struct{ ns atomic.Int64 }

func (w *waited) add(d time.Duration) { w.ns.Add(int64(d)) }

// slow tells whether the time that the exchange took says little about the upstream.
func (w *waited) slow(total time.Duration) bool {
	d := time.Duration(w.ns.Load())
	return d >= slowLeast && float64(d) >= slowShare*float64(total)
}
