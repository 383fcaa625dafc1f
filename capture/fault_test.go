package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

// drains are a proxy that releases the upstream at once and one that reads on for a while.
var drains = []time.Duration{0, 200 * time.Millisecond}

func TestClientThatLeavesMidStreamReleasesTheUpstream(t *testing.T) {
	for _, drain := range drains {
		released := make(chan struct{})
		up := provider(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, events()[0]+events()[1])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			close(released)
		})
		r := start(t, up, rigConfig{cfg: func(c *Config) { c.DrainAbandoned = drain }})
		leave(t, r)
		isReleased(t, released)
		if e := r.one(); !e.Aborted || e.Class != llm.ClassOK || e.LiveError() || !e.Stream || !strings.Contains(string(e.Response), `"content":"Fi"`) {
			t.Errorf("record: aborted %v, class %q, %s", e.Aborted, e.Class, e.Response)
		}
		if a := r.settled(1); a.Captured != 1 {
			t.Errorf("accounts %+v", a)
		}
	}
}

func TestClientThatLeavesBeforeTheAnswer(t *testing.T) {
	for _, drain := range drains {
		came, released := make(chan struct{}), make(chan struct{})
		up := provider(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			close(came)
			<-r.Context().Done()
			close(released)
		})
		r := start(t, up, rigConfig{cfg: func(c *Config) { c.DrainAbandoned = drain }})
		leaveAt(t, r, came)
		isReleased(t, released)
		if e := r.one(); !e.Aborted || e.Status != 0 || e.LiveError() {
			t.Errorf("record: aborted %v, status %d, class %q", e.Aborted, e.Status, e.Class)
		}
		r.settled(1)
	}
}

// What a provider has generated it bills: the answer of a client that left is read to
// its end, so that its usage is known.
func TestAnswerOfAClientThatLeftIsReadToItsEnd(t *testing.T) {
	left := make(chan struct{})
	whole := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-left
		answering(w, r)
	}
	stream := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, events()[0])
		w.(http.Flusher).Flush()
		<-left
		for _, e := range events()[1:4] {
			_, _ = io.WriteString(w, e)
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, `data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}`+"\n\ndata: [DONE]\n\n")
	}
	for name, h := range map[string]http.HandlerFunc{"whole": whole, "stream": stream} {
		t.Run(name, func(t *testing.T) {
			left = make(chan struct{})
			came := make(chan struct{})
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				close(came)
				h(w, r)
			}), rigConfig{cfg: func(c *Config) { c.DrainAbandoned = 9 * time.Second }})
			if name == "stream" {
				leave(t, r)
			} else {
				leaveAt(t, r, came)
			}
			<-time.After(time.Second) // until the proxy has seen it
			close(left)
			e := r.one()
			if e.Usage == nil || e.Usage.Estimated || e.Usage.OutputTokens != 3 || !e.Aborted || e.Class != llm.ClassOK || !strings.Contains(string(e.Response), "Fine.") {
				t.Errorf("record: aborted %v, class %q, usage %+v, %s", e.Aborted, e.Class, e.Usage, e.Response)
			}
		})
	}
}

// leave asks, reads the beginning of the answer and leaves.
func leave(t *testing.T, r *rig) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+chatPath, strings.NewReader(question))
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
}

// leaveAt asks and leaves once came is closed.
func leaveAt(t *testing.T, r *rig, came chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-came; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+chatPath, strings.NewReader(question))
	if _, err := client(t).Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("client: %v", err)
	}
}

func isReleased(t *testing.T, released chan struct{}) {
	t.Helper()
	select {
	case <-released:
	case <-time.After(5 * time.Second):
		t.Fatal("the upstream still works for a client that left")
	}
}

func TestBrokenRequestBody(t *testing.T) {
	for name, upstream := range map[string]http.HandlerFunc{
		"upstream reads it": answering,
		"upstream does not": func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, completion) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				r := start(t, provider(t, upstream), rigConfig{})
				got := raw(t, r.url, "POST "+chatPath+" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"+
					"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n") // not a request: it stands in a broken body
				if strings.Count(got, "HTTP/1.1") > 1 {
					t.Fatalf("the rest of the body was taken for a request: %q", got)
				}
				if name == "upstream reads it" && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
					t.Fatalf("client got %q", got)
				}
				if a := r.settled(1); a.Dropped[reasonIncomplete] != 1 {
					t.Fatalf("accounts %+v", a)
				}
			}
		})
	}
}

