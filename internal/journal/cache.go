package journal

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Cached reads what was remembered under key, a token of letters and digits; nil
// without an error when there is nothing (any more).
func (j *Journal) Cached(ctx context.Context, key string) ([]byte, error) {
	if err := j.usable("read cache"); err != nil {
		return nil, err
	}
	m, err := j.streams[StreamCache].GetLastMsgForSubject(ctx, cacheSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("read cache", err)
	}
	return m.Data, nil
}

// Remember keeps data under key until newer entries need its place.
func (j *Journal) Remember(ctx context.Context, key string, data []byte) error {
	if err := j.storable("write cache"); err != nil {
		return err
	}
	_, err := j.js.Publish(ctx, cacheSubject(key), data)
	return classify("write cache", err)
}

func cacheSubject(key string) string { return "understudy.judged." + key }
