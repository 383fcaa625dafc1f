package sim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/llm/sim"
)

// TestManySleepers: 400 concurrent calls of 200 ms do not wait for each other.
func TestManySleepers(t *testing.T) {
	p := sim.Persona{LatencyMean: 200 * time.Millisecond, TTFTShare: 0.3, OutputTokens: 100}
	s := start(t, sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"*": p}})
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 400}}
	defer c.CloseIdleConnections()
	const n = 400
	var wg sync.WaitGroup
	begin := time.Now()
	for range n {
		wg.Go(func() {
			if a := send(t, c, s, "POST", "/model/"+url.PathEscape(claude)+"/converse-stream", converseBody("Hi", "")); a.status != 200 || a.err != nil {
				t.Errorf("%d %v", a.status, a.err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took < 200*time.Millisecond || took > n*200*time.Millisecond/4 {
		t.Errorf("%d calls took %v", n, took)
	}
	if st := s.Stats()[claude]; st.OK != n {
		t.Errorf("%+v", st)
	}
	d := s.SchedulingDelay()
	if d.Count == 0 || d.Mean > d.Max || d.P99 > d.Max || d.P99 <= 0 {
		t.Errorf("%+v", d)
	}
	t.Logf("%d streams in %v, scheduling delay %+v", n, time.Since(begin), d)
}

func TestStatsEndpoint(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	c := transport(t)
	send(t, c, s, "POST", chatPath, chatBody("What is two and two?", `"stream":true`))
	send(t, c, s, "POST", chatPath, chatBody("What?", ""))
	a := send(t, c, s, "GET", "/__stats", "")
	want := `{"models":{"gpt-4-turbo":{"calls":2,"ok":1,"error":1,"input_tokens":11,"output_tokens":7}}}`
	if d := cmp.Diff(want, string(a.body)); d != "" {
		t.Error(d)
	}
	if a := send(t, c, s, "POST", "/__reset", ""); a.status != 204 || len(s.Stats()) != 0 {
		t.Errorf("%d %v", a.status, s.Stats())
	}
	if a := send(t, c, s, "GET", "/__delay", ""); a.status != 200 || !contains(a.body, "p99_ms") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestListenTwice(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI})
	if err := s.Start(t.Context(), "127.0.0.1:0"); err == nil {
		t.Error("a running simulator was started")
	}
	other, err := sim.New(sim.Config{Kind: sim.OpenAI})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context(), s.Addr()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v", err)
	}
	if err := other.Close(); err != nil {
		t.Errorf("close before start: %v", err)
	}
}

// TestCloseFinishesAnswers: the end of the context lets an open stream end whole.
func TestCloseFinishesAnswers(t *testing.T) {
	p := sim.Persona{LatencyMean: 300 * time.Millisecond, TTFTShare: 0.1}
	s, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: map[string]sim.Persona{"*": p}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Start(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer)
	go func() { done <- post(t, s, chatPath, chatBody("Hi", `"stream":true`)) }()
	eventually(t, "the call arrived", func() bool { return s.Stats()[gpt].Calls == 1 })
	cancel()
	if a := <-done; a.err != nil || !contains(a.body, "[DONE]") {
		t.Errorf("%v %s", a.err, a.body)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(s.URL() + "/__stats"); err == nil {
		t.Error("still listening")
	}
}

func TestShutdownCutsWhatIsLeft(t *testing.T) {
	p := sim.Persona{LatencyMean: time.Minute}
	s, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: map[string]sim.Persona{"*": p}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer)
	go func() { done <- post(t, s, chatPath, chatBody("Hi", "")) }()
	eventually(t, "the call arrived", func() bool { return s.Stats()[gpt].Calls == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("a cut must be said")
	}
	if a := <-done; a.err == nil {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestAsHandler: without a listener of its own, behind TLS and HTTP/2.
func TestAsHandler(t *testing.T) {
	s, err := sim.New(sim.Config{Kind: sim.OpenAI, Faults: []sim.Fault{{Kind: sim.FaultCut, Count: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewUnstartedServer(s)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	call := func() (int, error) {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", ts.URL+chatPath, strings.NewReader(chatBody("Hi", `"stream":true`)))
		req.Header.Set("Authorization", "Bearer sk-simulated")
		resp, err := ts.Client().Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		b := make([]byte, 1<<16)
		for err == nil {
			_, err = resp.Body.Read(b)
		}
		return resp.StatusCode, err
	}
	if _, err := call(); err == nil || err.Error() == "EOF" {
		t.Errorf("a cut ended with %v", err)
	}
	if status, err := call(); status != 200 || err.Error() != "EOF" {
		t.Errorf("%d %v", status, err)
	}
}
