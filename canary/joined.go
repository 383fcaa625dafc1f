package canary

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"understudy/internal/journal"
)

// isJudgement tells the two kinds of record apart that the stream of verdicts holds.
func isJudgement(m *journal.Message) bool {
	return strings.HasPrefix(m.Subject, "understudy.judgement.")
}

// Joined makes the observations of a stream of verdicts that is read twice: Read
// takes what judges and the control said, Observation then completes each verdict.
// Exchange, in between, makes the draw exact: one that no candidate was tried on may have
// been the drawn one.
//
// What it gives is what an Analyzer folds that has read the same records, but for
// records that came after the verdict deadline.
type Joined struct {
	config     Config
	submodules Submodules
	now        time.Time

	talks map[talkKey]*recorded
	// again: some pair was tried at a later attempt set.
	again bool
}

// recorded is what is known of one conversation of a sub-module.
type recorded struct {
	exchanges []member
	controls  map[string]*again
	// said by candidate and exchange.
	said  map[string]map[string]*said
	start time.Time
	// drawn, once it was asked for.
	drawn string
}

// never is a deadline that no record is after.
var never = time.Unix(1<<40, 0)

// NewJoined makes it for records of the configured sub-modules. A judgement may
// still come for what is within the verdict deadline at now.
func NewJoined(c Config, s Submodules, now time.Time) *Joined {
	return &Joined{config: c, submodules: s, now: now, talks: map[talkKey]*recorded{}}
}

// NeedsExchanges tells, once all is read, that Exchange must be called for what it gives
// to be exact: models judge, or when a conversation began decides what takes part.
func (j *Joined) NeedsExchanges() bool {
	return j.again || slices.ContainsFunc(j.submodules, func(s Submodule) bool { return s.Judged })
}

// Exchange takes part in the draw. Foreign ones are ignored.
func (j *Joined) Exchange(x *journal.Exchange) {
	if x.Source != journal.SourceCapture {
		return
	}
	if s := j.submodules.Find(x.Submodule); s != nil && (s.Judged || j.again) {
		j.talk(x.Submodule, x.Conversation, x.ID, x.At)
	}
}

// Read takes a message of the stream of verdicts, in the first pass.
func (j *Joined) Read(m *journal.Message) error {
	if isJudgement(m) {
		var v journal.Judgement
		if err := m.Decode(&v); err != nil {
			return fmt.Errorf("join judgement: %w", err)
		}
		j.judgement(&v)
		return nil
	}
	var v journal.Verdict
	if err := m.Decode(&v); err != nil {
		return fmt.Errorf("join verdict: %w", err)
	}
	j.verdict(&v)
	return nil
}

func (j *Joined) verdict(v *journal.Verdict) {
	s := j.submodules.Find(v.Submodule)
	if v.Source != journal.SourceCapture || s == nil || v.Replaces == journal.Tried {
		return
	}
	j.again = j.again || v.Replaces != ""
	if !s.Judged && s.Control == "" && v.Replaces == "" {
		return
	}
	t := j.talk(v.Submodule, v.Conversation, v.ExchangeID, v.At)
	if v.Role != journal.RoleControl || s.Control == "" || v.Candidate != s.Control {
		return
	}
	g := t.control(v.ExchangeID)
	if !g.observed { // a second verdict is not used
		g.verdict(v)
	}
}

func (j *Joined) judgement(v *journal.Judgement) {
	s := j.submodules.Find(v.Submodule)
	if v.Source != journal.SourceCapture || s == nil || v.Replaces == journal.Tried {
		return
	}
	t := j.talk(v.Submodule, v.Conversation, v.ExchangeID, v.At)
	switch {
	case v.Role == journal.RoleControl && s.Control != "" && v.Candidate == s.Control:
		if g := t.control(v.ExchangeID); g.said == nil {
			g.said = saidBy(v)
		}
	case v.Role == journal.RoleCandidate:
		if t.said[v.Candidate] == nil {
			t.said[v.Candidate] = map[string]*said{}
		}
		if t.said[v.Candidate][v.ExchangeID] == nil {
			t.said[v.Candidate][v.ExchangeID] = saidBy(v)
		}
	}
}

func (j *Joined) talk(submodule, conversation, exchange string, at time.Time) *recorded {
	k := talkKey{submodule, conversation}
	if conversation == "" {
		k.conversation = exchange
	}
	t := j.talks[k]
	if t == nil {
		t = &recorded{controls: map[string]*again{}, said: map[string]map[string]*said{}, start: at}
		j.talks[k] = t
	}
	// The records of one exchange mostly follow each other; the draw does not mind
	// the same one twice.
	if n := len(t.exchanges); n == 0 || t.exchanges[n-1].id != exchange {
		t.exchanges = append(t.exchanges, member{exchange, at})
	}
	if at.Before(t.start) {
		t.start = at
	}
	return t
}

func (t *recorded) control(exchange string) *again {
	g := t.controls[exchange]
	if g == nil {
		g = &again{}
		t.controls[exchange] = g
	}
	return g
}

// judged tells that an exchange before end has a judgement of the candidate.
func (t *recorded) judged(candidate string, end time.Time) bool {
	for _, s := range t.said[candidate] {
		if s.pair.Before(end) {
			return true
		}
	}
	return false
}

// Observation is the observation of a verdict, in the second pass; false for messages
// that are no candidate's verdict, for those of foreign publishers, and for trials that
// are no evidence: of what had been tried before, or was tried again after its
// conversation's window.
func (j *Joined) Observation(m *journal.Message) (Observation, bool, error) {
	if isJudgement(m) {
		return Observation{}, false, nil
	}
	var v journal.Verdict
	if err := m.Decode(&v); err != nil {
		return Observation{}, false, fmt.Errorf("join verdict: %w", err)
	}
	if v.Source != journal.SourceCapture || v.Role != journal.RoleCandidate || v.Replaces == journal.Tried || v.Replaces != "" && j.late(&v) {
		return Observation{}, false, nil
	}
	o := ObservationOf(&v)
	j.complete(&o)
	return o, true, nil
}

// late tells that a pair was tried again only after its conversation's window.
func (j *Joined) late(v *journal.Verdict) bool {
	k := talkKey{v.Submodule, v.Conversation}
	if v.Conversation == "" {
		k.conversation = v.ExchangeID
	}
	t := j.talks[k]
	return t != nil && !v.TriedAt.Before(t.start.Add(j.config.ConversationWindow))
}

func (j *Joined) complete(o *Observation) {
	k := talkKey{o.Submodule, o.cluster()}
	s, t := j.submodules.Find(o.Submodule), j.talks[k]
	if s == nil || t == nil {
		return
	}
	end := t.start.Add(j.config.ConversationWindow)
	found := join{other: t.judged(o.Candidate, end), pending: j.now.Before(t.start.Add(j.config.VerdictDeadline))}
	if o.At.Before(end) {
		found.said = t.said[o.Candidate][o.ExchangeID]
	}
	found.control = t.controls[o.ExchangeID].by(never, end)
	if s.Judged {
		if t.drawn == "" {
			t.drawn = drawn(k.submodule, k.conversation, t.exchanges, j.config.ConversationWindow)
		}
		found.drawn = o.ExchangeID == t.drawn
	}
	found.complete(s, o)
}
