package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
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
// first, then once an empty instance, then every change, until ctx ends. It reads the
// bucket's stream as other streams are read: a watch of the client's own notices only
// after a while that the server which ran it has gone.
func (j *Journal) WatchCounters(ctx context.Context, handle func(instance string, data []byte)) error {
	if err := j.WaitReady(ctx); err != nil {
		return nil
	}
	const stream, prefix = "KV_" + BucketAccounts, "$KV." + BucketAccounts + ".proxy."
	stored, err := j.js.Stream(ctx, stream)
	if err != nil {
		return classify("look at the counters", err)
	}
	info, err := stored.Info(ctx, jetstream.WithSubjectFilter(prefix+"*"))
	if err != nil {
		return classify("look at the counters", err)
	}
	through := len(info.State.Subjects) == 0
	if through {
		handle("", nil)
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{prefix + "*"}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy}
	return j.follow(ctx, stream, cfg, func(m *Message) error {
		handle(strings.TrimPrefix(m.Subject, prefix), m.Data)
		if !through && m.Behind == 0 {
			through = true
			handle("", nil)
		}
		return nil
	})
}
