package journal

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
)

// An embedded is the NATS server inside this process. Its store breaks at the
// first write that fails and stays so; then the server is ended and another one is
// started in its place, on the same store and port. Clients connect again.
type embedded struct {
	cfg    Config
	master *master
	log    *slog.Logger

	mu     sync.Mutex
	server *server.Server // nil before the start, and between two
	held   bool
}

var errNotRunning = errors.New("the embedded NATS is not running")

// InProcessConn connects to the server that runs now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	s := e.current()
	if s == nil {
		return nil, errNotRunning
	}
	return s.InProcessConn()
}

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

// restart ends the server, where there is one, and starts another. It may take
// long with a large store, and is not called twice at once, nor beside stop.
func (e *embedded) restart() error {
	e.stop()
	s, err := startServer(e.cfg, e.master, e.log)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server, e.held = s, false
	return nil
}

func (e *embedded) stop() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// broken says why the server cannot store any more, empty while it can. A stream
// whose write failed answers no publisher until the server is started anew; the
// server tells in its health alone.
func (e *embedded) broken() string {
	s := e.current()
	if s == nil {
		return errNotRunning.Error()
	}
	if !s.JetStreamEnabled() {
		return "JetStream has been disabled"
	}
	for _, fault := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(fault.Error, "write error") {
			return fault.Error
		}
	}
	return ""
}

// hold makes the server refuse whatever would be written to files, by whom ever,
// or ends that. Memory buckets, consumers and acknowledgements go on.
func (e *embedded) hold(on bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil || e.held == on {
		return nil
	}
	var limits map[string]server.JetStreamAccountLimits // none is the server's default
	if on {
		all := server.JetStreamAccountLimits{MaxMemory: -1, MaxStore: 1, MaxStreams: -1, MaxConsumers: -1, MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1}
		limits = map[string]server.JetStreamAccountLimits{"": all}
	}
	if err := e.server.GlobalAccount().UpdateJetStreamLimits(limits); err != nil {
		return err
	}
	e.held = on
	return nil
}
