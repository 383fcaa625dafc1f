package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// copyBuffer is how much of an answer is read at once.
const copyBuffer = 32 << 10

// A passage is one request on its way through the proxy.
type passage struct {
	c       *Capture
	s       *settings
	to      *target
	take    *take // nil when the exchange is not recorded
	arrived time.Time
	sent    time.Time
	filter  *usageFilter // nil where the answer passes as it is
}

// pass sends the request upstream and the answer back.
func (p *passage) pass(w http.ResponseWriter, r *http.Request) {
	var body *clientBody
	if r.ContentLength != 0 {
		body = &clientBody{from: r.Body, length: r.ContentLength, take: p.take}
		defer body.Close()
		// Without it the server stops reading the request once the answer
		// begins, and cuts streams of upstreams that answer early.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1.1 always can
	} else if p.take != nil {
		p.take.addRequest(nil, 0, true)
	}
	out := outgoing(r, p.to, body)
	if out == nil {
		refuse(w, http.StatusBadRequest, "invalid_request_target", "the path begins with // and has characters that cannot be passed on unchanged")
		return
	}
	ask := p.askUsage(out, body)
	alive, release := p.outlive(r.Context())
	defer release()
	ctx, settled := forwardInformational(alive, w)
	p.markSent(time.Now())
	p.c.meters.overhead.Update(p.sent.Sub(p.arrived).Seconds())
	res, err := p.to.transport.RoundTrip(out.WithContext(ctx))
	if ask != nil {
		res, err = p.answered(ctx, ask, res, err)
	}
	settled()
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body.Close()
		err = errors.New("the upstream switched protocols without being asked")
	}
	if err != nil {
		p.fail(w, r, body, err)
		return
	}
	p.answer(w, r, res)
	body.abortIfBroken()
}

// markSent notes when the request that is answered goes upstream.
func (p *passage) markSent(at time.Time) {
	p.sent = at
	if p.take != nil {
		p.take.sent = at
	}
}

// answer relays the upstream's answer. Where it breaks off, the client's
// connection breaks off too: never a fake end.
func (p *passage) answer(w http.ResponseWriter, r *http.Request, res *http.Response) {
	defer res.Body.Close()
	removeHopByHop(res.Header)
	if res.StatusCode == http.StatusTooManyRequests {
		p.c.refused.saw(p.to, time.Now())
	}
	if p.take != nil {
		p.take.status, p.take.answer = res.StatusCode, res.Header
	}
	h := w.Header()
	for k, v := range res.Header {
		h[k] = v
	}
	for _, k := range []string{"Date", "Content-Type"} {
		if _, ok := h[k]; !ok {
			h[k] = nil // else net/http would make one up
		}
	}
	announced := len(res.Trailer)
	if announced > 0 {
		h["Trailer"] = []string{strings.Join(keys(res.Trailer), ", ")}
	}
	w.WriteHeader(res.StatusCode)
	if err := p.relay(r.Context(), w, res); err != nil {
		if p.take != nil {
			p.take.left = errors.Is(err, errClientLeft) || r.Context().Err() != nil
			if !errors.Is(err, errReadOn) {
				p.take.failure = err
			}
		}
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	}
	for k, v := range res.Trailer {
		if len(res.Trailer) != announced {
			k = http.TrailerPrefix + k
		}
		h[k] = v
	}
}

var (
	errClientLeft = errors.New("write answer: the client left")
	// errReadOn tells besides that the answer was read to its end.
	errReadOn = fmt.Errorf("%w before its end", errClientLeft)
)

// relay copies the body, each piece on to the client before it is recorded. What is
// recorded is what came, also where the filter keeps some of it from the client, or the
// client has left and the answer's end tells what it costs.
func (p *passage) relay(client context.Context, w http.ResponseWriter, res *http.Response) error {
	buf := p.c.buffers.Get().(*[copyBuffer]byte)
	defer p.c.buffers.Put(buf)
	control := http.NewResponseController(w)
	var to io.Writer = w
	if p.filter != nil {
		p.filter.to, to = w, p.filter
	}
	rest, left := res.ContentLength, false
	if rest < 0 { // a stream: the client sees at once that it was accepted
		left = control.Flush() != nil
	}
	for {
		n, err := res.Body.Read(buf[:])
		at := time.Since(p.sent)
		if n > 0 {
			rest -= int64(n)
			// One that leaves with the last byte has left nothing out.
			left = left || client.Err() != nil
			if !left {
				_, werr := to.Write(buf[:n])
				left = werr != nil || rest != 0 && control.Flush() != nil // the server itself flushes an end that is known
			}
			p.record(buf[:n], res.ContentLength, at)
		}
		if p.take != nil {
			p.take.total = at
		}
		if left && !p.drains() {
			return errClientLeft
		}
		if err == nil {
			continue
		}
		if !left && p.filter != nil {
			left = p.filter.end() != nil || control.Flush() != nil
		}
		switch {
		case left && err == io.EOF:
			return errReadOn
		case left:
			return errClientLeft
		case err == io.EOF:
			return nil
		}
		return err
	}
}

// record keeps the next piece of an answer, which came at after the request was sent,
// and how long the client took to accept it.
func (p *passage) record(piece []byte, length int64, at time.Duration) {
	if p.take == nil {
		return
	}
	p.take.waited.add(time.Since(p.sent) - at)
	p.take.addResponse(piece, length, at)
}

// drains tells whether an answer is read to its end although the client has left.
func (p *passage) drains() bool { return p.take != nil && p.s.drainAbandoned > 0 }

func keys(h http.Header) []string {
	list := make([]string, 0, len(h))
	for k := range h {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
