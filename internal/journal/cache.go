package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
	var e cached
	if err := json.Unmarshal(m.Data, &e); err != nil || len(e.Sealed) == 0 {
		return nil, nil // of an earlier version
	}
	s, err := j.keys.openerFor(ctx, e.Sealed, "cache", key)
	if errors.Is(err, ErrForgotten) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.open("data", e.Data)
}

// cached is an entry: what was said, sealed as a record of the first who asked.
type cached struct {
	Sealed []uint64 `json:"sealed"`
	Data   []byte   `json:"data"`
}

// Remember keeps data under key until newer entries need its place, or one of the owners
// of the texts that it was said of is forgotten.
func (j *Journal) Remember(ctx context.Context, key string, o Owners, data []byte) error {
	if err := j.storable("write cache"); err != nil {
		return err
	}
	s, seqs, err := j.keys.sealerFor(ctx, o, "cache", key)
	if errors.Is(err, ErrForgotten) {
		return nil
	}
	if err != nil {
		return err
	}
	entry, err := json.Marshal(cached{seqs, s.seal("data", data)})
	if err != nil {
		return fmt.Errorf("encode cache entry: %w", err)
	}
	_, err = j.js.Publish(ctx, cacheSubject(key), entry)
	return classify("write cache", err)
}

func cacheSubject(key string) string { return "understudy.judged." + key }
