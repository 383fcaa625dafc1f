package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A proxy has to ask, after a doubtful publish and after a restart, how many of its
// records are stored. Whoever may make a reader of its own may read the texts of all
// proxies as well, since NATS gives no right to headers alone. So a proxy can do with a
// reader of headers that was made for it ([nats] proxies and proxy), which it can set back but
// not change. nats-server has that from version 2.14 on.

// headReader is the durable of a proxy's reader of headers.
func headReader(proxy string) string { return "proxy-" + proxy }

// ensureHeadReaders makes the readers of headers of all named proxies.
func (j *Journal) ensureHeadReaders(ctx context.Context) error {
	if !j.cfg.Create {
		return nil
	}
	for _, name := range j.cfg.Proxies {
		_, err := j.js.CreateOrUpdateConsumer(ctx, StreamExchanges, jetstream.ConsumerConfig{
			Durable: headReader(name), HeadersOnly: true,
			DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy,
		})
		if err != nil {
			return classify("make the reader of headers "+headReader(name), err)
		}
	}
	return nil
}

// heads hands the headers of all exchange messages behind seq up to end to handle, by
// the reader that was made for this proxy.
func (j *Journal) heads(ctx context.Context, seq, end uint64, handle func(*Message)) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	free, err := j.lockReader()
	if err != nil {
		return err
	}
	defer free()
	durable := headReader(j.cfg.Proxy)
	cons, err := j.js.Consumer(ctx, StreamExchanges, durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return missingError{"reader of headers " + durable + " (name the proxy in [nats] proxies there)"}
	}
	if err == nil {
		_, err = j.js.ResetConsumerToSequence(ctx, StreamExchanges, durable, seq+1)
	}
	if err != nil {
		return classify("set the reader "+durable+" back", err)
	}
	for delivery := uint64(0); seq < end; {
		batch, err := cons.FetchNoWait(256)
		if err != nil {
			return classify("read headers by "+durable, err)
		}
		some := false
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("read metadata of %s: %w", m.Subject(), err)
			}
			if meta.Sequence.Consumer != delivery+1 { // counted from 1 after each setting back
				return fmt.Errorf("read headers by %s: %w: a delivery was lost", durable, ErrUnavailable)
			}
			some, delivery, seq = true, meta.Sequence.Consumer, meta.Sequence.Stream
			if seq <= end {
				handle(&Message{Seq: seq, Subject: m.Subject(), Header: m.Headers()})
			}
		}
		if err := batch.Error(); err != nil {
			return classify("read headers by "+durable, err)
		}
		if !some {
			select {
			case <-ctx.Done():
				return classify("read headers by "+durable, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// lockReader keeps a process that takes over from another one, or gives over to it, from
// setting their common reader back meanwhile. It is held for as long as one call reads.
func (j *Journal) lockReader() (free func(), err error) {
	dir := j.cfg.Shared
	if dir == "" {
		dir = j.cfg.Dir
	}
	f, err := os.OpenFile(filepath.Join(dir, "reader.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the reader of headers: %w", err)
	}
	return func() { f.Close() }, nil
}

// CountSince counts the records that the given proxy stored after message seq,
// and gives the sequence of its last message there. Bodies are not read.
func (j *Journal) CountSince(ctx context.Context, instance string, seq uint64) (records int, last uint64, err error) {
	if err := j.usable("count exchanges"); err != nil {
		return 0, 0, err
	}
	last = seq
	end, err := j.LastSeq(ctx, StreamExchanges)
	if err != nil || end <= seq {
		return 0, last, err
	}
	count := func(m *Message) {
		if m.Header.Get(HeaderInstance) == instance {
			records, last = records+m.count(), m.Seq
		}
	}
	if j.cfg.Proxy != "" {
		return records, last, j.heads(ctx, seq, end, count)
	}
	cfg := jetstream.OrderedConsumerConfig{
		HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: seq + 1,
	}
	err = j.readAll(ctx, StreamExchanges, cfg, nil, func(m *Message) error { count(m); return nil })
	return records, last, err
}

// count is the number of records in an exchange message: of another publisher's
// always one, of ours what its header says.
func (m *Message) count() int { return countOf(m.Subject, m.Header) }

// maxRecords bounds what a message is believed to hold.
const maxRecords = 4096

func countOf(subject string, header nats.Header) int {
	if _, source, _ := SubjectOf(subject); source != SourceCapture {
		return 1
	}
	if n, err := strconv.Atoi(header.Get(HeaderCount)); err == nil && n > 0 && n <= maxRecords {
		return n
	}
	return 1
}
