package capture

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"understudy/llm/openai"
)

// maxAskedBody is the length of the longest request that is changed so that it asks for
// its usage: it is read whole before any of it goes upstream.
const maxAskedBody = 1 << 20

// A usageAsk is a request whose body was read whole, to see whether it can be made to ask
// for the usage of its stream.
type usageAsk struct {
	// original is the request as the client sent it; nil where it goes so anyway.
	original *http.Request
	charged  int64 // to the budget
}

// askUsage makes the outgoing request ask for the usage of its stream, where [capture]
// ask_usage says so and the client itself left it open. nil: nothing was read of the body.
// docs/capture.md says when it acts.
func (p *passage) askUsage(out *http.Request, body *clientBody) *usageAsk {
	if !p.mayAsk(out) {
		return nil
	}
	ask := &usageAsk{charged: 2 * out.ContentLength} // the original and what is made of it
	if !p.c.budget.take(ask.charged) {
		return nil
	}
	whole := make([]byte, out.ContentLength)
	if n, err := io.ReadFull(body, whole); err != nil { // the client broke off: the upstream sees that as ever
		out.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:n]), body))
		return ask
	}
	out.Body = io.NopCloser(bytes.NewReader(whole))
	asking, ok := openai.AskUsage(whole)
	if !ok {
		return ask
	}
	original := *out
	ask.original = &original
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(asking)), int64(len(asking))
	if _, ok := out.Header["Accept-Encoding"]; ok {
		out.Header = maps.Clone(out.Header)
		out.Header["Accept-Encoding"] = []string{"identity"} // the answer must be read here
	}
	return ask
}

// mayAsk tells whether a request can be one to ask with, by all but its body.
func (p *passage) mayAsk(out *http.Request) bool {
	if !p.s.askUsage || p.take == nil || out.ContentLength <= 0 || out.ContentLength > maxAskedBody {
		return false
	}
	if _, encoded := p.take.header["Content-Encoding"]; encoded {
		return false
	}
	_, refused := p.s.usageRefused.Load(p.to)
	return !refused
}

// answered takes the answer to a request that askUsage read. Where the upstream refused
// it, what counts is its answer to the original.
func (p *passage) answered(ctx context.Context, ask *usageAsk, res *http.Response, err error) (*http.Response, error) {
	defer p.c.budget.give(ask.charged)
	switch {
	case err != nil || ask.original == nil:
		return res, err
	case res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusUnprocessableEntity:
		res.Body.Close()
		return p.repeat(ctx, ask.original, res.StatusCode)
	}
	p.c.meters.usage[usageAsked].Inc()
	if res.StatusCode == http.StatusOK && listed(res.Header["Content-Type"], "text/event-stream") && !isEncoded(res.Header) {
		p.filter = &usageFilter{limit: maxHeldEvent}
		res.ContentLength = -1 // what the client gets is shorter
		delete(res.Header, "Content-Length")
	}
	return res, nil
}

// repeat sends the original of a request that was refused when it asked for its usage.
// Where the upstream takes it so, it is not asked again under these settings; else the
// fault is the client's.
func (p *passage) repeat(ctx context.Context, original *http.Request, refused int) (*http.Response, error) {
	p.markSent(time.Now())
	res, err := p.to.transport.RoundTrip(original.WithContext(ctx))
	if err != nil || res.StatusCode < 200 || res.StatusCode > 299 {
		p.c.meters.usage[usageRepeated].Inc()
		return res, err
	}
	p.c.meters.usage[usageRefused].Inc()
	if _, known := p.s.usageRefused.LoadOrStore(p.to, true); !known {
		p.c.log.Warn("the upstream refuses stream_options.include_usage: it is not asked for the usage of streams until the configuration is loaded again",
			"upstream", p.to.name, "status", refused)
	}
	return res, nil
}
