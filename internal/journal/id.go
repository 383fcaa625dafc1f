package journal

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes an id of 26 characters that sorts by the time it was given: 48
// bits of milliseconds, then 80 random bits.
func NewID(at time.Time) string {
	var b [16]byte
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(at.UnixMilli()))
	copy(b[:6], t[2:])
	rand.Read(b[6:]) // never fails: crypto/rand ends the process instead
	return crockford.EncodeToString(b[:])
}
