package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// SocketName is the admin socket's name inside the state directory.
const SocketName = "admin.sock"

// An Admin serves the admin listener and the admin socket. Whoever may open the
// socket (mode 0600) may use the whole API; the listener shows health, metrics
// and figures, never texts.
type Admin struct {
	tcp, unix net.Listener
	servers   []*http.Server
	left      atomic.Bool
}

// ListenAdmin binds both, the listener only where none was inherited (nil). A socket
// that is there already is a dead process's, or that of one from which this one takes
// over: the state directory's lock says so.
func ListenAdmin(addr, dir string, tcp net.Listener) (*Admin, error) {
	var err error
	if tcp == nil {
		tcp, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w; free the address or set another [admin] listen", err)
	}
	a, err := ListenSocket(dir)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	a.tcp = tcp
	return a, nil
}

// ListenSocket binds the socket alone.
func ListenSocket(dir string) (*Admin, error) {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old admin socket: %w", err)
	}
	unix, err := listenUnix(dir)
	if err != nil {
		return nil, fmt.Errorf("open admin socket: %w", err)
	}
	return &Admin{unix: unix}, nil
}

// listenUnix binds through the directory's descriptor: the path of a socket
// may be 107 bytes long, a state directory's path is often longer.
func listenUnix(dir string) (net.Listener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// DialAdmin connects to the admin socket of the daemon that uses dir.
func DialAdmin(ctx context.Context, dir string) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName))
}

// Addr is the bound address of the listener, empty without one.
func (a *Admin) Addr() string {
	if a.tcp == nil {
		return ""
	}
	return a.tcp.Addr().String()
}

// Serve serves the open handler on the listener and the full one on the
// socket until ctx ends.
func (a *Admin) Serve(ctx context.Context, open, full http.Handler) error {
	fail := make(chan error, 2)
	handlers := map[net.Listener]http.Handler{a.unix: full}
	if a.tcp != nil {
		handlers[a.tcp] = open
	}
	for l, h := range handlers {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
		a.servers = append(a.servers, s)
		go func() { fail <- s.Serve(l) }()
	}
	select {
	case <-ctx.Done():
	case err := <-fail:
		if !a.left.Load() {
			a.Close()
			return err
		}
		<-ctx.Done()
	}
	a.Close()
	return nil
}

// Listener is the bound listener, for a successor; nil without one.
func (a *Admin) Listener() net.Listener { return a.tcp }

// Leave stops serving, without an end of Serve: a successor answers now.
func (a *Admin) Leave() {
	a.left.Store(true)
	a.Close()
}

// Close ends both listeners and their connections.
func (a *Admin) Close() {
	if a.tcp != nil {
		a.tcp.Close()
	}
	a.unix.Close()
	for _, s := range a.servers {
		s.Close()
	}
}
