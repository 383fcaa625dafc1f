package canary

import (
	"strconv"
	"sync"
	"time"

	"understudy/internal/journal"
)

// An Analyzer decides while records come in. It takes exchanges, trials, verdicts
// and judgements, each kind in the order of its stream and the kinds in any order,
// and folds a conversation when its window is over and all its pairs are known,
// with the control and the judgement that they wait for, or at the verdict
// deadline; one open conversation blocks no other.
//
// Its memory holds the pairs of open conversations, states of fixed size, and
// eight bytes for each record, conversation and unit so far. It is
// rebuilt by reading the streams again, and is safe for concurrent use.
type Analyzer struct {
	config     Config
	submodules Submodules

	mu     sync.Mutex
	engine *Engine
	talks  map[talkKey]*talk
	// closed conversations, and pairs that are done, by hash.
	closed, done map[uint64]struct{}
	figures      map[cellKey]*figures
	controls     map[string]*controlFigures
	volumes      map[string]*volume
	// current: the streams have been read to their ends at least once. Until then
	// a conversation that looks complete may only be half read, so none closes.
	current         bool
	bad, duplicates int
	// decided is the last decision of each cell, as verdict and reason codes.
	decided map[cellKey]string
}

// NewAnalyzer makes an analyzer without evidence. Both arguments must have passed
// Validate.
func NewAnalyzer(c Config, s Submodules) *Analyzer {
	a := &Analyzer{config: c, submodules: s, decided: map[cellKey]string{}}
	a.Reset()
	return a
}

// Config is the section that the analyzer decides by.
func (a *Analyzer) Config() Config { return a.config }

// Reset forgets all evidence, before the streams are read again from their start.
// Decisions are remembered.
func (a *Analyzer) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.engine = NewEngine(a.config, a.submodules)
	a.talks = map[talkKey]*talk{}
	a.closed, a.done = map[uint64]struct{}{}, map[uint64]struct{}{}
	a.figures, a.volumes, a.controls = map[cellKey]*figures{}, map[string]*volume{}, map[string]*controlFigures{}
	a.current, a.bad, a.duplicates = false, 0, 0
}

// SetCurrent says that all streams have been read up to what they held when
// reading began. Conversations close from now on.
func (a *Analyzer) SetCurrent() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = true
}

// Exchange says which pairs to expect. Of the bodies only the request's outline is
// read. Exchanges of foreign publishers never enter a gate.
func (a *Analyzer) Exchange(x *journal.Exchange) {
	if x.Source != journal.SourceCapture {
		return
	}
	shape := outlineOf(x)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.once(hash64(x.Submodule, x.ID, "exchange")) {
		return
	}
	v := a.volumes[x.Submodule]
	if v == nil {
		v = newVolume()
		a.volumes[x.Submodule] = v
	}
	v.add(x, &shape)
	a.talk(x.Submodule, x.Conversation, x.ID, x.At) // also where no cell compares it
	for _, candidate := range a.submodules.Candidates(x.Submodule) {
		a.expect(waitingKey{x.Submodule, candidate, x.Conversation}, x.ID, x.At)
	}
}

