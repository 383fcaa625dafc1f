package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"understudy/capture"
	"understudy/llm/sim"
)

// A relay is a proxy of its own.
type relay struct {
	*proc
	config, dir, data, admin string
}

// startRelay runs one; admin are further keys of [admin], nats of [nats]: without any its
// NATS is not there.
func startRelay(t *testing.T, upstream, admin string, nats ...string) *relay {
	t.Helper()
	r := &relay{dir: filepath.Join(t.TempDir(), "state"), data: steadyPort(t), admin: steadyPort(t)}
	if len(nats) == 0 {
		nats = []string{fmt.Sprintf("url = \"nats://%s\"", freePort(t))}
	}
	r.configure(t, upstream, admin, strings.Join(nats, "\n"))
	r.start(t)
	return r
}

func (r *relay) configure(t *testing.T, upstream, admin, nats string) {
	t.Helper()
	r.config = writeFile(t, "config.toml", fmt.Sprintf("[nats]\nmode = \"external\"\ndir = %q\n%s\n[capture]\nlisten = %q\n[capture.redact]\nmode = \"off\"\n[admin]\nlisten = %q\n%s\n[[upstream]]\nname = \"openai\"\nbase_url = %q\n",
		r.dir, nats, r.data, r.admin, admin, upstream))
}

func (r *relay) start(t *testing.T) {
	t.Helper()
	r.proc = launch(t, "run", "--config", r.config, "--stages", "capture")
	r.up("http://" + r.admin + "/readyz")
}

func (r *relay) ask(t *testing.T) {
	t.Helper()
	req, _ := http.NewRequest("POST", "http://"+r.data+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-4-turbo","messages":[{"role":"user","content":"Hello?"}]}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
}

func (r *relay) accounts(t *testing.T) capture.Accounts {
	t.Helper()
	var s Status
	getJSON(t, "http://"+r.admin+"/api/v1/status", &s)
	return s.Accounts.Accounts
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// One order makes the proxies of two hosts plain relays, without NATS; it outlives a
// restart, and a proxy that was not running when it came follows it as well.
func TestBypassReachesEveryProxyWithoutNATS(t *testing.T) {
	openai, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: quick(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := openai.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { openai.Close() })
	token := writeFile(t, "token", "0123456789abcdef0123")
	far := startRelay(t, openai.URL(), fmt.Sprintf("token_file = %q", token))
	near := startRelay(t, openai.URL(), fmt.Sprintf("token_file = %q\npeers = [\"http://%s\"]", token, far.admin))
	bypass := func(want int, args ...string) []BypassLine {
		t.Helper()
		out, errs, code := cli(t, append([]string{"bypass", "--config", near.config, "-o", "json"}, args...)...)
		var lines []BypassLine
		if err := json.Unmarshal([]byte(out), &lines); code != want || err != nil || len(lines) != 2 {
			t.Fatalf("exit %d, want %d: %s%s", code, want, out, errs)
		}
		return lines
	}
	on := func(l BypassLine) bool { return l.On != nil && *l.On }
	relays := func(l []BypassLine) bool { return on(l[0]) && on(l[1]) }

	near.ask(t)
	if lines := bypass(0, "on", "--reason", "incident 1"); !relays(lines) || !lines[0].Running || !lines[1].Running {
		t.Errorf("%+v", lines)
	}
	for _, r := range []*relay{near, far} {
		r.ask(t)
		if a := r.accounts(t); a.Excluded != 1 {
			t.Errorf("a relayed request is not counted as excluded: %+v", a)
		}
	}
	if text, _, code := cli(t, "status", "--config", near.config); code != 0 || !strings.Contains(text, "BYPASS since") || !strings.Contains(text, "incident 1") {
		t.Errorf("status says nothing of it:\n%s", text)
	}
	far.kill()
	lines := bypass(exitUnreachable, "show")
	if !on(lines[0]) || lines[1].On != nil || lines[1].Error == "" {
		t.Errorf("a proxy that does not answer: %+v", lines)
	}
	far.start(t) // by itself
	if lines := bypass(0, "show"); !relays(lines) {
		t.Errorf("after a restart: %+v", lines)
	}
	if lines := bypass(0, "off"); on(lines[0]) || on(lines[1]) {
		t.Errorf("%+v", lines)
	}
	near.ask(t)
	if a := near.accounts(t); a.Excluded != 1 {
		t.Errorf("still a relay: %+v", a)
	}

	// Without a proxy that answers the file is enough, also where another writes it.
	near.kill()
	if lines := bypass(0, "on"); !on(lines[0]) || lines[0].Running || !lines[1].Running {
		t.Errorf("%+v", lines)
	}
	near.start(t)
	near.ask(t)
	if a := near.accounts(t); a.Excluded != 2 {
		t.Errorf("after the restart: %+v", a)
	}
	if err := os.Remove(filepath.Join(near.dir, "bypass.json")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the proxy follows the file", func() bool { return !on(bypass(0, "show")[0]) })
}

// Orders over the network need the token.
func TestBypassOverTheNetworkNeedsTheToken(t *testing.T) {
	token := writeFile(t, "token", "0123456789abcdef0123")
	for name, tc := range map[string]struct {
		admin, shown string
		want         int
	}{
		"no token configured": {"", "0123456789abcdef0123", http.StatusForbidden},
		"none shown":          {fmt.Sprintf("token_file = %q", token), "", http.StatusUnauthorized},
		"another":             {fmt.Sprintf("token_file = %q", token), "0123456789abcdef012", http.StatusUnauthorized},
		"the token":           {fmt.Sprintf("token_file = %q", token), "0123456789abcdef0123", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, "http://127.0.0.1:1", tc.admin)
			req, _ := http.NewRequest("POST", "http://"+r.admin+"/api/v1/bypass", strings.NewReader(`{"on":true}`))
			if tc.shown != "" {
				req.Header.Set("Authorization", "Bearer "+tc.shown)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tc.want)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "bypass.json")); (err == nil) != (tc.want == http.StatusOK) {
				t.Errorf("the file: %v", err)
			}
		})
	}
}
