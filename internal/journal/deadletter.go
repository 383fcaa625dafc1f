package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The broker says in advisories which message it has given out too often, or that one
// was ended by its consumer. They are kept in a stream, so that none is missed.
const advisories = "$JS.EVENT.ADVISORY.CONSUMER."

// A DeadLetterNotice is the broker's word that a message of exchanges comes no more.
type DeadLetterNotice struct {
	// Consumer is the durable, such as LaneName gives.
	Consumer string `json:"consumer"`
	// Seq is the message's sequence, Deliveries how often it was given out.
	Seq        uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	// Reason is the consumer's, where it ended the message itself.
	Reason string `json:"reason"`
}

func (j *Journal) deadLetterStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:     StreamDeadLetters,
		Subjects: []string{advisories + "MAX_DELIVERIES." + StreamExchanges + ".*", advisories + "MSG_TERMINATED." + StreamExchanges + ".*"},
		NoAck:    true, // the server publishes them, and waits for nobody
		Discard:  jetstream.DiscardOld,
		MaxBytes: j.share(1) / 4, MaxAge: j.cfg.Retention, AllowDirect: true, Replicas: j.cfg.Replicas,
	}
}

// DeadLetterNotices hands every notice to handle, shared by all processes, until ctx ends; an
// error brings the notice back later.
func (j *Journal) DeadLetterNotices(ctx context.Context, handle func(context.Context, *DeadLetterNotice) error) error {
	cons, err := j.open(ctx, StreamDeadLetters, durable("dead-letters", []string{advisories + ">"}, 64, 30*time.Second))
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		var failed error
		err := cons.Fetch(ctx, 16, 5*time.Second, func(d *Delivery) {
			var n DeadLetterNotice
			if err := json.Unmarshal(d.Data, &n); err != nil {
				j.log.Error("notice of a dead letter cannot be read", "subject", d.Subject, "err", err)
			} else if err := handle(ctx, &n); err != nil {
				failed = err
				d.Nak(time.Second)
				return
			}
			if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
				failed = err
			}
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
	}
	return nil
}

// Message reads a message of exchanges by its sequence.
func (j *Journal) Message(ctx context.Context, seq uint64) (*Delivery, error) {
	if err := j.usable("read message"); err != nil {
		return nil, err
	}
	m, err := j.streams[StreamExchanges].GetMsg(ctx, seq)
	if err != nil {
		return nil, classify(fmt.Sprintf("read message %d", seq), err)
	}
	d := &Delivery{Seq: seq, Subject: m.Subject, Header: m.Header, Stored: m.Time}
	d.Data, d.Err = j.body(ctx, m.Header, m.Data)
	return d, nil
}
