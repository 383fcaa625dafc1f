package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsServer builds nats-server once, of the version that go.mod names: its command
// is a package of the module that the embedded server comes from.
var natsServer = sync.OnceValues(func() (string, error) {
	ours, err := binary()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(ours), "nats-server")
	out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	return path, nil
})

func natsServerPath(t testing.TB) string {
	t.Helper()
	understudyPath(t) // its folder is removed when the tests are over
	path, err := natsServer()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A broker is a nats-server as a process of its own, which can be killed and started
// again over the same store.
type broker struct {
	t      testing.TB
	name   string
	config string // path of its configuration file
	addr   string // where it listens for clients
	proc   *proc
	lives  []*proc
}

// newBroker starts a nats-server with the given configuration file, which makes it
// listen at addr. It ends with the test.
func newBroker(t testing.TB, name, config, addr string) *broker {
	t.Helper()
	b := &broker{t: t, name: name, config: config, addr: addr}
	b.start()
	return b
}

// start runs the server and waits until its port accepts.
func (b *broker) start() {
	b.t.Helper()
	p := &proc{t: b.t, cmd: exec.Command(natsServerPath(b.t), "-c", b.config), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	b.proc, b.lives = p, append(b.lives, p)
	b.t.Cleanup(func() {
		p.kill()
		if b.t.Failed() {
			b.t.Logf("nats-server %s\n%s", b.name, tail(p.err.String(), 3000))
		}
	})
	eventually(b.t, 20*time.Second, "nats-server "+b.name+" listens at "+b.addr, func() bool {
		select {
		case <-p.done:
			b.t.Fatalf("nats-server %s ended with %d\n%s", b.name, p.cmd.ProcessState.ExitCode(), tail(p.err.String(), 4000))
		default:
		}
		c, err := net.DialTimeout("tcp", b.addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// kill ends the server as SIGKILL does: it writes nothing and says goodbye to nobody.
func (b *broker) kill() { b.proc.kill() }

// restart starts the server again over the store that its last life left.
func (b *broker) restart() {
	b.t.Helper()
	b.kill()
	b.start()
}

// log is what the server wrote in all of its lives.
func (b *broker) log() string {
	var all strings.Builder
	for _, p := range b.lives {
		all.WriteString(p.err.String())
	}
	return all.String()
}

// url is where clients find the server.
func (b *broker) url() string { return "nats://" + b.addr }

// steadyPort gives a loopback address that is free and stays so: below the ports that
// outgoing connections take, of which a cluster makes many.
func steadyPort(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprint("127.0.0.1:", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}

// dialNATS connects to a server and ends the connection with the test.
func dialNATS(t testing.TB, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// plainBroker is a server without users over a store of its own.
func plainBroker(t testing.TB) *broker {
	t.Helper()
	addr := steadyPort(t)
	config := writeFile(t, "nats.conf", fmt.Sprintf("server_name: plain\nlisten: %q\njetstream { store_dir: %q, max_file_store: 2GB, max_memory_store: 128MB, sync_interval: always }\n", addr, t.TempDir()))
	return newBroker(t, "plain", config, addr)
}

func TestNATSProcessIsTheModulesVersionAndSurvivesKill(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
	b := plainBroker(t)
	js := dialNATS(t, b.url())
	if got := js.Conn().ConnectedServerVersion(); got != want {
		t.Errorf("nats-server is %s, go.mod names %s", got, want)
	}
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	b.restart()
	eventually(t, 10*time.Second, "the message is there after kill -9", func() bool {
		m, err := s.GetLastMsgForSubject(t.Context(), "s.1")
		return err == nil && string(m.Data) == "kept"
	})
	if len(b.lives) != 2 || strings.Count(b.log(), "Server is ready") != 2 {
		t.Errorf("%d lives, log:\n%s", len(b.lives), b.log())
	}
}
