package journal

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ExchangeSpan gives the sequences of the first and the last message of exchanges that
// were stored from since on and before until, by the broker's clock; a zero time is no
// bound. last is below first where there is none.
func (j *Journal) ExchangeSpan(ctx context.Context, since, until time.Time) (first, last uint64, err error) {
	if last, err = j.LastSeq(ctx, StreamExchanges); err != nil || last == 0 {
		return 1, 0, err
	}
	first = 1
	if !since.IsZero() {
		if first, err = j.firstFrom(ctx, StreamExchanges, since, last+1); err != nil {
			return 1, 0, err
		}
	}
	if until.IsZero() {
		return first, last, nil
	}
	after, err := j.firstFrom(ctx, StreamExchanges, until, last+1)
	if err != nil {
		return 1, 0, err
	}
	return first, after - 1, nil
}

// firstFrom is the sequence of a stream's first message that was stored at the time or
// later, none where there is no such message.
func (j *Journal) firstFrom(ctx context.Context, stream string, at time.Time, none uint64) (uint64, error) {
	seq := none
	cfg := jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &at}
	err := j.readAll(ctx, stream, cfg, nil, func(m *Message) error {
		if m.At.Before(at) {
			return nil
		}
		seq = m.Seq
		return errEnough
	}, jetstream.PullMaxMessages(1))
	if errors.Is(err, errEnough) {
		err = nil
	}
	return min(seq, none), err
}

// errEnough ends a reading early.
var errEnough = errors.New("enough is read")

// prefetch is how many messages a reading of many holds: a message may have half a
// megabyte, and its object more.
const prefetch = 16

// ReadSpan reads the messages of exchanges of the sub-modules (none: all) from sequence
// first to last, in order, and returns. Few of them are in memory at once.
func (j *Journal) ReadSpan(ctx context.Context, submodules []string, first, last uint64, handle func(*Message) error) error {
	if last < first || last == 0 {
		return nil
	}
	cfg := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(1, first),
	}
	err := j.readAll(ctx, StreamExchanges, cfg, submoduleFilters(submodules), func(m *Message) error {
		if m.Seq > last {
			return errEnough
		}
		return handle(m)
	}, jetstream.PullMaxMessages(prefetch))
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// LatestTrials hands the trials of an endpoint to handle that are among the n last
// messages of the stream of trials, in order.
func (j *Journal) LatestTrials(ctx context.Context, endpoint string, n uint64, handle func(*Trial)) error {
	last, err := j.LastSeq(ctx, StreamTrials)
	if err != nil || last == 0 {
		return err
	}
	cfg := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last - min(n, last) + 1,
	}
	return j.readAll(ctx, StreamTrials, cfg, []string{"understudy.trial.*." + Escape(endpoint) + ".*"}, func(m *Message) error {
		var t Trial
		if err := m.Decode(&t); err != nil {
			return nil // it says nothing then
		}
		handle(&t)
		return nil
	}, jetstream.PullMaxMessages(prefetch))
}
