//go:build benchreplay

package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"understudy/llm/sim"
)

// A benchMark is what the simulator's process has seen so far, by its own clock.
type benchMark struct {
	At time.Duration
	// Flight is the sum of the times of all calls, those under way among them.
	Flight time.Duration
	Calls  int
	// CPU is the processor time of the simulator's process.
	CPU time.Duration
}

// A benchMeter counts the calls of a handler and how long they are in flight.
type benchMeter struct {
	next  http.Handler
	start time.Time

	mu       sync.Mutex
	mark     benchMark
	inFlight int
	arrivals []time.Duration
}

func (m *benchMeter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/__mark":
		m.count(0)
		_ = json.NewEncoder(w).Encode(m.mark)
		return
	case "/__arrivals":
		m.mu.Lock()
		defer m.mu.Unlock()
		_ = json.NewEncoder(w).Encode(m.arrivals)
		return
	case "/__reset":
		m.next.ServeHTTP(w, r)
		return
	}
	m.count(1)
	defer m.count(-1)
	m.next.ServeHTTP(w, r)
}

// count moves the number of calls in flight by d.
func (m *benchMeter) count(d int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Since(m.start)
	m.mark.Flight += time.Duration(m.inFlight) * (now - m.mark.At)
	m.mark.At, m.mark.CPU = now, benchCPU()
	m.inFlight += d
	if d > 0 {
		m.mark.Calls++
		m.arrivals = append(m.arrivals, now)
	}
}

// benchCPU is the processor time of this process.
func benchCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchAnswerTokens makes answers of about 800 bytes, in some twenty events.
const benchAnswerTokens = 200

// benchSimulator serves a simulated Bedrock that answers after the job's latency.
func benchSimulator(t *testing.T, job benchJob) (benchResult, error) {
	s, err := sim.New(sim.Config{Kind: sim.Bedrock, Seed: 1, Personas: map[string]sim.Persona{
		"*": {LatencyMean: time.Duration(job.LatencyMS) * time.Millisecond, TTFTShare: 0.3, OutputTokens: benchAnswerTokens},
	}})
	if err != nil {
		return benchResult{}, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return benchResult{}, err
	}
	var answers http.Handler = s
	if job.Played {
		answers = &benchPlayer{next: s, kept: map[string]*httptest.ResponseRecorder{}}
	}
	srv := &http.Server{Handler: &benchMeter{next: answers, start: time.Now()}, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	benchSay(t, benchResult{URL: "http://" + ln.Addr().String()})
	benchUntilStdin()
	return benchResult{}, srv.Close()
}

// A benchPlayer answers a request that it knows with the bytes of the first answer, so
// that the simulator, which reads and checks every request anew, is not what is measured.
type benchPlayer struct {
	next http.Handler
	mu   sync.Mutex
	kept map[string]*httptest.ResponseRecorder
}

func (p *benchPlayer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	name := benchNameIn(body)
	p.mu.Lock()
	answer := p.kept[name]
	p.mu.Unlock()
	if answer == nil {
		r.Body, answer = io.NopCloser(bytes.NewReader(body)), httptest.NewRecorder()
		p.next.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK && name != "" {
			p.mu.Lock()
			p.kept[name] = answer
			p.mu.Unlock()
		}
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// benchAsk reads one of the meter's figures.
func benchAsk(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}
