package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"understudy/llm"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func testConfig(t *testing.T) Config {
	cfg := DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Sync = "interval"
	cfg.MaxStore = 256 << 20
	return cfg
}

func openTest(t *testing.T, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func exchange(submodule string, n int) *Exchange {
	return &Exchange{
		Schema: SchemaVersion, ID: NewID(time.Now()), At: time.Now().UTC().Round(0), Source: SourceCapture, Instance: "proxy-1",
		Submodule: submodule, Conversation: fmt.Sprint("c", n), Class: llm.ClassOK, Status: 200,
		Request:  []byte(`{"model":"m","messages":[]}`),
		Response: noise(2 * n),
	}
}

// noise cannot be compressed.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

func TestExchangeSurvivesTheWireByteForByte(t *testing.T) {
	var data []byte
	var want []*Exchange
	for n := range 5 {
		e := exchange("a/b.c", n*1000)
		e.Request = append(e.Request, 0, 0xff, '\n')
		want = append(want, e)
		var err error
		if data, err = AppendExchange(data, e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := DecodeExchanges(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if len(want[i].Response) == 0 {
			want[i].Response = []byte{}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for cut := 1; cut < len(data); cut += 97 {
		if list, err := DecodeExchanges(data[:cut]); err == nil && len(list) == len(want) {
			t.Fatalf("cut at %d read as whole", cut)
		}
	}
}

func TestExchangeIsFoundHoweverItsJSONIsWritten(t *testing.T) {
	own, _ := AppendExchange(nil, exchange("a", 3))
	meta := []byte(`{ "id": "<my> 1", "schema": 1, "at": "2026-11-24T10:00:00Z" }`)
	rec := binary.AppendUvarint(nil, uint64(len(meta)))
	rec = append(append(rec, meta...), 1, 'q', 1, 'a')
	data := append(binary.AppendUvarint(own, uint64(len(rec))), rec...)
	e, err := findExchange(data, "<my> 1")
	if err != nil || string(e.Request) != "q" || string(e.Response) != "a" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := findExchange(data, "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
}

func FuzzDecodeExchanges(f *testing.F) {
	data, _ := AppendExchange(nil, exchange("a", 3))
	f.Add(data)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) { DecodeExchanges(data) })
}

func TestNamesAreEscapedReversibly(t *testing.T) {
	for _, name := range []string{"interview/question-generation", "llama-3.3-70b", "a.b/c.d/e_f", "x"} {
		tok := Escape(name)
		if strings.ContainsAny(tok, "./*> ") {
			t.Errorf("Escape(%q) = %q is not one token", name, tok)
		}
		if got := Unescape(tok); got != name {
			t.Errorf("Unescape(%q) = %q, want %q", tok, got, name)
		}
	}
}

func TestDirectoryHasOneOwner(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	if _, err := Open(cfg, quiet()); !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v, want ErrLocked", err)
	}
	j.Close()
	openTest(t, cfg)
}

func TestTrialIsStoredOnceHoweverOftenAndLateItIsPublished(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	ctx := t.Context()
	tr := &Trial{Schema: 1, ID: TrialID("e", "llama-3.3", "m", "", 0), Submodule: "a/b", Candidate: "llama-3.3", Disposition: Tried, ExchangeSeq: 1}
	for i, want := range []bool{true, false, false} {
		stored, err := j.StoreTrial(ctx, tr)
		if err != nil || stored != want {
			t.Fatalf("publish %d: stored %v, %v; want %v", i, stored, err, want)
		}
	}
	// The stream's own limit is the arbiter, also for a publisher that states no expectation.
	if _, err := j.js.Publish(ctx, TrialSubject("a/b", "llama-3.3", tr.ID), []byte("{}")); err == nil {
		t.Error("the stream took a second message on a trial's subject")
	}
	j.Close()
	j = openTest(t, cfg)
	if stored, err := j.StoreTrial(ctx, tr); err != nil || stored {
		t.Errorf("after a restart: stored %v, %v", stored, err)
	}
	has, err := j.HasTrial(ctx, "a/b", "llama-3.3", tr.ID)
	if err != nil || !has {
		t.Errorf("HasTrial = %v, %v", has, err)
	}
	if has, _ := j.HasTrial(ctx, "a/b", "llama-3.3", "other"); has {
		t.Error("HasTrial of an unknown id")
	}
}

func TestBatchesPublishedAtOnceKeepTheirBytes(t *testing.T) {
	j := openTest(t, testConfig(t))
	var mu sync.Mutex
	want := map[string]*Exchange{}
	var publishers sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for round := range 5 {
				batch := []*Exchange{exchange("a", 7*p+round), exchange("a", 150_000), exchange("a", 150_000+p), exchange("a", round)}
				for i, e := range batch {
					e.Request = bytes.Repeat([]byte{byte('a' + 4*p + i)}, 100+round)
					mu.Lock()
					want[e.ID] = e
					mu.Unlock()
				}
				if _, err := j.PublishExchanges(t.Context(), "a", batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	got := 0
	err := j.Read(t.Context(), StreamExchanges, nil, func(m *Message) error {
		list, err := ReadExchanges(m.Subject, m.Data)
		if err == nil {
			err = j.UnsealAll(t.Context(), list)
		}
		for _, e := range list {
			if w := want[e.ID]; w == nil || e.Conversation != w.Conversation || !bytes.Equal(e.Request, w.Request) || !bytes.Equal(e.Response, w.Response) {
				t.Errorf("exchange %s is not what was published", e.ID)
			}
			got++
		}
		return err
	})
	if err != nil || got != len(want) {
		t.Errorf("%d of %d exchanges, %v", got, len(want), err)
	}
}

func TestLargeExchangeGoesThroughTheObjectStore(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx := t.Context()
	big, small := exchange("a", 2<<20), exchange("a", 10)
	seq, err := j.PublishExchanges(ctx, "a", []*Exchange{small, big, exchange("a", 11)})
	if err != nil || seq != 3 {
		t.Fatalf("seq %d, %v; want 3 messages", seq, err)
	}
	got, err := j.Exchange(ctx, 2, big.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Response, big.Response) {
		t.Error("large answer changed")
	}
	if _, err := j.Exchange(ctx, 2, "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
	// A repeated publish after a lost acknowledgement adds nothing.
	if _, err := j.PublishExchanges(ctx, "a", []*Exchange{small}); err != nil {
		t.Fatal(err)
	}
	n, last, err := j.CountSince(ctx, "proxy-1", 0)
	if err != nil || n != 3 || last != 3 {
		t.Errorf("CountSince = %d, %d, %v; want 3 records, last 3", n, last, err)
	}
	if n, _, _ := j.CountSince(ctx, "proxy-1", 2); n != 1 {
		t.Errorf("CountSince(2) = %d, want 1", n)
	}
}

func TestClaimIsHeldByOneAndEndsByItself(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx := t.Context()
	a, err := j.Claims(ctx, BucketClaims, "a", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := j.Claims(ctx, BucketClaims, "b", 2*time.Second)
	one, err := a.Take(ctx, "t1")
	if err != nil || one == nil {
		t.Fatalf("first take: %v, %v", one, err)
	}
	if two, err := b.Take(ctx, "t1"); err != nil || two != nil {
		t.Fatalf("second take: %v, %v", two, err)
	}
	end := time.Now().Add(3 * time.Second)
	for time.Now().Before(end) { // renewed, it outlives its life
		if err := one.Renew(ctx); err != nil {
			t.Fatal(err)
		}
		if two, _ := b.Take(ctx, "t1"); two != nil {
			t.Fatal("a renewed claim was lost")
		}
		<-time.After(100 * time.Millisecond)
	}
	if err := one.Release(ctx); err != nil {
		t.Fatal(err)
	}
	two, err := b.Take(ctx, "t1")
	if err != nil || two == nil {
		t.Fatalf("take after release: %v, %v", two, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for { // never renewed, it ends by itself
		if three, _ := a.Take(ctx, "t1"); three != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("an abandoned claim never ended")
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestConsumerWithGrownScopeMissesNothing(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx := t.Context()
	for _, s := range []string{"a", "b", "a"} {
		if _, err := j.PublishExchanges(ctx, s, []*Exchange{exchange(s, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	drain := func(scope []string) (seqs []uint64) {
		c, err := j.ExchangeConsumer(ctx, "e.1/x", scope, 10, 100, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for {
			d, err := c.Next(ctx, 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if d == nil {
				return seqs
			}
			seqs = append(seqs, d.Seq)
			if err := d.Ack(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff([]uint64{1, 3}, drain([]string{"a"})); d != "" {
		t.Error(d)
	}
	if got := drain([]string{"a"}); got != nil {
		t.Errorf("acknowledged messages came again: %v", got)
	}
	if d := cmp.Diff([]uint64{1, 2, 3}, drain([]string{"a", "b"})); d != "" {
		t.Error("after growth: " + d)
	}
	if got := drain([]string{"b"}); got != nil {
		t.Errorf("after shrinking: %v", got)
	}
}

func TestAccountsClose(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx, cancel := context.WithCancel(t.Context())
	scope := func(s string) []string {
		if s == "a" {
			return []string{"x", "y"}
		}
		return []string{"x"}
	}
	acc := NewAccounts(j, scope)
	done := make(chan error)
	go func() { done <- acc.Run(ctx) }()
	defer func() { cancel(); <-done }()

	a := []*Exchange{exchange("a", 1), exchange("a", 2), exchange("a", 3)}
	b := []*Exchange{exchange("b", 1)}
	j.PublishExchanges(ctx, "a", a)
	j.PublishExchanges(ctx, "b", b)
	store := func(e *Exchange, seq uint64, candidate string, d Disposition) {
		tr := &Trial{Schema: 1, ID: TrialID(e.ID, candidate, "", "", 0), ExchangeSeq: seq, Submodule: e.Submodule, Candidate: candidate, Disposition: d}
		if stored, err := j.StoreTrial(ctx, tr); err != nil || !stored {
			t.Fatal(stored, err)
		}
	}
	store(a[0], 1, "x", Tried)
	store(a[1], 1, "x", NotComparable)
	store(b[0], 2, "x", OverBudget)
	store(a[0], 1, "y", DeadLetter)
	want := map[string]Buckets{
		"x": {Trial: 1, NotComparable: 1, OverBudget: 1, Pending: 1},
		"y": {DeadLetter: 1, Pending: 2},
	}
	deadline := time.Now().Add(10 * time.Second)
	for cmp.Diff(want, acc.Candidates()) != "" {
		if time.Now().After(deadline) {
			t.Fatal(cmp.Diff(want, acc.Candidates()))
		}
		<-time.After(10 * time.Millisecond)
	}
	if acc.Stored() != 4 {
		t.Errorf("Stored = %d, want 4", acc.Stored())
	}
	// What leaves the stream untried is expired, not forgotten.
	state, _ := j.js.Stream(ctx, StreamExchanges)
	st := state.CachedInfo().State
	st.FirstSeq = 2
	acc.expireBefore(st)
	want = map[string]Buckets{
		"x": {Trial: 1, NotComparable: 1, OverBudget: 1, Expired: 1},
		"y": {DeadLetter: 1, Expired: 2},
	}
	if d := cmp.Diff(want, acc.Candidates()); d != "" {
		t.Error(d)
	}
}

func TestExternalNATSMayComeLate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	cfg := testConfig(t)
	cfg.Mode, cfg.URL = "external", "nats://"+addr
	j := openTest(t, cfg)
	if _, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("publish without NATS: %v, want ErrUnavailable", err)
	}
	scfg := testConfig(t)
	scfg.Listen = addr
	s, err := startServer(scfg, nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := j.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := j.PublishExchanges(ctx, "a", []*Exchange{exchange("a", 1)}); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.ClientURL()) // anybody on loopback may publish on the ingest subject
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	data, _ := AppendExchange(nil, exchange("a", 1))
	if _, err := nc.Request(IngestSubject("ci", "a"), data, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	if err := j.Read(ctx, StreamExchanges, nil, func(m *Message) error { subjects = append(subjects, m.Subject); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"understudy.exchange.a", "understudy.ingest.ci.a"}, subjects); d != "" {
		t.Error(d)
	}
}

func TestFullStoreIsSaid(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxStore = 64 << 20
	j := openTest(t, cfg)
	for range 200 {
		if _, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 200<<10)}); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatalf("%v, want ErrFull", err)
			}
			return
		}
	}
	t.Error("80 MB went into a stream of 32 MB")
}
