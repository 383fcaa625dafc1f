package journal

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// IDTime is the time at which NewID gave an id; false for an id of another form.
func IDTime(id string) (time.Time, bool) {
	b, err := crockford.DecodeString(id)
	if err != nil || len(b) != 16 {
		return time.Time{}, false
	}
	var t [8]byte
	copy(t[2:], b[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(t[:]))), true
}

// FindExchange looks an exchange up by its id. One of our own ids says from
// where to read; where the clocks of proxy and broker differ too much for that, and for
// another id, the stream is read from its start. seq is the sequence of its message. One
// that was forgotten is found, without its bodies.
func (j *Journal) FindExchange(ctx context.Context, id string) (e *Exchange, seq uint64, err error) {
	if err := j.usable("find exchange"); err != nil {
		return nil, 0, err
	}
	if at, ok := IDTime(id); ok {
		from := at.Add(-time.Second)
		e, seq, err = j.findFrom(ctx, id, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from})
		if !errors.Is(err, ErrNotFound) {
			return e, seq, err
		}
	}
	return j.findFrom(ctx, id, jetstream.OrderedConsumerConfig{})
}

func (j *Journal) findFrom(ctx context.Context, id string, cfg jetstream.OrderedConsumerConfig) (e *Exchange, seq uint64, err error) {
	errFound := errors.New("found")
	err = j.readAll(ctx, StreamExchanges, cfg, nil, func(m *Message) error {
		list, err := ReadExchanges(m.Subject, m.Data)
		if err != nil {
			return nil // unreadable messages are dead letters elsewhere
		}
		for _, x := range list {
			if x.ID == id {
				e, seq = x, m.Seq
				return errFound
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return nil, 0, err
	}
	if e == nil {
		return nil, 0, fmt.Errorf("exchange %s: %w", id, ErrNotFound)
	}
	if err := j.Unseal(ctx, e); err != nil && !errors.Is(err, ErrForgotten) {
		return nil, 0, err
	}
	return e, seq, nil
}

// Trial reads a trial, or ErrNotFound.
func (j *Journal) Trial(ctx context.Context, submodule, candidate, id string) (*Trial, error) {
	var t Trial
	return &t, j.last(ctx, StreamTrials, TrialSubject(submodule, candidate, id), &t)
}

// Verdict reads the verdict of a trial, or ErrNotFound.
func (j *Journal) Verdict(ctx context.Context, submodule, candidate, id string) (*Verdict, error) {
	var v Verdict
	return &v, j.last(ctx, StreamVerdicts, VerdictSubject(submodule, candidate, id), &v)
}

// Judgement reads the judgement of a trial, or ErrNotFound.
func (j *Journal) Judgement(ctx context.Context, submodule, endpoint, id string) (*Judgement, error) {
	var v Judgement
	return &v, j.last(ctx, StreamVerdicts, JudgementSubject(submodule, endpoint, id), &v)
}

func (j *Journal) last(ctx context.Context, stream, subject string, record texted) error {
	if err := j.usable("read " + subject); err != nil {
		return err
	}
	m, err := j.lastStored(ctx, stream, subject)
	if err != nil {
		return classify("read "+subject, err)
	}
	data, err := j.body(ctx, m.Header, m.Data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, record); err != nil {
		return fmt.Errorf("decode %s: %w", subject, err)
	}
	return j.unsealTexts(ctx, record)
}

// LastSeq is the sequence of the last message that a stream holds, 0 for an
// empty one.
func (j *Journal) LastSeq(ctx context.Context, stream string) (uint64, error) {
	if err := j.usable("look at " + stream); err != nil {
		return 0, err
	}
	info, err := j.streams[stream].Info(ctx)
	if err != nil {
		return 0, classify("look at "+stream, err)
	}
	return j.held(ctx, stream, info.State)
}
