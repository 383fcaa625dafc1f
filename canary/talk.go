package canary

import (
	"slices"
	"time"

	"understudy/internal/journal"
)

// A talk is a conversation of a sub-module that has not entered in all its cells:
// what they share.
type talk struct {
	// exchanges are all that were captured, also those that no cell compares.
	exchanges map[string]time.Time
	// controls by exchange.
	controls map[string]*again
	// cells by candidate.
	cells  map[string]*waiting
	latest time.Time
}

type talkKey struct{ submodule, conversation string }

func (k waitingKey) talk() talkKey { return talkKey{k.submodule, k.conversation} }

// draw is the exchange that is judged. A single exchange draws itself.
func (t *talk) draw(k talkKey, window time.Duration) string {
	list := make([]member, 0, len(t.exchanges))
	for id, at := range t.exchanges {
		list = append(list, member{id, at})
	}
	return drawn(k.submodule, k.conversation, list, window)
}

// start is the time of the earliest exchange.
func (t *talk) start() time.Time {
	var first time.Time
	for _, at := range t.exchanges {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// control is what is known of the control of an exchange; it opens it.
func (t *talk) control(exchange string) *again {
	g := t.controls[exchange]
	if g == nil {
		g = &again{}
		t.controls[exchange] = g
	}
	return g
}

// judged tells that the control of an exchange before end has a judgement.
func (t *talk) judged(end time.Time) bool {
	for _, g := range t.controls {
		if g.said != nil && g.said.pair.Before(end) {
			return true
		}
	}
	return false
}

// talk remembers an exchange of a conversation, or finds it; nil where all cells of
// the conversation have entered.
func (a *Analyzer) talk(submodule, conversation, exchange string, at time.Time) *talk {
	k := talkKey{submodule, conversation}
	if conversation == "" {
		k.conversation = exchange
	}
	t := a.talks[k]
	if t == nil {
		if !a.awaited(k, conversation == "") {
			return nil
		}
		t = &talk{exchanges: map[string]time.Time{}, controls: map[string]*again{}, cells: map[string]*waiting{}}
		a.talks[k] = t
	}
	t.exchanges[exchange] = at
	if at.After(t.latest) {
		t.latest = at
	}
	return t
}

// awaited tells whether a cell of the conversation has not entered.
func (a *Analyzer) awaited(k talkKey, single bool) bool {
	return slices.ContainsFunc(a.submodules.Candidates(k.submodule), func(candidate string) bool {
		w := waitingKey{k.submodule, candidate, k.conversation}
		h := w.hash()
		if single { // its cell has entered when its pair is done
			h = pairHash(k.submodule, candidate, k.conversation)
			_, done := a.done[h]
			return !done
		}
		_, closed := a.closed[h]
		return !closed
	})
}

// controlTrial says how the replay of a control ended. It is never a candidate's.
func (a *Analyzer) controlTrial(t *journal.Trial) {
	if s := a.submodules.Find(t.Submodule); s == nil || s.Control == "" || s.Control != t.Candidate || t.Disposition == journal.Tried {
		return // a tried one is known by its verdict
	}
	if c := a.talk(t.Submodule, t.Conversation, t.ExchangeID, t.At); c != nil {
		c.control(t.ExchangeID).ended = true
	}
}

// controlVerdict says the control's side in numbers.
func (a *Analyzer) controlVerdict(v *journal.Verdict) {
	s := a.submodules.Find(v.Submodule)
	if s == nil || s.Control == "" || s.Control != v.Candidate {
		return
	}
	if !a.once(hash64(v.Submodule, v.Candidate, v.ExchangeID, "control")) {
		a.duplicates++
		return
	}
	var g again
	good := g.verdict(v)
	if good {
		a.controlFigures(v.Submodule).pair(v)
	} else {
		a.bad++
	}
	if t := a.talk(v.Submodule, v.Conversation, v.ExchangeID, v.At); t != nil {
		g.said = t.control(v.ExchangeID).said
		t.controls[v.ExchangeID] = &g
	}
}

// Judgement says what judges said of a drawn pair, or of the control of one.
func (a *Analyzer) Judgement(j *journal.Judgement) {
	if j.Source != journal.SourceCapture || j.Replaces == journal.Tried {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.submodules.Find(j.Submodule)
	control := j.Role == journal.RoleControl && s != nil && s.Control != "" && s.Control == j.Candidate
	if !control && (j.Role != journal.RoleCandidate || !a.engine.Known(j.Submodule, j.Candidate)) {
		return
	}
	if !a.once(hash64(j.Submodule, j.Candidate, j.ExchangeID, string(j.Role), "judgement")) {
		a.duplicates++
		return
	}
	found := saidBy(j)
	if control {
		a.controlFigures(j.Submodule).judged(found)
		if t := a.talk(j.Submodule, j.Conversation, j.ExchangeID, j.At); t != nil {
			t.control(j.ExchangeID).said = found
		}
		return
	}
	a.figure(j.Submodule, j.Candidate).judged.add(j, found)
	if p := a.expect(waitingKey{j.Submodule, j.Candidate, j.Conversation}, j.ExchangeID, j.At); p != nil {
		p.said = found
	}
}
