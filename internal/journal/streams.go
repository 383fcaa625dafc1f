package journal

import (
	"context"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sharedBytes bounds a bucket of a few short values.
const sharedBytes = 256 << 10

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
	if err != nil {
		return err
	}
	for bucket, life := range j.claimLives() {
		if _, err := j.ensureClaims(ctx, bucket, life); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) share(percent int64) int64 { return j.cfg.MaxStore / 100 * percent }

func (j *Journal) ensureStreams(ctx context.Context) (map[string]jetstream.Stream, error) {
	once := func(name string, percent int64, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name:     name,
			Subjects: subjects,
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
		once(StreamTrials, 15, "understudy.trial.*.*.*"),
		once(StreamVerdicts, 10, "understudy.verdict.*.*.*", "understudy.judgement.*.*.*"),
		{
			Name:     StreamCache,
			Subjects: []string{"understudy.judged.*"},
			// Bounded by size alone: the oldest verdicts are forgotten first.
			Discard:           jetstream.DiscardOld,
			MaxMsgsPerSubject: 1,
			MaxBytes:          j.share(1),
			AllowDirect:       true,
			Compression:       jetstream.S2Compression,
			Replicas:          j.cfg.Replicas,
		},
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
	streams = append(streams, j.deadLetterStream())
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
		{Bucket: BucketShared, History: 1, MaxBytes: sharedBytes, Replicas: j.cfg.Replicas},
		{Bucket: BucketBackfills, History: 1, MaxBytes: sharedBytes / 4, Replicas: j.cfg.Replicas},
		{Bucket: BucketQuota, History: 1, MaxBytes: sharedBytes, Replicas: j.cfg.Replicas, Storage: jetstream.MemoryStorage},
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

// ensureClaims creates a bucket of leases. It lives in memory: a lease
// protects calls that are running, and those end with the process that holds it.
func (j *Journal) ensureClaims(ctx context.Context, bucket string, life time.Duration) (jetstream.KeyValue, error) {
	j.mu.Lock()
	j.claims[bucket] = life
	j.mu.Unlock()
	kv, err := j.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, History: 1, TTL: life, MaxBytes: 16 << 20,
		Storage: jetstream.MemoryStorage, Replicas: j.cfg.Replicas,
	})
	return kv, classify("create bucket "+bucket, err)
}

func (j *Journal) claimLives() map[string]time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.claims)
}
