package bedrock

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
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

// sealed is a frame of any headers and payload with the right lengths and sums.
func sealed(headers, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(frameBytes+len(headers)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, headers...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// FuzzUnpack skips the sums: what is read as a frame, the SDK's own decoder reads as
// the same one.
func FuzzUnpack(f *testing.F) {
	text := func(name, value string) string {
		return string(rune(len(name))) + name + "\x07\x00" + string(rune(len(value))) + value
	}
	event := text(":message-type", "event") + text(":event-type", "messageStart")
	f.Add([]byte(event), []byte(`{"role":"assistant"}`))
	f.Add([]byte("\x01a\x00\x01b\x01\x01c\x02.\x01d\x03..\x01e\x04....\x01f\x05........\x01g\x06\x00\x02..\x01h\x08........\x01i\x09................"+event), []byte(`{}`))
	f.Add([]byte(text(":message-type", "exception")+text(":exception-type", "throttlingException")), []byte(`{"message":"m"}`))
	f.Add([]byte(text(":message-type", "error")+text(":error-code", "Oops")+text(":error-message", `so "it" is`)), []byte{})
	f.Add([]byte(text(":message-type", "event")+text(":message-type", "error")), []byte{})
	f.Add([]byte(event+"\x05:even"), []byte{})
	f.Fuzz(func(t *testing.T, headers, payload []byte) {
		body := sealed(headers, payload)
		got, err := newFrameReader(bytes.NewReader(body)).next()
		if err != nil {
			if llm.ClassOf(err) != llm.ClassStream {
				t.Fatal(err)
			}
			return
		}
		want, err := eventstream.NewDecoder().Decode(bytes.NewReader(body), nil)
		if err != nil {
			t.Fatalf("the SDK refuses %+v: %v", got, err)
		}
		names := map[string]string{"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}
		for header, value := range map[string]string{":message-type": got.kind, names[got.kind]: got.name} {
			if v, ok := want.Headers.Get(header).(eventstream.StringValue); ok && string(v) != value {
				t.Fatalf("%s is %q, the SDK reads %q", header, value, v)
			}
		}
		if len(payload) > 0 && !bytes.Equal(got.payload, want.Payload) || got.kind == "error" && !json.Valid(got.payload) && len(payload) == 0 {
			t.Fatalf("payload %q, the SDK reads %q", got.payload, want.Payload)
		}
	})
}

// TestFrameHeaders: every type of header is stepped over, and what is cut is no frame.
func TestFrameHeaders(t *testing.T) {
	all := eventstream.Headers{
		{Name: "a", Value: eventstream.BoolValue(true)}, {Name: "b", Value: eventstream.BoolValue(false)}, {Name: "c", Value: eventstream.Int8Value(1)},
		{Name: "d", Value: eventstream.Int16Value(1)}, {Name: "e", Value: eventstream.Int32Value(1)}, {Name: "f", Value: eventstream.Int64Value(1)},
		{Name: "g", Value: eventstream.BytesValue("bytes")}, {Name: "h", Value: eventstream.TimestampValue(time.Unix(1, 0))}, {Name: "i", Value: eventstream.UUIDValue{}},
		{Name: ":message-type", Value: eventstream.StringValue("event")}, {Name: ":event-type", Value: eventstream.StringValue("messageStop")},
	}
	var headers bytes.Buffer
	if err := eventstream.EncodeHeaders(&headers, all); err != nil {
		t.Fatal(err)
	}
	fr, err := newFrameReader(bytes.NewReader(sealed(headers.Bytes(), []byte(`{}`)))).next()
	if err != nil || fr.kind != "event" || fr.name != "messageStop" || string(fr.payload) != `{}` {
		t.Fatalf("%+v, %v", fr, err)
	}
	last := headers.Len() - len("\x0b:event-type\x07\x00\x0bmessageStop")
	for n := last + 1; n < headers.Len(); n++ {
		if fr, err := newFrameReader(bytes.NewReader(sealed(headers.Bytes()[:n], nil))).next(); llm.ClassOf(err) != llm.ClassStream {
			t.Fatalf("headers cut to %d of %d bytes: %+v, %v", n, headers.Len(), fr, err)
		}
	}
}

// BenchmarkReadStream reads a streamed answer of 20 events from its bytes.
func BenchmarkReadStream(b *testing.B) {
	var body []byte
	body = append(body, encodeFrame(b, "event", "messageStart", `{"role":"assistant","p":"abcdefgh"}`)...)
	for range 16 {
		body = append(body, encodeFrame(b, "event", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"A candidate who measures, and says \"so\", does well. "},"p":"abcdefghijklm"}`)...)
	}
	for _, e := range ev(`contentBlockStop {"contentBlockIndex":0,"p":"abcd"}`, `messageStop {"stopReason":"end_turn","p":"abcdefg"}`, "metadata "+metadata) {
		body = append(body, encodeFrame(b, "event", e.name, e.payload)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if resp, err := readFrames(bytes.NewReader(body)); err != nil || resp.Usage == nil {
			b.Fatal(err)
		}
	}
}
