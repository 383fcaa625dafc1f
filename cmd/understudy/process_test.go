package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// A post is one understudy as a process of its own, in front of a simulated
// OpenAI in this one.
type post struct {
	t           *testing.T
	openai      *sim.Server
	config      string
	data, admin string
	dir         string
}

func newPost(t *testing.T, latency time.Duration) *post {
	t.Helper()
	s, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: quick(latency)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p := &post{t: t, openai: s, data: freePort(t), admin: freePort(t), dir: filepath.Join(t.TempDir(), "state")}
	p.config = writeFile(t, "config.toml", fmt.Sprintf("[nats]\ndir = %q\nmax_store = 268435456\n[capture]\nlisten = %q\n[capture.redact]\nmode = \"off\"\n[admin]\nlisten = %q\n"+
		"[[upstream]]\nname = \"openai\"\nbase_url = %q\n", p.dir, p.data, p.admin, s.URL()))
	return p
}

func (p *post) run(more ...string) *proc {
	p.t.Helper()
	d := launch(p.t, append([]string{"run", "--config", p.config, "--stages", "capture"}, more...)...)
	d.up("http://" + p.admin + "/readyz")
	return d
}

// open sends a request and gives the answer as it comes.
func (p *post) open(body string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+p.data+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	return http.DefaultClient.Do(req)
}

func (p *post) ask(body string) (string, error) {
	resp, err := p.open(body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, b)
	}
	return string(b), err
}

func (p *post) status() Status {
	p.t.Helper()
	return mustJSON[Status](p.t, "status", "--config", p.config, "-o", "json")
}

// closed tells whether the first sum of the accounts closes.
func closed(s Status) bool {
	a := s.Accounts
	sum := a.Captured + a.SampledOut + a.Excluded + a.Pending + a.Unaccounted
	for _, n := range a.Dropped {
		sum += n
	}
	return sum == a.Received
}

func TestKilledProxyLosesOnlyWhatWasInFlight(t *testing.T) {
	p := newPost(t, 20*time.Millisecond)
	const rounds = 3
	var answered atomic.Int64
	killed := int64(0)
	for round := range rounds {
		d := p.run()
		stop := make(chan struct{})
		var inFlight atomic.Int64
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					inFlight.Add(1)
					_, err := p.ask(chat(fmt.Sprintf("round %d worker %d request %d", round, w, i)))
					inFlight.Add(-1)
					if err != nil {
						return // killed under us
					}
					answered.Add(1)
				}
			})
		}
		eventually(t, 20*time.Second, "traffic flows", func() bool { return answered.Load() >= int64(round+1)*60 })
		close(stop) // quiet for a moment: what was answered before it must be kept
		wg.Wait()
		settledAt := answered.Load()
		eventually(t, 5*time.Second, "what was answered is captured", func() bool { return p.status().Accounts.Captured >= settledAt })
		// And now a burst that is cut.
		var burst sync.WaitGroup
		for i := range 8 {
			burst.Go(func() {
				if _, err := p.ask(chat(fmt.Sprintf("burst %d %d", round, i))); err == nil {
					answered.Add(1)
				}
			})
		}
		time.Sleep(15 * time.Millisecond) // so that the kill falls into the burst
		d.kill()
		burst.Wait()
		killed += 8
	}
	p.run()
	var s Status
	eventually(t, 10*time.Second, "the accounts are complete again", func() bool {
		s = p.status()
		return s.Accounts.Pending == 0 && closed(s)
	})
	out, errs, code := cli(t, "export", "--what", "exchanges", "--config", p.config)
	if code != 0 {
		t.Fatal(errs)
	}
	if n := int64(strings.Count(out, "\n")); n != s.Accounts.Captured {
		t.Errorf("captured %d, exported %d", s.Accounts.Captured, n)
	}
	if lost := answered.Load() - s.Accounts.Captured; lost > killed {
		t.Errorf("%d answered, %d captured: more lost than the %d in flight at the kills", answered.Load(), s.Accounts.Captured, killed)
	}
	if s.Accounts.Unaccounted > killed {
		t.Errorf("%d unaccounted, at most %d were in flight", s.Accounts.Unaccounted, killed)
	}
	t.Logf("%d answered, accounts %+v", answered.Load(), s.Accounts.Accounts)
}

