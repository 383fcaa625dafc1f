package capture

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

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
	large := long(2 << 20)
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
