package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// planted are secrets that stand in live traffic and must stand nowhere else.
var planted = map[string]string{
	"e-mail":     "grace.hopper@mail.example.org",
	"phone":      "+44 20 7946 0958",
	"card":       "5500 0000 0000 0004",
	"iban":       "GB82 WEST 1234 5698 7654 32",
	"key":        "sk-proj-Qq9wEe8rTt7yUu6i",
	"address":    "198.18.44.55",
	"password":   "correct-horse-9",
	"credential": "own-credential-of-the-caller-77",
}

// leaks are the planted secrets in a text.
func leaks(text string) (found []string) {
	for name, secret := range planted {
		if strings.Contains(text, secret) {
			found = append(found, name)
		}
	}
	return found
}

// TestPlantedSecretsAreFoundNowhere sends secrets through a whole understudy, in every place
// of a request and an answer, and looks for them wherever it writes.
func TestPlantedSecretsAreFoundNowhere(t *testing.T) {
	for _, mode := range []string{"on", "off"} {
		t.Run("redaction "+mode, func(t *testing.T) {
			found := plantAndLook(t, mode)
			switch {
			case mode == "on" && len(found) > 0:
				t.Errorf("found: %q", found)
			case mode == "off" && len(found) < 3: // else the looking finds nothing in any case
				t.Errorf("without redaction only these were found: %q", found)
			}
		})
	}
}

func plantAndLook(t *testing.T, mode string) map[string][]string {
	t.Helper()
	live := http.HandlerFunc(plantedAnswer)
	upstream := serve(t, live)
	bedrock, err := sim.New(sim.Config{Kind: sim.Bedrock, Personas: quick(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := bedrock.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bedrock.Close() })
	dir, data, admin := filepath.Join(t.TempDir(), "state"), steadyPort(t), steadyPort(t)
	config := writeFile(t, "config.toml", fmt.Sprintf(`
[nats]
dir = %q
max_store = 268435456
[capture]
listen = %q
[capture.redact]
mode = %q
[admin]
listen = %q
[log]
level = "debug"
[canary]
conversation_window = "100ms"
min_span = "0s"
[[upstream]]
name = "openai"
base_url = %q
[[endpoint]]
name = "live"
provider = "openai"
model = "gpt-4-turbo"
[[endpoint]]
name = "cand"
provider = "bedrock"
model = %q
region = "us-east-1"
base_url = %q
[[submodule]]
name = "a/b"
baseline = "live"
candidates = ["cand"]
criteria = { check = { nonempty = 0.05 } }
`, dir, data, mode, admin, upstream, townModel, bedrock.URL()))
	p := launch(t, "run", "--config", config)
	p.up("http://" + admin + "/readyz")
	for i := range 4 {
		plantOne(t, "http://"+data+"/v1/chat/completions", i)
	}
	eventually(t, 30*time.Second, "everything is tried", func() bool {
		s := mustJSON[Status](t, "status", "-o", "json", "--config", config)
		c := s.Accounts.Candidates["cand"]
		return s.Accounts.Captured == 4 && c.Pending == 0 && c.Trial+c.NotComparable == 4
	})
	found := map[string][]string{}
	look := func(where, text string) {
		if l := leaks(text); l != nil {
			found[where] = l
		}
	}
	for _, args := range [][]string{{"status"}, {"report"}, {"report", "-o", "json"}, {"spend"}, {"export", "--what", "exchanges"}, {"export", "--what", "trials"}, {"export", "--what", "observations"}, {"find", planted["e-mail"]}} {
		out, errs, _ := cli(t, append(args, "--config", config)...)
		if args[0] == "find" { // it says again what it was asked for
			out, errs = strings.ReplaceAll(out, planted["e-mail"], ""), strings.ReplaceAll(errs, planted["e-mail"], "")
		}
		look(strings.Join(args, " "), out+errs)
	}
	if out, errs, code := cli(t, "find", planted["e-mail"], "--config", config, "-o", "json"); code != 0 || strings.Count(out, "\n") != 4 {
		t.Errorf("the unit is not found by the application's name: exit %d, %s%s", code, out, errs)
	}
	out, _, _ := cli(t, "export", "--what", "exchanges", "--config", config)
	var first struct{ ID string }
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &first); err != nil {
		t.Fatal(err)
	}
	out, errs, _ := cli(t, "diff", first.ID, "--config", config)
	look("diff", out+errs)
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, _ := io.ReadAll(resp.Body)
	look("metrics", string(metrics))
	if code := p.term(30 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
	look("log", p.err.String()+p.out.String())
	lookIntoStore(t, dir, look)
	return found
}

// plantOne sends one request with all secrets, whole or streamed.
func plantOne(t *testing.T, url string, i int) {
	t.Helper()
	all := ""
	for name, secret := range planted {
		if name == "password" {
			secret = "password=" + secret
		}
		all += " " + secret + ";"
	}
	args, _ := json.Marshal(map[string]string{"to": planted["e-mail"], "password": planted["password"], "card": planted["card"]})
	body, _ := json.Marshal(map[string]any{
		"model": "gpt-4-turbo", "stream": i%2 == 1, "user": planted["e-mail"], "metadata": map[string]string{"note": planted["phone"]},
		"messages": []any{
			map[string]any{"role": "user", "content": "Answer this:" + all},
			map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{"id": "call_1", "type": "function", "function": map[string]any{"name": "pay", "arguments": string(args)}}}},
			map[string]any{"role": "tool", "tool_call_id": "call_1", "content": "done:" + all},
		},
		"tools": []any{map[string]any{"type": "function", "function": map[string]any{"name": "pay", "description": "ask " + planted["e-mail"], "parameters": map[string]any{"type": "object", "properties": map[string]any{}}}}},
	})
	req, _ := http.NewRequest("POST", url, strings.NewReader(string(body)))
	for k, v := range map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer " + planted["credential"], "User-Agent": "app of " + planted["e-mail"],
		"X-Understudy-Submodule": "a/b", "X-Understudy-Unit": planted["e-mail"], "X-Understudy-Conversation": fmt.Sprint(planted["address"], "-", i),
	} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || i%2 == 0 && leaks(string(got)) == nil {
		t.Fatalf("live answer %d, %v: %s", resp.StatusCode, err, got)
	}
}

