package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// successorTimeout bounds how long a successor may take to become ready.
const successorTimeout = 30 * time.Second

// StartSuccessor starts this program anew, with the same arguments, and gives it the
// sockets; it returns once the new process serves them as well. On an error there is no
// new process and this one goes on: whoever called it has nothing to undo.
//
// The program is looked up by the name with which this one was started, so that what
// was installed meanwhile runs.
func StartSuccessor(ctx context.Context, sockets map[string]net.Listener) (pid int, err error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return 0, fmt.Errorf("start successor: %w", err)
	}
	names, files, err := descriptors(sockets)
	defer closeAll(files)
	if err != nil {
		return 0, fmt.Errorf("start successor: %w", err)
	}
	ready, readyOut, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("start successor: %w", err)
	}
	defer ready.Close()
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = append(slices.Clone(files), readyOut)
	cmd.Env = append(os.Environ(),
		"LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"),
		envSuccessor+"="+strconv.Itoa(firstSocket+len(files)))
	err = cmd.Start()
	readyOut.Close()
	if err != nil {
		return 0, fmt.Errorf("start successor: %w", err)
	}
	if err := awaitReady(ctx, ready); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return 0, fmt.Errorf("the successor %s did not become ready: %w", path, err)
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}

// awaitReady waits for the byte that a ready successor writes; one that ends closes the
// pipe without it.
func awaitReady(ctx context.Context, pipe *os.File) error {
	deadline := time.Now().Add(successorTimeout)
	if err := pipe.SetReadDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { pipe.SetReadDeadline(time.Now()) })
	defer stop()
	n, err := pipe.Read(make([]byte, 1))
	switch {
	case n == 1:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("nothing within %s", successorTimeout)
	}
	return errors.New("it ended; its log says why")
}

// descriptors are duplicates of the sockets, for another process.
func descriptors(sockets map[string]net.Listener) (names []string, files []*os.File, err error) {
	for name, l := range sockets {
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return names, files, fmt.Errorf("socket %q is no TCP socket", name)
		}
		f, err := tcp.File()
		if err != nil {
			return names, files, err
		}
		names, files = append(names, name), append(files, f)
	}
	return names, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
