package journal

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// A bucket is a key-value bucket in files: what is written to it needs room.
type bucket struct {
	jetstream.KeyValue
	j *Journal
}

func (b *bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := b.j.storable("write " + key); err != nil {
		return 0, err
	}
	return b.KeyValue.Put(ctx, key, value)
}

func (b *bucket) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error) {
	if err := b.j.storable("write " + key); err != nil {
		return 0, err
	}
	return b.KeyValue.Create(ctx, key, value, opts...)
}

func (b *bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := b.j.storable("write " + key); err != nil {
		return 0, err
	}
	return b.KeyValue.Update(ctx, key, value, revision)
}
