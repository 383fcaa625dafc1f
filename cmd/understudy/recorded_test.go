//go:build realtraffic || crash

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

// recorded is the traffic that the data's own script makes: real requests, and
// what live and candidates really answered.
type recorded struct {
	dir      string
	requests []recordedRequest
	live     map[string]recordedAnswer            // by last user text
	answers  map[string]map[string]recordedAnswer // by model, last user text
}

type recordedRequest struct {
	ID           string          `json:"id"`
	Submodule    string          `json:"submodule"`
	Conversation string          `json:"conversation"`
	Body         json.RawMessage `json:"body"`
}

type recordedAnswer struct {
	Model string `json:"model"`
	Match struct {
		LastUser string `json:"last_user"`
	} `json:"match"`
	Text      string         `json:"text"`
	ToolCalls []llm.ToolCall `json:"tool_calls"`
}

// lastUser is the text by which an answer is found.
func (r *recordedRequest) lastUser() string {
	var body struct{ Messages []struct{ Content string } }
	json.Unmarshal(r.Body, &body)
	return body.Messages[len(body.Messages)-1].Content
}

func loadRecorded(t *testing.T) *recorded {
	t.Helper()
	root, err := filepath.Abs("../../../shared")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(root, "tools", "answers.py")
	if _, err := os.Stat(script); err != nil {
		t.Skipf("the recorded data is not here (%s): it may not be shipped with the project", "../shared")
	}
	r := &recorded{dir: t.TempDir(), live: map[string]recordedAnswer{}, answers: map[string]map[string]recordedAnswer{}}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("the recorded traffic is made by a script, and python3 is not here")
	}
	if out, err := exec.Command(python, script, r.dir).CombinedOutput(); err != nil {
		t.Fatalf("make the recorded traffic: %v\n%s", err, out)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	r.requests = lines[recordedRequest](t, read("requests.jsonl"))
	for _, a := range lines[recordedAnswer](t, read("answers.openai.jsonl")) {
		r.live[a.Match.LastUser] = a
	}
	for _, a := range lines[recordedAnswer](t, read("answers.bedrock.jsonl")) {
		if r.answers[a.Model] == nil {
			r.answers[a.Model] = map[string]recordedAnswer{}
		}
		r.answers[a.Model][a.Match.LastUser] = a
	}
	return r
}

// candidateModels in the run: endpoint name → Bedrock model id. The first two
// are tried on all sub-modules, the others on alpaca only.
var candidateModels = []struct{ name, model, scope string }{
	{"llama-3-70b", "meta.llama3-70b-instruct-v1:0", ""},
	{"claude-3.5-sonnet", "anthropic.claude-3-5-sonnet-20240620-v1:0", ""},
	{"llama-3.1-70b", "meta.llama3-1-70b-instruct-v1:0", "alpaca/"},
	{"claude-2.1", "anthropic.claude-v2:1", "alpaca/"},
	{"mixtral-8x7b", "mistral.mixtral-8x7b-instruct-v0:1", "alpaca/"},
}

func modelOf(name string) string {
	for _, c := range candidateModels {
		if c.name == name {
			return c.model
		}
	}
	return ""
}

// inScope names the candidates of a sub-module.
func inScope(submodule string) []string {
	var names []string
	for _, c := range candidateModels {
		if strings.HasPrefix(submodule, c.scope) {
			names = append(names, c.name)
		}
	}
	return names
}

// A site is the recorded traffic's configuration with its two simulators.
type site struct {
	t              *testing.T
	rec            *recorded
	config         string
	data, admin    string
	openai, bedrok string
}

