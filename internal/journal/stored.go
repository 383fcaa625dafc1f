package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"understudy/llm"
)

// Stored is what the headers of a stored trial say.
type Stored struct {
	Disposition Disposition
	Class       llm.Class
	// Backfill is the id of the backfill that stored it, empty without one.
	Backfill string
}

func storedAs(h nats.Header) Stored {
	return Stored{Disposition(h.Get(HeaderDisposition)), llm.Class(h.Get(HeaderClass)), h.Get(HeaderBackfill)}
}

// HasTrial tells whether a trial is stored.
func (j *Journal) HasTrial(ctx context.Context, submodule, candidate, id string) (bool, error) {
	found, err := j.StoredTrials(ctx, []string{TrialSubject(submodule, candidate, id)}, true)
	return len(found) > 0, err
}

// lookupMost is how many subjects the broker is asked for at once.
const lookupMost = 512

// StoredTrials tells which of the subjects have a trial, and what it came to, with one
// question to the broker for many. Of a replicated stream any replica may answer, also one
// that lags behind: with sure its leader is asked for each that was not found.
func (j *Journal) StoredTrials(ctx context.Context, subjects []string, sure bool) (map[string]Stored, error) {
	if err := j.usable("look up trials"); err != nil {
		return nil, err
	}
	found := map[string]Stored{}
	if len(subjects) == 1 {
		return found, j.lookupOne(ctx, subjects[0], found)
	}
	for rest := subjects; len(rest) > 0; {
		n := min(lookupMost, len(rest))
		if err := j.lookup(ctx, rest[:n], found); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	if !sure || !j.replicated(StreamTrials) {
		return found, nil
	}
	for _, s := range subjects {
		if _, ok := found[s]; ok {
			continue
		}
		if err := j.lookupOne(ctx, s, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (j *Journal) lookupOne(ctx context.Context, subject string, found map[string]Stored) error {
	m, err := j.lastStored(ctx, StreamTrials, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return classify("look up trial", err)
	}
	found[subject] = storedAs(m.Header)
	return nil
}

// lookup asks for the last message of each subject: the broker sends those that there
// are, and then a message with a status.
func (j *Journal) lookup(ctx context.Context, subjects []string, found map[string]Stored) error {
	ask, err := json.Marshal(map[string]any{"multi_last": subjects})
	if err != nil {
		return fmt.Errorf("encode look-up: %w", err)
	}
	inbox := j.nc.NewInbox()
	sub, err := j.nc.SubscribeSync(inbox)
	if err != nil {
		return classify("look up trials", err)
	}
	defer sub.Unsubscribe()
	if err := j.nc.PublishRequest("$JS.API.DIRECT.GET."+StreamTrials, inbox, ask); err != nil {
		return classify("look up trials", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return classify("look up trials", err)
		}
		switch status, _ := strconv.Atoi(m.Header.Get("Status")); {
		case status == 0:
			found[m.Header.Get(jetstream.SubjectHeader)] = storedAs(m.Header)
		case status == 204 || status == 404:
			return nil
		case status == 503:
			return fmt.Errorf("look up trials: %w", ErrUnavailable)
		default:
			return fmt.Errorf("look up trials: the broker answers %d %s; NATS 2.11 or later is needed", status, m.Header.Get("Description"))
		}
	}
}
