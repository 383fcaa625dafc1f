//go:build benchcapture

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A benchTarget is one thing that load is sent to.
type benchTarget struct {
	name string
	url  string // host:port
	pid  int    // 0 for the upstream itself
	// admin is the address of our admin listener, "" for the others.
	admin string
	stop  func()
}

// cpu is the processor time of the target and its children so far.
func (b *benchTarget) cpu(t testing.TB) time.Duration {
	t.Helper()
	sum := time.Duration(0)
	for _, pid := range b.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, ticks := range f[11:13] { // utime, stime
			n, _ := strconv.Atoi(ticks)
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

// rss is its resident memory in MiB.
func (b *benchTarget) rss(t testing.TB) float64 {
	t.Helper()
	sum := 0
	for _, pid := range b.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(strings.Fields(string(text))[1])
		sum += n
	}
	return float64(sum) * float64(os.Getpagesize()) / (1 << 20)
}

func (b *benchTarget) pids() []int {
	if b.pid == 0 {
		return nil
	}
	list := []int{b.pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", b.pid, b.pid))
	for _, f := range strings.Fields(string(text)) {
		pid, _ := strconv.Atoi(f)
		list = append(list, pid)
	}
	return list
}

// metrics reads the lines of our metrics that begin with a name, with their values.
func (b *benchTarget) metrics(t testing.TB, name string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + b.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == '{' || rest[0] == ' ') {
			labels, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if !strings.HasPrefix(rest, "{") {
				labels, value = "", labels
			}
			found[labels], _ = strconv.ParseFloat(value, 64)
		}
	}
	return found
}

// metric is the sum of one of them.
func (b *benchTarget) metric(t testing.TB, name string) (sum float64) {
	t.Helper()
	for _, v := range b.metrics(t, name) {
		sum += v
	}
	return sum
}

// drained waits until everything that was recorded is stored or dropped.
func (b *benchTarget) drained(t testing.TB) {
	t.Helper()
	if b.admin == "" {
		return
	}
	eventually(t, time.Minute, "what was recorded is stored", func() bool { return b.metric(t, "understudy_capture_pending") == 0 })
}

// benchPort waits until something listens.
func benchPort(t testing.TB, addr string) {
	t.Helper()
	eventually(t, 20*time.Second, addr+" listens", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// benchProc starts a command on a core; it is asked to end when the target is stopped.
func benchProc(t testing.TB, cpu int, args ...string) (pid int, stop func()) {
	t.Helper()
	cmd := benchCommand(cpu, args...)
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
	}
	t.Cleanup(stop)
	return cmd.Process.Pid, stop
}

// benchNginx starts nginx before the upstream; sink takes its mirrored requests, "" for
// none, on connections that are kept only where keep says so: the documentation of mirror
// shows none that are. It is nil where there is no nginx.
func benchNginx(t testing.TB, name, upstream, sink, keep string) *benchTarget {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil
	}
	addr, dir := steadyPort(t), t.TempDir()
	mirror, to := "", ""
	if sink != "" {
		mirror = "mirror /mirror;"
		to = "location = /mirror { internal; proxy_pass http://sink$request_uri; }"
	} else {
		sink = upstream
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	config := writeFile(t, "nginx.conf", fmt.Sprintf(`%s
worker_processes 1; daemon off; pid %[2]s/pid; error_log %[2]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 0; client_body_buffer_size 2m; keepalive_requests 100000000; proxy_buffering off;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;
  proxy_http_version 1.1; proxy_set_header Connection "";
  upstream live { server %[3]s; keepalive 256; keepalive_requests 100000000; }
  upstream sink { server %[4]s; %[8]s }
  server { listen %[5]s; location / { %[6]s proxy_pass http://live; } %[7]s }
}
`, user, dir, upstream, sink, addr, mirror, to, keep))
	pid, stop := benchProc(t, benchMyCore, path, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", config)
	benchPort(t, addr)
	return &benchTarget{name: name, url: addr, pid: pid, stop: stop}
}

// A benchSetup is how ours is run.
type benchSetup struct {
	name, upstream string
	sync, redact   string
	nats           string // url of a nats-server, "" for the embedded one
	sample         float64
	profile        string // runs inside the test's own binary, with profiles
}

// benchOurTarget starts understudy run --stages capture over a new state directory.
func benchOurTarget(t testing.TB, s benchSetup) *benchTarget {
	t.Helper()
	addr, admin := steadyPort(t), steadyPort(t)
	nats := fmt.Sprintf("mode = \"embedded\"\nsync = %q", s.sync)
	if s.nats != "" {
		nats = fmt.Sprintf("mode = \"external\"\nurl = %q", s.nats)
	}
	config := writeFile(t, "config.toml", fmt.Sprintf("[nats]\n%s\ndir = %q\n[capture]\nlisten = %q\nsample = %g\n[capture.redact]\nmode = %q\n[admin]\nlisten = %q\n[[upstream]]\nname = \"openai\"\nbase_url = \"http://%s\"\n",
		nats, filepath.Join(t.TempDir(), "state"), addr, s.sample, s.redact, admin, s.upstream))
	b := &benchTarget{name: s.name, url: addr, admin: admin}
	args := []string{"run", "--config", config, "--stages", "capture", "--set", "log.level=warn"}
	if s.profile != "" {
		p := benchStart(t, benchMyCore, benchJob{Role: "ours", URL: addr, Args: args, Profile: s.profile})
		p.next(t)
		b.pid, b.stop = p.cmd.Process.Pid, func() { p.end(t) }
	} else {
		b.pid, b.stop = benchProc(t, benchMyCore, append([]string{understudyPath(t)}, args...)...)
	}
	eventually(t, 30*time.Second, "understudy is ready", func() bool {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return b
}

// benchBroker starts a nats-server on the core of the load.
func benchBroker(t testing.TB, sync string) (url string, pid int, stop func()) {
	t.Helper()
	addr, interval := steadyPort(t), "always"
	if sync != "always" {
		interval = "2m"
	}
	config := writeFile(t, "nats.conf", fmt.Sprintf("server_name: bench\nlisten: %q\njetstream { store_dir: %q, max_file_store: 40GB, max_memory_store: 128MB, sync_interval: %s }\n", addr, t.TempDir(), interval))
	pid, stop = benchProc(t, benchLoadCore, natsServerPath(t), "-c", config)
	benchPort(t, addr)
	return "nats://" + addr, pid, stop
}
