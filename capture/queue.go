package capture

import (
	"sync"
	"time"
)

// A queue hands takes from the live path to the workers. Putting never waits.
// It has no length limit of its own: each take in it is charged to the budget,
// which is the limit.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond
	list   []*take
	head   int
	closed bool
}

func newQueue() *queue {
	q := &queue{}
	q.some.L = &q.mu
	return q
}

// put appends t; false when the queue is closed and t was not taken.
func (q *queue) put(t *take) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.list = append(q.list, t)
	q.some.Signal()
	return true
}

// next waits for a take; nil when the queue is closed and empty.
func (q *queue) next() *take {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.list) {
		if q.closed {
			return nil
		}
		q.list, q.head = q.list[:0], 0
		q.some.Wait()
	}
	t := q.list[q.head]
	q.list[q.head] = nil
	q.head++
	if q.head > 1024 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	return t
}

// close refuses further takes; those inside are still given out.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}

// oldest is when the first take inside was put; zero when there is none.
func (q *queue) oldest() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.list) {
		return time.Time{}
	}
	return q.list[q.head].queued
}