// Trial says how a pair's replay ended. One that was not tried ends its pair without a
// comparison: it is counted apart. Where money or our own fault was the reason, it may be
// tried again; the pair then takes part if its conversation's window was still open.
// What was tried is tried: a later set of it is not read.
func (a *Analyzer) Trial(t *journal.Trial) {
	if t.Source != journal.SourceCapture {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Role == journal.RoleControl {
		a.controlTrial(t)
		return
	}
	if t.Role != journal.RoleCandidate || t.Replaces == journal.Tried || !a.engine.Known(t.Submodule, t.Candidate) || !a.once(trialHash(t)) {
		return
	}
	a.figure(t.Submodule, t.Candidate).ended(t)
	key := waitingKey{t.Submodule, t.Candidate, t.Conversation}
	switch t.Disposition {
	case journal.Tried:
		if p := a.expect(key, t.ExchangeID, t.At); p != nil && t.Replaces != "" {
			p.retried = t.StoredAt
		}
	case journal.OverBudget, journal.DeadLetter:
		if p := a.expect(key, t.ExchangeID, t.At); p != nil {
			p.ended = true
			return
		}
		a.drop(key, t.ExchangeID, t.At)
	default:
		a.drop(key, t.ExchangeID, t.At)
	}
}

// trialHash is one for each attempt set of a pair.
func trialHash(t *journal.Trial) uint64 {
	set := ""
	if t.Replaces != "" {
		set = strconv.Itoa(t.AttemptSet)
	}
	return hash64(t.Submodule, t.Candidate, t.ExchangeID, "trial"+set)
}

// Verdict says both sides of a pair in numbers. A second verdict of a pair is
// counted and not used, and so is one whose numbers no measurement gives. That of a
// trial after one that was tried is not read.
func (a *Analyzer) Verdict(v *journal.Verdict) {
	if v.Source != journal.SourceCapture {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if v.Role == journal.RoleControl {
		a.controlVerdict(v)
		return
	}
	if v.Role != journal.RoleCandidate || v.Replaces == journal.Tried || !a.engine.Known(v.Submodule, v.Candidate) {
		return
	}
	o := ObservationOf(v)
	key := waitingKey{v.Submodule, v.Candidate, v.Conversation}
	if v.Replaces != "" {
		a.verdictAgain(v, key, &o)
		return
	}
	if _, again := a.done[pairHash(v.Submodule, v.Candidate, v.ExchangeID)]; again {
		a.duplicates++
		return
	}
	if !o.valid() {
		a.bad++
		a.drop(key, v.ExchangeID, v.At)
		return
	}
	p := a.expect(key, v.ExchangeID, v.At)
	switch {
	case p == nil: // its conversation has entered without it
		a.engine.leaveOut(v.Submodule, v.Candidate)
		a.done[pairHash(v.Submodule, v.Candidate, v.ExchangeID)] = struct{}{}
	case p.observed:
		a.duplicates++
		return
	default:
		p.observed, p.at, p.judged, p.observation = true, v.At, v.JudgedAt, o
	}
	a.figure(v.Submodule, v.Candidate).pair(&o)
}

// verdictAgain takes the verdict of a pair that was tried only at a later attempt set. It
// shows in the figures, and enters where the pair does; nothing is left out by it.
func (a *Analyzer) verdictAgain(v *journal.Verdict, key waitingKey, o *Observation) {
	if !a.once(hash64(v.Submodule, v.Candidate, v.ExchangeID, "again")) {
		a.duplicates++
		return
	}
	if !o.valid() {
		a.bad++
		a.drop(key, v.ExchangeID, v.At)
		return
	}
	a.figure(v.Submodule, v.Candidate).pair(o)
	if p := a.expect(key, v.ExchangeID, v.At); p != nil {
		p.observed, p.at, p.judged, p.observation, p.retried = true, v.At, v.JudgedAt, *o, v.TriedAt
	}
}

// expect opens the pair of an exchange, or finds it. It is nil for a pair that is
// done and for one whose conversation has entered.
func (a *Analyzer) expect(key waitingKey, exchange string, at time.Time) *pair {
	t := a.talk(key.submodule, key.conversation, exchange, at)
	if key.conversation == "" {
		key.conversation = exchange
	}
	if _, done := a.done[pairHash(key.submodule, key.candidate, exchange)]; done {
		return nil
	}
	if _, closed := a.closed[key.hash()]; closed {
		return nil
	}
	w := t.cells[key.candidate]
	if w == nil {
		a.engine.cell(key.submodule, key.candidate) // traffic is seen before it is decided on
		w = &waiting{pairs: map[string]*pair{}}
		t.cells[key.candidate] = w
	}
	p := w.pairs[exchange]
	if p == nil {
		p = &pair{at: at}
		w.pairs[exchange] = p
	}
	return p
}

// drop ends a pair without a comparison.
func (a *Analyzer) drop(key waitingKey, exchange string, at time.Time) {
	t := a.talk(key.submodule, key.conversation, exchange, at)
	a.done[pairHash(key.submodule, key.candidate, exchange)] = struct{}{}
	if t != nil && t.cells[key.candidate] != nil {
		delete(t.cells[key.candidate].pairs, exchange)
	}
}

// once remembers a record by its hash; false means that it has been read before.
func (a *Analyzer) once(h uint64) bool {
	if _, again := a.done[h]; again {
		return false
	}
	a.done[h] = struct{}{}
	return true
}

func (a *Analyzer) figure(submodule, candidate string) *figures {
	key := cellKey{submodule, candidate}
	f := a.figures[key]
	if f == nil {
		f = newFigures()
		a.figures[key] = f
	}
	return f
}

// Look folds the conversations that are complete at now and says what the
// evidence amounts to. Before SetCurrent nothing is folded.
func (a *Analyzer) Look(now time.Time) Look {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.look(now)
}

func (a *Analyzer) look(now time.Time) Look {
	if a.current {
		for _, c := range a.closeReady(now) {
			if err := a.engine.Fold(c); err != nil {
				a.bad += len(c.Pairs) // out of its bounds in spite of validSide
				continue
			}
			a.figure(c.Submodule, c.Candidate).entered(c)
		}
	}
	l := a.engine.Look()
	l.BadLines, l.Duplicates = a.bad, a.duplicates
	return l
}
