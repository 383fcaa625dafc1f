package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A disk is the file system that holds the embedded store, as last seen. Once it
// has less left than the reserve it is full: nothing of ours is stored until it
// has a quarter more than that. The reserve is left to what the server writes by
// itself, since its store breaks at the first write that fails.
type disk struct {
	dir     string
	reserve int64
	measure func(dir string) (room, error)
	log     *slog.Logger

	mu   sync.Mutex
	room room
	full error // why nothing is stored, nil while there is room
}

// room is what a file system has left for us.
type room struct {
	bytes int64
	files int64 // that may still be made; unlimited where the file system counts none
}

const (
	// reservePercent of max_store is kept free: the index of a stream is written
	// as a whole, beside the old one, and grows with what the stream holds.
	reservePercent = 5
	// leastReserve is for small stores: a block of 8 MiB that is written again
	// compressed, indexes and the consumers' states (below 4 MiB), and what busy
	// recording adds until the next look, 20 MiB.
	leastReserve = 32 << 20
	// leastFiles is the same for files: blocks, states, and their new copies.
	leastFiles = 256
	unlimited  = 1 << 62
	// lookEvery is the time between two looks at the disk and at the store.
	lookEvery = time.Second
)

func newDisk(dir string, maxStore int64, measure func(string) (room, error), log *slog.Logger) *disk {
	return &disk{dir: dir, reserve: max(leastReserve, maxStore/100*reservePercent), measure: measure, log: log}
}

// measure asks the file system in which dir lies, or will lie.
func measure(dir string) (room, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	if errors.Is(err, fs.ErrNotExist) {
		err = syscall.Statfs(filepath.Dir(dir), &s)
	}
	if err != nil {
		return room{}, err
	}
	r := room{bytes: int64(s.Bavail) * int64(s.Bsize), files: unlimited}
	if s.Files > 0 {
		r.files = int64(s.Ffree)
	}
	return r, nil
}

// look measures the disk and tells whether it is full. Where it cannot be measured
// the last look stands.
func (d *disk) look() (full bool) {
	r, err := d.measure(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.log.Debug("measure the disk", "stage", "nats", "dir", d.dir, "err", err)
		return d.full != nil
	}
	was := d.full != nil
	d.room, d.full = r, d.verdict(r, was)
	switch {
	case d.full != nil && !was:
		d.log.Error("the disk is full; nothing is stored until there is room", "stage", "nats", "err", d.full,
			"free_bytes", r.bytes, "reserve_bytes", d.reserve)
	case d.full == nil && was:
		d.log.Info("the disk has room again; storing goes on", "stage", "nats", "dir", d.dir, "free_bytes", r.bytes, "reserve_bytes", d.reserve)
	}
	return d.full != nil
}

// verdict says why a disk with that room is full, nil where it is not.
func (d *disk) verdict(r room, was bool) error {
	bytes, files := d.reserve, int64(leastFiles)
	if was {
		bytes, files = d.enough(), leastFiles*2
	}
	switch {
	case r.bytes < bytes:
		return fmt.Errorf("%w: the file system of %s has %s free, and %s of it are kept in reserve; delete what is not needed there until %s are free, or move [nats] dir to a larger one",
			ErrFull, d.dir, mebibytes(r.bytes), mebibytes(d.reserve), mebibytes(d.enough()))
	case r.files < files:
		return fmt.Errorf("%w: the file system of %s can hold only %d more files; delete files there until %d more fit, or move [nats] dir to another one",
			ErrFull, d.dir, r.files, leastFiles*2)
	}
	return nil
}

// enough is what must be free before a full disk is one no more.
func (d *disk) enough() int64 { return d.reserve + d.reserve/4 }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// refusal is why nothing is stored, an ErrFull; nil while there is room.
func (d *disk) refusal() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// Space tells what the file system of the embedded store has left, in bytes, what
// is kept in reserve of it, and whether storing has stopped for want of either
// space or files. It is what the last look saw, at most some seconds ago. With an
// external NATS, whose disk we do not see, all are zero.
func (j *Journal) Space() (free, reserve int64, full bool) {
	d := j.disk
	if d == nil {
		return 0, 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room.bytes, d.reserve, d.full != nil
}

// storable is usable for calls that write to the store. The server refuses the
// same by itself, also to others; this one says what to do.
func (j *Journal) storable(op string) error {
	if err := j.usable(op); err != nil {
		return err
	}
	if err := j.disk.refusal(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}