func newSite(t *testing.T, rec *recorded, extra string) *site {
	t.Helper()
	s := &site{t: t, rec: rec, data: freePort(t), admin: freePort(t), openai: freePort(t), bedrok: freePort(t)}
	live := launch(t, "sim", "openai", "--listen", s.openai, "--answers", filepath.Join(rec.dir, "answers.openai.jsonl"), "--answers-only")
	cand := launch(t, "sim", "bedrock", "--listen", s.bedrok, "--answers", filepath.Join(rec.dir, "answers.bedrock.jsonl"), "--answers-only",
		"--capability", "meta.llama3-70b-instruct-v1:0=tools")
	live.up("http://" + s.openai + "/__stats")
	cand.up("http://" + s.bedrok + "/__stats")
	s.config = writeFile(t, "config.toml", s.text(extra))
	return s
}

func (s *site) text(extra string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[nats]\ndir = %q\nmax_store = 1073741824\n[capture]\nlisten = %q\n[capture.redact]\nmode = \"off\"\n[admin]\nlisten = %q\n",
		filepath.Join(s.t.TempDir(), "state"), s.data, s.admin)
	fmt.Fprintf(&b, "[[upstream]]\nname = \"openai\"\nbase_url = \"http://%s\"\nkind = \"openai\"\n", s.openai)
	fmt.Fprintf(&b, "[replay]\ndaily_usd = 1000\nack_wait = \"5s\"\n[canary]\nmin_span = \"0s\"\nconversation_window = \"1s\"\nlook_every = \"1s\"\n")
	b.WriteString("[[endpoint]]\nname = \"gpt-4-turbo\"\nprovider = \"openai\"\nmodel = \"gpt-4-turbo\"\n")
	for _, c := range candidateModels {
		fmt.Fprintf(&b, "[[endpoint]]\nname = %q\nprovider = \"bedrock\"\nmodel = %q\nregion = \"us-east-1\"\nbase_url = \"http://%s\"\nconcurrency = 16\n", c.name, c.model, s.bedrok)
		if c.name == "llama-3-70b" {
			b.WriteString("capabilities = [\"tools\"]\n")
		}
	}
	seen := map[string]bool{}
	for _, r := range s.rec.requests {
		if seen[r.Submodule] {
			continue
		}
		seen[r.Submodule] = true
		fmt.Fprintf(&b, "[[submodule]]\nname = %q\nbaseline = \"gpt-4-turbo\"\ncandidates = [\"%s\"]\n[submodule.criteria]\n",
			r.Submodule, strings.Join(inScope(r.Submodule), `", "`))
		if strings.HasPrefix(r.Submodule, "tools/") {
			b.WriteString("check = { tool_calls = 0.20 }\n")
		} else {
			b.WriteString("cost_ratio = 0.60\nerror_rate = 0.02\ncheck = { nonempty = 0.05, refusal = 0.05 }\n")
		}
	}
	return b.String() + extra
}

// send sends all requests, half of them streamed, 32 at a time.
func (s *site) send() {
	s.t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i, r := range s.rec.requests {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.ask(&r, i%2 == 0); err != nil {
				s.t.Errorf("%s: %v", r.ID, err)
			}
		})
	}
	wg.Wait()
}

