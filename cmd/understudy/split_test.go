package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// splitModels are the candidates of a split site: endpoint name → model.
var splitModels = map[string]string{
	"llama-3.3": "us.meta.llama3-3-70b-instruct-v1:0",
	"haiku":     "us.anthropic.claude-3-5-haiku-20241022-v1:0",
}

// A split is one understudy as several processes, over NATS servers of their own,
// between two simulated providers in this process.
type split struct {
	t               testing.TB
	openai, bedrock *sim.Server
	nats            string // keys of [nats] that all processes have
	extra           string // sections that all processes have
	data            string // the proxy's address
}

func newSplit(t testing.TB, nats string, live, trial time.Duration) *split {
	t.Helper()
	s := &split{t: t, nats: nats, data: steadyPort(t)}
	for _, p := range []struct {
		kind    sim.Kind
		latency time.Duration
		to      **sim.Server
	}{{sim.OpenAI, live, &s.openai}, {sim.Bedrock, trial, &s.bedrock}} {
		server, err := sim.New(sim.Config{Kind: p.kind, Personas: quick(p.latency)})
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context(), "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		*p.to = server
	}
	return s
}

// A part is one process of a split site.
type part struct {
	*proc
	config, admin string
}

// configure writes the configuration of a process; nats holds further keys of [nats].
func (s *split) configure(nats string) *part {
	s.t.Helper()
	p := &part{admin: steadyPort(s.t)}
	p.config = writeFile(s.t, "config.toml", fmt.Sprintf(`
[nats]
mode = "external"
dir = %q
max_store = 268435456
%s
%s
[capture]
listen = %q
[capture.redact]
mode = "off"
[admin]
listen = %q
[replay]
ack_wait = "5s"
daily_usd = 1000
control_daily_usd = 1000
[canary]
conversation_window = "100ms"
min_span = "0s"
look_every = "200ms"
[[upstream]]
name = "openai"
base_url = %q
[[endpoint]]
name = "gpt"
provider = "openai"
model = "gpt-4-turbo"
base_url = %q
api_key_file = %q
%s
`, filepath.Join(s.t.TempDir(), "state"), s.nats, nats, s.data, p.admin, s.openai.URL(), s.openai.URL()+"/v1", writeFile(s.t, "key", "sk-control-0123456789"), s.extra))
	text := readFile(s.t, p.config)
	for name, model := range splitModels {
		text += fmt.Sprintf("[[endpoint]]\nname = %q\nprovider = \"bedrock\"\nmodel = %q\nregion = \"us-east-1\"\nbase_url = %q\n", name, model, s.bedrock.URL())
	}
	writeOver(s.t, p.config, text)
	return p
}

// start runs stages as a process and waits until it is ready.
func (s *split) start(stages, nats string) *part {
	s.t.Helper()
	p := s.configure(nats)
	p.proc = launch(s.t, "run", "--config", p.config, "--stages", stages)
	p.up("http://" + p.admin + "/readyz")
	return p
}

func (p *part) status() Status {
	return mustJSON[Status](p.t, "status", "--config", p.config, "-o", "json")
}

// ask sends one request through the proxy; anything but a whole answer is an error.
func (s *split) ask(submodule, conversation, user string, more ...string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.data+"/v1/chat/completions", strings.NewReader(chat(user, more...)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	req.Header.Set("X-Understudy-Submodule", submodule)
	req.Header.Set("X-Understudy-Conversation", conversation)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d: %.200s", resp.StatusCode, answer)
	}
	if slices.Contains(more, `"stream":true`) && !strings.HasSuffix(string(answer), "data: [DONE]\n\n") {
		return fmt.Errorf("a stream without its end: …%s", tail(string(answer), 80))
	}
	return nil
}

// settled waits until the process that keeps the accounts shows n exchanges, each
// tried on every candidate, and nothing else.
func (s *split) settled(books *part, n int, wait time.Duration) Status {
	s.t.Helper()
	want := journal.Buckets{Trial: n}
	var st Status
	done := func() bool {
		st = books.status()
		a := st.Accounts
		if a.Received != int64(n) || a.Captured != int64(n) || len(a.Candidates) != len(splitModels) {
			return false
		}
		for _, b := range a.Candidates {
			if b != want {
				return false
			}
		}
		return true
	}
	deadline := time.Now().Add(wait)
	for !done() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %d exchanges captured, each tried on %d candidates: %+v", wait, n, len(splitModels), st.Accounts)
		}
		time.Sleep(50 * time.Millisecond) // between two looks, not a wait for an effect
	}
	return st
}

// verifyStored compares what is stored with what was sent: every request once, and
// one trial for each exchange × candidate.
func (s *split) verifyStored(books *part, sent []string) {
	s.t.Helper()
	out, errs, code := cli(s.t, "export", "--what", "exchanges", "--config", books.config)
	if code != 0 {
		s.t.Fatal(errs)
	}
	times, ids := map[string]int{}, map[string]bool{}
	for _, e := range lines[exchangeLine](s.t, out) {
		var body struct{ Messages []struct{ Content string } }
		if err := json.Unmarshal([]byte(e.Request), &body); err != nil {
			s.t.Fatal(err)
		}
		times[body.Messages[0].Content]++
		ids[e.ID] = true
	}
	for _, text := range sent {
		if times[text] != 1 {
			s.t.Errorf("%q is stored %d times", text, times[text])
		}
		delete(times, text)
	}
	if len(times) > 0 {
		s.t.Errorf("stored, but never sent: %v", times)
	}
	out, errs, code = cli(s.t, "export", "--what", "trials", "--config", books.config)
	if code != 0 {
		s.t.Fatal(errs)
	}
	pairs := map[string]int{}
	for _, tr := range lines[trialLine](s.t, out) {
		if !ids[tr.ExchangeID] {
			s.t.Errorf("trial %s is of an exchange that is not stored", tr.ID)
		}
		pairs[tr.ExchangeID+" on "+tr.Candidate]++
	}
	for pair, n := range pairs {
		if n != 1 {
			s.t.Errorf("%d trials of %s", n, pair)
		}
	}
	if want := len(sent) * len(splitModels); len(pairs) != want {
		s.t.Errorf("%d exchanges × candidates have a trial, want %d", len(pairs), want)
	}
}

// bedrockCalls is how many calls of candidates the provider itself counted.
func (s *split) bedrockCalls() int {
	stats := s.bedrock.Stats()
	n := 0
	for _, model := range splitModels {
		n += stats[model].Calls
	}
	return n
}
