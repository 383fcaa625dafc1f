package journal

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// lookForGone counts as expired what left the stream before it was tried: at its front by
// age, and in its middle where a sub-module's records are kept for a shorter time, or
// where a message was erased.
func (a *Accounts) lookForGone(ctx context.Context) error {
	info, err := a.j.streams[StreamExchanges].Info(ctx)
	if err != nil {
		return err
	}
	a.expireBefore(info.State)
	deleted := info.State.NumDeleted
	a.mu.Lock()
	same := deleted == a.deleted
	a.mu.Unlock()
	if same || info.State.Msgs == 0 {
		return nil
	}
	open := a.openSeqs()
	if len(open) > 0 {
		first := info.State.LastSeq
		for seq := range open {
			first = min(first, seq)
		}
		cfg := jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first}
		err = a.j.readAll(ctx, StreamExchanges, cfg, nil, func(m *Message) error {
			delete(open, m.Seq)
			return nil
		})
		if err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for seq := range open {
		if t := a.open[seq]; t != nil && seq <= info.State.LastSeq {
			a.expired(seq, t)
		}
	}
	a.deleted = deleted
	return nil
}

// openSeqs are the messages that were read and of which a record is not done.
func (a *Accounts) openSeqs() map[uint64]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	open := map[uint64]bool{}
	if !a.current[0] || !a.current[1] {
		return open
	}
	for seq, t := range a.open {
		if t.records > 0 {
			open[seq] = true
		}
	}
	return open
}

// expired counts what is left of a message whose records cannot be tried any more.
func (a *Accounts) expired(seq uint64, t *tally) {
	for _, c := range a.candidates(t.submodule) {
		a.buckets(c, t.submodule).Expired += t.records - t.done[c]
	}
	delete(a.open, seq)
}