func (s *site) ask(r *recordedRequest, stream bool) error {
	body := bytes.Clone(r.Body)
	if stream {
		body = append(bytes.TrimRight(body, "} \n"), bracesCut(r.Body)...)
		body = append(body, []byte(`,"stream":true,"stream_options":{"include_usage":true}}`)...)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+s.data+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	req.Header.Set("X-Understudy-Submodule", r.Submodule)
	req.Header.Set("X-Understudy-Conversation", r.Conversation)
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
	if stream && !bytes.HasSuffix(answer, []byte("data: [DONE]\n\n")) {
		return fmt.Errorf("stream without its end")
	}
	return nil
}

// bracesCut are the closing braces that trimming the body's end took too many.
func bracesCut(body []byte) []byte {
	trimmed := bytes.TrimRight(body, "} \n")
	return bytes.Repeat([]byte("}"), bytes.Count(body[len(trimmed):], []byte("}"))-1)
}

func (s *site) status() Status {
	s.t.Helper()
	return mustJSON[Status](s.t, "status", "--config", s.config, "-o", "json")
}

// trialsWanted is how many trials an undisturbed run stores.
func (s *site) trialsWanted() (total int, by map[string]int) {
	by = map[string]int{}
	for _, r := range s.rec.requests {
		for _, c := range inScope(r.Submodule) {
			by[c]++
			total++
		}
	}
	return total, by
}

// settle waits until no exchange × candidate is pending.
func (s *site) settle(wait time.Duration) Status {
	s.t.Helper()
	var st Status
	total, _ := s.trialsWanted()
	eventually(s.t, wait, "all exchanges × candidates are terminal", func() bool {
		st = s.status()
		sum, pending := 0, 0
		for _, b := range st.Accounts.Candidates {
			pending += b.Pending
			sum += b.Trial + b.NotComparable + b.OverBudget + b.DeadLetter + b.Expired
		}
		return pending == 0 && sum == total
	})
	return st
}

// verify checks accounts and that every trial says what was recorded.
func (s *site) verify(st Status) {
	s.t.Helper()
	n := len(s.rec.requests)
	a := st.Accounts
	if a.Received != int64(n) || a.Captured != int64(n) || a.SampledOut+a.Excluded+a.Unaccounted != 0 || len(a.Dropped) != 0 {
		s.t.Errorf("accounts: %+v, want %d received and captured", a.Accounts, n)
	}
	_, want := s.trialsWanted()
	got := map[string]int{}
	for c, b := range a.Candidates {
		got[c] = b.Trial
		if b != (journal.Buckets{Trial: b.Trial}) {
			s.t.Errorf("%s: %+v, want trials only", c, b)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Error("trials by candidate: " + d)
	}
	s.verifyTexts()
}

// verifyTexts compares every exported trial with the recorded answer, byte for byte.
func (s *site) verifyTexts() {
	s.t.Helper()
	out, errs, code := cli(s.t, "export", "--what", "exchanges", "--config", s.config)
	if code != 0 {
		s.t.Fatal(errs)
	}
	user := map[string]string{}
	for _, e := range lines[exchangeLine](s.t, out) {
		r := recordedRequest{Body: json.RawMessage(e.Request)}
		user[e.ID] = r.lastUser()
	}
	if len(user) != len(s.rec.requests) {
		s.t.Errorf("%d exchanges exported, want %d", len(user), len(s.rec.requests))
	}
	out, errs, code = cli(s.t, "export", "--what", "trials", "--config", s.config)
	if code != 0 {
		s.t.Fatal(errs)
	}
	trials := lines[trialLine](s.t, out)
	seen := map[string]bool{}
	for _, tr := range trials {
		if seen[tr.ID] {
			s.t.Errorf("trial %s stored twice", tr.ID)
		}
		seen[tr.ID] = true
		want, ok := s.rec.answers[modelOf(tr.Candidate)][user[tr.ExchangeID]]
		if !ok {
			s.t.Errorf("trial %s of an unknown request", tr.ID)
			continue
		}
		if d := different(want, tr); d != "" {
			s.t.Errorf("%s on %s (%s): %s", tr.Candidate, tr.Submodule, tr.Class, d)
		}
	}
	if total, _ := s.trialsWanted(); len(trials) != total {
		s.t.Errorf("%d trials exported, want %d", len(trials), total)
	}
}

func different(want recordedAnswer, got trialLine) string {
	if got.Class != llm.ClassOK {
		return "class " + string(got.Class)
	}
	if len(want.ToolCalls) > 0 {
		var calls []llm.ToolCall
		for _, c := range got.ToolCalls {
			calls = append(calls, llm.ToolCall{Name: c.Name, Arguments: c.Arguments})
		}
		return cmp.Diff(want.ToolCalls, calls)
	}
	if want.Text != got.Text {
		return cmp.Diff(want.Text, got.Text)
	}
	return ""
}
