// Package spool is a queue on disk: what cannot be sent at the moment waits in it, bounded,
// checksummed and sealed, through the end of the process however it ends.
//
// A spool is a directory of segment files. Entries are appended to the last and read from
// the first, in order. An entry holds one or more records; every record has a number that
// goes on from segment to segment and from life to life. What was read stays until it is
// forgotten, so that a caller can forget it once it is on disk elsewhere.
package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// segmentBytes is how long a segment becomes before the next one begins.
const segmentBytes = 8 << 20

// ErrFull tells that an entry does not fit into what the spool may hold.
var ErrFull = errors.New("the spool is full")

// A Spool is one directory. It belongs to one process at a time, and its methods to one
// goroutine, but for State.
type Spool struct {
	dir      string
	lock     *os.File
	max      int64
	aead     cipher.AEAD
	log      *slog.Logger
	keepFree int64
	openFile func(path string) (file, error) // tests make disks fail with it

	segments []*segment
	last     file    // of the last segment; nil where it is to be opened
	queue    []place // the entries that were not passed
	end      uint64  // the number that the next record gets

	mu    sync.Mutex
	state State
}

// A file is what a segment is written through.
type file interface {
	io.Writer
	Sync() error
	Close() error
	Truncate(size int64) error
	Seek(offset int64, whence int) (int64, error)
}

// A segment is one file, named by the number of its first record.
type segment struct {
	path string
	size int64  // of its good entries
	end  uint64 // the number behind its last record
}

// A place is where an entry stands.
type place struct {
	segment      *segment
	offset, size int64
	first        uint64
	records      int
	at           time.Time
}

// An Entry is what was appended together.
type Entry struct {
	// First is the number of its first record, Records how many it holds.
	First   uint64
	Records int
	// At is when it was appended.
	At      time.Time
	Payload []byte
}

// A State says what a spool holds.
type State struct {
	// Bytes is what the files hold, also of what was passed and not forgotten yet.
	Bytes int64
	// Records were not passed; Oldest is since when the first of them waits, zero
	// without any.
	Records int
	Oldest  time.Time
	// Corrupt counts segments that were damaged, Lost the records that went with them, as
	// far as they are known.
	Corrupt, Lost int
}

