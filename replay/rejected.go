package replay

import (
	"context"
	"sync"
	"time"

	"understudy/internal/journal"
)

// rejected are the cells (sub-module × candidate) that the deciding stage rejected last.
// What is captured after that is not tried there, unless the sub-module says to keep them.
type rejected struct {
	keep func(submodule string) bool // nil keeps none

	mu    sync.Mutex
	cells map[[2]string]time.Time // when they were rejected
	seen  uint64
}

// verdictReject is the word of a decision that rejects.
const verdictReject = "REJECT"

// holds tells whether an exchange captured at that time is not tried.
func (r *rejected) holds(submodule, candidate string, at time.Time) bool {
	if r.keep != nil && r.keep(submodule) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	since, ok := r.cells[[2]string{submodule, candidate}]
	return ok && at.After(since)
}

func (r *rejected) decided(d *journal.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.Verdict == verdictReject {
		if _, known := r.cells[[2]string{d.Submodule, d.Candidate}]; !known {
			r.cells[[2]string{d.Submodule, d.Candidate}] = d.At
		}
	} else {
		delete(r.cells, [2]string{d.Submodule, d.Candidate})
	}
}

// follow reads decisions until ctx ends; the last of a cell counts.
func (r *rejected) follow(ctx context.Context, j *journal.Journal) error {
	r.mu.Lock()
	seen := r.seen
	r.mu.Unlock()
	return j.Follow(ctx, journal.StreamDecisions, seen, false, func(m *journal.Message) error {
		var d journal.Decision
		if err := m.Decode(&d); err != nil {
			return err
		}
		r.decided(&d)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = m.Seq
		return nil
	})
}

// read takes what is decided already, before the first exchange is tried.
func (r *rejected) read(ctx context.Context, j *journal.Journal) error {
	return j.Read(ctx, journal.StreamDecisions, nil, func(m *journal.Message) error {
		var d journal.Decision
		if err := m.Decode(&d); err != nil {
			return err
		}
		r.decided(&d)
		return nil
	})
}
