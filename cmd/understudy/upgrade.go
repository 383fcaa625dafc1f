package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"understudy/internal/daemon"
)

// idleTime is how long connections of clients that have nothing to say are kept open
// while a successor serves: each is closed behind its next answer, so that no client
// finds one closed under its request.
const idleTime = 10 * time.Second

// onUpgrade starts a successor at every SIGUSR2; the first that is ready ends the wait.
func (p *process) onUpgrade(ctx context.Context) error {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR2)
	defer signal.Stop(ch)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ch:
		}
		pid, err := p.handOver(ctx)
		if err != nil {
			p.log.Error("no successor took over; this process goes on", "err", err)
			continue
		}
		p.log.Info("a successor serves now; this process ends with its last request", "pid", pid)
		notify(p.log, fmt.Sprintf("MAINPID=%d", pid))
		p.admin.Leave()
		close(p.succeeded)
		return nil
	}
}

var errNoHandOver = errors.New("only a proxy that is a process of its own over an external NATS (run --stages capture, [nats] mode = \"external\") can hand over: a store belongs to one process")

func (p *process) handOver(ctx context.Context) (pid int, err error) {
	if p.capture == nil || len(p.stages) > 1 || p.config().NATS.Mode != "external" {
		return 0, errNoHandOver
	}
	return daemon.StartSuccessor(ctx, map[string]net.Listener{daemon.SocketData: p.data, daemon.SocketAdmin: p.admin.Listener()})
}

// A crowd counts the open connections of a server.
type crowd struct{ open atomic.Int64 }

func (c *crowd) watch(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// dismiss has every client of a process that a successor follows go over to it: no new
// connection comes here, and each that is open ends behind its next answer, or when
// nothing has come on it for a while.
func (p *process) dismiss(within time.Duration) {
	p.data.Close()
	p.leaving.Store(true)
	for end := time.Now().Add(min(idleTime, within)); p.crowd.open.Load() > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
}

// courteous asks clients to come back on another connection once this process is leaving.
func (p *process) courteous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
