package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A BackfillState is what a backfill does.
type BackfillState string

// The states.
const (
	BackfillRunning   BackfillState = "running"
	BackfillPaused    BackfillState = "paused"
	BackfillCancelled BackfillState = "cancelled"
	BackfillDone      BackfillState = "done"
)

// A Backfill is a person's order to try stored exchanges on one candidate: those that
// have no trial, and those whose trial was no answer and may be tried again.
type Backfill struct {
	ID        string `json:"id"`
	Candidate string `json:"candidate"`
	// Submodules are those that are tried, of the candidate's.
	Submodules []string `json:"submodules"`
	// Since and Until bound when the exchanges were stored; First and Last are the
	// sequences of the messages in between.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	First uint64    `json:"first_seq"`
	Last  uint64    `json:"last_seq"`
	// Sample is the share of conversations that are tried, 0 to 1.
	Sample float64 `json:"sample"`
	// Failed has trials tried again that ended in a failure of the candidate, too.
	Failed bool          `json:"failed"`
	State  BackfillState `json:"state"`
	// Planned is how many exchanges there were to try when it was ordered.
	Planned int       `json:"planned"`
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`

	Revision uint64 `json:"-"`
}

// Active tells whether the backfill is not over.
func (b *Backfill) Active() bool { return b.State == BackfillRunning || b.State == BackfillPaused }

// Wants tells whether an exchange belongs to the backfill, by sub-module and by the
// sample of conversations.
func (b *Backfill) Wants(e *Exchange, seq uint64) bool {
	if !slices.Contains(b.Submodules, e.Submodule) {
		return false
	}
	conversation := e.Conversation
	if conversation == "" {
		conversation = e.Key(seq)
	}
	return b.Sample >= 1 || Share("backfill", e.Submodule+"\x00"+conversation) < b.Sample
}

// Again tells whether what is stored of an exchange may be tried again.
func (b *Backfill) Again(s Stored) bool {
	switch s.Disposition {
	case OverBudget, DeadLetter:
		return true
	case Tried:
		return b.Failed && s.Class != "ok" && s.Class != ""
	}
	return false
}

// PutBackfill stores a backfill, a new one where its revision is 0. ErrContested tells
// that it was changed since it was read.
func (j *Journal) PutBackfill(ctx context.Context, b *Backfill) error {
	kv, err := j.Bucket(ctx, BucketBackfills)
	if err != nil {
		return err
	}
	b.Changed = time.Now().UTC()
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode backfill: %w", err)
	}
	var rev uint64
	if b.Revision == 0 {
		rev, err = kv.Create(ctx, b.ID, data)
	} else {
		rev, err = kv.Update(ctx, b.ID, data, b.Revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return fmt.Errorf("write backfill %s: %w", b.ID, ErrContested)
	}
	if err != nil {
		return classify("write backfill", err)
	}
	b.Revision = rev
	return nil
}

// Backfills lists all backfills, the oldest first.
func (j *Journal) Backfills(ctx context.Context) ([]*Backfill, error) {
	kv, err := j.Bucket(ctx, BucketBackfills)
	if err != nil {
		return nil, err
	}
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, classify("read backfills", err)
	}
	defer w.Stop()
	var list []*Backfill
	for {
		select {
		case <-ctx.Done():
			return nil, classify("read backfills", ctx.Err())
		case e, ok := <-w.Updates():
			if !ok {
				return nil, fmt.Errorf("read backfills: %w", ErrUnavailable)
			}
			if e == nil {
				slices.SortFunc(list, func(a, b *Backfill) int { return strings.Compare(a.ID, b.ID) })
				return list, nil
			}
			b := &Backfill{Revision: e.Revision()}
			if err := json.Unmarshal(e.Value(), b); err != nil {
				return nil, fmt.Errorf("decode backfill %s: %w", e.Key(), err)
			}
			list = append(list, b)
		}
	}
}

// WatchBackfills calls changed at the start and whenever a backfill may have changed,
// until ctx ends.
func (j *Journal) WatchBackfills(ctx context.Context, changed func()) error {
	if err := j.WaitReady(ctx); err != nil {
		return nil
	}
	kv, err := j.Bucket(ctx, BucketBackfills)
	if err != nil {
		return err
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return classify("watch backfills", err)
	}
	defer w.Stop()
	initial := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return classify("watch backfills", ErrUnavailable)
			}
			if e == nil {
				initial = false
			}
			if !initial {
				changed()
			}
		}
	}
}

// BackfillConsumer opens the durable of a backfill, which every process shares.
func (j *Journal) BackfillConsumer(ctx context.Context, b *Backfill, inHand int, ackWait time.Duration) (*Consumer, error) {
	cfg := durable(backfillDurable(b.ID), submoduleFilters(b.Submodules), hostsMost*inHand, ackWait)
	cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(1, b.First)
	return j.open(ctx, StreamExchanges, cfg)
}

func backfillDurable(id string) string { return "backfill-" + Escape(id) }

// BackfillLeft tells how many messages up to the backfill's last are not through yet;
// 0 is done. It counts what came later as well, so that it is at most that.
func (j *Journal) BackfillLeft(ctx context.Context, b *Backfill) (messages uint64, done bool, err error) {
	if err := j.usable("read backfill"); err != nil {
		return 0, false, err
	}
	cons, err := j.streams[StreamExchanges].Consumer(ctx, backfillDurable(b.ID))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, !b.Active(), nil // not begun, or over
	}
	if err != nil {
		return 0, false, classify("read backfill", err)
	}
	info, err := cons.Info(ctx)
	if err != nil {
		return 0, false, classify("read backfill", err)
	}
	left := info.NumPending + uint64(info.NumAckPending)
	return left, left == 0 || info.AckFloor.Stream >= b.Last, nil
}

// EndBackfill forgets the durable of a backfill that is over.
func (j *Journal) EndBackfill(ctx context.Context, id string) error {
	if err := j.usable("end backfill"); err != nil {
		return err
	}
	err := j.streams[StreamExchanges].DeleteConsumer(ctx, backfillDurable(id))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return classify("end backfill", err)
}
