package journal

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Claims are leases on trials: whoever creates the key may make the call. A
// claim keeps racing hosts and redelivery from paying twice while nobody
// crashes; the stream of trials, not the claim, decides what is stored.
type Claims struct {
	j      *Journal
	bucket string
	kv     jetstream.KeyValue
	owner  string
	life   time.Duration
}

// Claims opens a bucket of leases, each of which lives for life unless renewed.
func (j *Journal) Claims(ctx context.Context, bucket, owner string, life time.Duration) (*Claims, error) {
	if err := j.usable("open claims"); err != nil {
		return nil, err
	}
	kv, err := j.ensureClaims(ctx, bucket, life)
	if err != nil {
		return nil, err
	}
	return &Claims{j: j, bucket: bucket, kv: kv, owner: owner, life: life}, nil
}

// A Claim is a lease in hand.
type Claim struct {
	c   *Claims
	id  string
	mu  sync.Mutex
	rev uint64
}

// Take tries to take the lease on id; nil without an error means that somebody
// else holds it.
func (c *Claims) Take(ctx context.Context, id string) (*Claim, error) {
	rev, err := c.create(ctx, id)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("claim "+id, err)
	}
	return &Claim{c: c, id: id, rev: rev}, nil
}

// create makes the key, and the bucket where a restarted broker has forgotten it.
func (c *Claims) create(ctx context.Context, id string) (uint64, error) {
	rev, err := c.kv.Create(ctx, id, []byte(c.owner))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if _, err := c.j.ensureClaims(ctx, c.bucket, c.life); err != nil {
			return 0, err
		}
		rev, err = c.kv.Create(ctx, id, []byte(c.owner))
	}
	return rev, err
}

// Renew begins the lease's life anew. After a restart of the broker, which
// forgets leases, it takes the lease again.
func (c *Claim) Renew(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	rev, err := c.c.kv.Update(ctx, c.id, []byte(c.c.owner), c.rev)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		rev, err = c.c.create(ctx, c.id)
	}
	if err != nil {
		return classify("renew claim "+c.id, err)
	}
	c.rev = rev
	return nil
}

// Hold keeps the lease alive until the returned function gives it back.
func (c *Claim) Hold(ctx context.Context) (release func() error) {
	alive, stop := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(c.c.life / 3)
		defer tick.Stop()
		for {
			select {
			case <-alive.Done():
				return
			case <-tick.C:
			}
			if err := c.Renew(alive); err != nil {
				c.c.j.log.Debug("renew claim", "err", err)
			}
		}
	}()
	return func() error {
		stop()
		return c.Release(context.WithoutCancel(ctx))
	}
}

// Release gives the lease back, so that nobody waits for its end.
func (c *Claim) Release(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return classify("release claim "+c.id, c.c.kv.Purge(ctx, c.id, jetstream.LastRevision(c.rev)))
}
