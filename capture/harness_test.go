package capture

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"

	"understudy/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A shelf is a journal of our own side of the interface: it keeps what it gets
// and fails as it is told. What NATS does is tested with NATS.
type shelf struct {
	mu       sync.Mutex
	messages [][]*journal.Exchange
	fault    func(ctx context.Context) error // before a message is stored
	lose     int                             // so many acknowledgements are lost
	away     bool                            // CountSince fails too
}

func (s *shelf) PublishExchanges(ctx context.Context, submodule string, recs []*journal.Exchange) (uint64, error) {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if err := fault(ctx); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		if r.Submodule != submodule {
			panic("a message with records of two sub-modules")
		}
	}
	s.messages = append(s.messages, append([]*journal.Exchange(nil), recs...))
	if s.lose > 0 {
		s.lose--
		return 0, journal.ErrUnavailable
	}
	return uint64(len(s.messages)), nil
}

func (s *shelf) CountSince(_ context.Context, instance string, seq uint64) (n int, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return 0, 0, journal.ErrUnavailable
	}
	for i := int(seq); i < len(s.messages); i++ {
		if s.messages[i][0].Instance == instance {
			n, last = n+len(s.messages[i]), uint64(i+1)
		}
	}
	return n, last, nil
}

func (s *shelf) set(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// records are all that is stored, in order.
func (s *shelf) records() (all []*journal.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		all = append(all, m...)
	}
	return all
}

// A rig is a proxy on a real listener, with what stands around it.
type rig struct {
	*Capture
	t     testing.TB
	shelf *shelf
	url   string
	stop  func() // ends Run and waits for it
	set   *metrics.Set
}

type rigConfig struct {
	cfg       func(*Config)
	upstreams []Upstream
	known     func(string) bool
	pub       Publisher
	dir       string
	log       io.Writer
	adjust    func(*Capture)
}

// start runs a proxy before an upstream.
func start(t testing.TB, upstream string, rc rigConfig) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Redact.Mode, cfg.SpoolMax = "off", 0 // tests of the spool have one
	if rc.cfg != nil {
		rc.cfg(&cfg)
	}
	if rc.upstreams == nil {
		rc.upstreams = []Upstream{{Name: "openai", BaseURL: upstream}}
	}
	if rc.dir == "" {
		rc.dir = t.TempDir()
	}
	r := &rig{t: t, shelf: &shelf{}, set: metrics.NewSet()}
	if rc.pub == nil {
		rc.pub = r.shelf
	}
	if rc.log == nil {
		rc.log = io.Discard
	}
	log := slog.New(slog.NewTextHandler(rc.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := New(cfg, rc.upstreams, rc.known, rc.pub, Home{Shared: rc.dir, Own: rc.dir}, log, r.set)
	if err != nil {
		t.Fatal(err)
	}
	if rc.adjust != nil {
		rc.adjust(c)
	}
	r.Capture = c
	data, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + data.Addr().String()
	if c.TLS() != nil {
		r.url = "https://" + data.Addr().String()
	}
	server := NewServer(c.Handler(), c.TLS(), log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(data) }()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			server.Close()
			<-served
			cancel()
			if err := <-ran; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// provider is an upstream on a real listener.
func provider(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// eventually waits until ok, or fails with what is printed by state.
func eventually(t testing.TB, what string, ok func() bool, state func() any) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s did not come; now: %+v", what, state())
		}
		<-time.After(2 * time.Millisecond)
	}
}

// settled waits until nothing is pending and n requests were received.
func (r *rig) settled(n int64) Accounts {
	r.t.Helper()
	eventually(r.t, "the end of all exchanges", func() bool {
		a := r.Accounts()
		return a.Received == n && a.Pending == 0
	}, func() any { return r.Accounts() })
	a := r.Accounts()
	if sum := a.settled(); sum != a.Received {
		r.t.Errorf("received %d, but the buckets hold %d: %+v", a.Received, sum, a)
	}
	return a
}

// one waits for the only record.
func (r *rig) one() *journal.Exchange {
	r.t.Helper()
	eventually(r.t, "the record", func() bool { return len(r.shelf.records()) > 0 }, func() any { return r.Accounts() })
	recs := r.shelf.records()
	if len(recs) != 1 {
		r.t.Fatalf("%d records, want 1", len(recs))
	}
	return recs[0]
}

const chatPath = "/v1/chat/completions"

const question = `{"model":"gpt-4-turbo","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"How are you?"}]}`

const completion = `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4-turbo-2024-04-09","system_fingerprint":"fp_1","choices":[{"index":0,"message":{"role":"assistant","content":"Fine."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}`

// events are the pieces of a whole streamed answer.
func events() []string {
	head := `data: {"id":"chatcmpl-2","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4-turbo-2024-04-09","choices":[{"index":0,"delta":`
	return []string{
		head + `{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n",
		head + `{"content":"Fi"},"finish_reason":null}]}` + "\n\n",
		head + `{"content":"ne."},"finish_reason":null}]}` + "\n\n",
		head + `{},"finish_reason":"stop"}]}` + "\n\n",
		"data: [DONE]\n\n",
	}
}

// answering is an upstream that reads the request and gives one completion.
func answering(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req_1")
	_, _ = io.WriteString(w, completion)
}

// client is one with connections of its own, which end with the test.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask posts a body and reads the answer to its end.
func ask(t testing.TB, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(got)
}

// unreachable is the address of an upstream that is not there.
func unreachable(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Close()
	return s.URL
}
