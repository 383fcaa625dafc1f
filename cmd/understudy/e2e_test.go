package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/sim"
)

// A town is one understudy in this process, between two simulated providers.
type town struct {
	t               testing.TB
	openai, bedrock *sim.Server
	config          string // path
	p               *process
	stop            func() error
}

type townConfig struct {
	openai, bedrock sim.Config
	stages          []string
	extra           string // appended to the configuration
	criteria        string // in place of the usual ones
	judge           bool   // a simulated model judges, and the baseline is asked again
	sets            []string
}

const townModel = "us.meta.llama3-3-70b-instruct-v1:0"

func quick(latency time.Duration) map[string]sim.Persona {
	p := sim.DefaultPersona()
	p.LatencyMean = latency
	return map[string]sim.Persona{"*": p}
}

func newTown(t testing.TB, c townConfig) *town {
	t.Helper()
	tn := &town{t: t}
	c.openai.Kind, c.bedrock.Kind = sim.OpenAI, sim.Bedrock
	for _, s := range []*sim.Config{&c.openai, &c.bedrock} {
		if s.Personas == nil {
			s.Personas = quick(5 * time.Millisecond)
		}
	}
	for _, s := range []struct {
		cfg sim.Config
		to  **sim.Server
	}{{c.openai, &tn.openai}, {c.bedrock, &tn.bedrock}} {
		server, err := sim.New(s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context(), "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		*s.to = server
	}
	if c.criteria == "" {
		c.criteria = "cost_ratio = 0.5, error_rate = 0.02, check = { tool_calls = 0.1 }"
	}
	text := tn.text(c.criteria)
	if c.judge {
		key := fmt.Sprintf("base_url = %q\n", tn.openai.URL()+"/v1")
		text = strings.Replace(text, key, key+fmt.Sprintf("api_key_file = %q\n", writeFile(t, "key", "sk-control-0123456789")), 1)
		text += fmt.Sprintf("[judge]\nendpoints = [\"nova\"]\n[[endpoint]]\nname = \"nova\"\nprovider = \"bedrock\"\nmodel = %q\nbase_url = %q\nregion = \"us-east-1\"\n",
			demoJudge, tn.bedrock.URL())
	}
	tn.config = writeFile(t, "config.toml", text+c.extra)
	tn.start(c.stages, c.sets)
	return tn
}

func (tn *town) text(criteria string) string {
	return fmt.Sprintf(`
[nats]
dir = %q
sync = "interval"
max_store = 268435456
[capture]
listen = "127.0.0.1:0"
[capture.redact]
mode = "off"
[admin]
listen = "127.0.0.1:0"
[canary]
conversation_window = "100ms"
min_span = "0s"
min_conversations = 5
look_every = "50ms"
[[upstream]]
name = "openai"
base_url = %q
[[endpoint]]
name = "gpt"
provider = "openai"
model = "gpt-4-turbo"
base_url = %q
[[endpoint]]
name = "llama-3.3"
provider = "bedrock"
model = %q
base_url = %q
region = "us-east-1"
[[submodule]]
name = "a/b"
baseline = "gpt"
candidates = ["llama-3.3"]
criteria = { %s }
`, filepath.Join(tn.t.TempDir(), "state"), tn.openai.URL(), tn.openai.URL()+"/v1", townModel, tn.bedrock.URL(), criteria)
}

// start runs the daemon; it ends with the test or with stop.
func (tn *town) start(stages, sets []string) {
	tn.t.Helper()
	cfg, err := loadConfig(tn.config, sets)
	if err != nil {
		tn.t.Fatal(err)
	}
	if stages == nil {
		stages = stageNames
	}
	p, err := newProcessWith(cfg, stages, nil, slog.New(slog.DiscardHandler), demoCredentials)
	if err != nil {
		tn.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, func() (*Config, error) { return loadConfig(tn.config, sets) }) }()
	stopped := false
	tn.p, tn.stop = p, func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	tn.t.Cleanup(func() {
		if err := tn.stop(); err != nil {
			tn.t.Error(err)
		}
	})
	eventually(tn.t, 10*time.Second, "ready", p.ready.Load)
}

func (tn *town) url() string { return "http://" + tn.p.data.Addr().String() }

