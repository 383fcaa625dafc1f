package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked tells that another process uses the state directory.
var ErrLocked = errors.New("state directory is in use")

// Lock takes a directory of a process that is not there any more; closing it gives it back.
// ErrLocked where one is.
func Lock(dir string) (io.Closer, error) {
	f, err := lockDir(dir)
	if err != nil {
		return nil, err // not a nil file in an interface
	}
	return f, nil
}

// lockDir takes the state directory for this process. The NATS server takes no
// lock of its own: two of them would serve, and ruin, one store. The lock ends
// with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		f.Close()
		return nil, fmt.Errorf("%w: %s is locked by process %s; stop it, or set another [nats] dir",
			ErrLocked, dir, strings.TrimSpace(string(holder)))
	}
	// Only to say who it is: the lock holds without it, also on a full disk.
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}