// A plain httputil.ReverseProxy breaks one to three of a hundred such streams.
func TestStreamsOfAnUpstreamThatAnswersEarlyAreWhole(t *testing.T) {
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events() {
			_, _ = io.WriteString(w, e)
			w.(http.Flusher).Flush()
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	r := start(t, up, rigConfig{})
	c := client(t)
	const each = 100
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range each {
				res, err := c.Post(r.url+chatPath, "application/json", strings.NewReader(long(20_000)))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(got) != strings.Join(events(), "") {
					t.Errorf("stream of %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	r.settled(8 * each)
}

// Promise 1: whatever becomes of the journal, the client sees nothing.
func TestBrokenJournalIsNotFelt(t *testing.T) {
	const memory, n = 1 << 20, 120
	body := long(32 << 10)
	for name, tc := range map[string]struct {
		fault  func(context.Context) error
		reason string // of at least one drop
		back   bool   // what is in hand is stored once it works again
	}{
		"away":    {func(context.Context) error { return fmt.Errorf("x: %w", journal.ErrUnavailable) }, reasonUnavailable, true},
		"silent":  {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, reasonMemory, true},
		"full":    {func(context.Context) error { return fmt.Errorf("x: %w", journal.ErrFull) }, reasonFull, false},
		"refuses": {func(context.Context) error { return errors.New("no") }, reasonRefused, false},
		"panics":  {func(context.Context) error { panic("secret text") }, reasonRefused, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var mu sync.Mutex
			r := start(t, provider(t, answering), rigConfig{
				cfg: func(c *Config) { c.Memory, c.MaxBody = memory, 1<<20 },
				log: writerFunc(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(p) }),
			})
			working, repair := context.WithCancel(context.Background())
			defer repair()
			r.shelf.set(func(s *shelf) {
				s.fault = func(ctx context.Context) error {
					if working.Err() != nil {
						return nil
					}
					ctx, cancel := context.WithCancel(ctx)
					defer context.AfterFunc(working, cancel)()
					return tc.fault(ctx)
				}
			})
			for i := range n {
				began := time.Now()
				if _, got := ask(t, r.url+chatPath, body); got != completion {
					t.Fatalf("request %d: %q", i, got)
				}
				if d := time.Since(began); d > 2*time.Second {
					t.Fatalf("request %d took %v", i, d)
				}
				if used := r.budget.used.Load(); used > memory {
					t.Fatalf("%d bytes in hand, %d allowed", used, memory)
				}
			}
			if tc.back {
				a := r.Accounts()
				if a.Received != n || a.Captured != 0 || a.Pending == 0 || a.Dropped[reasonMemory]+a.Dropped[reasonUnavailable] == 0 {
					t.Errorf("while it is broken: %+v", a)
				}
			}
			if !tc.back {
				r.settled(n)
			}
			repair()
			a := r.settled(n)
			if a.Dropped[tc.reason] == 0 || a.Captured != int64(len(r.shelf.records())) || tc.back != (a.Captured > 0) {
				t.Errorf("%d stored, accounts %+v", len(r.shelf.records()), a)
			}
			for late := time.Now().Add(5 * time.Second); r.budget.used.Load() != 0; <-time.After(time.Millisecond) { // it is counted first
				if time.Now().After(late) {
					t.Errorf("%d bytes are charged and nothing is in hand", r.budget.used.Load())
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(log.String(), "secret text") || strings.Contains(log.String(), "xxxx") {
				t.Error("a text stands in the log")
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestJournalThatComesBackGetsEverythingOnceInOrder(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	r.shelf.set(func(s *shelf) {
		s.away = true
		s.fault = func(context.Context) error { return journal.ErrUnavailable }
	})
	const n = 300
	for i := range n {
		ask(t, r.url+chatPath, question, "X-Understudy-Conversation", fmt.Sprint(i))
	}
	eventually(t, "the journal's absence", r.publisher.down.Load, func() any { return r.Accounts() })
	// The next attempt comes through, and only its acknowledgement is lost.
	r.shelf.set(func(s *shelf) { s.away, s.fault, s.lose = false, nil, 2 })
	if a := r.settled(n); a.Captured != n {
		t.Errorf("accounts %+v", a)
	}
	seen := map[string]int{}
	last := ""
	for _, e := range r.shelf.records() {
		seen[e.Conversation]++
		// Two workers may overtake each other by a little.
		if e.ID < last && e.At.Sub(idTime(t, last)) < -500*time.Millisecond {
			t.Errorf("%s comes after %s", e.ID, last)
		}
		last = e.ID
	}
	for i := range n {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("exchange %d is stored %d times", i, seen[fmt.Sprint(i)])
		}
	}
}

func idTime(t *testing.T, id string) time.Time {
	t.Helper()
	at, ok := journal.IDTime(id)
	if !ok {
		t.Fatalf("id %q", id)
	}
	return at
}

func TestWhatIsNotRecordedPassesAndIsCounted(t *testing.T) {
	for name, tc := range map[string]struct {
		body   string
		header []string
		answer http.HandlerFunc
		cfg    func(*Config)
		reason string
	}{
		"no JSON":               {body: `{"model": "gpt`, reason: reasonMalformed},
		"no chat request":       {body: `{"input": "x"}`, reason: reasonMalformed},
		"nothing":               {body: ``, reason: reasonMalformed},
		"long request":          {body: long(3000), cfg: func(c *Config) { c.MaxBody = 2000 }, reason: reasonTooLarge},
		"long answer":           {body: question, cfg: func(c *Config) { c.MaxBody = 200 }, reason: reasonTooLarge},
		"longer than the rest":  {body: long(2 << 20), cfg: func(c *Config) { c.MaxBody = 1 << 20 }, reason: reasonTooLarge},
		"encoding of a request": {body: question, header: []string{"Content-Encoding", "lzma"}, reason: reasonEncoding},
		"encoding of an answer": {body: question, answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "lzma")
			answering(w, r)
		}, reason: reasonEncoding},
		"no memory": {body: question, cfg: func(c *Config) { c.Memory, c.MaxBody = 1<<20, 1<<20 }, reason: reasonMemory, answer: func(w http.ResponseWriter, r *http.Request) {
			answering(w, r)
			for range 600 {
				_, _ = w.Write(make([]byte, 2048))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.answer == nil {
				tc.answer = answering
			}
			if tc.reason == reasonMemory {
				tc.cfg = func(c *Config) { c.Memory, c.MaxBody = 1<<20, 1<<20 }
			}
			r := start(t, provider(t, tc.answer), rigConfig{cfg: tc.cfg})
			if tc.reason == reasonMemory {
				r.budget.take(900 << 10) // others hold it
				defer r.budget.give(900 << 10)
			}
			if _, got := ask(t, r.url+chatPath, tc.body, tc.header...); !strings.HasPrefix(got, completion) {
				t.Errorf("client got %.200q", got)
			}
			a := r.settled(1)
			want := map[string]int64{tc.reason: 1}
			if d := cmp.Diff(want, a.Dropped); d != "" {
				t.Error(d)
			}
			if used := r.budget.used.Load(); used != 0 && tc.reason != reasonMemory {
				t.Errorf("%d bytes are charged and nothing is in hand", used)
			}
		})
	}
}

func TestFaultOfOurOwnCostsOneExchange(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{known: func(name string) bool {
		if name == "bad" {
			panic("a text of a client")
		}
		return true
	}})
	for _, name := range []string{"good", "bad", "good"} {
		if _, got := ask(t, r.url+chatPath, question, "X-Understudy-Submodule", name); got != completion {
			t.Errorf("client got %q", got)
		}
	}
	if a := r.settled(3); a.Captured != 2 || a.Dropped[reasonPanic] != 1 {
		t.Errorf("accounts %+v", a)
	}
}
