package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sharedBytes bounds a bucket of a few short values.
const sharedBytes = 256 << 10

// ensure makes every stream, bucket and store, or looks them up where this process
// may not make them ([nats] create). The definitions are the same for the embedded
// server and for an external one.
func (j *Journal) ensure(ctx context.Context) error {
	var mu sync.Mutex
	handles := map[string]jetstream.Stream{}
	var each []func() error
	for _, cfg := range j.streamConfigs() {
		each = append(each, func() error {
			s, err := j.ensureStream(ctx, cfg)
			mu.Lock()
			defer mu.Unlock()
			handles[cfg.Name] = s
			return err
		})
	}
	for _, cfg := range j.bucketConfigs() {
		each = append(each, func() error {
			_, err := j.ensureBucket(ctx, cfg)
			return err
		})
	}
	// By itself: where an earlier version gave the store more, the rest has no room before.
	bodies, err := j.ensureStore(ctx, j.storeConfig())
	var missing missingError
	if err != nil && !errors.As(err, &missing) {
		return err
	}
	each = append(each, func() error { return err })
	if err := allAtOnce(each); err != nil {
		return err
	}
	j.streams, j.bodies = handles, bodies
	return j.ensureHeadReaders(ctx)
}

// restore is ensure for streams that are in use: handles go by name and stay.
func (j *Journal) restore(ctx context.Context) error {
	var each []func() error
	for _, cfg := range j.streamConfigs() {
		each = append(each, func() error { _, err := j.ensureStream(ctx, cfg); return err })
	}
	for _, cfg := range j.bucketConfigs() {
		each = append(each, func() error { _, err := j.ensureBucket(ctx, cfg); return err })
	}
	each = append(each, func() error { _, err := j.ensureStore(ctx, j.storeConfig()); return err })
	for bucket, life := range j.claimLives() {
		each = append(each, func() error { _, err := j.ensureClaims(ctx, bucket, life); return err })
	}
	return allAtOnce(each)
}

// allAtOnce runs all calls side by side, since each new stream of a cluster elects its
// leader first. Of what went wrong the first stands for all; what is missing is named
// in one sentence.
func allAtOnce(calls []func() error) error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
	}
	wg.Wait()
	var missing missingError
	var other []error
	for _, err := range errs {
		var m missingError
		if errors.As(err, &m) {
			missing = append(missing, m...)
		} else if err != nil {
			other = append(other, err)
		}
	}
	if len(other) > 1 { // as a rule all for one reason
		return fmt.Errorf("%w (and %d more)", other[0], len(other)-1)
	}
	if len(other) > 0 {
		return other[0]
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return missing
	}
	return nil
}

// A missingError names streams, buckets and stores that are not there, and that this
// process may not make.
type missingError []string

func (m missingError) Error() string {
	return fmt.Sprintf("not there: %s; the process with [nats] create = true makes them, start it first", strings.Join(m, ", "))
}

func (j *Journal) share(percent int64) int64 { return j.cfg.MaxStore / 100 * percent }

// streamConfigs are the streams of records.
func (j *Journal) streamConfigs() []jetstream.StreamConfig {
	once := func(name string, percent int64, age time.Duration, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name:     name,
			Subjects: subjects,
			// One message for each subject, and the stream itself refuses a second.
			MaxMsgsPerSubject:    1,
			Discard:              jetstream.DiscardNew,
			DiscardNewPerSubject: true,
			MaxBytes:             j.share(percent),
			MaxAge:               j.cfg.keeps(age),
			AllowDirect:          true,
			Compression:          jetstream.S2Compression,
			Replicas:             j.cfg.Replicas,
		}
	}
	return []jetstream.StreamConfig{
		{
			Name:     StreamExchanges,
			Subjects: []string{"understudy.exchange.*", "understudy.ingest.*.*"},
			// Full means spool, then a counted drop at the proxy: never the
			// silent loss of the oldest.
			Discard:     jetstream.DiscardNew,
			MaxBytes:    j.share(50),
			MaxAge:      j.cfg.keeps(j.cfg.RetentionExchanges),
			Duplicates:  2 * time.Minute,
			AllowDirect: true,
			Compression: jetstream.S2Compression,
			Replicas:    j.cfg.Replicas,
		},
		once(StreamTrials, 15, j.cfg.RetentionTrials, "understudy.trial.*.*.*"),
		once(StreamVerdicts, 10, j.cfg.RetentionVerdicts, "understudy.verdict.*.*.*", "understudy.judgement.*.*.*"),
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
			MaxAge:      j.cfg.RetentionDecisions,
			AllowDirect: true,
			DenyDelete:  true,
			DenyPurge:   true,
			Replicas:    j.cfg.Replicas,
		},
		j.deadLetterStream(),
		j.secretStream(),
	}
}

