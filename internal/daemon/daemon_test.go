package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNotifyReachesTheSupervisor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify.sock")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	t.Setenv("NOTIFY_SOCKET", path)
	read := func() string {
		b := make([]byte, 200)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if err := Notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "READY=1" {
		t.Errorf("got %q", got)
	}
	if err := NotifyReloading(); err != nil {
		t.Fatal(err)
	}
	if got := read(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") || strings.HasSuffix(got, "=0") {
		t.Errorf("got %q", got)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a supervisor: %v", err)
	}
}

// TestSocketShowsMoreThanTheListener also covers a state directory whose path
// is longer than a socket's may be, and the socket that a killed daemon left.
func TestSocketShowsMoreThanTheListener(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := ListenAdmin("127.0.0.1:0", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	a, err := ListenAdmin("127.0.0.1:0", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	say := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, say("open"), say("full")) }()

	if info, err := os.Stat(filepath.Join(dir, SocketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	unix := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return DialAdmin(ctx, dir) }}}
	for want, get := range map[string]func() (*http.Response, error){
		"open": func() (*http.Response, error) { return http.Get("http://" + a.Addr()) },
		"full": func() (*http.Response, error) { return unix.Get("http://admin/") },
	} {
		resp, err := get()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want {
			t.Errorf("got %q, want %q", b, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := DialAdmin(t.Context(), dir); err == nil {
		t.Error("the socket still answers")
	}
}

func TestGroupStopsAllWhenOneFails(t *testing.T) {
	g := NewGroup(t.Context(), slog.New(slog.DiscardHandler))
	cause := errors.New("broken")
	ended := make(chan struct{})
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); close(ended); return ctx.Err() })
	g.Go("fails", func(context.Context) error { return cause })
	<-g.Failed()
	<-ended
	if err := g.Stop(); !errors.Is(err, cause) {
		t.Errorf("Stop = %v", err)
	}
	g = NewGroup(t.Context(), slog.New(slog.DiscardHandler))
	g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if err := g.Stop(); err != nil {
		t.Errorf("a regular end: %v", err)
	}
}

func TestLevels(t *testing.T) {
	var level slog.LevelVar
	(&LogConfig{Level: "debug"}).Apply(&level)
	if level.Level() != slog.LevelDebug {
		t.Errorf("level %v", level.Level())
	}
	if err := (&LogConfig{Level: "loud"}).Validate(); err == nil {
		t.Error("an unknown level was accepted")
	}
}
