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
	// Submodules are those that are tried, of the candidate's; none is all of them.
	Submodules []string `json:"submodules"`
	// Since and Until bound when the exchanges were stored, by the broker's clock:
	// from Since on, and before Until. Zero is no bound. First and Last are the
	// sequences of the messages in between.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	First uint64    `json:"first_seq"`
	Last  uint64    `json:"last_seq"`
	// Sample is the share of conversations that are tried, above 0 and up to 1.
	Sample float64 `json:"sample"`
	// Failed has trials tried again that ended in a failure of the candidate, too.
	Failed bool          `json:"failed"`
	State  BackfillState `json:"state"`
	// Planned is how many exchanges were to get a record when it was ordered. The
	// candidate's own lane may be faster with some of them.
	Planned int       `json:"planned"`
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`

	Revision uint64 `json:"-"`
}

// Active tells whether the backfill is not over.
func (b *Backfill) Active() bool { return b.State == BackfillRunning || b.State == BackfillPaused }

// Wants tells whether an exchange, by the sequence of its message, belongs to the
// backfill: by its place in the stream, by sub-module and by the sample.
func (b *Backfill) Wants(e *Exchange, seq uint64) bool {
	return seq >= b.First && seq <= b.Last && b.Has(e.Submodule) && b.Drawn(e, seq)
}

// Has tells whether a sub-module is among those of the backfill.
func (b *Backfill) Has(submodule string) bool {
	return len(b.Submodules) == 0 || slices.Contains(b.Submodules, submodule)
}

// Overlaps tells whether two backfills have the same candidate and may have an exchange
// in common.
func (b *Backfill) Overlaps(other *Backfill) bool {
	return b.Candidate == other.Candidate && b.First <= other.Last && other.First <= b.Last &&
		(len(b.Submodules) == 0 || len(other.Submodules) == 0 || slices.ContainsFunc(b.Submodules, other.Has))
}

// Drawn tells whether the sample holds the exchange: whole conversations, drawn by
// their names alone, so that a larger sample holds all that a smaller one does.
func (b *Backfill) Drawn(e *Exchange, seq uint64) bool {
	conversation := e.Conversation
	if conversation == "" {
		conversation = e.Key(seq)
	}
	return b.Sample >= 1 || Share("backfill", e.Submodule+"\x00"+conversation) < b.Sample
}

// Again tells whether what is stored of an exchange may be tried again. What the
// backfill has stored itself may not: it tries each exchange once, however often its
// message is given out.
func (b *Backfill) Again(s Stored) bool {
	if b.ID != "" && s.Backfill == b.ID {
		return false
	}
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

// Backfill reads one, or ErrNotFound.
func (j *Journal) Backfill(ctx context.Context, id string) (*Backfill, error) {
	kv, err := j.Bucket(ctx, BucketBackfills)
	if err != nil {
		return nil, err
	}
	e, err := kv.Get(ctx, id)
	if errors.Is(err, jetstream.ErrInvalidKey) {
		err = jetstream.ErrKeyNotFound
	}
	if err != nil {
		return nil, classify("read backfill "+id, err)
	}
	return decodeBackfill(e)
}

func decodeBackfill(e jetstream.KeyValueEntry) (*Backfill, error) {
	b := &Backfill{Revision: e.Revision()}
	if err := json.Unmarshal(e.Value(), b); err != nil {
		return nil, fmt.Errorf("decode backfill %s: %w", e.Key(), err)
	}
	return b, nil
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
			b, err := decodeBackfill(e)
			if err != nil {
				return nil, err
			}
			list = append(list, b)
		}
	}
}

// backfillsKept is how many that are over are remembered: the bucket is small.
const backfillsKept = 30

// PruneBackfills forgets the oldest backfills that are over. Their trials stay.
func (j *Journal) PruneBackfills(ctx context.Context) error {
	list, err := j.Backfills(ctx)
	if err != nil {
		return err
	}
	kv, err := j.Bucket(ctx, BucketBackfills)
	if err != nil {
		return err
	}
	over := slices.DeleteFunc(list, (*Backfill).Active)
	over = over[:max(0, len(over)-backfillsKept)]
	for _, b := range over {
		if err := kv.Purge(ctx, b.ID); err != nil {
			return classify("forget backfill "+b.ID, err)
		}
	}
	if len(over) == 0 {
		return nil
	}
	return classify("forget backfills", kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)))
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

// backfillIdle is how long the broker keeps a backfill's durable that nobody uses. One
// that was paused for longer begins anew: what it has done is recognised.
const backfillIdle = 24 * time.Hour

// BackfillConsumer opens the durable of a backfill, which every process shares.
func (j *Journal) BackfillConsumer(ctx context.Context, b *Backfill, inHand int, ackWait time.Duration) (*Consumer, error) {
	cfg := durable(backfillDurable(b.ID), submoduleFilters(b.Submodules), hostsMost*inHand, ackWait)
	cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(1, b.First)
	cfg.InactiveThreshold = backfillIdle
	return j.open(ctx, StreamExchanges, cfg)
}

func backfillDurable(id string) string { return "backfill-" + Escape(id) }

// BackfillLeft tells whether any process has begun a backfill, and whether every
// message up to its last is through. One that is not begun is not through.
func (j *Journal) BackfillLeft(ctx context.Context, b *Backfill) (begun, through bool, err error) {
	if err := j.usable("read backfill"); err != nil {
		return false, false, err
	}
	cons, err := j.streams[StreamExchanges].Consumer(ctx, backfillDurable(b.ID))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, classify("read backfill", err)
	}
	info := cons.CachedInfo() // as asked for just now
	left := info.NumPending + uint64(info.NumAckPending)
	return true, left == 0 || info.AckFloor.Stream >= b.Last, nil
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
