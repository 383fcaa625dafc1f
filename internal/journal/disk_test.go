package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// smallDisk mounts a file system of 96 MiB for the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system of the test's own cannot be mounted here (it takes root on Linux): %v: %s", err, out)
	}
	t.Cleanup(func() {
		// Lazily: a server that could not make a stream leaves its file open.
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir
}

// fill leaves so many bytes of the disk free; empty makes room again.
func fill(t *testing.T, dir string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		r, err := measure(dir)
		if err != nil {
			t.Fatal(err)
		}
		n := min(r.bytes-leave, 1<<20)
		if n <= 0 {
			return
		}
		if _, err := f.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
}

// eyes are a measure that a test can keep from looking, or make see room where
// there is none.
type eyes struct {
	shut sync.Mutex
	lie  atomic.Bool
}

func (e *eyes) measure(dir string) (room, error) {
	e.shut.Lock()
	defer e.shut.Unlock()
	if e.lie.Load() {
		return room{bytes: 1 << 40, files: unlimited}, nil
	}
	return measure(dir)
}

// A diskTest is a journal on a small disk and what it has acknowledged.
type diskTest struct {
	*Journal
	t     *testing.T
	dir   string
	cfg   Config
	eyes  eyes
	log   lockedLog
	acked map[string]bool
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

func newDiskTest(t *testing.T, change func(*Config)) *diskTest {
	d := &diskTest{t: t, dir: smallDisk(t), acked: map[string]bool{}}
	d.cfg = DefaultConfig()
	d.cfg.Dir, d.cfg.MaxStore = filepath.Join(d.dir, "state"), 64<<20
	if change != nil {
		change(&d.cfg)
	}
	d.open()
	t.Cleanup(func() {
		d.Close()
		if t.Failed() {
			t.Log(d.log.b.String())
		}
	})
	return d
}

func (d *diskTest) open() {
	d.t.Helper()
	var err error
	if d.Journal, err = open(d.cfg, slog.New(slog.NewTextHandler(&d.log, nil)), d.eyes.measure); err != nil {
		d.t.Fatal(err)
	}
}

// publish stores an exchange of some size; what is acknowledged must be there later.
func (d *diskTest) publish(size int) error {
	e := exchange("a", 0)
	e.Response = make([]byte, size)
	for i := range e.Response { // compression must not make it vanish
		e.Response[i] = byte(i*i>>3 ^ size)
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Second)
	defer cancel()
	_, err := d.PublishExchanges(ctx, "a", []*Exchange{e})
	if err == nil {
		d.acked[e.ID] = true
	}
	return err
}

func (d *diskTest) publishAll(n, size int) {
	d.t.Helper()
	for range n {
		if err := d.publish(size); err != nil {
			d.t.Fatal(err)
		}
	}
}

// stored reads what the stream of exchanges holds.
func (d *diskTest) stored() map[string]bool {
	d.t.Helper()
	ids := map[string]bool{}
	err := d.Read(d.t.Context(), StreamExchanges, nil, func(m *Message) error {
		list, err := ReadExchanges(m.Subject, m.Data)
		for _, e := range list {
			ids[e.ID] = true
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return ids
}

func (d *diskTest) checkStored() {
	d.t.Helper()
	have := d.stored()
	for id := range d.acked {
		if !have[id] {
			d.t.Errorf("%s was acknowledged and is lost", id)
		}
	}
}

func (d *diskTest) waitFull(want bool) {
	d.t.Helper()
	soon(d.t, fmt.Sprint("full is ", want), func() bool { _, _, full := d.Space(); return full == want })
}

// soon polls until cond says yes.
func soon(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

// writes are all the calls that store something.
func (d *diskTest) writes() map[string]func() error {
	ctx := d.t.Context()
	return map[string]func() error{
		"exchange":       func() error { return d.publish(100) },
		"large exchange": func() error { return d.publish(2 * messageLimit) },
		"trial": func() error {
			_, err := d.StoreTrial(ctx, &Trial{ID: NewID(time.Now()), Submodule: "a", Candidate: "c"})
			return err
		},
		"verdict": func() error {
			_, err := d.StoreVerdict(ctx, &Verdict{TrialID: NewID(time.Now()), Submodule: "a", Candidate: "c"})
			return err
		},
		"judgement": func() error {
			_, err := d.StoreJudgement(ctx, &Judgement{TrialID: NewID(time.Now()), Submodule: "a", Candidate: "c"})
			return err
		},
		"decision": func() error {
			return d.AppendDecision(ctx, &Decision{ID: NewID(time.Now()), Submodule: "a", Candidate: "c"})
		},
		"judges' memory":  func() error { return d.Remember(ctx, "key", Owners{Unit: "u"}, []byte("v")) },
		"counters":        func() error { return d.PutCounters(ctx, "proxy", 1) },
		"control's state": func() error { return d.PutControl(ctx, "a", ControlState{}) },
		"ledger": func() error {
			l, err := NewLedger(ctx, d.Journal, AccountReplay, "disk", Caps{DailyUSD: 1})
			if err == nil {
				_, err = l.Reserve(ctx, Spend{Endpoint: "c"}, 0.01)
			}
			return err
		},
	}
}

func TestDiskBelowItsReserveIsErrFullAndReadsGoOn(t *testing.T) {
	d := newDiskTest(t, nil)
	d.publishAll(50, 20000)
	for name, write := range d.writes() {
		if err := write(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	before := len(d.acked)
	cons, err := d.ExchangeConsumer(t.Context(), "c", nil, 10, 100, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}

	fill(t, d.dir, leastReserve-1<<20)
	d.waitFull(true)
	for name, write := range d.writes() {
		err := write()
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), d.cfg.Dir) || !strings.Contains(err.Error(), "31.0 MiB free") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !d.Up() {
		t.Error("not up, though everything can be read")
	}
	d.checkStored()
	if n, _, err := d.CountSince(t.Context(), "proxy-1", 0); n != before || err != nil {
		t.Errorf("counted %d of %d: %v", n, before, err)
	}
	for range 20 { // acknowledgements are written too
		if del, err := cons.Next(t.Context(), time.Second); err != nil || del == nil || del.Ack(t.Context()) != nil {
			t.Fatalf("next: %v, %v", del, err)
		}
	}
	if c, err := d.Claims(t.Context(), "claims", "me", 5*time.Second); err != nil {
		t.Error(err)
	} else if claim, err := c.Take(t.Context(), "x"); claim == nil || err != nil {
		t.Errorf("take a claim: %v, %v", claim, err)
	}

	empty(t, d.dir)
	d.waitFull(false)
	for name, write := range d.writes() {
		soon(t, name+" is stored again", func() bool { return write() == nil })
	}
	d.checkStored()
	if in, out := d.log.count("the disk is full"), d.log.count("the disk has room again"); in != 1 || out != 1 {
		t.Errorf("entering was logged %d times, leaving %d times", in, out)
	}
	if n := d.log.count("starting it anew"); n != 0 {
		t.Errorf("the server was started anew %d times; the reserve should spare it that", n)
	}
}

// exhaust fills the disk to its last byte between two looks and makes the store of
// the exchanges break.
func (d *diskTest) exhaust() {
	d.t.Helper()
	d.eyes.shut.Lock()
	fill(d.t, d.dir, 0)
	var err error
	for range 3 { // the first may still fit into the page that was begun
		err = d.publish(20000)
	}
	why := d.embedded.broken()
	d.eyes.shut.Unlock()
	if !errors.Is(err, ErrUnavailable) {
		d.t.Fatalf("stored on an exhausted disk: %v", err)
	}
	if !strings.Contains(why, "no space left") {
		d.t.Fatalf("the server's health does not tell that its store broke: %q", why)
	}
	d.waitFull(true)
}

func (d *diskTest) waitMended() {
	d.t.Helper()
	soon(d.t, "the journal is up and stores", func() bool { return d.Up() && d.embedded.broken() == "" && d.publish(100) == nil })
}

func TestStoreThatBrokeIsMendedInPlace(t *testing.T) {
	for _, sync := range []string{"always", "interval"} {
		t.Run(sync, func(t *testing.T) {
			d := newDiskTest(t, func(cfg *Config) { cfg.Sync = sync })
			d.publishAll(300, 20000)
			cons, err := d.ExchangeConsumer(t.Context(), "c", nil, 1000, 100, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := d.Claims(t.Context(), "claims", "me", 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			bucket, err := d.Bucket(t.Context(), BucketShared)
			if err != nil {
				t.Fatal(err)
			}
			follower := follow(d)
			trials, counters := readers(d)
			if err := d.js.DeleteKeyValue(t.Context(), "claims"); err != nil { // as a server forgets what lies in memory
				t.Fatal(err)
			}
			d.exhaust()
			if err := d.publish(100); !errors.Is(err, ErrFull) {
				t.Errorf("publish with a broken store on a full disk: %v", err)
			}
			d.checkStored()

			start := time.Now()
			empty(t, d.dir)
			d.waitMended()
			t.Logf("stored again %s after there was room", time.Since(start).Round(time.Millisecond))
			d.publishAll(50, 20000)
			d.checkStored()
			for range len(d.acked) {
				del, err := cons.Next(t.Context(), 5*time.Second)
				if err != nil || del == nil {
					t.Fatalf("the consumer that was opened before gives nothing more: %v", err)
				}
				if err := del.Ack(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.js.KeyValue(t.Context(), "claims"); err != nil {
				t.Errorf("the bucket of claims was not made again: %v", err)
			}
			if claim, err := claims.Take(t.Context(), "x"); claim == nil || err != nil {
				t.Errorf("take a claim: %v, %v", claim, err)
			}
			if _, err := bucket.Put(t.Context(), "k", nil); err != nil {
				t.Error(err)
			}
			soon(t, "who followed the stream has seen all of it", func() bool { return follower.has(d.acked) })
			if _, err := d.StoreTrial(t.Context(), &Trial{ID: "late", Submodule: "a", Candidate: "c"}); err != nil {
				t.Error(err)
			}
			soon(t, "the stage that was reading trials gets the new one", func() bool { return trials.has(map[string]bool{"late": true}) })
			if err := d.PutCounters(t.Context(), "late", 1); err != nil {
				t.Error(err)
			}
			soon(t, "who watched the counters gets the new ones", func() bool { return counters.has(map[string]bool{"late": true}) })
		})
	}
}

// A follower keeps what it read of the exchanges.
type follower struct {
	mu   sync.Mutex
	seen map[string]bool
}

func follow(d *diskTest) *follower {
	f := &follower{seen: map[string]bool{}}
	after := uint64(0)
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	d.t.Cleanup(func() { cancel(); <-done })
	j := d.Journal
	go func() {
		defer close(done)
		j.Keep(ctx, "test", func(ctx context.Context) error {
			return j.Follow(ctx, StreamExchanges, after, false, func(m *Message) error {
				list, err := ReadExchanges(m.Subject, m.Data)
				for _, e := range list {
					f.saw(e.ID)
				}
				after = m.Seq
				return err
			})
		})
	}()
	return f
}

func (f *follower) saw(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[id] = true
}

// readers are the other ways to read for long: a stage's trials, and a watch.
func readers(d *diskTest) (trials, counters *follower) {
	trials, counters = &follower{seen: map[string]bool{}}, &follower{seen: map[string]bool{}}
	ctx, cancel := context.WithCancel(d.t.Context())
	var wg sync.WaitGroup
	d.t.Cleanup(func() { cancel(); wg.Wait() })
	j, t := d.Journal, d.t
	wg.Go(func() {
		err := j.Trials(ctx, "judge", 4, func(_ context.Context, tr *Trial) error { trials.saw(tr.ID); return nil })
		if err != nil {
			t.Errorf("reading trials ended: %v", err)
		}
	})
	wg.Go(func() {
		err := j.WatchCounters(ctx, func(instance string, _ []byte) { counters.saw(instance) })
		if err != nil {
			t.Errorf("watching counters ended: %v", err)
		}
	})
	return trials, counters
}

func (f *follower) has(ids map[string]bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range ids {
		if !f.seen[id] {
			return false
		}
	}
	return true
}

func TestStoreThatBreaksAgainIsMendedAgain(t *testing.T) {
	d := newDiskTest(t, nil)
	d.publishAll(300, 20000)
	d.eyes.lie.Store(true) // as a quota does: the disk has room, and takes nothing
	fill(t, d.dir, 0)
	soon(t, "the journal is not up", func() bool { d.publish(20000); return !d.Up() })
	soon(t, "the server was started anew in vain", func() bool { return d.log.count("could not be started anew") >= 2 })
	empty(t, d.dir)
	d.waitMended()
	d.checkStored()
}

func TestJetStreamThatWasDisabledIsMended(t *testing.T) {
	var e eyes
	j, err := open(testConfig(t), quiet(), e.measure)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	publish := func() error {
		_, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)})
		return err
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	e.shut.Lock()
	if err := j.embedded.current().ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := publish(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("publish without JetStream: %v", err)
	}
	for name, ask := range map[string]func(context.Context) error{
		"ask account":   func(ctx context.Context) error { _, err := j.js.AccountInfo(ctx); return err },
		"open bucket":   func(ctx context.Context) error { _, err := j.Bucket(ctx, BucketShared); return err },
		"create stream": j.restore,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err := classify(name, ask(ctx))
		cancel()
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s without JetStream: %v", name, err)
		}
	}
	e.shut.Unlock()
	soon(t, "stored again", func() bool { return publish() == nil })
	if n, _, err := j.CountSince(t.Context(), "proxy-1", 0); n != 2 || err != nil {
		t.Errorf("%d stored: %v", n, err)
	}
}

func TestCloseWhileTheServerIsStartedAnew(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := testConfig(t)
	for i := range 5 {
		j, err := Open(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)}); err != nil {
			t.Fatal(err)
		}
		if err := j.embedded.current().ShutdownJetStream(); err != nil {
			t.Fatal(err)
		}
		soon(t, "the server is started anew", func() bool { return j.mending.Load() })
		time.Sleep(time.Duration(i) * 10 * time.Millisecond) // another moment of the start each time
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j.embedded.current() != nil {
			t.Fatal("a server runs after Close")
		}
	}
	goleak.VerifyNone(t, before)
	j := openTest(t, cfg)
	if n, _, err := j.CountSince(t.Context(), "proxy-1", 0); n != 5 || err != nil {
		t.Errorf("%d of 5 stored: %v", n, err)
	}
}

func TestOtherProcessesOfTheEmbeddedServer(t *testing.T) {
	addr := freeAddress(t)
	d := newDiskTest(t, func(cfg *Config) { cfg.Listen = addr })
	d.publishAll(3, 100)
	own := DefaultConfig()
	own.Mode, own.URL, own.Dir, own.MaxStore = "external", d.URL(), t.TempDir(), d.cfg.MaxStore
	worker := openTest(t, own)
	if err := ready(worker, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	claims, err := worker.Claims(t.Context(), "claims", "me", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(d.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	foreign := func() error {
		_, err := js.Publish(t.Context(), "understudy.ingest.other.a", []byte("x"))
		return classify("publish", err)
	}
	trial := func() error {
		_, err := worker.StoreTrial(t.Context(), &Trial{ID: NewID(time.Now()), Submodule: "a", Candidate: "c"})
		return err
	}

	fill(t, d.dir, leastReserve-1<<20)
	d.waitFull(true)
	for name, write := range map[string]func() error{"foreign publisher": foreign, "worker": trial} {
		soon(t, name+" is refused", func() bool { return errors.Is(write(), ErrFull) })
	}
	empty(t, d.dir)
	d.waitFull(false)
	d.exhaust()
	empty(t, d.dir)
	d.waitMended()
	soon(t, "the foreign publisher goes on", func() bool { return foreign() == nil })
	soon(t, "the worker goes on", func() bool { return trial() == nil })
	soon(t, "the worker takes a claim", func() bool { c, err := claims.Take(t.Context(), "x"); return c != nil && err == nil })
	if claim, err := claims.Take(t.Context(), "x"); claim != nil || err != nil {
		t.Errorf("the claim was given twice: %v, %v", claim, err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestOpenOnAFullDisk(t *testing.T) {
	for name, before := range map[string]bool{"first start": false, "store of before": true} {
		t.Run(name, func(t *testing.T) {
			d := newDiskTest(t, nil)
			if before {
				d.publishAll(20, 20000)
			}
			d.Close()
			if !before {
				if err := os.RemoveAll(d.cfg.Dir); err != nil {
					t.Fatal(err)
				}
			}
			fill(t, d.dir, 0)
			d.open()
			if err := d.publish(100); !errors.Is(err, ErrFull) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("publish: %v", err)
			}
			empty(t, d.dir)
			d.waitMended()
			d.checkStored()
		})
	}
}

func TestDiskWithoutFilesLeftIsFull(t *testing.T) {
	var left atomic.Int64
	left.Store(leastFiles)
	d := newDisk("dir", 10<<30, func(string) (room, error) { return room{bytes: 1 << 40, files: left.Load()}, nil }, quiet())
	for _, step := range []struct {
		left int64
		full bool
	}{{leastFiles, false}, {leastFiles - 1, true}, {leastFiles, true}, {2 * leastFiles, false}} {
		left.Store(step.left)
		if full := d.look(); full != step.full {
			t.Errorf("with %d files left: full %v", step.left, full)
		}
	}
}

func TestReserveIsAShareOfTheStoreAndNeverTooLittle(t *testing.T) {
	for store, want := range map[int64]int64{64 << 20: 32 << 20, 10 << 30: 10 << 30 / 100 * 5} {
		if d := newDisk("dir", store, measure, quiet()); d.reserve != want {
			t.Errorf("reserve of %d: %d, want %d", store, d.reserve, want)
		}
	}
	if _, reserve, full := (&Journal{}).Space(); reserve != 0 || full {
		t.Error("an external NATS has a reserve")
	}
}
