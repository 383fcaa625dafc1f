package capture

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"understudy/llm/openai"
)

// fail answers a request whose upstream gave no answer.
func (p *passage) fail(w http.ResponseWriter, r *http.Request, body *clientBody, err error) {
	left := r.Context().Err() != nil
	if p.take != nil {
		p.take.failure, p.take.left = err, left
	}
	switch {
	case left:
		panic(http.ErrAbortHandler) // nobody is there; net/http would else write a 200
	case body != nil && body.failed.Load():
		if p.take != nil {
			p.take.left = true
		}
		w.Header().Set("Connection", "close") // what follows on it is no request
		refuse(w, http.StatusBadRequest, "incomplete_request", "the request body did not come as it was announced")
	case timedOut(err):
		p.own(w, r, body, failure{http.StatusGatewayTimeout, "upstream_timeout",
			fmt.Sprintf("the upstream %q did not begin to answer in time", p.to.name)})
	default:
		p.own(w, r, body, failure{http.StatusBadGateway, "upstream_unreachable",
			fmt.Sprintf("the upstream %q gave no answer: %s", p.to.name, cause(err))})
	}
	p.c.log.Debug("upstream failed", "upstream", p.to.name, "err", err)
}

// own is an answer of our own in place of the upstream's, which is recorded.
func (p *passage) own(w http.ResponseWriter, r *http.Request, body *clientBody, f failure) {
	answer := refuse(w, f.status, f.code, f.message)
	if p.take == nil {
		return
	}
	p.take.ours, p.take.status, p.take.answer = true, f.status, http.Header{"Content-Type": {"application/json"}}
	p.take.total = time.Since(p.sent)
	p.take.addResponse(answer, int64(len(answer)), p.take.total)
	if body == nil || p.take.settled() || r.Header.Get("Expect") != "" {
		return
	}
	// The transport never read the request, or not to its end. The client has
	// its answer; what it still sends is read for the record.
	control := http.NewResponseController(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lateBody)) != nil {
		return
	}
	buf := p.c.buffers.Get().(*[copyBuffer]byte)
	defer p.c.buffers.Put(buf)
	body.readRest(buf[:])
	_ = control.SetReadDeadline(time.Time{}) // a connection that is gone needs none
	body.abortIfBroken()
}

// lateBody is how long a client may take to send the rest of a request that was
// already answered with an error.
const lateBody = 5 * time.Second

// A failure is an error answer of our own.
type failure struct {
	status        int
	code, message string
}

// refuse answers with OpenAI's error envelope and gives its bytes. The length
// stands in the header, so that the client has the whole answer with the last byte.
func refuse(w http.ResponseWriter, status int, code, message string) []byte {
	body := openai.EncodeError("understudy: "+message, "proxy_error", "", code)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left does not miss it
	return body
}

func timedOut(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// cause is the innermost error: without the addresses that the outer ones repeat.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
