package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Forgetting is the order to forget units or conversations: each is named in every form
// in which it may be stored.
type Forgetting struct {
	Units         []string `json:"units,omitempty"`
	Conversations []string `json:"conversations,omitempty"`
}

func (f *Forgetting) has(unit, conversation string) bool {
	return unit != "" && slices.Contains(f.Units, unit) || conversation != "" && slices.Contains(f.Conversations, conversation)
}

// names are those of the secrets.
func (f *Forgetting) names() (names []string) {
	for _, u := range f.Units {
		names = append(names, unitName(u))
	}
	for _, c := range f.Conversations {
		names = append(names, conversationName(c))
	}
	return names
}

// A ForgetCount is how many records an order concerns.
type ForgetCount struct {
	Exchanges  int `json:"exchanges"`
	Trials     int `json:"trials"`
	Verdicts   int `json:"verdicts"`
	Judgements int `json:"judgements"`
	// Kept of the exchanges share a message with others' and stay in it, with their trials
	// and verdicts: their numbers are read, their texts are not, by anybody.
	Kept int `json:"kept"`
	// Plain of the kept were stored unsealed by an earlier version: they go by age.
	Plain int `json:"plain"`
}

// CountForgotten tells what Forget would come upon.
func (j *Journal) CountForgotten(ctx context.Context, f *Forgetting) (ForgetCount, error) {
	s, err := j.survey(ctx, f)
	return s.count, err
}

// Forget makes the texts of units and conversations unreadable and erases their records.
// It first deletes their secrets; then nobody opens a text any more, whatever comes
// after, except for what another process had read in the seconds before. Where it ends
// early it is to be called again, and completes.
func (j *Journal) Forget(ctx context.Context, f *Forgetting) (ForgetCount, error) {
	if err := j.usable("forget"); err != nil {
		return ForgetCount{}, err
	}
	j.forgetting.Lock()
	defer j.forgetting.Unlock()
	for _, name := range f.names() {
		if err := j.forgetSecrets(ctx, name); err != nil {
			return ForgetCount{}, err
		}
	}
	j.keys.clear()
	s, err := j.survey(ctx, f)
	if err != nil {
		return s.count, err
	}
	for _, one := range s.erase {
		if err := j.erase(ctx, one); err != nil {
			return s.count, fmt.Errorf("%w; the secrets are deleted, order it again to erase the rest", err)
		}
	}
	return s.count, nil
}

// forgetSecrets puts a tombstone behind the secrets of a name, and erases them.
func (j *Journal) forgetSecrets(ctx context.Context, name string) error {
	subject := secretSubject(name)
	for {
		last, err := j.lastSecret(ctx, subject)
		if err != nil && !errors.Is(err, errMaster) {
			return err
		}
		if last != nil && last.forgotten {
			return j.eraseBefore(ctx, subject, last.seq)
		}
		now := time.Now().UTC()
		seq, stored, err := j.appendSecret(ctx, subject, last, &secretRecord{Forgotten: true, Made: now, Since: now})
		if errors.Is(err, ErrFull) && last != nil { // it makes its own room
			err = j.eraseBefore(ctx, subject, last.seq+1)
		}
		if err != nil {
			return err
		}
		if stored {
			return j.eraseBefore(ctx, subject, seq)
		}
	}
}

// eraseBefore erases the messages of a subject in front of a sequence.
func (j *Journal) eraseBefore(ctx context.Context, subject string, seq uint64) error {
	err := j.eraseSubject(ctx, j.streams[StreamSecrets], StreamSecrets, subject, seq)
	return classify("erase secrets", err)
}

// A stale is a message that is to be erased, with its object.
type stale struct {
	stream, object string
	seq            uint64
}

// A survey is what the streams hold of those who are to be forgotten.
type survey struct {
	f      *Forgetting
	count  ForgetCount
	erase  []stale
	shared map[uint64]bool // messages of exchanges that hold others' too
	trials map[string]bool // those of the forgotten, by id, and whether they stay
}

// survey reads all records. What is to be erased comes in the order in which it is best
// erased: what explains another record goes after it.
func (j *Journal) survey(ctx context.Context, f *Forgetting) (*survey, error) {
	s := &survey{f: f, shared: map[uint64]bool{}, trials: map[string]bool{}}
	if err := j.Read(ctx, StreamExchanges, nil, s.exchanges); err != nil {
		return s, err
	}
	exchanges := s.erase
	s.erase = nil
	if err := j.Read(ctx, StreamTrials, nil, s.trial); err != nil {
		return s, err
	}
	trials := s.erase
	s.erase = nil
	if err := j.Read(ctx, StreamVerdicts, nil, s.verdict); err != nil {
		return s, err
	}
	s.erase = slices.Concat(s.erase, trials, exchanges)
	return s, nil
}

func (s *survey) exchanges(m *Message) error {
	list, err := ReadExchanges(m.Subject, m.Data)
	if err != nil {
		return nil // whose it is nobody can tell
	}
	mine, plain := 0, 0
	for _, e := range list {
		if !s.f.has(e.Unit, e.Conversation) {
			continue
		}
		mine++
		if len(e.Sealed) == 0 && len(e.Request)+len(e.Response) > 0 {
			plain++
		}
	}
	s.count.Exchanges += mine
	switch {
	case mine == len(list):
		s.stale(StreamExchanges, m)
	case mine > 0:
		s.shared[m.Seq] = true
		s.count.Kept += mine
		s.count.Plain += plain
	}
	return nil
}

func (s *survey) stale(stream string, m *Message) {
	s.erase = append(s.erase, stale{stream: stream, object: m.Header.Get(HeaderObject), seq: m.Seq})
}

func (s *survey) trial(m *Message) error {
	var t Trial
	if err := m.Decode(&t); err != nil || !s.f.has(t.Unit, t.Conversation) {
		return nil
	}
	s.count.Trials++
	stays := s.shared[t.ExchangeSeq] && !t.plain()
	s.trials[t.ID] = stays
	if !stays {
		s.stale(StreamTrials, m)
	}
	return nil
}

// plain tells that the texts of a trial lie there unsealed.
func (t *Trial) plain() bool { return t.Text != "" || t.Refusal != "" || len(t.ToolCalls) > 0 }

func (s *survey) verdict(m *Message) error {
	var v struct {
		TrialID      string `json:"trial_id"`
		Unit         string `json:"unit"`
		Conversation string `json:"conversation"`
		Diff         []any  `json:"diff"`
	}
	if err := m.Decode(&v); err != nil {
		return nil
	}
	stays, mine := s.trials[v.TrialID]
	if !mine && !s.f.has(v.Unit, v.Conversation) {
		return nil
	}
	if wanted(m.Subject, []string{judgements}) {
		s.count.Judgements++
	} else {
		s.count.Verdicts++
	}
	if !stays || len(v.Diff) > 0 || bytes.Contains(m.Data, []byte(`"reason":`)) { // these two are sealed otherwise
		s.stale(StreamVerdicts, m)
	}
	return nil
}
