package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetters reads the trials that are stored as dead letters now and that no later
// attempt set stands in the place of, in the order in which they were stored. Of all
// other trials it reads the headers alone.
func (j *Journal) DeadLetters(ctx context.Context, handle func(*Trial) error) error {
	if err := j.usable("read dead letters"); err != nil {
		return err
	}
	var subjects []string
	err := j.readAll(ctx, StreamTrials, jetstream.OrderedConsumerConfig{HeadersOnly: true}, nil, func(m *Message) error {
		if Disposition(m.Header.Get(HeaderDisposition)) == DeadLetter {
			subjects = append(subjects, m.Subject)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for len(subjects) > 0 {
		n := min(lookupMost, len(subjects))
		if err := j.deadLetters(ctx, subjects[:n], handle); err != nil {
			return err
		}
		subjects = subjects[n:]
	}
	return nil
}

func (j *Journal) deadLetters(ctx context.Context, subjects []string, handle func(*Trial) error) error {
	var list []*Trial
	var next []string
	for _, subject := range subjects {
		t := &Trial{}
		err := j.last(ctx, StreamTrials, subject, t)
		if errors.Is(err, ErrNotFound) {
			continue // it aged out meanwhile
		}
		if err != nil {
			return fmt.Errorf("read dead letter: %w", err)
		}
		list, next = append(list, t), append(next, t.nextSet())
	}
	stored, err := j.StoredTrials(ctx, next, false)
	if err != nil {
		return err
	}
	for i, t := range list {
		if _, replaced := stored[next[i]]; replaced {
			continue
		}
		if err := handle(t); err != nil {
			return err
		}
	}
	return nil
}

// nextSet is the subject of the trial's next attempt set.
func (t *Trial) nextSet() string {
	e := Exchange{ID: t.ExchangeID, Source: t.Source}
	return TrialSubject(t.Submodule, t.Candidate, TrialID(e.Key(t.ExchangeSeq), t.Candidate, t.Model, t.PromptRevision, t.AttemptSet+1))
}
