package daemon

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Notify tells systemd about the service's state (Type=notify-reload). Without
// a supervisor that listens it does nothing.
func Notify(state string) error {
	addr := os.Getenv("NOTIFY_SOCKET")
	if addr == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify supervisor: %w", err)
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}

// NotifyReloading tells systemd that a reload began. Without the monotonic
// time systemd takes the reload for failed.
func NotifyReloading() error {
	return Notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// monotonic reads CLOCK_MONOTONIC, which Go does not show.
func monotonic() time.Duration {
	const clockMonotonic = 1
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
