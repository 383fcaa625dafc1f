package sim

import (
	"net/http"
	"sync"
)

// ModelStats counts the calls of one model, as GET /__stats gives them.
type ModelStats struct {
	// Calls counts authenticated requests on arrival, OK those whose answer was
	// written to its end, Error all others that ended.
	Calls int `json:"calls"`
	OK    int `json:"ok"`
	Error int `json:"error"`
	// InputTokens and OutputTokens are what a provider would bill: the usage of
	// whole answers, and of a broken stream its input and the share of the
	// output that was sent.
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
}

type stats struct {
	mu     sync.Mutex
	models map[string]*ModelStats
}

func newStats() *stats { return &stats{models: map[string]*ModelStats{}} }

func (s *stats) model(id string) *ModelStats {
	m := s.models[id]
	if m == nil {
		m = &ModelStats{}
		s.models[id] = m
	}
	return m
}

// A tally is one call on its way into the counts. Not for concurrent use.
type tally struct {
	stats *stats
	model string
	done  bool
	// input and output are the tokens of the whole answer, known once there is
	// one; sent is the share of the output that went out.
	input, output int
	sent          float64
}

// arrive counts a call.
func (s *stats) arrive(id string) *tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model(id).Calls++
	return &tally{stats: s, model: id}
}

// settle counts the call's outcome; only the first time counts.
func (t *tally) settle(ok bool) {
	if t.done {
		return
	}
	t.done = true
	t.stats.mu.Lock()
	defer t.stats.mu.Unlock()
	m := t.stats.model(t.model)
	if ok {
		m.OK++
		t.sent = 1
	} else {
		m.Error++
	}
	m.InputTokens += t.input
	m.OutputTokens += int(float64(t.output) * t.sent)
}

func (s *stats) snapshot() map[string]ModelStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]ModelStats, len(s.models))
	for id, m := range s.models {
		out[id] = *m
	}
	return out
}

// reset forgets all counts. A call in flight settles into the new ones.
func (s *stats) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = map[string]*ModelStats{}
}

// serve answers GET /__stats.
func (s *stats) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(map[string]any{"models": s.snapshot()}))
}
