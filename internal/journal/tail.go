package journal

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// A stream's last sequence stays what it is when its last message is erased. Who waits
// for that message would wait for ever, so what counts is the last that is held.

// A tail is what was found out of a stream's end.
type tail struct {
	deleted    int
	last, held uint64
}

// held is the sequence of the last message that a stream in that state holds, 0 for an
// empty one. The list of what is deleted is long, and only asked for when it changed.
func (j *Journal) held(ctx context.Context, stream string, state jetstream.StreamState) (uint64, error) {
	if state.Msgs == 0 {
		return 0, nil
	}
	if state.NumDeleted == 0 {
		return state.LastSeq, nil
	}
	j.mu.Lock()
	t, known := j.tails[stream]
	j.mu.Unlock()
	switch {
	case known && t.deleted == state.NumDeleted && t.last == state.LastSeq:
		return t.held, nil
	case known && t.deleted == state.NumDeleted && t.last < state.LastSeq:
		return state.LastSeq, nil // it came after
	}
	info, err := j.streams[stream].Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return 0, classify("look at "+stream, err)
	}
	t = tail{deleted: info.State.NumDeleted, last: info.State.LastSeq, held: info.State.LastSeq}
	for slices.Contains(info.State.Deleted, t.held) {
		t.held--
	}
	if info.State.Msgs == 0 {
		t.held = 0
	}
	j.mu.Lock()
	j.tails[stream] = t
	j.mu.Unlock()
	return t.held, nil
}

// fromTime makes a reader that begins at a time one that begins at the stream's start and
// passes over what is older, where the server cannot find the time: one that was started
// after the last message was erased takes the stream to be of no time at all.
func (j *Journal) fromTime(ctx context.Context, stream string, cfg *jetstream.OrderedConsumerConfig, handle func(*Message) error) (func(*Message) error, error) {
	if cfg.OptStartTime == nil {
		return handle, nil
	}
	info, err := j.streams[stream].Info(ctx)
	if err != nil {
		return nil, classify("look at "+stream, err)
	}
	if info.State.Msgs == 0 || !info.State.LastTime.IsZero() {
		return handle, nil
	}
	from := *cfg.OptStartTime
	cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverAllPolicy, nil
	return func(m *Message) error {
		if m.At.Before(from) {
			return nil
		}
		return handle(m)
	}, nil
}