// bucketConfigs are the buckets that outlive the processes.
func (j *Journal) bucketConfigs() []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{Bucket: BucketLedger, History: 1, MaxBytes: j.share(1), Replicas: j.cfg.Replicas},
		{Bucket: BucketAccounts, History: 1, MaxBytes: j.share(1), Replicas: j.cfg.Replicas},
		{Bucket: BucketShared, History: 1, MaxBytes: sharedBytes, Replicas: j.cfg.Replicas},
		{Bucket: BucketBackfills, History: 1, MaxBytes: sharedBytes / 4, Replicas: j.cfg.Replicas},
		{Bucket: BucketQuota, History: 1, MaxBytes: sharedBytes, Replicas: j.cfg.Replicas, Storage: jetstream.MemoryStorage},
	}
}

// storeConfig is the store of bodies that are too long for a message.
func (j *Journal) storeConfig() jetstream.ObjectStoreConfig {
	return jetstream.ObjectStoreConfig{Bucket: StoreBodies, MaxBytes: j.share(18), TTL: j.cfg.longest(), Replicas: j.cfg.Replicas}
}

func (j *Journal) ensureStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if j.cfg.Create {
		s, err := j.js.CreateOrUpdateStream(ctx, cfg)
		return s, classify("create stream "+cfg.Name, err)
	}
	s, err := j.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, missingError{"stream " + cfg.Name}
	}
	return s, classify("look up stream "+cfg.Name, err)
}

func (j *Journal) ensureBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	if j.cfg.Create {
		kv, err := j.js.CreateOrUpdateKeyValue(ctx, cfg)
		return kv, classify("create bucket "+cfg.Bucket, err)
	}
	kv, err := j.js.KeyValue(ctx, cfg.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, missingError{"bucket " + cfg.Bucket}
	}
	return kv, classify("look up bucket "+cfg.Bucket, err)
}

func (j *Journal) ensureStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	if j.cfg.Create {
		store, err := j.js.CreateOrUpdateObjectStore(ctx, cfg)
		return store, classify("create object store "+cfg.Bucket, err)
	}
	store, err := j.js.ObjectStore(ctx, cfg.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, missingError{"object store " + cfg.Bucket}
	}
	return store, classify("look up object store "+cfg.Bucket, err)
}

// ensureClaims makes a bucket of leases, or looks it up. It lives in memory: a lease
// protects calls that are running, and those end with the process that holds it.
func (j *Journal) ensureClaims(ctx context.Context, bucket string, life time.Duration) (jetstream.KeyValue, error) {
	j.mu.Lock()
	j.claims[bucket] = life
	j.mu.Unlock()
	kv, err := j.ensureBucket(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, History: 1, TTL: life, MaxBytes: 16 << 20,
		Storage: jetstream.MemoryStorage, Replicas: j.cfg.Replicas,
	})
	if err != nil || j.cfg.Create {
		return kv, err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, classify("look at bucket "+bucket, err)
	}
	if status.TTL() != life {
		return nil, fmt.Errorf("leases in bucket %s live %s, and this process needs %s: give all processes the same [replay] ack_wait, the one with [nats] create = true first",
			bucket, status.TTL(), life)
	}
	return kv, nil
}

// MakeClaims makes a bucket of leases for processes that may not make it, and makes it
// again where a restarted broker has forgotten it.
func (j *Journal) MakeClaims(ctx context.Context, bucket string, life time.Duration) error {
	if err := j.usable("make bucket " + bucket); err != nil {
		return err
	}
	_, err := j.ensureClaims(ctx, bucket, life)
	return err
}

func (j *Journal) claimLives() map[string]time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.claims)
}
