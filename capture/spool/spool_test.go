package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var key = bytes.Repeat([]byte{7}, 32)

func open(t testing.TB, dir string, max int64) *Spool {
	t.Helper()
	s, err := Open(dir, max, 0, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func payload(n uint64, size int) []byte {
	return append(fmt.Appendf(nil, "record %d ", n), bytes.Repeat([]byte("text of somebody "), size)...)
}

func add(t testing.TB, s *Spool, records, size int) {
	t.Helper()
	end := s.End()
	first, err := s.Append(records, payload(end, size), time.Unix(int64(end), 0))
	if err != nil || first != end {
		t.Fatalf("appended as %d, want %d: %v", first, end, err)
	}
}

// drain reads and passes everything and gives the numbers of the records.
func drain(t testing.TB, s *Spool) (got []uint64) {
	t.Helper()
	for e := s.Head(); e != nil; e = s.Head() {
		if !bytes.HasPrefix(e.Payload, fmt.Appendf(nil, "record %d ", e.First)) || !e.At.Equal(time.Unix(int64(e.First), 0)) {
			t.Fatalf("entry %d holds %.30q of %v", e.First, e.Payload, e.At)
		}
		for i := range e.Records {
			got = append(got, e.First+uint64(i))
		}
		s.Pass()
	}
	return got
}

// Whatever is done to a spool, and however often it is opened anew: what comes out is what
// went in, once and in order.
func TestSpoolIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		begin := func() *Spool {
			s, err := Open(dir, 1<<30, 0, key, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := begin()
		next, end := uint64(0), uint64(0) // as the caller keeps them
		var kept []int                    // records of the entries inside
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				n := rapid.IntRange(1, 5).Draw(t, "records")
				size := rapid.SampledFrom([]int{0, 3, 100_000}).Draw(t, "size")
				if first, err := s.Append(n, payload(end, size), time.Unix(int64(end), 0)); err != nil || first != end {
					t.Fatalf("appended as %d, want %d: %v", first, end, err)
				}
				end, kept = end+uint64(n), append(kept, n)
			case 2:
				e := s.Head()
				if (e == nil) != (len(kept) == 0) {
					t.Fatalf("head %v with %d entries inside", e, len(kept))
				}
				if e == nil {
					continue
				}
				if e.First != next || e.Records != kept[0] || !bytes.HasPrefix(e.Payload, fmt.Appendf(nil, "record %d ", next)) {
					t.Fatalf("head is %d with %d records, want %d with %d", e.First, e.Records, next, kept[0])
				}
				s.Pass()
				next, kept = next+uint64(e.Records), kept[1:]
			case 3:
				if err := s.Forget(); err != nil {
					t.Fatal(err)
				}
			case 4:
				s.Close()
				s = begin()
				if skip := s.Resume(next); skip != 0 {
					t.Fatalf("%d records are to be skipped", skip)
				}
			}
			if s.Next() != next || s.End() != end {
				t.Fatalf("from %d to %d, want from %d to %d", s.Next(), s.End(), next, end)
			}
			if st := s.State(); st.Records != int(end-next) || st.Corrupt != 0 || st.Oldest.IsZero() != (len(kept) == 0) {
				t.Fatalf("state %+v", st)
			}
		}
		s.Close()
	})
}

// The files hold no text, and end when everything was passed.
func TestSpoolIsSealedAndEnds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<30)
	for range 40 {
		add(t, s, 3, 50_000)
	}
	if n := len(s.segments); n < 3 {
		t.Fatalf("%d segments", n)
	}
	for _, path := range files(t, dir) {
		if data, _ := os.ReadFile(path); bytes.Contains(data, []byte("somebody")) || bytes.Contains(data, []byte("record ")) {
			t.Errorf("%s holds a text", path)
		}
	}
	if got := drain(t, s); len(got) != 120 {
		t.Errorf("%d records", len(got))
	}
	if err := s.Forget(); err != nil || len(files(t, dir)) != 0 || s.State().Bytes != 0 {
		t.Errorf("%v, %v, %+v", files(t, dir), err, s.State())
	}
	if _, err := s.Append(1, nil, time.Now()); err != nil || s.Head() == nil { // by a clock that has more than a time
		t.Errorf("%v, head %v", err, s.Head())
	}
	s.Pass()
	add(t, s, 1, 1)
	if got := drain(t, s); len(got) != 1 || got[0] != 121 {
		t.Errorf("numbers begin anew: %v", got)
	}
	s.Close()

	other, err := Open(t.TempDir(), 1<<30, 0, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if other.Resume(500); other.End() != 500 {
		t.Errorf("without files the numbers go on at %d", other.End())
	}
	stranger, err := Open(dir, 1<<30, 0, bytes.Repeat([]byte{8}, 32), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if e := stranger.Head(); e != nil || stranger.State().Corrupt != 1 {
		t.Errorf("another key reads %v", e)
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSpoolIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100_000)
	n := 0
	for ; ; n++ {
		if _, err := s.Append(1, make([]byte, 9_000), time.Now()); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	size := int64(0)
	for _, path := range files(t, dir) {
		info, _ := os.Stat(path)
		size += info.Size()
	}
	if n != 11 || size > 100_000 || size != s.State().Bytes {
		t.Errorf("%d entries, %d bytes, state %+v", n, size, s.State())
	}
	if _, err := s.Append(1, []byte("short"), time.Now()); err != nil { // it fits
		t.Error(err)
	}
	s.keepFree = 1 << 60
	if _, err := s.Append(1, []byte("short"), time.Now()); !errors.Is(err, ErrFull) {
		t.Errorf("the disk has less than it is to keep: %v", err)
	}
}

// A file that was cut anywhere loses the entries behind the cut, and only those.
func TestCutTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<30)
	var ends []int64
	for range 5 {
		add(t, s, 2, 2)
		ends = append(ends, s.bytes())
	}
	s.Close()
	whole, err := os.ReadFile(files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000000.spool"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 1<<30)
		want := 0
		for _, end := range ends {
			if int64(cut) >= end {
				want += 2
			}
		}
		if s.End() != uint64(want) {
			t.Fatalf("cut at %d: %d records, want %d", cut, s.End(), want)
		}
		add(t, s, 1, 0) // behind what is left
		if got := drain(t, s); len(got) != want+1 {
			t.Fatalf("cut at %d: read %v, want %d and one", cut, got, want)
		}
		s.Close()
	}
}

