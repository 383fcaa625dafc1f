package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"understudy/llm/sim"
)

// A loadgen asks a proxy without a pause, over connections that are kept and over new ones,
// whole answers and streams. Not one request may fail.
type loadgen struct {
	t      *testing.T
	data   string
	asked  atomic.Int64
	failed atomic.Int64
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

func startLoad(t *testing.T, data string) *loadgen {
	l := &loadgen{t: t, data: data}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	t.Cleanup(func() { l.end() })
	for i := range 6 {
		tr := &http.Transport{DisableKeepAlives: i%3 == 0, MaxIdleConnsPerHost: 4}
		l.wg.Go(func() {
			defer tr.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				l.ask(&http.Client{Transport: tr}, i%2 == 1, fmt.Sprintf("question %d of %d?", n, i))
			}
		})
	}
	return l
}

func (l *loadgen) ask(c *http.Client, stream bool, text string) {
	body := fmt.Sprintf(`{"model":"gpt-4-turbo","stream":%v,"messages":[{"role":"user","content":%q}]}`, stream, text)
	// Not a body that could be sent again: the client must not hide a failure.
	req, _ := http.NewRequest("POST", "http://"+l.data+"/v1/chat/completions", io.NopCloser(strings.NewReader(body)))
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	l.asked.Add(1)
	resp, err := c.Do(req)
	var got []byte
	if err == nil {
		got, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	whole := strings.Contains(string(got), `"finish_reason":"stop"`) && (!stream || strings.HasSuffix(string(got), "data: [DONE]\n\n"))
	if err != nil || resp.StatusCode != 200 || !whole {
		l.failed.Add(1)
		l.t.Errorf("request failed: %v %.200s", err, got)
	}
}

// end stops asking and gives how many requests there were.
func (l *loadgen) end() int64 {
	l.stop()
	l.wg.Wait()
	return l.asked.Load()
}

// alive tells whether a process of that id runs and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// holder is the process that has a place of a state directory.
func holder(t *testing.T, dir string) (pid int) {
	t.Helper()
	if text, err := os.ReadFile(filepath.Join(dir, "lock")); err == nil {
		fmt.Sscan(string(text), &pid)
	}
	return pid
}

// A proxy hands over to a successor again and again while clients ask: no request fails,
// and the accounts of all together say what became of each.
func TestUpgradeDropsNoConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes under load")
	}
	broker := plainBroker(t)
	openai, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: quick(30 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := openai.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { openai.Close() })
	r := startRelay(t, openai.URL(), "", fmt.Sprintf("url = %q\nmax_store = 268435456", broker.url()))
	load := startLoad(t, r.data)

	pids := []int{r.cmd.Process.Pid}
	t.Cleanup(func() {
		for _, pid := range pids[1:] {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	for n := range 3 {
		before := load.asked.Load()
		eventually(t, 20*time.Second, "requests are served", func() bool { return load.asked.Load() > before+50 })
		old := pids[len(pids)-1]
		if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		dir := r.dir
		if n%2 == 0 {
			dir = filepath.Join(r.dir, secondPlace)
		}
		eventually(t, 30*time.Second, "a successor has a place", func() bool { return holder(t, dir) != 0 && holder(t, dir) != old && alive(holder(t, dir)) })
		pids = append(pids, holder(t, dir))
		eventually(t, 40*time.Second, "the old process ends", func() bool { return !alive(old) })
	}
	asked := load.end()
	if load.failed.Load() > 0 {
		t.Fatalf("%d of %d requests failed", load.failed.Load(), asked)
	}
	eventually(t, 20*time.Second, "the accounts close", func() bool {
		a := r.accounts(t)
		return a.Received == asked && a.Captured == asked && a.Pending == 0
	})
	if a := r.accounts(t); a.Received != asked || a.Captured != asked {
		t.Errorf("asked %d, accounts %+v", asked, a)
	}
	last := pids[len(pids)-1]
	syscall.Kill(last, syscall.SIGTERM)
	eventually(t, 20*time.Second, "the last process ends", func() bool { return !alive(last) })
	if text, errs, code := cli(t, "status", "--config", r.config); code != 0 || !strings.Contains(text, fmt.Sprintf("received %d = captured %d ", asked, asked)) {
		t.Errorf("exit %d: %s%s", code, text, errs)
	}
}

// A successor that does not come up changes nothing.
func TestUpgradeThatFailsChangesNothing(t *testing.T) {
	r := startRelay(t, "http://127.0.0.1:1", "")
	text := readFile(t, r.config)
	writeOver(t, r.config, text+"nonsense = 1\n")
	if err := r.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the log says so", func() bool { return strings.Contains(r.err.String(), "this process goes on") })
	resp, err := http.Get("http://" + r.admin + "/readyz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("the old process does not serve: %v", err)
	}
	resp.Body.Close()
}

// A socket that systemd holds takes connections before the proxy runs.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	openai, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: quick(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := openai.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { openai.Close() })
	conn, err := net.Dial("tcp", l.Addr().String()) // nobody accepts it yet
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l.Close()

	r := &relay{dir: filepath.Join(t.TempDir(), "state"), data: "127.0.0.1:1", admin: steadyPort(t)} // the socket counts, not the address
	r.configure(t, openai.URL(), "", fmt.Sprintf("url = \"nats://%s\"", freePort(t)))
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, understudyPath(t), "run", "--config", r.config, "--stages", "capture")
	cmd.ExtraFiles, cmd.Env = []*os.File{f}, append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=understudy-capture.socket")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	fmt.Fprint(conn, "GET /v1/models HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer sk-test-0123456789\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
