package bedrock

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/llm"
)

// stream is an answer with text and two calls, one frame an event.
func stream(t testing.TB) [][]byte {
	var frames [][]byte
	for _, e := range ev(`messageStart {"role":"assistant"}`,
		`contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"So "}}`, `contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"it is."}}`, `contentBlockStop {"contentBlockIndex":0}`,
		`contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"a","name":"f"}}}`, `contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"x\""}}}`,
		`contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"b","name":"g"}}}`, `contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":":1}"}}}`,
		`contentBlockStop {"contentBlockIndex":1}`, `contentBlockStop {"contentBlockIndex":2}`, `messageStop {"stopReason":"tool_use"}`, "metadata "+metadata) {
		frames = append(frames, encodeFrame(t, "event", e.name, e.payload))
	}
	return frames
}

// readFrames reads a stream as the client does.
func readFrames(r io.Reader) (*llm.Response, error) {
	var s Stream
	for frames := newFrameReader(r); !s.Complete(); {
		fr, err := frames.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			resp, _ := s.Response()
			return resp, err
		}
		if s.Event(fr.name, fr.payload) != nil {
			break
		}
	}
	return s.Response()
}

// A chopped reader gives what it has in pieces of drawn sizes.
type chopped struct {
	t    *rapid.T
	rest []byte
}

func (c *chopped) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := rapid.IntRange(1, min(len(p), len(c.rest), 40)).Draw(c.t, "n")
	copy(p, c.rest[:n])
	c.rest = c.rest[n:]
	return n, nil
}

// TestFramesInPieces: where the network cuts a stream changes nothing.
func TestFramesInPieces(t *testing.T) {
	whole := bytes.Join(stream(t), nil)
	want, err := readFrames(bytes.NewReader(whole))
	if err != nil || len(want.ToolCalls) != 2 || want.Text != "So it is." {
		t.Fatalf("%+v, %v", want, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		got, err := readFrames(&chopped{t, whole})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

// TestCorruptedFrames flips every byte of a stream: the sums show it.
func TestCorruptedFrames(t *testing.T) {
	frames := stream(t)
	whole := bytes.Join(frames, nil)
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if _, err := readFrames(bytes.NewReader(bad)); err == nil {
			t.Fatalf("byte %d of %d was changed, and nobody saw it", i, len(whole))
		}
	}
}

// TestReorderedFrames draws events in any order, some of them lost or repeated. No
// order may be misread: success means that messageStop came after all content that
// was taken, that each call has its start, and that the pieces of a block stand in
// the order in which they came.
func TestReorderedFrames(t *testing.T) {
	frames := stream(t)
	const stop, meta = 10, 11
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.SliceOfN(rapid.IntRange(0, len(frames)-1), 1, 16).Draw(t, "order")
		var body []byte
		for _, i := range order {
			body = append(body, frames[i]...)
		}
		resp, err := readFrames(bytes.NewReader(body))
		if err != nil {
			return
		}
		stopped, counted, ended := false, false, false
		text := ""
		pieces := map[int]string{}
		for _, i := range order {
			switch {
			case ended: // the reader is through
			case i == stop:
				stopped = true
			case i == meta:
				counted = true
			case stopped:
				t.Fatalf("success, with event %d after messageStop: %v", i, order)
			case i == 1:
				text += "So "
			case i == 2:
				text += "it is."
			case i == 5:
				pieces[0] += `{"x"`
			case i == 7:
				pieces[0] += ":1}"
			}
			ended = stopped && counted
		}
		if !stopped || resp.Text != text {
			t.Fatalf("%v gives %+v, want %q", order, resp, text)
		}
		for _, c := range resp.ToolCalls {
			want := "{}"
			if c.ID == "a" && pieces[0] != "" {
				want = pieces[0]
			}
			if c.Arguments != want {
				t.Fatalf("%v gives %+v, want %q", order, c, want)
			}
		}
	})
}
