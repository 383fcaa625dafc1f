package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Names of the sockets that a process may be given: systemd's FileDescriptorName=, and
// those of a predecessor.
const (
	SocketData  = "data"
	SocketAdmin = "admin"
)

// firstSocket is the descriptor of the first socket that is given (sd_listen_fds(3)).
const firstSocket = 3

// envSuccessor is set for a process that takes over from a running one: the descriptor
// behind the sockets, which says that it is ready.
const envSuccessor = "UNDERSTUDY_SUCCESSOR_FD"

// Inherited is what a process was given when it was started.
type Inherited struct {
	// Sockets by name; nobody who connects to them meanwhile is refused.
	Sockets map[string]net.Listener
	// ready is the pipe to the process from which this one takes over, nil without one.
	ready *os.File
}

// Inherit takes the sockets that systemd (socket activation) or a predecessor gave to
// this process. It is called once, before anything else opens files.
func Inherit() (*Inherited, error) {
	in := &Inherited{Sockets: map[string]net.Listener{}}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	successor := os.Getenv(envSuccessor)
	mine := successor != "" || os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid())
	for _, v := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", envSuccessor} {
		os.Unsetenv(v) // not for processes that this one starts
	}
	if err != nil || !mine {
		return in, nil
	}
	for i := range n {
		fd := firstSocket + i
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "socket")
		l, err := net.FileListener(f)
		f.Close() // the listener has a descriptor of its own
		name := SocketData
		if i < len(names) && names[i] != "" && names[i] != "unknown" {
			name = strings.TrimSuffix(names[i], ".socket")
		}
		if err != nil {
			return nil, fmt.Errorf("take over socket %q: %w", name, err)
		}
		if n == 1 && name != SocketAdmin {
			name = SocketData // whatever the only one is called
		}
		if name != SocketData && name != SocketAdmin || in.Sockets[name] != nil {
			return nil, fmt.Errorf("take over socket %q: one named %q and one named %q are known (FileDescriptorName= in the unit)", name, SocketData, SocketAdmin)
		}
		in.Sockets[name] = l
	}
	if fd, err := strconv.Atoi(successor); err == nil {
		syscall.CloseOnExec(fd)
		in.ready = os.NewFile(uintptr(fd), "predecessor")
	}
	return in, nil
}

// Successor tells whether this process takes over from one that still runs.
func (in *Inherited) Successor() bool { return in != nil && in.ready != nil }

// Take gives a socket, which then belongs to the caller; nil where there is none.
func (in *Inherited) Take(name string) net.Listener {
	if in == nil {
		return nil
	}
	l := in.Sockets[name]
	delete(in.Sockets, name)
	return l
}

// Ready tells the predecessor that it may go. Without one it does nothing.
func (in *Inherited) Ready() error {
	if !in.Successor() {
		return nil
	}
	_, err := in.ready.Write([]byte{1})
	return errors.Join(err, in.ready.Close())
}

// Close gives back what nobody took.
func (in *Inherited) Close() {
	for _, l := range in.Sockets {
		l.Close()
	}
}
