package capture

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// usageStream is a stream as OpenAI and Azure write it, once as it is when its usage was
// asked for and once as it is when not. Texts in it look like what is taken out.
func usageStream(eol string) (asked, plain string) {
	const head = `{"id":"chatcmpl-3","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_1"`
	chunk := func(choices string) (string, string) {
		data := "data: " + head + `,"choices":` + choices
		return data + `,"usage":null,"obfuscation":"aB"}` + eol + eol, data + `,"obfuscation":"aB"}` + eol + eol
	}
	both := func(s string) (string, string) { return s, s }
	add := func(a, p string) { asked, plain = asked+a, plain+p }
	add(both(": keep-alive \"usage\":null" + eol + eol))
	add(both(`data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"usage":null}]}` + eol + eol))
	add(chunk(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`))
	add(chunk(`[{"index":0,"delta":{"content":"{\"choices\":[],\"usage\":null} ☕"},"finish_reason":null}]`))
	add(both(eol))
	add(chunk(`[{"index":0,"delta":{},"finish_reason":"stop"}]`))
	add("id: 7"+eol+"data: "+head+`,"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15},"obfuscation":""}`+eol+eol, "")
	add(both("data: [DONE]" + eol + eol))
	return asked, plain
}

// filtered is what a filter makes of the pieces of a stream and its end.
func filtered(t testing.TB, limit int, pieces ...string) string {
	t.Helper()
	var out bytes.Buffer
	f := usageFilter{to: &out, limit: limit}
	for _, p := range pieces {
		if n, err := f.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatalf("Write took %d of %d bytes, %v", n, len(p), err)
		}
		if len(f.held) > limit {
			t.Fatalf("%d bytes are held, %d allowed", len(f.held), limit)
		}
	}
	if err := f.end(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func bytewise(s string) (pieces []string) {
	for i := range len(s) {
		pieces = append(pieces, s[i:i+1])
	}
	return pieces
}

func TestFilterTakesOutWhatWasAdded(t *testing.T) {
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			asked, plain := usageStream(eol)
			for cut := range len(asked) + 1 {
				if got := filtered(t, maxHeldEvent, asked[:cut], asked[cut:]); got != plain {
					t.Fatalf("cut at %d:\ngot  %q\nwant %q", cut, got, plain)
				}
			}
			if got := filtered(t, maxHeldEvent, bytewise(asked)...); got != plain {
				t.Errorf("byte by byte:\ngot  %q\nwant %q", got, plain)
			}
			if got := filtered(t, maxHeldEvent, plain); got != plain {
				t.Errorf("nothing was added:\ngot  %q\nwant %q", got, plain)
			}
		})
	}
}

func TestFilterLeavesAlone(t *testing.T) {
	for name, stream := range map[string]string{
		"an end that is missing":       "data: {\"choices\":[],\"usage\":{}}\n",
		"an end inside":                `data: {"choices":[],"usage":nu`,
		"data on two lines":            "data: {\"choices\":[],\ndata: \"usage\":null}\n\n",
		"an empty line of data beside": "data: {\"choices\":[],\"usage\":null}\ndata\n\n",
		"another field":                "event: {\"choices\":[],\"usage\":null}\n\n",
		"data indented":                " data: {\"choices\":[],\"usage\":null}\n\n",
		"no JSON":                      "data: \"usage\":null\n\n",
		"an error":                     "event: error\ndata: {\"error\":{\"message\":\"m\"},\"usage\":null}\n\n",
		"usage beside a choice":        "data: {\"choices\":[{\"index\":0}],\"usage\":{\"prompt_tokens\":1}}\n\n",
		"a byte order mark":            "\xef\xbb\xbfdata: {\"choices\":[],\"usage\":null}\n\n",
		"nothing":                      "",
		"line ends":                    "\n\r\n\r\r\n\n\r",
	} {
		t.Run(name, func(t *testing.T) {
			if got := filtered(t, maxHeldEvent, stream); got != stream {
				t.Errorf("got  %q\nwant %q", got, stream)
			}
		})
	}
}

