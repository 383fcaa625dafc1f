package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Start listens on addr ("127.0.0.1:0" takes a free port) and serves until
// Close, Shutdown or the end of ctx. It returns once the port is open.
func (s *Server) Start(ctx context.Context, addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return errors.New("start simulator: it is already running")
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("start simulator: %w", err)
	}
	// Calls must outlive ctx: its end begins a graceful stop, not a cut.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serve simulator", "error", err)
		}
	}()
	s.http, s.addr, s.cancel, s.served = srv, ln.Addr(), cancel, served
	s.unhook = context.AfterFunc(ctx, func() { _ = s.Close() })
	return nil
}

// Addr is the listening address, such as "127.0.0.1:40123"; empty before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == nil {
		return ""
	}
	return s.addr.String()
}

// URL is the service root, "http://127.0.0.1:40123". An OpenAI client adds /v1.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Close stops the simulator: no new connections, five seconds for the answers
// in hand, then the rest is cut. Closing twice, or before Start, is no error.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	return s.Shutdown(ctx)
}

// Shutdown is Close with the caller's own grace: at the end of ctx the calls
// that still run are cut. It returns when the listener's goroutine has ended;
// a cut is an error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	srv, cancel, served, unhook := s.http, s.cancel, s.served, s.unhook
	s.http = nil
	s.mu.Unlock()
	if srv == nil {
		return nil
	}
	unhook()
	err := srv.Shutdown(ctx)
	cancel()
	if err != nil {
		err = fmt.Errorf("stop simulator: answers still running were cut: %w", err)
		_ = srv.Close()
	}
	<-served
	return err
}
