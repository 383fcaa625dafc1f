package capture

import (
	"errors"
	"io"
	"net/http"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// A bodyReader gives a recorded body again, at most one frame with each Read,
// and knows when the bytes that it gave last had come.
type bodyReader struct {
	rest   []byte
	frames []journal.Frame
	left   int // bytes of frames[0] that are still to be given
	atMS   float64
}

// Read gives the next bytes.
func (b *bodyReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	for b.left == 0 && len(b.frames) > 0 {
		b.left, b.atMS = b.frames[0].Bytes, b.frames[0].AtMS
		b.frames = b.frames[1:]
	}
	n := min(len(p), len(b.rest))
	if b.left > 0 {
		n = min(n, b.left)
		b.left -= n
	}
	copy(p, b.rest[:n])
	b.rest = b.rest[n:]
	return n, nil
}

// A replayed stream is what its recorded bytes say.
type replayed struct {
	body   []byte // the chat completion assembled from it
	answer *llm.Response
	ttftMS *float64 // nil when no content came
	err    error    // an *llm.Error where the stream did not end as it should
}

// replayStream reads a recorded event stream as it came, frame by frame. limit
// bounds what a compressed one may become.
func replayStream(h http.Header, body []byte, frames []journal.Frame, limit int64) (*replayed, error) {
	from := &bodyReader{rest: body, frames: frames}
	r, done, err := decoded(h, from)
	if err != nil {
		return nil, err
	}
	defer done()
	a := &openai.Assembler{Limit: int(limit)}
	out := &replayed{}
	buf := make([]byte, 8<<10)
	for total := int64(0); ; {
		n, err := r.Read(buf)
		if total += int64(n); total > limit {
			return nil, errExpanded
		}
		_, _ = a.Write(buf[:n]) // it keeps its errors for Close
		if out.ttftMS == nil && a.Begun() {
			at := from.atMS
			out.ttftMS = &at
		}
		if err != nil {
			out.err = a.Close()
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && out.err != nil {
				out.err = &llm.Error{Op: "chat completion", Class: llm.ClassMalformed, Err: err}
			}
			break
		}
	}
	out.body, out.answer = a.Assembled(), a.Response()
	return out, nil
}
