package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A keyring hands out secrets. What it has read it believes for secretTrust: so long may
// a process go on with a name that another one has forgotten.
type keyring struct {
	j *Journal

	mu    sync.Mutex
	named generations[string]
	bySeq generations[uint64]
}

const secretTrust = 3 * time.Second

// secretsMost bounds each of the two generations that are remembered.
const secretsMost = 4096

// generations remember what was used of late: when the younger one is full it becomes the
// elder, and what only the elder of before had is gone.
type generations[K comparable] struct {
	young, elder map[K]known
}

type known struct {
	secret *secret // nil: deleted
	read   time.Time
}

func (g *generations[K]) get(k K) (known, bool) {
	e, ok := g.young[k]
	if !ok {
		e, ok = g.elder[k]
	}
	return e, ok && time.Since(e.read) < secretTrust
}

func (g *generations[K]) put(k K, s *secret) {
	if len(g.young) >= secretsMost || g.young == nil {
		g.elder, g.young = g.young, map[K]known{}
	}
	g.young[k] = known{s, time.Now()}
}

// clear makes the keyring read everything anew.
func (k *keyring) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.named, k.bySeq = generations[string]{}, generations[uint64]{}
}

// secretSubject is where the secrets of a name lie: a hash of it, so that names of any
// form fit into a subject.
func secretSubject(name string) string {
	h := sha256.Sum256([]byte("secret\x00" + name))
	return secretPrefix + hex.EncodeToString(h[:16])
}

// current gives the secret that texts of a record of the given time are sealed with, a
// new one where there is none. ErrForgotten tells that the name was forgotten since.
func (k *keyring) current(ctx context.Context, name string, at time.Time) (*secret, error) {
	k.mu.Lock()
	e, ok := k.named.get(name)
	k.mu.Unlock()
	unknown := e.secret == nil
	if ok && e.secret.fits(at) {
		return e.secret, nil
	}
	if ok && at.Before(e.secret.since) {
		return nil, ErrForgotten
	}
	s, err := k.make(ctx, secretSubject(name), at, unknown)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.named.put(name, s)
	k.bySeq.put(s.seq, s)
	return s, nil
}

// fits tells whether a record of the given time may be sealed with the secret.
func (s *secret) fits(at time.Time) bool {
	return !at.Before(s.since) && time.Since(s.made) <= secretUse
}

// make reads the last secret under a subject, or makes one where there is none, where the
// last is too old, and where the name was forgotten before the record's time. A name that
// this process has not seen is unknown to all as a rule, and so it is made without a look;
// the stream refuses where it is not.
func (k *keyring) make(ctx context.Context, subject string, at time.Time, unknown bool) (*secret, error) {
	for look := !unknown; ; look = true {
		var last *secret
		var err error
		if look {
			last, err = k.j.lastSecret(ctx, subject)
		}
		if err != nil {
			return nil, err
		}
		var since time.Time
		if last != nil {
			if since = last.since; at.Before(since) {
				return nil, ErrForgotten
			}
			if !last.forgotten && time.Since(last.made) <= secretUse {
				return last, nil
			}
		}
		if err := k.j.storable("write secret"); err != nil {
			return nil, err
		}
		r, b := k.j.newSecret(subject, since)
		seq, stored, err := k.j.appendSecret(ctx, subject, last, &r)
		if err != nil {
			return nil, err
		}
		if stored {
			return &secret{seq: seq, bytes: b, made: r.Made, since: since}, nil
		}
	}
}

// read gives a secret by its sequence, or ErrForgotten where it was deleted.
func (k *keyring) read(ctx context.Context, seq uint64) (*secret, error) {
	k.mu.Lock()
	e, ok := k.bySeq.get(seq)
	k.mu.Unlock()
	if !ok {
		s, err := k.fetch(ctx, seq)
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		k.bySeq.put(seq, s)
		k.mu.Unlock()
		e.secret = s
	}
	if e.secret == nil {
		return nil, ErrForgotten
	}
	return e.secret, nil
}

func (k *keyring) fetch(ctx context.Context, seq uint64) (*secret, error) {
	m, err := k.j.stored(ctx, StreamSecrets, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("read secret", err)
	}
	s, err := k.j.decodeSecret(m.Subject, seq, m.Data)
	if err == nil && s.forgotten {
		return nil, nil
	}
	return s, err
}

// sealerFor makes the sealer of a record with the secrets of its owners today.
func (k *keyring) sealerFor(ctx context.Context, o Owners, kind, id string) (*sealer, []uint64, error) {
	var bytes [][]byte
	var seqs []uint64
	for _, name := range o.names() {
		s, err := k.current(ctx, name, o.At)
		if err != nil {
			return nil, nil, fmt.Errorf("seal %s %s: %w", kind, id, err)
		}
		bytes, seqs = append(bytes, s.bytes), append(seqs, s.seq)
	}
	s, err := newSealer(bytes, kind, id)
	return s, seqs, err
}

// openerFor makes the sealer that a record was sealed with.
func (k *keyring) openerFor(ctx context.Context, seqs []uint64, kind, id string) (*sealer, error) {
	var bytes [][]byte
	for _, seq := range seqs {
		s, err := k.read(ctx, seq)
		if err != nil {
			return nil, fmt.Errorf("open %s %s: %w", kind, id, err)
		}
		bytes = append(bytes, s.bytes)
	}
	return newSealer(bytes, kind, id)
}

// prepare reads or makes the secrets of many records, some at a time. What goes wrong is
// told when a record is sealed.
func (k *keyring) prepare(ctx context.Context, list []Owners) {
	slots := make(chan struct{}, secretsAtOnce)
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for _, o := range list {
		for _, name := range o.names() {
			if seen[name] {
				continue
			}
			seen[name] = true
			slots <- struct{}{}
			wg.Go(func() {
				k.current(ctx, name, o.At)
				<-slots
			})
		}
	}
	wg.Wait()
}

// secretsAtOnce is how many secrets are read or made side by side.
const secretsAtOnce = 32
