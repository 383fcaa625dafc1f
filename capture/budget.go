package capture

import "sync/atomic"

// A budget bounds the bytes that all exchanges in hand hold together. Whoever
// wants to keep bytes takes them before it allocates, and gives them back when
// it lets go. It never waits.
type budget struct {
	limit atomic.Int64
	used  atomic.Int64
}

// take charges n bytes, or nothing where they do not fit.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.limit.Load() {
		return true
	}
	b.used.Add(-n)
	return false
}

// give returns n bytes.
func (b *budget) give(n int64) { b.used.Add(-n) }
