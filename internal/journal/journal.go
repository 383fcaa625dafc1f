package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Journal is the connection to the streams, and the embedded server where
// there is one. Its methods may be called from many goroutines.
type Journal struct {
	cfg    Config
	log    *slog.Logger
	lock   *os.File
	master *master // nil without a key file
	keys   *keyring
	// embedded and disk are nil with an external NATS.
	embedded *embedded
	disk     *disk
	nc       *nats.Conn
	js       jetstream.JetStream
	// set before ready is closed
	bodies  jetstream.ObjectStore
	streams map[string]jetstream.Stream

	mu      sync.Mutex
	claims  map[string]time.Duration // the buckets of leases in use, with a lease's life
	buckets map[string]jetstream.KeyValue
	tails   map[string]tail
	unready error // why the streams could not be made or found last

	forgetting sync.Mutex // held while somebody is forgotten

	restoring sync.Mutex // held while what a reconnection found is made good

	ready   chan struct{}
	mending atomic.Bool // the embedded server is being started anew
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

// callTimeout bounds each request to NATS, connectTimeout each attempt to connect: Open
// waits for the first, and a proxy does not serve before.
const (
	callTimeout    = 5 * time.Second
	connectTimeout = 2 * time.Second
)

// Open takes the state directory and connects. An embedded server is ready
// when Open returns, unless the disk is full. An external one may be away: Open
// returns all the same. Both are tried until they work, and Ready tells when the
// streams exist; until then the calls fail with ErrUnavailable.
func Open(cfg Config, log *slog.Logger) (*Journal, error) { return open(cfg, log, measure) }

func open(cfg Config, log *slog.Logger, measure func(dir string) (room, error)) (*Journal, error) {
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	master, err := readKeyFile(cfg.KeyFile)
	if err == nil && cfg.Mode == "embedded" {
		err = checkMark(cfg.Dir, master)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nats.key_file: %w", err), lock.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	j := &Journal{master: master, cfg: cfg, log: log, lock: lock, ready: make(chan struct{}), claims: map[string]time.Duration{}, buckets: map[string]jetstream.KeyValue{}, tails: map[string]tail{}, cancel: cancel}
	j.keys = &keyring{j: j}
	if cfg.Mode == "embedded" {
		j.disk = newDisk(storeDir(&cfg), cfg.MaxStore, measure, log)
		j.embedded = &embedded{cfg: cfg, master: master, log: log}
		err = j.openEmbedded(ctx)
	} else if err = j.connect(ctx); err == nil {
		j.wait.Go(func() { j.ensureUntilReady(ctx) })
	}
	if err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) connect(ctx context.Context) error {
	opts := []nats.Option{
		nats.Name("understudy"), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.Timeout(connectTimeout), nats.RetryOnFailedConnect(true),
		// Nothing may wait in the client's own buffer: whoever publishes keeps
		// its record until it is acknowledged.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				j.log.Warn("NATS connection lost; trying again", "stage", "nats", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { j.reconnected(ctx, nc) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				j.log.Error("NATS does not let this user do that; see deploy/nats/accounts.conf for the rights of each stage", "stage", "nats", "err", err)
				return
			}
			j.log.Debug("NATS client", "stage", "nats", "err", err)
		}),
	}
	url := j.cfg.URL
	if j.embedded != nil {
		url = ""
		opts = append(opts, nats.InProcessServer(j.embedded))
	} else {
		opts = append(opts, j.cfg.access()...)
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return fmt.Errorf("connect NATS %s: %w", url, err)
	}
	j.nc = nc
	j.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(callTimeout))
	return err
}

// reconnected makes good what a restarted broker has lost: it keeps what lies in
// files, and forgets the bucket of leases, which lies in memory. With an embedded
// server mend does so.
func (j *Journal) reconnected(ctx context.Context, nc *nats.Conn) {
	j.log.Info("NATS connected", "stage", "nats", "url", nc.ConnectedUrlRedacted())
	select {
	case <-j.ready:
	default:
		return // ensureUntilReady is at it
	}
	if j.embedded != nil {
		return
	}
	go j.restoreUntilDone(ctx, nc)
}

