package capture

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
)

// Promise 2: every request ends in exactly one bucket, and the sums are equal at
// every reading.
func TestAccountsCloseUnderMixedTraffic(t *testing.T) {
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "cut":
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "reset":
			panic(http.ErrAbortHandler)
		case "slow":
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			for _, e := range events() {
				_, _ = io.WriteString(w, e)
				w.(http.Flusher).Flush()
				<-time.After(3 * time.Millisecond)
			}
		default:
			answering(w, r)
		}
	})
	r := start(t, up, rigConfig{cfg: func(c *Config) { c.Sample, c.Memory, c.MaxBody = 0.5, 4<<20, 1<<20 }})
	watch, stop := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for watch.Err() == nil {
			if a := r.Accounts(); a.Pending < 0 || a.settled()+a.Pending != a.Received {
				t.Errorf("not equal: %+v", a)
				return
			}
		}
	})
	const clients, each = 200, 5
	c := client(t)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(i)))
			for range each {
				ctx, cancel := context.WithCancel(context.Background())
				path := []string{chatPath, chatPath + "?do=slow", chatPath + "?do=cut", chatPath + "?do=reset", "/v1/embeddings"}[rnd.IntN(5)]
				body := []string{question, long(100 + rnd.IntN(100_000)), "{"}[rnd.IntN(3)]
				if rnd.IntN(5) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(10))*time.Millisecond, cancel)
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(body))
				req.Header.Set("X-Understudy-Conversation", fmt.Sprint(rnd.IntN(50)))
				if res, err := c.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	r.stop()
	stop()
	watcher.Wait()
	a := r.Accounts()
	if a.Pending != 0 || a.settled() != a.Received || a.Received < clients*each/2 || a.Unaccounted != 0 {
		t.Errorf("accounts %+v", a)
	}
	if n := int64(len(r.shelf.records())); n != a.Captured || n == 0 || a.SampledOut == 0 || a.Excluded == 0 {
		t.Errorf("%d stored, accounts %+v", n, a)
	}
	if used := r.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are charged and nothing is in hand", used)
	}
}