func TestFilterStopsAtAnEventThatIsTooLong(t *testing.T) {
	const limit = 60
	gone, after := "data: {\"choices\":[],\"usage\":{}}\n\n", "data: {\"choices\":[],\"usage\":{}}\n\n"
	for n, want := range map[int]string{
		limit:     "",    // the longest that is read
		limit + 1: after, // everything from here on passes
	} {
		long := ": " + strings.Repeat("x", n-4) + "\n\n"
		stream := gone + long + after
		for cut := range len(stream) + 1 {
			if got := filtered(t, limit, stream[:cut], stream[cut:]); got != long+want {
				t.Fatalf("%d bytes, cut at %d:\ngot  %q\nwant %q", n, cut, got, long+want)
			}
		}
	}
}

// Nothing of an event that is whole waits for more of the stream.
func TestFilterHoldsNothingBackThatIsWhole(t *testing.T) {
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			_, plain := usageStream(eol)
			var out bytes.Buffer
			f := usageFilter{to: &out, limit: maxHeldEvent}
			for event := range strings.SplitAfterSeq(plain, eol+eol) {
				_, _ = f.Write([]byte(event))
				if len(f.held) > 0 {
					t.Errorf("%q is held back", f.held)
				}
			}
			if out.String() != plain {
				t.Errorf("got %q", out.String())
			}
		})
	}
}

type brokenWriter struct{ after int }

var errBroken = errors.New("broken")

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.after--; b.after < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestFilterSaysThatItsWriterFailed(t *testing.T) {
	asked, _ := usageStream("\r\n")
	writes := 0
	for ; ; writes++ {
		f := usageFilter{to: &brokenWriter{after: writes}, limit: maxHeldEvent}
		_, err := f.Write([]byte(asked + ": rest"))
		if err == nil {
			err = f.end()
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("after %d writes: %v", writes, err)
		}
	}
	if writes < 10 {
		t.Errorf("the stream took only %d writes", writes)
	}
}

// What comes out does not depend on how the stream was cut.
func TestFilterDoesNotDependOnTheCuts(t *testing.T) {
	parts := []string{
		"data: {\"choices\":[],\"usage\":{}}", "data: {\"choices\":[1],\"usage\":null}", "data:{\"usage\":null,\"choices\":[]}", "data: [DONE]",
		"\n", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n", ": \"usage\"", "data", "event: x", `{"usage":null}`,
	}
	rapid.Check(t, func(t *rapid.T) {
		stream := strings.Join(rapid.SliceOf(rapid.SampledFrom(parts)).Draw(t, "stream"), "")
		limit := rapid.IntRange(1, 80).Draw(t, "limit")
		var pieces []string
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		fresh := func(pieces ...string) string {
			var out bytes.Buffer
			f := usageFilter{to: &out, limit: limit}
			for _, p := range pieces {
				_, _ = f.Write([]byte(p))
			}
			_ = f.end()
			return out.String()
		}
		if got, want := fresh(pieces...), fresh(stream); got != want {
			t.Fatalf("%q\ngives %q\nwhole %q", pieces, got, want)
		}
	})
}

// Without a member of that name nothing is changed; whatever is, is the same in one piece
// and byte by byte, only ever shorter, and has nothing left to take out.
func FuzzUsageFilter(f *testing.F) {
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		asked, _ := usageStream(eol)
		for event := range strings.SplitAfterSeq(asked, eol+eol) {
			f.Add([]byte(event))
		}
	}
	f.Add([]byte("data: {\"usage\":null,\"choices\":[]}\r\n\r"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := string(stream)
		out := filtered(t, maxHeldEvent, in)
		if !strings.Contains(in, `"usage"`) && out != in {
			t.Fatalf("%q became %q", in, out)
		}
		if single := filtered(t, maxHeldEvent, bytewise(in)...); single != out {
			t.Fatalf("%q gives %q byte by byte, %q in one piece", in, single, out)
		}
		if again := filtered(t, maxHeldEvent, out); len(out) > len(in) || again != out {
			t.Fatalf("%q became %q and then %q", in, out, again)
		}
	})
}

func BenchmarkUsageFilter(b *testing.B) {
	asked, _ := usageStream("\n")
	piece := []byte(asked)
	f := usageFilter{to: &bytes.Buffer{}, limit: maxHeldEvent}
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for b.Loop() {
		f.to.(*bytes.Buffer).Reset()
		_, _ = f.Write(piece)
	}
}
