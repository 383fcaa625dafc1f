package journal

import (
	"context"
	"encoding/json"
	"fmt"
)

// PutCounters publishes a proxy's counters, so that every process can add the
// proxies up.
func (j *Journal) PutCounters(ctx context.Context, instance string, counters any) error {
	kv, err := j.Bucket(ctx, BucketAccounts)
	if err != nil {
		return err
	}
	data, err := json.Marshal(counters)
	if err != nil {
		return fmt.Errorf("encode counters: %w", err)
	}
	_, err = kv.Put(ctx, "proxy."+instance, data)
	return classify("put counters", err)
}

// WatchCounters hands every proxy's counters to handle, those that are stored
// first, then once an empty instance, then every change, until ctx ends.
func (j *Journal) WatchCounters(ctx context.Context, handle func(instance string, data []byte)) error {
	if err := j.WaitReady(ctx); err != nil {
		return nil
	}
	kv, err := j.Bucket(ctx, BucketAccounts)
	if err != nil {
		return err
	}
	w, err := kv.Watch(ctx, "proxy.*")
	if err != nil {
		return classify("watch counters", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return classify("watch counters", ErrUnavailable)
			}
			if e == nil { // the stored ones are through
				handle("", nil)
				continue
			}
			handle(e.Key()[len("proxy."):], e.Value())
		}
	}
}