// restoreUntilDone ends with the journal or the connection: after the next one it is
// called again. A cluster that has just lost a server has no leader for a while.
func (j *Journal) restoreUntilDone(ctx context.Context, nc *nats.Conn) {
	j.restoring.Lock()
	defer j.restoring.Unlock()
	for try := 0; nc.IsConnected() && ctx.Err() == nil; try++ {
		err := j.restoreSoon(ctx)
		if err == nil || nc.IsClosed() {
			return
		}
		if try == 1 { // the second time it is no hiccup
			j.log.Warn("streams could not be checked after a reconnection; trying again", "stage", "nats", "err", err)
		}
		time.Sleep(time.Second) // between two tries
	}
}

func (j *Journal) restoreSoon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	return j.restore(ctx)
}

func (j *Journal) ensureUntilReady(ctx context.Context) {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := j.ensure(ctx)
		if err == nil {
			close(j.ready)
			return
		}
		if ctx.Err() != nil {
			return
		}
		err = j.why(err)
		j.mu.Lock()
		j.unready = err
		j.mu.Unlock()
		j.log.Warn("NATS is not ready; trying again", "stage", "nats", "url", j.cfg.URL, "err", err, "wait", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// why is the connection's own error where there is no connection: what the
// client says of a request that it could not send explains nothing.
func (j *Journal) why(err error) error {
	if last := j.nc.LastError(); last != nil && !j.nc.IsConnected() {
		return last
	}
	return err
}

// Ready is closed once the streams exist.
func (j *Journal) Ready() <-chan struct{} { return j.ready }

// Up tells whether the streams exist and the connection stands now. It is false
// while the embedded server is started anew.
func (j *Journal) Up() bool {
	select {
	case <-j.ready:
		return j.nc.IsConnected() && !j.mending.Load()
	default:
		return false
	}
}

// Connected tells whether NATS lets us in now, whether or not the streams exist.
func (j *Journal) Connected() bool { return j.nc.IsConnected() }

// WaitReady waits for Ready; when ctx ends first the error is ErrUnavailable.
func (j *Journal) WaitReady(ctx context.Context) error {
	select {
	case <-j.ready:
		return nil
	case <-ctx.Done():
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.unready != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, j.cfg.URL, j.unready)
	}
	if err := j.disk.refusal(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: no answer from %s", ErrUnavailable, j.cfg.URL)
}

func (j *Journal) usable(op string) error {
	if !j.Up() {
		return fmt.Errorf("%s: %w", op, ErrUnavailable)
	}
	return nil
}

// Dir is the state directory.
func (j *Journal) Dir() string { return j.cfg.Dir }

// URL is the address at which other processes reach the embedded server, empty
// without [nats] listen; of an external NATS its configured address.
func (j *Journal) URL() string {
	switch {
	case j.embedded == nil:
		return j.cfg.URL
	case j.cfg.Listen == "":
		return ""
	}
	return "nats://" + j.cfg.Listen
}

// Close ends the connection and the embedded server and frees the directory.
// What was not acknowledged before is not stored.
func (j *Journal) Close() error {
	j.cancel()
	if j.nc != nil {
		j.nc.Close()
	}
	j.wait.Wait()
	if j.embedded != nil {
		j.embedded.stop()
	}
	return errors.Join(j.lock.Close())
}

// Bucket opens one of the key-value buckets. Writing to it is ErrFull while the
// disk of the embedded store is full.
func (j *Journal) Bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	if err := j.usable("open bucket " + name); err != nil {
		return nil, err
	}
	j.mu.Lock()
	kv := j.buckets[name]
	j.mu.Unlock()
	if kv != nil { // handles go by name, and stay
		return kv, nil
	}
	kv, err := j.js.KeyValue(ctx, name)
	if err != nil {
		return nil, classify("open bucket "+name, err)
	}
	kv = &bucket{KeyValue: kv, j: j}
	j.mu.Lock()
	j.buckets[name] = kv
	j.mu.Unlock()
	return kv, nil
}
