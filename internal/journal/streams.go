package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ensure creates or updates every stream, bucket and store. The definitions are
// the same for the embedded server and for an external one.
func (j *Journal) ensure(ctx context.Context) error {
	handles, err := j.ensureStreams(ctx)
	if err != nil {
		return err
	}
	bodies, err := j.ensureBuckets(ctx)
	if err != nil {
		return err
	}
	j.streams, j.bodies = handles, bodies
	return nil
}

// restore is ensure for streams that are in use: handles go by name and stay.
func (j *Journal) restore(ctx context.Context) error {
	if _, err := j.ensureStreams(ctx); err != nil {
		return err
	}
	_, err := j.ensureBuckets(ctx)
	if life := j.claimLife.Load(); err == nil && life > 0 {
		_, err = j.ensureClaims(ctx, time.Duration(life))
	}
	return err
}

func (j *Journal) share(percent int64) int64 { return j.cfg.MaxStore / 100 * percent }

func (j *Journal) ensureStreams(ctx context.Context) (map[string]jetstream.Stream, error) {
	once := func(name, subject string, percent int64) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name:     name,
			Subjects: []string{subject},
			// One message for each subject, and the stream itself refuses a second.
			MaxMsgsPerSubject:    1,
			Discard:              jetstream.DiscardNew,
			DiscardNewPerSubject: true,
			MaxBytes:             j.share(percent),
			MaxAge:               j.cfg.Retention,
			AllowDirect:          true,
			Compression:          jetstream.S2Compression,
			Replicas:             j.cfg.Replicas,
		}
	}
	streams := []jetstream.StreamConfig{
		{
			Name:     StreamExchanges,
			Subjects: []string{"understudy.exchange.*", "understudy.ingest.*.*"},
			// Full means spool, then a counted drop at the proxy: never the
			// silent loss of the oldest.
			Discard:     jetstream.DiscardNew,
			MaxBytes:    j.share(50),
			MaxAge:      j.cfg.Retention,
			Duplicates:  2 * time.Minute,
			AllowDirect: true,
			Compression: jetstream.S2Compression,
			Replicas:    j.cfg.Replicas,
		},
		once(StreamTrials, "understudy.trial.*.*.*", 15),
		once(StreamVerdicts, "understudy.verdict.*.*.*", 10),
		{
			Name:        StreamDecisions,
			Subjects:    []string{"understudy.decision.*.*"},
			Discard:     jetstream.DiscardNew,
			MaxBytes:    j.share(1),
			AllowDirect: true,
			DenyDelete:  true,
			DenyPurge:   true,
			Replicas:    j.cfg.Replicas,
		},
	}
	handles := map[string]jetstream.Stream{}
	for _, s := range streams {
		h, err := j.js.CreateOrUpdateStream(ctx, s)
		if err != nil {
			return nil, classify("create stream "+s.Name, err)
		}
		handles[s.Name] = h
	}
	return handles, nil
}

func (j *Journal) ensureBuckets(ctx context.Context) (jetstream.ObjectStore, error) {
	for _, b := range []jetstream.KeyValueConfig{
		{Bucket: BucketLedger, History: 1, MaxBytes: j.share(1), Replicas: j.cfg.Replicas},
		{Bucket: BucketAccounts, History: 1, MaxBytes: j.share(1), Replicas: j.cfg.Replicas},
	} {
		if _, err := j.js.CreateOrUpdateKeyValue(ctx, b); err != nil {
			return nil, classify("create bucket "+b.Bucket, err)
		}
	}
	bodies, err := j.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket: StoreBodies, MaxBytes: j.share(20), TTL: j.cfg.Retention, Replicas: j.cfg.Replicas,
	})
	return bodies, classify("create object store "+StoreBodies, err)
}

// ensureClaims creates the bucket of leases. It lives in memory: a lease
// protects calls that are running, and those end with the process that holds it.
func (j *Journal) ensureClaims(ctx context.Context, life time.Duration) (jetstream.KeyValue, error) {
	j.claimLife.Store(int64(life))
	kv, err := j.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: BucketClaims, History: 1, TTL: life, MaxBytes: 16 << 20,
		Storage: jetstream.MemoryStorage, Replicas: j.cfg.Replicas,
	})
	return kv, classify("create bucket "+BucketClaims, err)
}