func TestDrainEndsStreamsWhole(t *testing.T) {
	p := newPost(t, 3*time.Second)
	d := p.run()
	resp, err := p.open(chat("a slow one", `"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	code := make(chan int, 1)
	go func() { code <- d.term(20 * time.Second) }()
	eventually(t, 2*time.Second, "the port refuses new requests", func() bool {
		c, err := net.DialTimeout("tcp", p.data, time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.HasSuffix(rest, []byte("data: [DONE]\n\n")) {
		t.Errorf("the stream was cut: %v, %q … %q", err, first, tail(string(rest), 60))
	}
	if c := <-code; c != 0 {
		t.Errorf("exit %d after %s", c, time.Since(start))
	}
	before := p.status() // from the store
	if before.Accounts.Captured != 1 || !closed(before) {
		t.Errorf("accounts %+v", before.Accounts)
	}
	p.run()
	if after := p.status(); after.Accounts.Captured != 1 || after.Accounts.Received != 1 {
		t.Errorf("after a restart %+v", after.Accounts)
	}
}

func TestClashesAreSaid(t *testing.T) {
	p := newPost(t, time.Millisecond)
	p.run()
	other := []string{"--config", p.config, "--set", "nats.dir=" + t.TempDir()}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"state directory": {[]string{"--config", p.config}, exitFailed, "state directory is in use"},
		"data port":       {append(other, "--set", "admin.listen="+freePort(t)), exitFailed, "capture.listen"},
		"admin port":      {append(other, "--set", "capture.listen="+freePort(t)), exitFailed, "admin.listen"},
		"NATS unreachable": {append(other, "--set", "admin.listen="+freePort(t), "--stages", "replay,judge,canary",
			"--set", "nats.mode=external", "--set", "nats.url=nats://"+freePort(t)), exitUnreachable, "NATS is not available"},
	} {
		t.Run(name, func(t *testing.T) {
			d := launch(t, append([]string{"run"}, c.args...)...)
			if code := d.exit(30 * time.Second); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			if !strings.Contains(d.err.String(), c.want) {
				t.Errorf("%q is not in:\n%s", c.want, d.err.String())
			}
		})
	}
	if _, err := p.ask(chat("still alive")); err != nil {
		t.Error(err)
	}
}

func TestSecondSignalExitsNow(t *testing.T) {
	p := newPost(t, 10*time.Second)
	d := p.run()
	resp, err := p.open(chat("slow", `"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	start := time.Now()
	d.cmd.Process.Signal(sigterm)
	eventually(t, 5*time.Second, "draining", func() bool { return strings.Contains(d.err.String(), "draining") })
	if code := d.term(5 * time.Second); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestSignalHUPReloads(t *testing.T) {
	p := newPost(t, time.Millisecond)
	d := p.run()
	bad := strings.Replace(readFile(t, p.config), "[admin]", "[admin]\nlissen = 1", 1)
	writeOver(t, p.config, bad)
	d.cmd.Process.Signal(sighup)
	eventually(t, 5*time.Second, "the bad configuration is refused", func() bool {
		return strings.Contains(d.err.String(), "not reloaded") && strings.Contains(d.err.String(), "lissen")
	})
	writeOver(t, p.config, strings.Replace(bad, "\nlissen = 1", "", 1)+"[log]\nlevel = \"debug\"\n")
	d.cmd.Process.Signal(sighup)
	eventually(t, 5*time.Second, "the good one is taken", func() bool { return strings.Contains(d.err.String(), "configuration reloaded") })
	if _, err := p.ask(chat("still alive")); err != nil {
		t.Error(err)
	}
}

// TestBrokerRestart kills the process whose embedded NATS the workers use, and
// starts it again: the workers go on by themselves.
func TestBrokerRestart(t *testing.T) {
	p := newPost(t, time.Millisecond)
	bedrock, err := sim.New(sim.Config{Kind: sim.Bedrock, Personas: quick(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := bedrock.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bedrock.Close() })
	writeOver(t, p.config, readFile(t, p.config)+fmt.Sprintf("[[endpoint]]\nname = \"gpt\"\nprovider = \"openai\"\nmodel = \"gpt-4-turbo\"\n"+
		"[[endpoint]]\nname = \"llama-3.3\"\nprovider = \"bedrock\"\nmodel = %q\nregion = \"us-east-1\"\nbase_url = %q\n"+
		"[[submodule]]\nname = \"*\"\nbaseline = \"gpt\"\ncandidates = [\"llama-3.3\"]\ncriteria = { error_rate = 0.1 }\n", townModel, bedrock.URL()))
	broker, admin := freePort(t), freePort(t)
	front := p.run("--set", "nats.listen="+broker)
	w := launch(t, "run", "--config", p.config, "--stages", "replay,judge,canary", "--set", "nats.mode=external", "--set", "nats.url=nats://"+broker,
		"--set", "nats.dir="+t.TempDir(), "--set", "admin.listen="+admin)
	w.up("http://" + admin + "/readyz")
	tried := func(n int) {
		t.Helper()
		eventually(t, 30*time.Second, fmt.Sprintf("%d trials", n), func() bool {
			return p.status().Accounts.Candidates["llama-3.3"] == journal.Buckets{Trial: n}
		})
	}
	for i := range 5 {
		if _, err := p.ask(chat(fmt.Sprint("before ", i))); err != nil {
			t.Fatal(err)
		}
	}
	tried(5)
	front.kill()
	p.run("--set", "nats.listen="+broker)
	for i := range 5 {
		if _, err := p.ask(chat(fmt.Sprint("after ", i))); err != nil {
			t.Fatal(err)
		}
	}
	tried(10)
	if calls := bedrock.Stats()[townModel].Calls; calls != 10 {
		t.Errorf("%d calls for 10 exchanges", calls)
	}
}