// Open opens the spool of a directory, or makes one. max bounds what its files may hold
// together, in bytes, and keepFree is what they leave free of their file system; key, of 32 bytes, seals the entries: with another one they are
// damaged. A tail that a kill or a power cut left half written is cut off.
func Open(dir string, max, keepFree int64, key []byte, log *slog.Logger) (*Spool, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{dir: dir, keepFree: keepFree, lock: lock, max: max, aead: aead, log: log, openFile: func(path string) (file, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	}}
	if err := s.load(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s.note()
	return s, nil
}

// State may be asked by any goroutine at any time.
func (s *Spool) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// note brings the state up to date.
func (s *Spool) note() {
	bytes := s.bytes()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Bytes, s.state.Records, s.state.Oldest = bytes, int(s.end-s.Next()), time.Time{}
	if len(s.queue) > 0 {
		s.state.Oldest = s.queue[0].at
	}
}

func (s *Spool) bytes() (n int64) {
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// Next is the number of the first record that was not passed, End the number that the next
// one gets: equal where the spool is empty.
func (s *Spool) Next() uint64 {
	if len(s.queue) == 0 {
		return s.end
	}
	return s.queue[0].first
}

// End is the number that the next record gets.
func (s *Spool) End() uint64 { return s.end }

// Append puts an entry with a number of records behind the others and gives the number of
// the first. When it returns without an error the entry is on disk; on an error it is
// not in the spool.
func (s *Spool) Append(records int, payload []byte, at time.Time) (first uint64, err error) {
	if s.max == 0 {
		return 0, errors.New("append to spool: it is only emptied ([capture] spool_max = 0)")
	}
	at = time.Unix(0, at.UnixNano()) // as it is read back
	b := s.encode(records, payload, at)
	size := int64(len(b))
	if s.bytes()+size > s.max || !s.hasRoom(size) {
		return 0, ErrFull
	}
	if err := s.ready(); err != nil {
		return 0, fmt.Errorf("append to spool: %w", err)
	}
	g := s.segments[len(s.segments)-1]
	if _, err = s.last.Write(b); err == nil {
		err = s.last.Sync()
	}
	if err != nil {
		_ = s.last.Truncate(g.size) // the next append does it as well
		s.rest()
		return 0, fmt.Errorf("append to spool: %w", err)
	}
	first = s.end
	s.end += uint64(records)
	s.queue = append(s.queue, place{g, g.size, size, first, records, at})
	g.size, g.end = g.size+size, s.end
	if g.size >= segmentBytes {
		s.rest()
	}
	s.note()
	return first, nil
}

// hasRoom tells whether the file system has so many bytes besides those to be kept free.
// Where it cannot be asked, writing says it.
func (s *Spool) hasRoom(size int64) bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(s.dir, &fs) != nil || int64(fs.Bavail)*int64(fs.Bsize)-size >= s.keepFree
}

// ready opens the segment that is appended to.
func (s *Spool) ready() error {
	if s.last != nil {
		return nil
	}
	n := len(s.segments)
	fresh := n == 0 || s.segments[n-1].size >= segmentBytes || s.segments[n-1].end != s.end
	g := &segment{path: s.path(s.end), end: s.end}
	if !fresh {
		g = s.segments[n-1]
	}
	f, err := s.openFile(g.path)
	if err != nil {
		return err
	}
	if err = f.Truncate(g.size); err == nil { // what a failed append left behind
		_, err = f.Seek(g.size, io.SeekStart)
	}
	if err == nil && fresh {
		err = syncDir(s.dir)
	}
	if err != nil {
		f.Close()
		return err
	}
	if fresh {
		s.segments = append(s.segments, g)
	}
	s.last = f
	return nil
}

// syncDir makes a new file's name outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Head gives the first entry that was not passed, nil where there is none. What is damaged
// is passed over, to the next segment, and counted.
func (s *Spool) Head() *Entry {
	for len(s.queue) > 0 {
		p := s.queue[0]
		e, err := s.read(p)
		if err == nil {
			return e
		}
		lost := 0
		for len(s.queue) > 0 && s.queue[0].segment == p.segment {
			lost += s.queue[0].records
			s.queue = s.queue[1:]
		}
		s.broken(p.segment, p.offset, lost, err)
		if p.segment == s.segments[len(s.segments)-1] {
			s.rest() // nothing good may be put behind what is damaged
			p.segment.end = 0
		}
		s.note()
	}
	return nil
}

// After gives the entry so many places behind the one that Head gave, nil where there is
// none that can be read.
func (s *Spool) After(places int) *Entry {
	if places >= len(s.queue) {
		return nil
	}
	e, err := s.read(s.queue[places])
	if err != nil {
		return nil // Head finds it damaged when its turn comes
	}
	return e
}

// Pass goes on behind the entry that Head gave.
func (s *Spool) Pass() {
	s.queue = s.queue[1:]
	s.note()
}

// Resume goes to the record with a number, to which an earlier life had come; skip says how
// many records of the first entry come before it. It must be called before Head.
func (s *Spool) Resume(next uint64) (skip int) {
	for len(s.queue) > 0 && s.queue[0].first+uint64(s.queue[0].records) <= next {
		s.queue = s.queue[1:]
	}
	if len(s.queue) > 0 && next > s.queue[0].first {
		skip = int(next - s.queue[0].first)
	}
	s.end = max(s.end, next) // the files may be gone; the numbers go on
	s.note()
	return skip
}

// Forget deletes the segments of which every entry was passed.
func (s *Spool) Forget() error {
	defer s.note()
	for len(s.segments) > 0 {
		g := s.segments[0]
		if len(s.queue) > 0 && s.queue[0].segment == g {
			return nil
		}
		if len(s.segments) == 1 {
			s.rest()
		}
		if err := os.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete a segment of the spool: %w", err)
		}
		s.segments = s.segments[1:]
	}
	return nil
}

// broken counts and tells what is lost behind a place of a segment.
func (s *Spool) broken(g *segment, offset int64, lost int, err error) {
	s.mu.Lock()
	s.state.Corrupt++
	s.state.Lost += lost
	s.mu.Unlock()
	s.log.Error("a segment of the spool is damaged; what lies behind is lost", "segment", filepath.Base(g.path), "at", offset, "records", lost, "err", err)
}

// lockDir takes the directory for this process, as long as it lives.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is the spool of another process that runs: %w", dir, err)
	}
	return f, nil
}

// Close gives the spool back; what is inside stays.
func (s *Spool) Close() {
	s.rest()
	s.lock.Close()
}

// rest closes the file that is appended to; the next append opens it again.
func (s *Spool) rest() {
	if s.last != nil {
		_ = s.last.Close() // it was synced
		s.last = nil
	}
}

// Spent tells that Forget would delete something.
func (s *Spool) Spent() bool {
	return len(s.segments) > 0 && (len(s.queue) == 0 || s.queue[0].segment != s.segments[0])
}
