package capture

import (
	"math/bits"
	"sync"
)

const (
	// Buffers of minBuffer to maxBuffer bytes are used again; longer bodies are rare, and
	// a buffer for one would be kept for nothing.
	minBuffer = 512
	maxBuffer = 4 << 20
)

// idle are the buffers into which bodies are copied while they pass, four sizes to each
// doubling. Fresh memory for each would have to be cleared, and collected again.
var idle [4 * 14]sync.Pool

// bufferSize is how long the buffer is that takes n bytes, and which of the idle ones
// have that length; class is below 0 where none is kept.
func bufferSize(n int64) (size int64, class int) {
	if n <= minBuffer {
		return minBuffer, 0
	}
	if n > maxBuffer {
		return n, -1
	}
	quarter := bits.Len64(uint64(n-1)) - 3 // n-1 has three bits before these
	steps := (n-1)>>quarter + 1            // 5 to 8
	return steps << quarter, 4*(quarter+2-bits.Len64(minBuffer-1)) + int(steps) - 4
}

// buffer gives an empty buffer of a length that bufferSize gave.
func buffer(size int64) []byte {
	if _, class := bufferSize(size); class >= 0 {
		if b, ok := idle[class].Get().(*[]byte); ok {
			return *b
		}
	}
	return make([]byte, 0, size)
}

// recycle takes a buffer back that nothing refers to any more.
func recycle(b []byte) {
	size, class := bufferSize(int64(cap(b)))
	if class < 0 || size != int64(cap(b)) {
		return
	}
	b = b[:0]
	idle[class].Put(&b)
}

// sameBuffer tells whether two slices that begin where their buffers begin share one.
func sameBuffer(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0]
}
