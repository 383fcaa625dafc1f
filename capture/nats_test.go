package capture

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"understudy/internal/journal"
)

// With the real journal: everything arrives once and byte for byte, also a body
// above NATS's own message limit, and the next life finds it again.
func TestRealJournal(t *testing.T) {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.MaxStore = t.TempDir(), "interval", 512<<20
	j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	up, dir := provider(t, answering), t.TempDir()
	r := start(t, up, rigConfig{pub: j, dir: dir})
	const n = 200
	large := noisy(2 << 20)
	if _, got := ask(t, r.url+chatPath, large, "X-Understudy-Conversation", "large"); got != completion {
		t.Errorf("client got %.100q", got)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			ask(t, r.url+chatPath, question, "X-Understudy-Conversation", fmt.Sprint(i), "X-Understudy-Submodule", fmt.Sprint("m/", i%3))
		})
	}
	wg.Wait()
	if a := r.settled(n + 1); a.Captured != n+1 {
		t.Fatalf("accounts %+v", a)
	}
	seen := map[string]int{}
	read := func(m *journal.Message) error {
		recs, err := journal.DecodeExchanges(m.Data)
		if err == nil {
			err = j.UnsealAll(t.Context(), recs)
		}
		if err != nil {
			return err
		}
		for _, e := range recs {
			seen[e.Conversation]++
			want := question
			if e.Conversation == "large" {
				want = large
			}
			if string(e.Request) != want || string(e.Response) != completion || !strings.HasPrefix(m.Subject, "understudy.exchange.") {
				t.Errorf("%s on %s: %.80q, %.80q", e.Conversation, m.Subject, e.Request, e.Response)
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := j.Read(ctx, journal.StreamExchanges, []string{"understudy.exchange.>"}, read); err != nil {
		t.Fatal(err)
	}
	if len(seen) != n+1 {
		t.Errorf("%d of %d exchanges are stored", len(seen), n+1)
	}
	for c, k := range seen {
		if k != 1 {
			t.Errorf("exchange %s is stored %d times", c, k)
		}
	}
	r.stop()
	again := start(t, up, rigConfig{pub: j, dir: dir})
	if a := again.settled(n + 1); a.Captured != n+1 || a.Unaccounted != 0 {
		t.Errorf("accounts of the next life %+v", a)
	}
}

// An object store that takes nothing costs no answer, and no other record: what needs it is
// dropped and counted.
func TestObjectStoreThatFailsIsNotFelt(t *testing.T) {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.MaxStore, cfg.Listen = t.TempDir(), "interval", 512<<20, freeAddress(t)
	j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	nc, err := nats.Connect("nats://" + cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, provider(t, answering), rigConfig{pub: j, cfg: withSpool})
	large := noisy(1 << 20)
	ask(t, r.url+chatPath, large, "X-Understudy-Conversation", "before")
	r.settled(1)
	objects, err := js.Stream(t.Context(), "OBJ_UNDERSTUDY_BODIES")
	if err != nil {
		t.Fatal(err)
	}
	whole := objects.CachedInfo().Config
	small := whole
	small.MaxMsgSize = 10 // no piece of an object fits
	if _, err := js.UpdateStream(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, got := ask(t, r.url+chatPath, large, "X-Understudy-Conversation", fmt.Sprint("large ", i)); got != completion {
			t.Errorf("client got %.100q", got)
		}
		if _, got := ask(t, r.url+chatPath, question, "X-Understudy-Conversation", fmt.Sprint("small ", i)); got != completion {
			t.Errorf("client got %.100q", got)
		}
	}
	r.settled(11)
	if _, err := js.UpdateStream(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	r.drained()
	a := r.settled(11)
	stored := int64(0)
	err = j.Read(t.Context(), journal.StreamExchanges, nil, func(m *journal.Message) error {
		recs, err := journal.DecodeExchanges(m.Data)
		stored += int64(len(recs))
		return err
	})
	if err != nil || stored != a.Captured || a.Captured != 6 || a.Dropped[reasonRefused] != 5 {
		t.Errorf("%d stored, %v, accounts %+v", stored, err, a)
	}
}

// noisy is a chat request of more than n bytes that cannot be compressed to fewer.
func noisy(n int) string {
	noise := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	return strings.Replace(question, "How are you?", base64.StdEncoding.EncodeToString(noise), 1)
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
