package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Read reads what a stream holds now, in order, and returns; subjects (nil: all) are
// those that it hands to handle. It gives up with ErrUnavailable when nothing comes for
// five seconds.
func (j *Journal) Read(ctx context.Context, stream string, subjects []string, handle func(*Message) error) error {
	return j.readAll(ctx, stream, jetstream.OrderedConsumerConfig{}, subjects, handle)
}

// readerQuiet is how long a reader waits for a message before it opens a new one: on a
// cluster a reader is lost with its server, and so is a request for messages that
// overtakes the news of who serves it.
const readerQuiet = 1500 * time.Millisecond

// readAll reads up to what is the stream's last message now. Where the reading ends is
// told by the sequence alone, never by the reader's server having nothing more: that
// one may lag behind the stream's leader.
func (j *Journal) readAll(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig, subjects []string, handle func(*Message) error, opts ...jetstream.PullMessagesOpt) error {
	end, err := j.LastSeq(ctx, stream)
	if err != nil || end == 0 {
		return err
	}
	if handle, err = j.fromTime(ctx, stream, &cfg, handle); err != nil {
		return err
	}
	cfg.InactiveThreshold = readerLife
	r := &reading{j: j, stream: stream, cfg: cfg, subjects: subjects, end: end, handle: handle, opts: opts}
	for heard := time.Now(); ; {
		before := r.seq
		done, err := r.part(ctx)
		if done || err != nil && !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if r.seq > before {
			heard = time.Now()
		}
		if time.Since(heard) > callTimeout {
			return err
		}
	}
}

// A reading is one pass over a stream up to a fixed end, in one or several parts.
type reading struct {
	j        *Journal
	stream   string
	cfg      jetstream.OrderedConsumerConfig
	subjects []string
	seq, end uint64 // what was read last, and the last that there is to read
	handle   func(*Message) error
	opts     []jetstream.PullMessagesOpt
}

// part reads until the end, or until nothing comes; then it is to be called again.
func (r *reading) part(ctx context.Context) (done bool, err error) {
	opening, cancel := context.WithTimeout(ctx, 2*readerQuiet)
	defer cancel()
	cons, err := r.j.streams[r.stream].OrderedConsumer(opening, r.cfg)
	if err != nil {
		return false, classify("read "+r.stream, err)
	}
	defer r.j.forgetReader(ctx, r.stream, cons)
	if info := cons.CachedInfo(); r.cfg.OptStartTime != nil && (info == nil || info.NumPending == 0) {
		return true, nil // nothing is that young
	}
	it, err := cons.Messages(r.opts...)
	if err != nil {
		return false, classify("read "+r.stream, err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextMaxWait(readerQuiet))
		if err != nil && r.gone(ctx) {
			return true, nil
		}
		if err != nil {
			return false, classify("read "+r.stream, err)
		}
		if done, err := r.take(ctx, m); done || err != nil {
			return true, err
		}
	}
}

// take hands one message on; done tells that it was the last.
func (r *reading) take(ctx context.Context, m jetstream.Msg) (done bool, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return false, fmt.Errorf("read metadata of %s: %w", m.Subject(), err)
	}
	seq := meta.Sequence.Stream
	if seq <= r.end && wanted(m.Subject(), r.subjects) {
		msg, err := r.j.message(ctx, m, r.cfg.HeadersOnly)
		if err != nil {
			return false, err
		}
		if err := r.handle(msg); err != nil {
			return false, err
		}
	}
	r.seq, r.cfg.OptStartTime = seq, nil
	r.cfg.DeliverPolicy, r.cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, seq+1
	return seq >= r.end, nil
}

// gone tells, where nothing comes, whether the reading is over all the same: its last
// messages may have been deleted, or have aged out.
func (r *reading) gone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readerQuiet)
	defer cancel()
	info, err := r.j.streams[r.stream].Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return false
	}
	for slices.Contains(info.State.Deleted, r.end) {
		r.end--
	}
	return info.State.Msgs == 0 || r.end < info.State.FirstSeq || r.end <= r.seq || r.end < r.cfg.OptStartSeq
}

// wanted tells whether a subject is one of those asked for; nil asks for all.
func wanted(subject string, filters []string) bool {
	return filters == nil || slices.ContainsFunc(filters, func(filter string) bool {
		have, want := strings.Split(subject, "."), strings.Split(filter, ".")
		for i, token := range want {
			if token == ">" {
				return len(have) > i
			}
			if i >= len(have) || token != "*" && token != have[i] {
				return false
			}
		}
		return len(have) == len(want)
	})
}

// readerLife is how long the broker keeps a reader that has gone without a word. The
// client's own default of five minutes would let many short reads fill the broker.
const readerLife = 30 * time.Second

// forgetReader ends a reader at the broker; one that cannot be ended ends by itself.
func (j *Journal) forgetReader(ctx context.Context, stream string, cons jetstream.Consumer) {
	info := cons.CachedInfo()
	if info == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := j.streams[stream].DeleteConsumer(ctx, info.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		j.log.Debug("end reader", "stream", stream, "err", err)
	}
}
