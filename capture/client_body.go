package capture

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

var errBodyClosed = errors.New("read request body: the exchange is over")

// A clientBody is the client's request body on its way upstream. The transport
// may read it after the handler returned, which it must not: then it is closed.
// Closing it does not close the client's own, which would wait for the client.
type clientBody struct {
	from   io.Reader
	length int64 // below 0 when unknown
	take   *take // nil when the exchange is not recorded
	// trailer is the request's own, which the server fills at the body's end.
	trailer http.Header
	closed  atomic.Bool
	failed  atomic.Bool // the client did not send what it announced

	mu sync.Mutex // keeps what is read and what is recorded in one order
}

// Read passes the next bytes on and copies them for the recording.
func (b *clientBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errBodyClosed
	}
	return b.read(p)
}

func (b *clientBody) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed.Load() { // net/http would say io.EOF now
		return 0, io.ErrUnexpectedEOF
	}
	var began time.Time
	if b.take != nil {
		began = time.Now()
	}
	n, err := b.from.Read(p)
	if err != nil && err != io.EOF {
		b.failed.Store(true)
	}
	if err == io.EOF {
		removeOwn(b.trailer)
	}
	if b.take != nil {
		b.take.waited.add(time.Since(began))
		b.take.addRequest(p[:n], b.length, err == io.EOF)
	}
	return n, err
}

// Close ends the reading by the transport.
func (b *clientBody) Close() error {
	b.closed.Store(true)
	return nil
}

// abortIfBroken ends the client's connection where the request did not come as
// announced: what follows there is no request, and net/http would read it as one.
func (b *clientBody) abortIfBroken() {
	if b != nil && b.failed.Load() {
		panic(http.ErrAbortHandler)
	}
}

// readRest reads what the transport left, for the recording alone.
func (b *clientBody) readRest(buf []byte) {
	for range 1 << 20 {
		if _, err := b.read(buf); err != nil || b.take.settled() {
			return
		}
	}
}