// plantedAnswer is an upstream that says all secrets, a byte an event where it streams.
func plantedAnswer(w http.ResponseWriter, r *http.Request) {
	var q struct{ Stream bool }
	_ = json.NewDecoder(r.Body).Decode(&q)
	text := "I know"
	for name, secret := range planted {
		if name == "password" {
			secret = "password: " + secret
		}
		text += " " + secret + ";"
	}
	if !q.Stream {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "chatcmpl-1", "model": "gpt-4-turbo", "choices": []any{map[string]any{"index": 0, "finish_reason": "stop",
			"message": map[string]any{"role": "assistant", "content": text}}}, "usage": map[string]int{"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, c := range text {
		b, _ := json.Marshal(string(c))
		fmt.Fprintf(w, `data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4-turbo","choices":[{"index":0,"delta":{"role":"assistant","content":%s},"finish_reason":null}]}`+"\n\n", b)
	}
	fmt.Fprint(w, `data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4-turbo","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	l := freePort(t)
	s := &http.Server{Addr: l, Handler: h}
	go s.ListenAndServe()
	t.Cleanup(func() { s.Close() })
	eventually(t, 10*time.Second, "the upstream listens", func() bool {
		resp, err := http.Post("http://"+l, "application/json", strings.NewReader("{}"))
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return "http://" + l
}

// lookIntoStore reads every message of every stream, those behind buckets and stores among
// them, with its texts opened, and every raw file of the state directory.
func lookIntoStore(t *testing.T, dir string, look func(where, text string)) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			var data []byte
			data, err = os.ReadFile(path)
			look("file "+strings.TrimPrefix(path, dir), string(data))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MaxStore, cfg.Listen = dir, 1<<28, freePort(t)
	j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = j.Read(t.Context(), journal.StreamExchanges, nil, func(m *journal.Message) error {
		list, err := journal.ReadExchanges(m.Subject, m.Data)
		if err == nil {
			err = j.UnsealAll(t.Context(), list)
		}
		for _, e := range list {
			meta, _ := json.Marshal(e)
			look("exchange", string(meta)+string(e.Request)+string(e.Response))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("nats://" + cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	streams := 0
	for name := range js.StreamNames(t.Context()).Name() {
		streams++
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		state := s.CachedInfo().State
		for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
			if m, err := s.GetMsg(t.Context(), seq); err == nil {
				look("stream "+name, m.Subject+fmt.Sprint(m.Header)+string(m.Data))
			}
		}
	}
	if streams < 8 {
		t.Errorf("only %d streams were looked at", streams)
	}
}