// post sends a body as the application would and gives status and answer.
func (tn *town) post(body string) (int, string, error) {
	req, err := http.NewRequest(http.MethodPost, tn.url()+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	req.Header.Set("X-Understudy-Submodule", "a/b")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (tn *town) mustPost(body string) string {
	tn.t.Helper()
	code, answer, err := tn.post(body)
	if err != nil || code != 200 {
		tn.t.Fatalf("HTTP %d, %v: %.300s", code, err, answer)
	}
	return answer
}

func chat(user string, more ...string) string {
	b, _ := json.Marshal(user)
	return `{"model":"gpt-4-turbo","messages":[{"role":"user","content":` + string(b) + `}]` + strings.Join(append([]string{""}, more...), ",") + `}`
}

// settled waits until n exchanges are captured and none is pending, and gives the status.
func (tn *town) settled(n int) Status {
	tn.t.Helper()
	var s Status
	eventually(tn.t, 20*time.Second, fmt.Sprintf("%d exchanges are settled", n), func() bool {
		s = mustJSON[Status](tn.t, "status", "--config", tn.config, "-o", "json")
		b := s.Accounts.Candidates["llama-3.3"]
		return s.Accounts.Captured == int64(n) && s.Accounts.Pending == 0 && b.Pending == 0 && b.Trial+b.NotComparable+b.OverBudget+b.DeadLetter+b.Expired == n
	})
	return s
}

const tool = `"tools":[{"type":"function","function":{"name":"book","parameters":{"type":"object","required":["day"],"properties":{"day":{"type":"string"}}}}}],"tool_choice":"required"`

func TestOneExchangeThroughTheWholeLoop(t *testing.T) {
	tn := newTown(t, townConfig{})
	tn.mustPost(chat("hello"))
	if s := tn.mustPost(chat("hello, streamed", `"stream":true`, `"stream_options":{"include_usage":true}`)); !strings.HasSuffix(s, "data: [DONE]\n\n") {
		t.Errorf("stream ends with %q", tail(s, 40))
	}
	tn.mustPost(chat("book a table", tool))
	big := strings.Repeat("A long sentence to read. ", 90_000) // above 2 MB
	tn.mustPost(chat(big))
	st := tn.settled(4)
	if a := st.Accounts; a.Received != 4 || a.Candidates["llama-3.3"] != (journal.Buckets{Trial: 4}) {
		t.Errorf("accounts %+v", a)
	}
	if calls := tn.openai.Stats()["gpt-4-turbo"].Calls; calls != 4 {
		t.Errorf("%d calls of the upstream for 4 requests: shadow must not reach it", calls)
	}
	if calls := tn.bedrock.Stats()[townModel].Calls; calls != 4 {
		t.Errorf("%d calls of the candidate for 4 exchanges: tools must not be executed, turns not invented", calls)
	}

	out, _, _ := cli(t, "export", "--what", "exchanges", "--config", tn.config)
	exchanges := lines[exchangeLine](t, out)
	if len(exchanges) != 4 {
		t.Fatalf("%d exchanges", len(exchanges))
	}
	found := false
	for _, e := range exchanges {
		found = found || strings.Contains(e.Request, big)
		if e.Usage == nil || e.CostUSD == nil || !json.Valid([]byte(e.Response)) || e.Stream != strings.Contains(e.Request, `"stream":true`) {
			t.Errorf("exchange %+v", e)
		}
	}
	if !found {
		t.Error("the 2 MB request is not stored as it was")
	}
	out, _, _ = cli(t, "export", "--what", "trials", "--config", tn.config)
	calls := 0
	for _, tr := range lines[trialLine](t, out) {
		calls += len(tr.ToolCalls)
		if tr.Class != llm.ClassOK || tr.CostUSD == nil || tr.LatencyMS == nil {
			t.Errorf("trial %+v", tr)
		}
	}
	if calls != 1 {
		t.Errorf("%d tool calls", calls)
	}
	eventually(t, 10*time.Second, "4 observations", func() bool {
		out, _, code := cli(t, "export", "--what", "observations", "--config", tn.config)
		return code == 0 && strings.Count(out, "\n") == 4
	})
	out, _, code := cli(t, "diff", exchanges[0].ID, "--config", tn.config)
	if code != 0 || !strings.Contains(out, "candidate llama-3.3") || !strings.Contains(out, "live gpt-4-turbo") {
		t.Errorf("diff: exit %d\n%s", code, out)
	}
	if out, errs, code := cli(t, "diff", "06bq3v0x9m1kz4t8r2yw5nhc7e", "--config", tn.config); code != exitFailed || out != "" || !strings.Contains(errs, "not stored") {
		t.Errorf("diff of an unknown exchange: exit %d, %q, %q", code, out, errs)
	}
	if out, _, code := cli(t, "report", "a/b", "--config", tn.config); code != 0 || !strings.Contains(out, "a/b × llama-3.3") {
		t.Errorf("report: exit %d\n%s", code, out)
	}

	// Everything is read from the store as well, without a daemon.
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	again := mustJSON[Status](t, "status", "--config", tn.config, "-o", "json")
	if again.Accounts.Captured != 4 || again.Accounts.Candidates["llama-3.3"].Trial != 4 {
		t.Errorf("without the daemon: %+v", again.Accounts)
	}
}

func TestModelWithoutAccessIsNoTrial(t *testing.T) {
	tn := newTown(t, townConfig{bedrock: sim.Config{NoAccess: []string{townModel}}})
	for i := range 3 {
		tn.mustPost(chat(fmt.Sprint("question ", i)))
	}
	var s Status
	eventually(t, 10*time.Second, "the endpoint is paused", func() bool {
		s = mustJSON[Status](t, "status", "--config", tn.config, "-o", "json")
		return s.Stages.Replay["llama-3.3"].PausedFor != "" && s.Accounts.Captured == 3
	})
	if why := s.Stages.Replay["llama-3.3"].PausedFor; !strings.Contains(why, "access") || !strings.Contains(why, "403") {
		t.Errorf("paused for %q", why)
	}
	if b := s.Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{Pending: 3}) {
		t.Errorf("buckets %+v", b)
	}
	out, _, _ := cli(t, "status", "--config", tn.config)
	if !strings.Contains(out, "paused until") {
		t.Errorf("status does not say it:\n%s", out)
	}
}

func TestTruncatedStreamIsAFailureOnBothSides(t *testing.T) {
	tn := newTown(t, townConfig{
		openai:  sim.Config{Faults: []sim.Fault{{Kind: "missing_end", Count: 1}}},
		bedrock: sim.Config{Faults: []sim.Fault{{Kind: "missing_end", Skip: 1, Count: 100}}},
	})
	_, answer, _ := tn.post(chat("cut by the provider", `"stream":true`))
	if strings.Contains(answer, "[DONE]") {
		t.Error("a fake end was written")
	}
	tn.settled(1)
	tn.mustPost(chat("cut by the candidate"))
	tn.settled(2)
	out, _, _ := cli(t, "export", "--what", "exchanges", "--config", tn.config)
	for _, e := range lines[exchangeLine](t, out) {
		want := llm.ClassOK
		if e.Stream {
			want = llm.ClassTruncated
		}
		if e.Class != want {
			t.Errorf("live stream %v: class %s, want %s", e.Stream, e.Class, want)
		}
	}
	out, _, _ = cli(t, "export", "--what", "trials", "--config", tn.config)
	failed := 0
	for _, tr := range lines[trialLine](t, out) {
		if tr.Class == llm.ClassTruncated {
			failed++
			if tr.Attempts != 3 {
				t.Errorf("%d attempts, want 3", tr.Attempts)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d truncated trials, want 1", failed)
	}
}

func TestNoDataIsNeverAPass(t *testing.T) {
	tn := newTown(t, townConfig{})
	rep := mustJSON[demoReport](t, "report", "--config", tn.config, "-o", "json")
	c := rep.cell(t, "a/b", "llama-3.3")
	if c.Verdict != "COLLECTING" {
		t.Errorf("without traffic: %s %v", c.Verdict, c.Reasons)
	}
	for _, name := range []string{"cost_ratio", "error_rate", "check.tool_calls"} {
		if g := c.gate(t, name); g.Status != "no_data" {
			t.Errorf("gate %s: %s", g.Name, g.Status)
		}
	}
}

func TestMalformedAndForeignRequestsAreAccounted(t *testing.T) {
	tn := newTown(t, townConfig{})
	if code, answer, err := tn.post("{not json"); err != nil || code != 400 || !strings.Contains(answer, "error") {
		t.Errorf("malformed: HTTP %d, %v, %s", code, err, answer)
	}
	resp, err := http.Get(tn.url() + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	tn.mustPost(chat("fine"))
	st := tn.settled(1)
	if a := st.Accounts; a.Received != 3 || a.Excluded != 1 || a.Dropped["malformed"] != 1 {
		t.Errorf("accounts %+v", a)
	}
}

func TestReloadSwapsOnceOrNotAtAll(t *testing.T) {
	tn := newTown(t, townConfig{})
	before := tn.p.currentWorkers()
	good, _ := loadConfig(tn.config, nil)
	if err := tn.p.reload(t.Context(), func() (*Config, error) { return loadConfig(tn.config, []string{"replay.atempts=1"}) }); err == nil {
		t.Error("a bad configuration was accepted")
	}
	if err := tn.p.reload(t.Context(), func() (*Config, error) { return loadConfig(tn.config, []string{"nats.max_store=134217728"}) }); err == nil || !strings.Contains(err.Error(), "[nats]") {
		t.Errorf("a change of [nats]: %v", err)
	}
	if tn.p.currentWorkers() != before || tn.p.config().Replay.Attempts != good.Replay.Attempts {
		t.Error("a refused reload changed something")
	}
	if err := tn.p.reload(t.Context(), func() (*Config, error) { return loadConfig(tn.config, []string{"replay.attempts=1"}) }); err != nil {
		t.Fatal(err)
	}
	if tn.p.config().Replay.Attempts != 1 || tn.p.currentWorkers() == before {
		t.Error("the reload changed nothing")
	}
	tn.mustPost(chat("after the reload"))
	tn.settled(1)
}

func TestStatusAndReadyDoNotNeedNATS(t *testing.T) {
	tn := newTown(t, townConfig{stages: []string{"capture"}, sets: []string{"nats.mode=external", "nats.url=nats://" + freePort(t)}})
	tn.mustPost(chat("NATS is away"))
	resp, err := http.Get("http://" + tn.p.admin.Addr() + "/readyz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("readyz: %v %v", resp, err)
	}
	resp.Body.Close()
	start := time.Now()
	s := mustJSON[Status](t, "status", "--config", tn.config, "-o", "json")
	if s.Accounts.Received != 1 || s.Accounts.Captured+s.Accounts.Pending != 1 || s.Stages.NATS != "away" {
		t.Errorf("%+v", s)
	}
	if _, errs, code := cli(t, "export", "--what", "exchanges", "--config", tn.config); code != exitUnreachable || errs == "" {
		t.Errorf("export: exit %d, %s", code, errs)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("answers took %s", d)
	}
}

func TestReadSideFindsTheDaemonWhileItsConfigIsBroken(t *testing.T) {
	tn := newTown(t, townConfig{})
	tn.mustPost(chat("hello"))
	tn.settled(1)
	text := readFile(t, tn.config)
	writeOver(t, tn.config, text+"\n[replay]\natempts = 1\n")
	s := mustJSON[Status](t, "status", "--config", tn.config, "-o", "json")
	if s.Accounts.Captured != 1 {
		t.Errorf("accounts %+v", s.Accounts)
	}
	if b := s.Stages.Budget; b == nil || b.ChargedUSD <= 0 || b.ChargedUSD > b.CapUSD {
		t.Errorf("budget %+v", b)
	}
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := cli(t, "status", "--config", tn.config); code != exitConfig || !strings.Contains(errs, "atempts") {
		t.Errorf("without a daemon: exit %d, %s", code, errs)
	}
}

func TestReadSideWithoutAStore(t *testing.T) {
	path := writeFile(t, "config.toml", minimal+"[nats]\ndir = \"nowhere\"\n")
	if out, errs, code := cli(t, "status", "--config", path); code != exitFailed || out != "" || !strings.Contains(errs, "nowhere is not there") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

func TestReportSaysThatAnAbilityWasLifted(t *testing.T) {
	tn := newTown(t, townConfig{sets: []string{`endpoint."llama-3.3".capabilities=["tools"]`}})
	out, _, code := cli(t, "report", "--config", tn.config)
	if code != 0 || !strings.Contains(out, "llama-3.3 ("+townModel+"): tools taken from the configuration") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestUnknownSubmoduleOfAReport(t *testing.T) {
	tn := newTown(t, townConfig{})
	if _, errs, code := cli(t, "report", "nobody", "--config", tn.config); code != exitFailed || !strings.Contains(errs, `sub-module "nobody" is not configured`) {
		t.Errorf("exit %d, %s", code, errs)
	}
}
