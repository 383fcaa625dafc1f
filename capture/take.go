package capture

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"understudy/internal/journal"
)

const (
	// takeOverhead is charged for an exchange beside its bodies: headers,
	// bookkeeping and the record made of them.
	takeOverhead = 4 << 10
	// maxFrames bounds the frames of one stream; what comes later is added to
	// the last.
	maxFrames = 4096
	frameSize = 16
)

// A take is one exchange while it passes the proxy: the bytes of both bodies,
// copied once, and what must be known of the rest. The live path only ever
// adds to it; everything else happens after it was handed over.
//
// The request body is read by the transport's goroutine, which may outlive the
// handler, so both bodies are added under a lock; after seal nothing is added.
type take struct {
	budget  *budget
	maxBody int64

	// Set by the handler alone.
	at       time.Time // when the request came
	sent     time.Time // just before it went upstream
	method   string
	path     string
	upstream string
	header   http.Header // the request's
	remote   string
	tls      *tls.ConnectionState
	settings *settings
	status   int
	answer   http.Header // the answer's, nil where none came
	total    time.Duration
	left     bool // the client left before the end
	waited   waited
	failure  error // why no whole answer came from the upstream
	ours     bool  // the client got an error answer of our own making
	queued   time.Time

	mu       sync.Mutex
	charged  int64
	request  []byte
	whole    bool // the request body was read to its end
	response []byte
	frames   []journal.Frame
	sealed   bool
	reason   string // why it is dropped, "" while it is not
}

// addRequest copies the next piece of the request body; end tells that no more
// follows.
func (t *take) addRequest(p []byte, length int64, end bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.guard()
	if t.sealed || t.reason != "" {
		return
	}
	t.request = t.add(t.request, p, length)
	t.whole = t.whole || end || length >= 0 && int64(len(t.request)) == length
}

// addResponse copies the next piece of the answer's body, which came d after
// the request was sent.
func (t *take) addResponse(p []byte, length int64, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.guard()
	if t.sealed || t.reason != "" {
		return
	}
	if t.response = t.add(t.response, p, length); t.reason != "" {
		return
	}
	if len(t.frames) == maxFrames {
		last := &t.frames[maxFrames-1]
		last.AtMS, last.Bytes = milliseconds(d), last.Bytes+len(p)
		return
	}
	if len(t.frames) == cap(t.frames) {
		n := max(8, 2*cap(t.frames))
		if !t.charge(int64(n-cap(t.frames)) * frameSize) {
			return
		}
		t.frames = append(make([]journal.Frame, 0, n), t.frames...)
	}
	t.frames = append(t.frames, journal.Frame{AtMS: milliseconds(d), Bytes: len(p)})
}

// guard keeps a fault of the recording away from the live answer.
func (t *take) guard() {
	if recover() != nil {
		t.drop(reasonPanic)
	}
}

// add appends p to one body. length is the announced length, below 0 unknown:
// no more than that is ever allocated.
func (t *take) add(buf, p []byte, length int64) []byte {
	need := int64(len(buf) + len(p))
	if need > t.maxBody {
		t.drop(reasonTooLarge)
		return nil
	}
	if have := int64(cap(buf)); need > have {
		size := max(need, 2*have, 2<<10)
		if length >= need && (length < size || length <= 64<<10) {
			size = length
		}
		size, _ = bufferSize(size)
		if !t.charge(size) { // the old bytes stay charged until they are copied
			return nil
		}
		old := buf
		buf = append(buffer(size), old...)
		recycle(old)
		t.uncharge(have)
	}
	return append(buf, p...)
}

func (t *take) charge(n int64) bool {
	if !t.budget.take(n) {
		t.drop(reasonMemory)
		return false
	}
	t.charged += n
	return true
}

func (t *take) uncharge(n int64) {
	t.budget.give(n)
	t.charged -= n
}

// drop lets all bytes go at once and says why. The first reason stays.
func (t *take) drop(reason string) {
	if t.reason == "" {
		t.reason = reason
	}
	t.release()
}

// release lets all bytes go.
func (t *take) release() {
	recycle(t.request)
	recycle(t.response)
	t.request, t.response, t.frames = nil, nil, nil
	t.uncharge(t.charged)
}

// settled tells that nothing more is wanted of the request: it is whole, or
// the exchange is dropped.
func (t *take) settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.whole || t.reason != ""
}

// recharge charges, in place of what was held while the exchange passed, what
// its record holds; false where that does not fit.
func (t *take) recharge(e *journal.Exchange) bool {
	want := int64(takeOverhead + cap(e.Request) + cap(e.Response) + cap(e.Frames)*frameSize)
	for _, b := range [][]byte{t.request, t.response} {
		if !sameBuffer(b, e.Request) && !sameBuffer(b, e.Response) {
			recycle(b)
		}
	}
	t.request, t.response, t.frames = nil, nil, nil
	if more := want - t.charged; more > 0 && !t.budget.take(more) {
		return false
	} else if more < 0 {
		t.budget.give(-more)
	}
	t.charged = want
	return true
}

// seal ends the recording: the transport may still read the request body, but
// nothing is added any more.
func (t *take) seal() (reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sealed = true
	return t.reason
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
