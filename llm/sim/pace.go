package sim

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// Delay sums up how late sleeps ended.
type Delay struct {
	Count          int
	Mean, P99, Max time.Duration
}

// A pacer sleeps until a moment and remembers how late it woke.
type pacer struct {
	// Bucket i counts delays of up to 1.25^i µs; the last takes the rest.
	buckets [96]atomic.Int64
	count   atomic.Int64
	sum     atomic.Int64
	max     atomic.Int64
}

// until sleeps until t. A moment that has passed is no sleep and no delay: then
// the caller itself was late. False means that ctx ended first.
func (p *pacer) until(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		p.record(time.Since(t))
		return true
	}
}

func (p *pacer) record(late time.Duration) {
	late = max(late, 0)
	i := 0
	if us := float64(late) / 1e3; us > 1 {
		i = min(int(math.Ceil(math.Log(us)/math.Log(1.25))), len(p.buckets)-1)
	}
	p.buckets[i].Add(1)
	p.count.Add(1)
	p.sum.Add(int64(late))
	for {
		old := p.max.Load()
		if int64(late) <= old || p.max.CompareAndSwap(old, int64(late)) {
			return
		}
	}
}

// delay is exact for count, mean and max; the 99th percentile is its bucket's
// upper end, at most 25 % too high.
func (p *pacer) delay() Delay {
	n := p.count.Load()
	if n == 0 {
		return Delay{}
	}
	d := Delay{Count: int(n), Mean: time.Duration(p.sum.Load() / n), Max: time.Duration(p.max.Load())}
	need, seen := int64(math.Ceil(0.99*float64(n))), int64(0)
	for i := range p.buckets {
		if seen += p.buckets[i].Load(); seen >= need {
			d.P99 = min(time.Duration(math.Pow(1.25, float64(i))*1e3), d.Max)
			break
		}
	}
	return d
}
