package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Busy says that live traffic was refused for want of quota in an account that
// shadow calls may share.
type Busy struct {
	At time.Time `json:"at"`
}

// PutBusy says so of an account (see llm.Endpoint.Account).
func (j *Journal) PutBusy(ctx context.Context, account string, at time.Time) error {
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return err
	}
	data, err := json.Marshal(Busy{At: at.UTC()})
	if err != nil {
		return fmt.Errorf("encode busy account: %w", err)
	}
	_, err = kv.Put(ctx, busyKey(account), data)
	return classify("write busy account", err)
}

// WatchBusy hands every account of which it is said, and when, to handle, those that
// are stored first, until ctx ends.
func (j *Journal) WatchBusy(ctx context.Context, handle func(account string, at time.Time)) error {
	if err := j.WaitReady(ctx); err != nil {
		return nil
	}
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, busyKey("*"), jetstream.IgnoreDeletes())
	if err != nil {
		return classify("watch busy accounts", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return classify("watch busy accounts", ErrUnavailable)
			}
			if e == nil {
				continue
			}
			var b Busy
			if err := json.Unmarshal(e.Value(), &b); err != nil {
				j.log.Warn("busy account cannot be read", "key", e.Key(), "err", err)
				continue
			}
			handle(Unescape(e.Key()[len("busy."):]), b.At)
		}
	}
}

func busyKey(account string) string {
	if account == "*" {
		return "busy.*"
	}
	return "busy." + Escape(account)
}
