package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrContested tells that another process wrote first.
var ErrContested = errors.New("another process was faster")

// A Pace ties the time at which exchanges were captured to the time at which they are
// tried, for all hosts that work for one endpoint.
type Pace struct {
	// Wall is when an exchange of the time Event was due; Speed is how much faster
	// than captured the others follow.
	Wall  time.Time `json:"wall"`
	Event time.Time `json:"event"`
	Speed float64   `json:"speed"`
	// Revision is of the stored entry, 0 before there is one.
	Revision uint64 `json:"-"`
}

// Pace reads the schedule of a lane; the zero Pace where there is none yet.
func (j *Journal) Pace(ctx context.Context, lane string) (p Pace, err error) {
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return p, err
	}
	entry, err := kv.Get(ctx, paceKey(lane))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return p, nil
	}
	if err != nil {
		return p, classify("read pace", err)
	}
	if err := json.Unmarshal(entry.Value(), &p); err != nil {
		return Pace{}, fmt.Errorf("decode pace of %s: %w", lane, err)
	}
	p.Revision = entry.Revision()
	return p, nil
}

// PutPace replaces the schedule that was read; ErrContested where it has changed since.
func (j *Journal) PutPace(ctx context.Context, lane string, p Pace) error {
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode pace: %w", err)
	}
	if p.Revision == 0 {
		_, err = kv.Create(ctx, paceKey(lane), data)
	} else {
		_, err = kv.Update(ctx, paceKey(lane), data, p.Revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return fmt.Errorf("write pace of %s: %w", lane, ErrContested)
	}
	return classify("write pace", err)
}

func paceKey(lane string) string { return "pace." + Escape(lane) }
