package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/llm"
)

// noRaw compares usage without the provider's own object.
var noRaw = cmpopts.IgnoreFields(llm.Usage{}, "Raw")

// events writes each datum as an event.
func events(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

const (
	roleChunk   = `{"id":"c1","object":"chat.completion.chunk","created":9,"model":"m-1","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}`
	finishChunk = `{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	usageChunk  = `{"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}}`
)

func delta(s string) string { return `{"id":"c1","choices":[{"index":0,"delta":` + s + `}]}` }

func TestAssembler(t *testing.T) {
	whole := events(roleChunk, delta(`{"content":"Hel"}`), delta(`{"content":"lo <é>"}`), finishChunk, usageChunk, "[DONE]")
	wantText := llm.Response{ID: "c1", Model: "m-1", SystemFingerprint: "fp", Text: "Hello <é>", Finish: "stop", NativeFinish: "stop",
		Usage: &llm.Usage{InputTokens: 5, OutputTokens: 2, CachedInputTokens: 1}}
	const wholeBody = `{"id":"c1","object":"chat.completion","created":9,"model":"m-1","system_fingerprint":"fp","choices":[{"index":0,"message":{"role":"assistant","content":"Hello <é>","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}}`
	cases := []struct {
		name, stream string
		class        llm.Class
		want         llm.Response
		body         string // "" is not compared
	}{
		{"text", whole, llm.ClassOK, wantText, wholeBody},
		{"CRLF, comments, other fields and a byte order mark", "\xef\xbb\xbf: ping\r\n\r\n" + strings.ReplaceAll(strings.ReplaceAll(whole, "\n", "\r\n"), "data: {", "event: x\r\nid: 7\r\ndata: {"), llm.ClassOK, wantText, wholeBody},
		{"CR alone", strings.ReplaceAll(whole, "\n", "\r"), llm.ClassOK, wantText, wholeBody},
		{"data over several lines", strings.ReplaceAll(whole, `"choices":`, "\ndata:\"choices\":"), llm.ClassOK, wantText, wholeBody},
		{"no blank line after the end", strings.TrimRight(whole, "\n"), llm.ClassOK, wantText, wholeBody},
		{"bytes after the end are ignored", whole + events(delta(`{"content":"more"}`), "nonsense"), llm.ClassOK, wantText, wholeBody},
		{"calls interleaved, in any order", events(roleChunk,
			delta(`{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}`),
			delta(`{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{ \"x\""}}]}`),
			delta(`{"tool_calls":[{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":":1.0}"}}]}`),
			`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]"), llm.ClassOK,
			llm.Response{ID: "c1", Model: "m-1", SystemFingerprint: "fp", Finish: "tool_calls", NativeFinish: "tool_calls",
				ToolCalls: []llm.ToolCall{{ID: "a", Name: "f", Arguments: `{ "x":1.0}`}, {ID: "b", Name: "g", Arguments: `{}`}}},
			`{"id":"c1","object":"chat.completion","created":9,"model":"m-1","system_fingerprint":"fp","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{ \"x\":1.0}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}]}`},
		{"calls without an index", events(
			delta(`{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}`), delta(`{"tool_calls":[{"function":{"arguments":"}"}}]}`),
			delta(`{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"{}"}}]}`), finishChunk, "[DONE]"), llm.ClassOK,
			llm.Response{ID: "c1", Finish: "tool_calls", NativeFinish: "stop", ToolCalls: []llm.ToolCall{{ID: "a", Name: "f", Arguments: `{}`}, {ID: "b", Name: "g", Arguments: `{}`}}}, ""},
		{"the old form of a call", events(delta(`{"function_call":{"name":"f","arguments":""}}`), delta(`{"function_call":{"arguments":"{}"}}`),
			`{"choices":[{"index":0,"delta":{},"finish_reason":"function_call"}]}`, "[DONE]"), llm.ClassOK,
			llm.Response{ID: "c1", Finish: "tool_calls", NativeFinish: "function_call", ToolCalls: []llm.ToolCall{{Name: "f", Arguments: `{}`}}},
			`{"id":"c1","object":"chat.completion","created":0,"model":"","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"function_call":{"name":"f","arguments":"{}"}},"logprobs":null,"finish_reason":"function_call"}]}`},
		{"refusal", events(delta(`{"refusal":"I "}`), delta(`{"refusal":"cannot."}`), finishChunk, "[DONE]"), llm.ClassOK,
			llm.Response{ID: "c1", Refusal: "I cannot.", Finish: "stop", NativeFinish: "stop"}, ""},
		{"only choice 0", events(`{"choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"length"},{"index":0,"delta":{"content":"mine"},"finish_reason":"stop"}]}`, "[DONE]"), llm.ClassOK,
			llm.Response{Text: "mine", Finish: "stop", NativeFinish: "stop"}, ""},
		{"a spoken answer is a gap", events(delta(`{"audio":{"data":"AA"}}`), finishChunk, "[DONE]"), llm.ClassOK,
			llm.Response{ID: "c1", Finish: "stop", NativeFinish: "stop", Gaps: []llm.Gap{audioGap()}}, ""},
		{"nothing", "", llm.ClassTruncated, llm.Response{}, `{"id":"","object":"chat.completion","created":0,"model":"","choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}`},
		{"no finish", events(delta(`{"content":"Hel"}`), "[DONE]"), llm.ClassTruncated, llm.Response{ID: "c1", Text: "Hel"}, ""},
		{"no [DONE]", events(delta(`{"content":"Hel"}`), finishChunk), llm.ClassTruncated, llm.Response{ID: "c1", Text: "Hel", Finish: "stop", NativeFinish: "stop"}, ""},
		{"cut inside an event", events(delta(`{"content":"Hel"}`)) + "data: " + finishChunk[:30], llm.ClassTruncated, llm.Response{ID: "c1", Text: "Hel"}, ""},
		{"error event", events(delta(`{"content":"Hel"}`), `{"error":{"message":"m","type":"server_error","code":null}}`, finishChunk, "[DONE]"), llm.ClassOverloaded, llm.Response{ID: "c1", Text: "Hel"}, ""},
		{"error event of unknown kind", events(`{"error":{"message":"m"}}`), llm.ClassStream, llm.Response{}, ""},
		{"no JSON", events("{"), llm.ClassMalformed, llm.Response{}, ""},
		{"a wrong type", events(delta(`{"content":7}`)), llm.ClassMalformed, llm.Response{}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for size := 1; size <= len(c.stream)+1; size += 1 + size/3 {
				a := Assembler{}
				for rest := c.stream; rest != ""; {
					n := min(size, len(rest))
					if got, err := a.Write([]byte(rest[:n])); got != n || err != nil {
						t.Fatalf("write: %d, %v", got, err)
					}
					rest = rest[n:]
				}
				if got := llm.ClassOf(a.Close()); got != c.class {
					t.Fatalf("pieces of %d: got %s, want %s (%v)", size, got, c.class, a.Close())
				}
				if diff := cmp.Diff(&c.want, a.Response(), noRaw); diff != "" {
					t.Fatalf("pieces of %d (-want +got):\n%s", size, diff)
				}
				if body := string(a.Assembled()); c.body != "" && body != c.body {
					t.Fatalf("pieces of %d: assembled\n got %s\nwant %s", size, body, c.body)
				}
			}
		})
	}
}

func TestAssemblerTellsHowFarItIs(t *testing.T) {
	a := Assembler{}
	steps := []struct {
		data                  string
		begun, finished, done bool
	}{{roleChunk, false, false, false}, {delta(`{"content":""}`), false, false, false}, {delta(`{"content":"x"}`), true, false, false},
		{finishChunk, true, true, false}, {usageChunk, true, true, false}, {"[DONE]", true, true, true}}
	for _, s := range steps {
		_, _ = a.Write([]byte(events(s.data)))
		if a.Begun() != s.begun || a.Finished() != s.finished || a.Done() != s.done {
			t.Errorf("after %s: begun %t finished %t done %t", s.data, a.Begun(), a.Finished(), a.Done())
		}
	}
	if a.Choices() != 1 {
		t.Errorf("choices: %d", a.Choices())
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	t.Run("an event without end", func(t *testing.T) {
		a := Assembler{Limit: 1000}
		for range 100 {
			_, _ = a.Write([]byte(strings.Repeat("x", 100)))
		}
		var e *llm.Error
		if !errors.As(a.Close(), &e) || e.Class != llm.ClassMalformed || cap(a.events.line) > 2000 {
			t.Errorf("got %v with a buffer of %d", a.Close(), cap(a.events.line))
		}
	})
	t.Run("an answer without end", func(t *testing.T) {
		a := Assembler{Limit: 1000}
		for range 100 {
			_, _ = a.Write([]byte(events(delta(`{"content":"` + strings.Repeat("x", 50) + `"}`))))
		}
		if llm.ClassOf(a.Close()) != llm.ClassMalformed || len(a.Response().Text) > 1000 {
			t.Errorf("got %v with %d bytes", a.Close(), len(a.Response().Text))
		}
	})
}

// TestStreamOfAResponseIsThatResponse: what EncodeResponse writes at once and
// what StreamEncoder writes in pieces are the same answer for every reader.
func TestStreamOfAResponseIsThatResponse(t *testing.T) {
	usage := llm.Usage{InputTokens: 3, OutputTokens: 4, CachedInputTokens: 1, ReasoningTokens: new(2)}
	resp := &llm.Response{ID: "c", Model: "m", SystemFingerprint: "fp", Text: "a <b>\n", Finish: llm.FinishToolCalls, NativeFinish: "tool_calls", Usage: &usage,
		ToolCalls: []llm.ToolCall{{ID: "x", Name: "f", Arguments: `{"k": 1.0}`}, {ID: "y", Name: "g", Arguments: ""}}}
	e := StreamEncoder{ID: "c", Model: "m", Fingerprint: "fp", Created: 8, IncludeUsage: true}
	var stream []byte
	for _, ev := range []llm.Event{
		{Kind: llm.EventText, Text: "a <"}, {Kind: llm.EventText, Text: "b>\n"}, {Kind: llm.EventCall, ID: "x", Name: "f"},
		{Kind: llm.EventArguments, Text: `{"k"`}, {Kind: llm.EventArguments, Text: `: 1.0}`}, {Kind: llm.EventCall, Index: 1, ID: "y", Name: "g"},
		{Kind: llm.EventFinish, Finish: resp.Finish}, {Kind: llm.EventUsage, Usage: usage},
	} {
		stream = e.Append(stream, ev)
	}
	a := Assembler{}
	_, _ = a.Write(e.AppendDone(stream))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	whole := EncodeResponse(resp, 8)
	if got := string(a.Assembled()); got != string(whole) {
		t.Errorf("assembled\n got %s\nwant %s", got, whole)
	}
	back, err := DecodeResponse(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]*llm.Response{"body": back, "stream": a.Response()} {
		if diff := cmp.Diff(resp, got, noRaw); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := string(e.Append(nil, llm.Event{Kind: llm.EventText, Text: "x"})); got != `data: {"id":"c","object":"chat.completion.chunk","created":8,"model":"m","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":"x"},"logprobs":null,"finish_reason":null}],"usage":null}`+"\n\n" {
		t.Errorf("chunk: %s", got)
	}
}

func FuzzAssembler(f *testing.F) {
	f.Add([]byte(events(roleChunk, delta(`{"content":"Hel"}`), finishChunk, usageChunk, "[DONE]")), 7)
	f.Add([]byte(events(delta(`{"tool_calls":[{"index":-5,"id":"a","function":{"name":"f","arguments":"{}"}},{"custom":{}}]}`), "[DONE]")), 1)
	f.Add([]byte("\xef\xbb\xbfdata\n\ndata:[DONE]\r\rdata: {\"error\":{\"code\":429}}\n\n"), 3)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		whole, pieces := Assembler{Limit: 1 << 16}, Assembler{Limit: 1 << 16}
		_, _ = whole.Write(stream)
		size = max(1, size%64)
		for rest := stream; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			_, _ = pieces.Write(rest[:min(size, len(rest))])
		}
		if a, b := whole.Close(), pieces.Close(); llm.ClassOf(a) != llm.ClassOf(b) && !errors.Is(a, errLongEvent) && !errors.Is(b, errLongEvent) {
			t.Fatalf("in one piece %v, in pieces of %d %v", a, size, b)
		}
		if body := whole.Assembled(); !json.Valid(body) {
			t.Fatalf("assembled %q", body)
		}
		if whole.Close() == nil && (!whole.Done() || !whole.Finished()) {
			t.Fatal("complete without its end")
		}
	})
}
