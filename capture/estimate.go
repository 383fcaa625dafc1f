package capture

import (
	"sync"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai/tokens"
)

const (
	// maxEstimated is the size in bytes of the longest request and answer whose tokens
	// are counted here: a megabyte takes a tenth of a second.
	maxEstimated = 1 << 20
	// checksADay is how many answers with a reported usage are counted as well, for each
	// sub-module and UTC day in which a usage was estimated: enough to know the
	// error to a fraction of a percent.
	checksADay = 200
	// maxQueued is how long an exchange may have waited whose tokens are counted: when
	// there is a backlog, recording goes first, and its usage stays unknown.
	maxQueued = time.Second
)

// estimates counts the tokens of live answers that came without usage, and, where it
// did so, those of some that came with it, so that the error of the counting is known.
type estimates struct {
	mu   sync.Mutex
	day  string
	left map[string]int // checks left today, by sub-module
}

// fill counts where that is due. An answer that failed or that the client did not
// wait for has no usage: what was made of it before it broke is not known.
func (s *estimates) fill(e *journal.Exchange, req *llm.Request, answer *llm.Response) {
	if answer == nil || e.Class != llm.ClassOK || e.Aborted || e.Status >= 300 || len(e.Request)+len(e.Response) > maxEstimated {
		return
	}
	if e.Usage != nil && !s.check(e) {
		return
	}
	model := e.AnsweredModel
	if model == "" {
		model = e.Model
	}
	u, ok := tokens.Estimate(model, req, answer)
	if !ok {
		return
	}
	u.Estimated = true
	if e.Usage != nil {
		e.Estimate = &u
		return
	}
	e.Usage = &u
	s.began(e)
}

// began notes that a usage was estimated today.
func (s *estimates) began(e *journal.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(e.At)
	if _, ok := s.left[e.Submodule]; !ok {
		s.left[e.Submodule] = checksADay
	}
}

// check tells whether an answer with a usage is counted as well, and takes it off
// today's number.
func (s *estimates) check(e *journal.Exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(e.At)
	n := s.left[e.Submodule]
	if n == 0 {
		return false
	}
	s.left[e.Submodule] = n - 1
	return true
}

// turn begins a new day: sub-modules that had estimates yesterday are checked from its
// first answer on.
func (s *estimates) turn(at time.Time) {
	day := at.UTC().Format(time.DateOnly)
	if day <= s.day && s.left != nil {
		return
	}
	old := s.left
	s.day, s.left = day, map[string]int{}
	for submodule := range old {
		s.left[submodule] = checksADay
	}
}
