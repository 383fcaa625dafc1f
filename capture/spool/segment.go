package spool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An entry is a head, a nonce and the sealed payload. The head holds the length and the
// checksum (CRC-32C) of all that follows them, the number of the first record, how many
// there are, and when it came; it is sealed with the payload.
const (
	headSize  = 4 + 4 + 8 + 4 + 8
	nonceSize = 12
	tagSize   = 16
	suffix    = ".spool"
	// maxRecords bounds what an entry is believed to hold.
	maxRecords = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged tells that an entry is not as it was written.
var errDamaged = errors.New("the entry is damaged")

func (s *Spool) path(first uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x%s", first, suffix))
}

// encode makes the entry that gets the next number.
func (s *Spool) encode(records int, payload []byte, at time.Time) []byte {
	b := make([]byte, headSize+nonceSize, headSize+nonceSize+len(payload)+tagSize)
	binary.BigEndian.PutUint64(b[8:], s.end)
	binary.BigEndian.PutUint32(b[16:], uint32(records))
	binary.BigEndian.PutUint64(b[20:], uint64(at.UnixNano()))
	nonce := b[headSize:]
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	b = s.aead.Seal(b, nonce, payload, b[8:headSize])
	binary.BigEndian.PutUint32(b, uint32(len(b)-8))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// read reads the entry at a place.
func (s *Spool) read(p place) (*Entry, error) {
	f, err := os.Open(p.segment.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, p.size)
	if _, err := f.ReadAt(b, p.offset); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if !intact(b) || readHead(b, p.segment, p.offset) != p {
		return nil, errDamaged
	}
	payload, err := s.aead.Open(nil, b[headSize:headSize+nonceSize], b[headSize+nonceSize:], b[8:headSize])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return &Entry{First: p.first, Records: p.records, At: p.at, Payload: payload}, nil
}

// intact tells whether an entry's length and checksum are right.
func intact(b []byte) bool {
	return len(b) >= headSize+nonceSize+tagSize && int(binary.BigEndian.Uint32(b))+8 == len(b) && crc32.Checksum(b[8:], castagnoli) == binary.BigEndian.Uint32(b[4:])
}

// readHead says what an entry's head says.
func readHead(b []byte, g *segment, offset int64) place {
	return place{
		segment: g, offset: offset, size: int64(binary.BigEndian.Uint32(b)) + 8, first: binary.BigEndian.Uint64(b[8:]),
		records: int(binary.BigEndian.Uint32(b[16:])), at: time.Unix(0, int64(binary.BigEndian.Uint64(b[20:]))),
	}
}

// load finds the segments and the entries inside.
func (s *Spool) load() error {
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var firsts []uint64
	for _, n := range names {
		first, err := strconv.ParseUint(strings.TrimSuffix(n.Name(), suffix), 16, 64)
		if err == nil && n.Name() == filepath.Base(s.path(first)) {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	for i, first := range firsts {
		g := &segment{path: s.path(first), end: first}
		if err := s.survey(g, i == len(firsts)-1); err != nil {
			return err
		}
		s.segments = append(s.segments, g)
		s.end = max(s.end, g.end)
	}
	return nil
}

// survey goes through a segment by the heads of its entries. Those of the last segment are
// read whole: behind what was written last a kill or a power cut may have left anything,
// which is cut off. What is damaged elsewhere is found when it is read.
func (s *Spool) survey(g *segment, last bool) error {
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, headSize)
	for g.size < info.Size() {
		if _, err := f.ReadAt(head, g.size); err != nil {
			break
		}
		p := readHead(head, g, g.size)
		if p.first != g.end || p.records < 1 || p.records > maxRecords || p.size < headSize+nonceSize+tagSize || g.size+p.size > info.Size() {
			break
		}
		if last {
			b := make([]byte, p.size)
			if _, err := f.ReadAt(b, g.size); err != nil || !intact(b) {
				break
			}
		}
		s.queue = append(s.queue, p)
		g.size, g.end = g.size+p.size, p.first+uint64(p.records)
	}
	if g.size == info.Size() {
		return nil
	}
	if !last {
		s.broken(g, g.size, 0, errDamaged)
		return nil
	}
	s.log.Warn("the end of the spool was half written; it is cut off", "segment", filepath.Base(g.path), "at", g.size, "bytes", info.Size()-g.size)
	return errors.Join(f.Truncate(g.size), f.Sync())
}