// A bit that turns anywhere never gives a wrong record, and costs no other segment.
func TestTurnedBits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<30)
	add(t, s, 2, 1)
	add(t, s, 2, 1)
	s.rest()
	s.segments[0].size = segmentBytes // the next append begins another
	first, err := os.ReadFile(files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, 2, 1)
	s.Close()
	second, err := os.ReadFile(files(t, dir)[1])
	if err != nil {
		t.Fatal(err)
	}
	for at := range first {
		for _, last := range []bool{false, true} { // whether the damaged segment is the last
			dir := t.TempDir()
			damaged := bytes.Clone(first)
			damaged[at] ^= 1 << (at % 8)
			if err := os.WriteFile(filepath.Join(dir, "0000000000000000.spool"), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if !last {
				if err := os.WriteFile(filepath.Join(dir, "0000000000000004.spool"), second, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, dir, 1<<30)
			got := drain(t, s) // fails on a wrong record
			if !last && (len(got) < 2 || got[len(got)-1] != 5) || len(got) > 6 {
				t.Fatalf("byte %d: read %v", at, got)
			}
			add(t, s, 1, 0)
			if again := drain(t, s); len(again) != 1 {
				t.Fatalf("byte %d: what comes later is read as %v", at, again)
			}
			s.Close()
		}
	}
}

// flaky is a disk that fails as it is told.
type flaky struct {
	file
	fail *string
}

var errDisk = errors.New("no space left on device")

func (f flaky) Write(b []byte) (int, error) {
	if *f.fail == "write" {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, errDisk
	}
	return f.file.Write(b)
}

func (f flaky) Sync() error {
	if *f.fail == "sync" {
		return errDisk
	}
	return f.file.Sync()
}

func TestFailingDisk(t *testing.T) {
	for _, kind := range []string{"open", "write", "sync"} {
		dir := t.TempDir()
		s := open(t, dir, 1<<30)
		fail := ""
		real := s.openFile
		s.openFile = func(path string) (file, error) {
			if fail == "open" {
				return nil, errDisk
			}
			f, err := real(path)
			return flaky{f, &fail}, err
		}
		add(t, s, 1, 10)
		if kind == "open" {
			s.rest()
		}
		fail = kind
		for range 3 {
			if _, err := s.Append(2, payload(s.End(), 10), time.Now()); !errors.Is(err, errDisk) {
				t.Fatalf("%s: %v", kind, err)
			}
			if kind == "sync" { // the next one opens the file
				fail = "sync"
			}
		}
		fail = ""
		add(t, s, 3, 10)
		s.Close()
		s = open(t, dir, 1<<30)
		if got := drain(t, s); len(got) != 4 {
			t.Errorf("%s: read %v", kind, got)
		}
		s.Close()
	}
}

func TestResumeInsideOfAnEntry(t *testing.T) {
	s := open(t, t.TempDir(), 1<<30)
	add(t, s, 3, 0)
	add(t, s, 3, 0)
	if skip := s.Resume(4); skip != 1 || s.Next() != 3 {
		t.Errorf("skip %d of the entry at %d", skip, s.Next())
	}
	s.Close()
}

var _ io.Writer = flaky{}

func FuzzOpen(f *testing.F) {
	s, err := Open(f.TempDir(), 1<<20, 0, key, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(s.encode(2, []byte("a"), time.Unix(0, 0)), s.encode(2, []byte("b"), time.Unix(0, 0))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000000.spool"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 1<<30)
		for s.Head() != nil {
			s.Pass()
		}
		add(t, s, 1, 0)
		s.Close()
	})
}
