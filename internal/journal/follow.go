package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Message is one stored message as a reader sees it, in the stream's order.
type Message struct {
	Seq     uint64
	Subject string
	Header  nats.Header
	// At is when the broker stored the message.
	At time.Time
	// Data is nil for a reader of headers.
	Data []byte
	// Behind is how many messages follow in the stream at the moment.
	Behind uint64
}

// Follow reads a stream from the message behind sequence after (0: from its
// start) and goes on with what is added, until ctx ends or handle returns an
// error. It keeps no state on the broker. With headersOnly the bodies stay there.
func (j *Journal) Follow(ctx context.Context, stream string, after uint64, headersOnly bool, handle func(*Message) error) error {
	cfg := jetstream.OrderedConsumerConfig{HeadersOnly: headersOnly}
	if after > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	}
	return j.follow(ctx, stream, cfg, handle)
}

// followSubject is Follow of the headers of some subjects alone.
func (j *Journal) followSubject(ctx context.Context, stream, subject string, after uint64, handle func(*Message) error) error {
	cfg := jetstream.OrderedConsumerConfig{HeadersOnly: true, FilterSubjects: []string{subject}}
	if after > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	}
	return j.follow(ctx, stream, cfg, handle)
}

// holdsAfter tells whether a stream holds a message of the subject behind a sequence.
func (j *Journal) holdsAfter(ctx context.Context, stream, subject string, seq uint64) (bool, error) {
	_, err := j.streams[stream].GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, classify("look at "+stream, err)
}

func (j *Journal) follow(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig, handle func(*Message) error) error {
	select {
	case <-j.ready:
	case <-ctx.Done():
		return nil
	}
	cons, err := j.js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return classify("follow "+stream, err)
	}
	it, err := cons.Messages(jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return classify("follow "+stream, err)
	}
	defer context.AfterFunc(ctx, it.Stop)()
	defer it.Stop()
	for {
		m, err := it.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return classify("follow "+stream, err)
		}
		msg, err := j.message(ctx, m, cfg.HeadersOnly)
		if err != nil {
			return err
		}
		if err := handle(msg); err != nil {
			return err
		}
	}
}

// heartbeat is how often the broker says that a reader is still there; twice that
// without a word, and a new one is opened.
const heartbeat = 2 * time.Second

func (j *Journal) message(ctx context.Context, m jetstream.Msg, headersOnly bool) (*Message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("read metadata of %s: %w", m.Subject(), err)
	}
	msg := &Message{Seq: meta.Sequence.Stream, Subject: m.Subject(), Header: m.Headers(), At: meta.Timestamp, Behind: meta.NumPending}
	if headersOnly {
		return msg, nil
	}
	msg.Data, err = j.body(ctx, msg.Header, m.Data())
	if errors.Is(err, ErrNotFound) {
		return msg, nil // the object aged out before its message
	}
	return msg, err
}

// Keep runs follow again and again until ctx ends, with a pause after each
// failure. follow should go on where it ended.
func (j *Journal) Keep(ctx context.Context, what string, follow func(context.Context) error) {
	for ctx.Err() == nil {
		err := follow(ctx)
		if ctx.Err() != nil {
			return
		}
		j.log.Warn("reading was interrupted; going on", "what", what, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// Decode reads a JSON record.
func (m *Message) Decode(record any) error {
	if err := json.Unmarshal(m.Data, record); err != nil {
		return fmt.Errorf("decode %s (message %d): %w", m.Subject, m.Seq, err)
	}
	return nil
}

// FollowFrom is Follow from the first message that was stored at the given time or
// later; with after above 0 it goes on behind that sequence instead.
func (j *Journal) FollowFrom(ctx context.Context, stream string, from time.Time, after uint64, handle func(*Message) error) error {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from}
	if err := j.WaitReady(ctx); err != nil {
		return nil // ctx has ended
	}
	handle, err := j.fromTime(ctx, stream, &cfg, handle)
	if err != nil {
		return err
	}
	if after > 0 {
		cfg = jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1}
	}
	return j.follow(ctx, stream, cfg, handle)
}
