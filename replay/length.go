package replay

import (
	"slices"
	"sync"
)

// How many lengths are looked at, how many it takes before they say anything, and how
// far above the 99th percentile of them a limit lies.
const (
	lengthsKept  = 1000
	lengthsFirst = 100
	lengthRoom   = 1.25
	lengthLeast  = 256
)

// lengths are how many tokens the answers of each sub-module had, those that users got
// and those of the lane. Where a request sets no limit they give one: Bedrock takes a
// call's whole limit out of the quota while it runs.
type lengths struct {
	mu sync.Mutex
	of map[string]*sample
}

type sample struct {
	tokens []int
	next   int
	fresh  int // since limit was worked out
	limit  int
}

func newLengths() *lengths { return &lengths{of: map[string]*sample{}} }

func (l *lengths) saw(submodule string, tokens int) {
	if tokens <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of[submodule]
	if s == nil {
		s = &sample{}
		l.of[submodule] = s
	}
	if len(s.tokens) < lengthsKept {
		s.tokens = append(s.tokens, tokens)
	} else {
		s.tokens[s.next] = tokens
		s.next = (s.next + 1) % lengthsKept
	}
	s.fresh++
}

// limit is what an answer of the sub-module may be expected to need, 0 before enough
// is known.
func (l *lengths) limit(submodule string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of[submodule]
	if s == nil || len(s.tokens) < lengthsFirst {
		return 0
	}
	if s.limit == 0 || s.fresh >= lengthsFirst {
		sorted := slices.Sorted(slices.Values(s.tokens))
		p99 := sorted[min(len(sorted)-1, len(sorted)*99/100)]
		s.limit, s.fresh = max(lengthLeast, (int(float64(p99)*lengthRoom)+63)/64*64), 0
	}
	return s.limit
}