func begin(t *testing.T, dir string, pub Publisher, upstream string) *Capture {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Redact.Mode = "off"
	c, err := New(cfg, []Upstream{{Name: "openai", BaseURL: upstream}}, nil, pub, Home{Shared: dir, Own: dir}, slog.New(slog.DiscardHandler), metrics.NewSet())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAccountsSurviveAKill(t *testing.T) {
	up := provider(t, answering)
	for name, tc := range map[string]struct {
		saved  string // the file that the kill left, without the instance
		stored int    // records in the journal, one message each
		want   Accounts
	}{
		"nothing in flight": {
			saved:  `{"instance":%q,"last_seq":2,"accounts":{"received":3,"captured":2,"excluded":1}}`,
			stored: 2, want: Accounts{Received: 3, Captured: 2, Excluded: 1},
		},
		"stored after the last save": {
			saved:  `{"instance":%q,"last_seq":1,"accounts":{"received":4,"captured":1,"dropped":{"redactor_backlog":1}}}`,
			stored: 3, want: Accounts{Received: 4, Captured: 3, Dropped: map[string]int64{"redactor_backlog": 1}},
		},
		"received after the last save": {
			saved:  `{"instance":%q,"last_seq":1,"accounts":{"received":1,"captured":1}}`,
			stored: 4, want: Accounts{Received: 4, Captured: 4},
		},
		"lost in flight": {
			saved:  `{"instance":%q,"last_seq":1,"accounts":{"received":9,"captured":1,"sampled_out":2,"unaccounted":1}}`,
			stored: 2, want: Accounts{Received: 9, Captured: 2, SampledOut: 2, Unaccounted: 5},
		},
		"in doubt at a regular end": {
			saved:  `{"instance":%q,"last_seq":1,"in_doubt":3,"accounts":{"received":5,"captured":1}}`,
			stored: 2, want: Accounts{Received: 5, Captured: 2, Unaccounted: 0, Dropped: map[string]int64{"shutdown": 3}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pub := &shelf{}
			for range tc.stored {
				pub.messages = append(pub.messages, []*journal.Exchange{{Instance: "abc"}})
			}
			pub.messages = append(pub.messages, []*journal.Exchange{{Instance: "another proxy"}})
			if err := os.WriteFile(filepath.Join(dir, accountsFile), fmt.Appendf(nil, tc.saved, "abc"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := start(t, up, rigConfig{dir: dir, pub: pub})
			if tc.want.Dropped == nil {
				tc.want.Dropped = map[string]int64{}
			}
			if d := cmp.Diff(tc.want, r.settled(tc.want.Received)); d != "" {
				t.Error(d)
			}
			r.stop()
			again := begin(t, dir, pub, up)
			if d := cmp.Diff(tc.want, again.Accounts()); d != "" {
				t.Errorf("the next life has other accounts: %s", d)
			}
		})
	}
}

func TestKillLosesOnlyWhatWasInFlight(t *testing.T) {
	dir := t.TempDir()
	hold := make(chan struct{})
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("hold") != "" {
			<-hold
		}
		answering(w, r)
	})
	defer close(hold)
	first := start(t, up, rigConfig{dir: dir})
	for range 5 {
		ask(t, first.url+chatPath, question)
	}
	first.settled(5)
	for range 2 { // in flight at the kill
		go func() {
			res, err := http.Post(first.url+chatPath+"?hold=1", "application/json", strings.NewReader(question))
			if err == nil {
				res.Body.Close()
			}
		}()
	}
	eventually(t, "two requests in flight", func() bool { return first.Accounts().Pending == 2 }, func() any { return first.Accounts() })
	saved := func() string {
		b, err := os.ReadFile(filepath.Join(dir, accountsFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	eventually(t, "the saved accounts", func() bool { return strings.Contains(saved(), `"received":7`) }, func() any { return saved() })

	// A copy of the directory is what a kill at this moment leaves.
	copied := t.TempDir()
	for _, name := range []string{accountsFile, keyFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := start(t, up, rigConfig{dir: copied, pub: first.shelf})
	ask(t, second.url+chatPath, question)
	a := second.settled(8)
	if a.Captured != 6 || a.Unaccounted != 2 {
		t.Errorf("accounts %+v", a)
	}
	if second.Instance() != first.Instance() {
		t.Error("the proxy has another name after a restart")
	}
}

func TestEndStoresWhatIsInHand(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	for range 50 {
		ask(t, r.url+chatPath, question)
	}
	r.stop()
	if a := r.Accounts(); a.Captured != 50 || a.Pending != 0 || len(r.shelf.records()) != 50 {
		t.Errorf("%d stored, accounts %+v", len(r.shelf.records()), a)
	}
}

func TestEndWithTheJournalAwayIsBoundedAndCounted(t *testing.T) {
	dir := t.TempDir()
	up := provider(t, answering)
	r := start(t, up, rigConfig{dir: dir, adjust: func(c *Capture) { c.drain = 100 * time.Millisecond }})
	r.shelf.set(func(s *shelf) {
		s.away, s.fault = true, func(context.Context) error { return journal.ErrUnavailable }
	})
	for _, name := range []string{"a", "a", "b"} {
		ask(t, r.url+chatPath, question, "X-Understudy-Submodule", name)
	}
	eventually(t, "the journal's absence", r.publisher.down.Load, func() any { return r.Accounts() })
	began := time.Now()
	r.stop()
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("the end took %v", d)
	}
	a := r.Accounts()
	if a.Pending+a.Dropped[reasonShutdown] != 3 || a.Dropped[reasonShutdown] == 0 {
		t.Errorf("accounts %+v", a)
	}
	// What may have been stored is asked for by the next life; it was not.
	next := start(t, up, rigConfig{dir: dir})
	if a := next.settled(3); a.Dropped[reasonShutdown] != 3 {
		t.Errorf("accounts of the next life %+v", a)
	}
}
