package journal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// SiteKey is a random key of 32 bytes that all processes of this NATS share. It
// makes hashes of people's texts useless to whoever has the hashes alone; it is no
// secret to those who may read the streams.
func (j *Journal) SiteKey(ctx context.Context) ([]byte, error) {
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return nil, err
	}
	const name = "site-key"
	entry, err := kv.Get(ctx, name)
	if err == nil {
		return entry.Value(), nil
	}
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, classify("read site key", err)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails: crypto/rand ends the process instead
	_, err = kv.Create(ctx, name, key)
	if errors.Is(err, jetstream.ErrKeyExists) { // another process was faster
		entry, err = kv.Get(ctx, name)
		if err == nil {
			return entry.Value(), nil
		}
	}
	return key, classify("write site key", err)
}

// A ControlState is what the deciding stage says of a sub-module's control, for
// the stage that asks it.
type ControlState struct {
	// Proven: the judge is shown to be fair between live and control, so that a
	// small share of exchanges keeps watch.
	Proven bool `json:"proven"`
}

// PutControl publishes the state of a sub-module's control.
func (j *Journal) PutControl(ctx context.Context, submodule string, s ControlState) error {
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode control state: %w", err)
	}
	_, err = kv.Put(ctx, controlKey(submodule), data)
	return classify("write control state", err)
}

// Control reads the state of a sub-module's control; the zero state where nobody
// has said anything yet.
func (j *Journal) Control(ctx context.Context, submodule string) (s ControlState, err error) {
	kv, err := j.Bucket(ctx, BucketShared)
	if err != nil {
		return s, err
	}
	entry, err := kv.Get(ctx, controlKey(submodule))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return s, nil
	}
	if err != nil {
		return s, classify("read control state", err)
	}
	if err := json.Unmarshal(entry.Value(), &s); err != nil {
		return ControlState{}, fmt.Errorf("decode control state of %s: %w", submodule, err)
	}
	return s, nil
}

func controlKey(submodule string) string { return "control." + Escape(submodule) }
