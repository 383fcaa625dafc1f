package journal

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// externalConfig is for a process of its own at the server with the given address.
func externalConfig(t *testing.T, addr string) Config {
	cfg := testConfig(t)
	cfg.Mode, cfg.URL = "external", "nats://"+addr
	return cfg
}

func TestStreamsOfAnotherAreLookedUp(t *testing.T) {
	addr := external(t, func(*server.Options) {})
	cfg := externalConfig(t, addr)
	cfg.Create = false
	guest := openTest(t, cfg)
	err := ready(guest, time.Second)
	for _, part := range []string{"stream " + StreamExchanges, "bucket " + BucketShared, "object store " + StoreBodies, "[nats] create = true", "start it first"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	nc, err := nats.Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("a process that may not make streams made %s", name)
	}

	owner := openTest(t, externalConfig(t, addr))
	for _, j := range []*Journal{owner, guest} {
		if err := ready(j, 15*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := guest.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 600<<10)}); err != nil {
		t.Error(err)
	}

	// The leases, whose life is the owner's.
	var missing missingError
	if _, err := guest.Claims(t.Context(), BucketClaims, "guest", 5*time.Second); !errors.As(err, &missing) {
		t.Errorf("claims without their bucket: %v", err)
	}
	if err := owner.MakeClaims(t.Context(), BucketClaims, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Claims(t.Context(), BucketClaims, "guest", 30*time.Second); err == nil || !strings.Contains(err.Error(), "ack_wait") {
		t.Errorf("claims of another life: %v", err)
	}
	claims, err := guest.Claims(t.Context(), BucketClaims, "guest", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := claims.Take(t.Context(), "x"); c == nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}

// An owner whose connection came back makes again what a restarted broker forgot.
func TestForgottenLeasesAreMadeAgainForOthers(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = freeAddr(t)
	s, err := startServer(cfg, nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	owner := openTest(t, externalConfig(t, cfg.Listen))
	if err := ready(owner, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := owner.MakeClaims(t.Context(), BucketClaims, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	guestConfig := externalConfig(t, cfg.Listen)
	guestConfig.Create = false
	guest := openTest(t, guestConfig)
	if err := ready(guest, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	claims, err := guest.Claims(t.Context(), BucketClaims, "guest", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	if s, err = startServer(cfg, nil, quiet()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := claims.Take(t.Context(), "x")
		if c != nil && err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no lease after the restart: %v", err)
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

func TestSeedAndInboxPrefix(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := user.PublicKey()
	seed, _ := user.Seed()
	addr := external(t, func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: public, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{">"}}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_mine.>"}},
		}}}
	})
	cfg := externalConfig(t, addr)
	cfg.Credentials, cfg.InboxPrefix = filepath.Join(t.TempDir(), "user.seed"), "_INBOX_mine"
	if err := os.WriteFile(cfg.Credentials, append(seed, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	j := openTest(t, cfg)
	if err := ready(j, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := Ping(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	cfg.Dir, cfg.InboxPrefix = t.TempDir(), "_INBOX"
	if err := ready(openTest(t, cfg), 2*time.Second); err == nil {
		t.Error("answers came on subjects that the user may not listen to")
	}
	if err := os.WriteFile(cfg.Credentials, []byte("no seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Dir = t.TempDir()
	if j, err := Open(cfg, quiet()); err == nil || !strings.Contains(err.Error(), "nkey") {
		t.Errorf("credentials without a key: %v", err)
		if err == nil {
			j.Close()
		}
	}
}

func TestConfigOfRights(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"create is false": func(c *Config) { c.Create = false },
		"inbox_prefix":    func(c *Config) { c.InboxPrefix = "_INBOX.>" },
		"proxy":           func(c *Config) { c.Proxy = "a.b" },
	} {
		cfg := testConfig(t)
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// The end of a reading is known by its sequence; where the last messages were deleted
// meanwhile, the reading ends all the same.
func TestReadingEndsWhereTheLastMessageIsGone(t *testing.T) {
	j := openTest(t, testConfig(t))
	var seq uint64
	for range 5 {
		var err error
		if seq, err = j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(subjects ...string) (n int, took time.Duration) {
		t.Helper()
		start := time.Now()
		if err := j.Read(t.Context(), StreamExchanges, subjects, func(*Message) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n, time.Since(start)
	}
	if n, took := read(); n != 5 || took > time.Second {
		t.Errorf("%d messages in %s", n, took)
	}
	for filter, want := range map[string]int{"understudy.exchange.*": 5, "understudy.>": 5, "understudy.exchange.b": 0, "understudy.*": 0, "understudy.exchange.a.>": 0} {
		if n, took := read(filter); n != want || took > time.Second {
			t.Errorf("%s: %d messages in %s", filter, n, took)
		}
	}
	for _, s := range []uint64{seq, seq - 1} {
		if err := j.streams[StreamExchanges].DeleteMsg(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := read(); n != 3 {
		t.Errorf("%d messages after two were deleted", n)
	}
	if n, last, err := j.CountSince(t.Context(), "proxy-1", seq-2); n != 0 || last != seq-2 || err != nil {
		t.Errorf("%d, %d, %v", n, last, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Read(stopped, StreamExchanges, nil, func(*Message) error { return nil }); err == nil {
		t.Error("a reading that was stopped says that it is complete")
	}
}

// A reader whose server lags gives the last message that the server has, and says that
// none follows. The reading knows better.
func TestReadingGoesOnWhereItsServerLags(t *testing.T) {
	j := openTest(t, testConfig(t))
	seq, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)})
	if err != nil {
		t.Fatal(err)
	}
	cons, err := j.streams[StreamExchanges].OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := cons.Next()
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := m.Metadata(); err != nil || meta.NumPending != 0 || meta.Sequence.Stream != seq {
		t.Fatalf("%+v, %v", meta, err)
	}
	for end, want := range map[uint64]bool{seq: true, seq + 1: false} {
		r := &reading{j: j, stream: StreamExchanges, end: end, handle: func(*Message) error { return nil }}
		if done, err := r.take(t.Context(), m); done != want || err != nil {
			t.Errorf("read %d of %d: done %v, %v", seq, end, done, err)
		}
	}
}

// A proxy that may not read exchanges counts by the reader that was made for it, and
// comes to the same as one that may.
func TestCountByTheReaderOfHeaders(t *testing.T) {
	addr := external(t, func(*server.Options) {})
	cfg := externalConfig(t, addr)
	cfg.Proxies = []string{"edge-1"}
	owner := openTest(t, cfg)
	if err := ready(owner, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	cfg = externalConfig(t, addr)
	cfg.Create, cfg.Proxy = false, "edge-1"
	proxy := openTest(t, cfg)
	if err := ready(proxy, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	const n = 700 // more than one fetch gives
	for i := range n {
		e := exchange("a", 1)
		if i%3 == 0 {
			e.Instance = "proxy-2"
		}
		if _, err := owner.PublishExchanges(t.Context(), "a", []*Exchange{e, e}[:1+i%2]); err != nil {
			t.Fatal(err)
		}
	}
	last, _ := AppendExchange(nil, exchange("a", 1))
	if _, err := owner.js.Publish(t.Context(), IngestSubject("other", "a"), last); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{0, 500, 10, n - 1, n, n + 1, n + 5} {
		for _, instance := range []string{"proxy-1", "proxy-2", "proxy-3"} {
			records, last, err := owner.CountSince(t.Context(), instance, seq)
			if err != nil {
				t.Fatal(err)
			}
			if r, l, err := proxy.CountSince(t.Context(), instance, seq); r != records || l != last || err != nil {
				t.Errorf("%s since %d: %d, %d, %v; want %d, %d", instance, seq, r, l, err, records, last)
			}
		}
	}
	cfg.Dir, cfg.Proxy = t.TempDir(), "edge-2"
	stranger := openTest(t, cfg)
	if err := ready(stranger, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, _, err := stranger.CountSince(t.Context(), "proxy-1", 0); err == nil || !strings.Contains(err.Error(), "proxies") {
		t.Errorf("a proxy without a reader counts: %v", err)
	}
}

// What a cluster cannot say yet is no refusal: a record that is on its way would be
// counted as dropped, and be stored.
func TestAnswersThatAreNone(t *testing.T) {
	for name, err := range map[string]error{
		"id in process":      &jetstream.APIError{Code: 409, ErrorCode: 10158},
		"subject in process": &jetstream.APIError{Code: 400, ErrorCode: 10164},
		"no leader":          &jetstream.APIError{Code: 503, ErrorCode: 10008},
		"no stream's leader": jetstream.ErrNoStreamResponse,
	} {
		if err := classify("store", err); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) || isSecond(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"stored":      &jetstream.APIError{Code: 400, ErrorCode: 10071},
		"full":        &jetstream.APIError{Code: 503, ErrorCode: 10077},
		"not allowed": &jetstream.APIError{Code: 400, ErrorCode: 10060},
	} {
		if err := classify("store", err); errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// freeAddr gives a loopback address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
