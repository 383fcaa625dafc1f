package bedrock

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/llm"
)

// noRaw compares usage without the provider's own object.
var noRaw = cmpopts.IgnoreFields(llm.Usage{}, "Raw")

func TestDecodeAnswer(t *testing.T) {
	const usage = `"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":12,"cacheReadInputTokens":4,"cacheWriteInputTokens":1},"metrics":{"latencyMs":5}`
	counted := &llm.Usage{InputTokens: 8, OutputTokens: 2, CachedInputTokens: 4, CacheWriteTokens: 1}
	message := func(stop string, blocks ...string) string {
		return `{"output":{"message":{"role":"assistant","content":[` + strings.Join(blocks, ",") + `]}},"stopReason":"` + stop + `",` + usage + `}`
	}
	call := func(arguments string) []llm.ToolCall {
		return []llm.ToolCall{{ID: "t1", Name: "f", Arguments: arguments}}
	}
	use := func(input string) string {
		return `{"toolUse":{"toolUseId":"t1","name":"f"` + input + `}}`
	}
	gap := func(path string, s llm.Severity, reason string) []llm.Gap {
		return []llm.Gap{{Path: path, Severity: s, Action: llm.Dropped, Reason: reason}}
	}
	cases := []struct {
		name, body string
		class      llm.Class
		want       *llm.Response
	}{
		{"blocks are joined without a separator", message("end_turn", `{"text":"a"}`, `{"text":"<b>\n"}`), llm.ClassOK, &llm.Response{Text: "a<b>\n", Finish: "stop", NativeFinish: "end_turn", Usage: counted}},
		{"argument bytes are exact", message("tool_use", `{"text":"So:"}`, use(`,"input": { "z" : 1.0, "a":[ ] , "é":"\u00e9<" } `)), llm.ClassOK,
			&llm.Response{Text: "So:", ToolCalls: call(`{ "z" : 1.0, "a":[ ] , "é":"\u00e9<" }`), Finish: "tool_calls", NativeFinish: "tool_use", Usage: counted}},
		{"no arguments", message("tool_use", use(``)), llm.ClassOK, &llm.Response{ToolCalls: call(`{}`), Finish: "tool_calls", NativeFinish: "tool_use", Usage: counted}},
		{"null arguments, and a stop reason that hides the call", message("end_turn", use(`,"input":null`)), llm.ClassOK, &llm.Response{ToolCalls: call(`{}`), Finish: "tool_calls", NativeFinish: "end_turn", Usage: counted}},
		{"tool_use without a call", message("tool_use", `{"text":"x"}`), llm.ClassOK, &llm.Response{Text: "x", Finish: "stop", NativeFinish: "tool_use", Usage: counted}},
		{"cut off in a call", message("max_tokens", use(``)), llm.ClassOK, &llm.Response{ToolCalls: call(`{}`), Finish: "length", NativeFinish: "max_tokens", Usage: counted}},
		{"context window", message("model_context_window_exceeded", `{"text":"x"}`), llm.ClassOK, &llm.Response{Text: "x", Finish: "length", NativeFinish: "model_context_window_exceeded", Usage: counted}},
		{"guardrail", message("guardrail_intervened", `{"text":"x"}`), llm.ClassOK, &llm.Response{Text: "x", Finish: "content_filter", NativeFinish: "guardrail_intervened", Usage: counted}},
		{"filtered", message("content_filtered"), llm.ClassOK, &llm.Response{Finish: "content_filter", NativeFinish: "content_filtered", Usage: counted}},
		{"a stop reason of tomorrow", message("pondered", `{"text":"x"}`), llm.ClassOK, &llm.Response{Text: "x", Finish: "stop", NativeFinish: "pondered", Usage: counted, Gaps: []llm.Gap{unknownStop.at("/stopReason")}}},
		{"malformed by the model", message("malformed_tool_use", `{"text":"x"}`), llm.ClassMalformed, &llm.Response{Text: "x", NativeFinish: "malformed_tool_use", Usage: counted}},
		{"an unknown block between two texts", message("end_turn", `{"text":"a"}`, `{"hologram":{"text":"x"}}`, `{"text":"b"}`), llm.ClassOK,
			&llm.Response{Text: "ab", Finish: "stop", NativeFinish: "end_turn", Usage: counted, Gaps: gap("/output/message/content/1", llm.Semantic, "unknown_block: a piece of the answer of a kind that is not known is left out")}},
		{"what is no text", message("end_turn", `{"video":{}}`, `{"audio":{}}`, `{"document":{}}`, `{"image":{}}`), llm.ClassOK,
			&llm.Response{Finish: "stop", NativeFinish: "end_turn", Usage: counted, Gaps: []llm.Gap{mediaAnswer.at("/output/message/content/0"), mediaAnswer.at("/output/message/content/1"),
				mediaAnswer.at("/output/message/content/2"), mediaAnswer.at("/output/message/content/3")}}},
		{"a tool of the service's own", message("end_turn", `{"toolUse":{"toolUseId":"t","name":"grounding","type":"server_tool_use","input":{}}}`, `{"text":"x"}`), llm.ClassOK,
			&llm.Response{Text: "x", Finish: "stop", NativeFinish: "end_turn", Usage: counted, Gaps: []llm.Gap{serverTool.at("/output/message/content/0")}}},
		{"reasoning is no text", message("end_turn", `{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}}`, `{"text":"b"}`), llm.ClassOK,
			&llm.Response{Text: "b", Finish: "stop", NativeFinish: "end_turn", Usage: counted, Gaps: gap("/output/message/content/0", llm.Cosmetic, "reasoning: the model's reasoning is no part of the answer")}},
		{"no usage", `{"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn"}`, llm.ClassOK, &llm.Response{Text: "x", Finish: "stop", NativeFinish: "end_turn"}},
		{"no output", `{"stopReason":"end_turn"}`, llm.ClassMalformed, nil},
		{"no stop reason", `{"output":{"message":{"content":[]}}}`, llm.ClassMalformed, &llm.Response{}},
		{"a null block", message("end_turn", `null`), llm.ClassMalformed, &llm.Response{Usage: counted}},
		{"no JSON", `<html>`, llm.ClassMalformed, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeAnswer([]byte(c.body))
			if llm.ClassOf(err) != c.class {
				t.Fatalf("got %v, want class %s", err, c.class)
			}
			if diff := cmp.Diff(c.want, got, noRaw); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An event is a name and a payload.
type event struct{ name, payload string }

const metadata = `{"usage":{"inputTokens":1,"outputTokens":2}}`

func ev(lines ...string) (events []event) {
	for _, l := range lines {
		name, payload, _ := strings.Cut(l, " ")
		events = append(events, event{name, payload})
	}
	return events
}

func TestStream(t *testing.T) {
	two := &llm.Usage{InputTokens: 1, OutputTokens: 2}
	toolStart := `contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`
	text := `contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"a"}}`
	stop, meta := `messageStop {"stopReason":"end_turn"}`, "metadata "+metadata
	cases := []struct {
		name   string
		events []event
		class  llm.Class
		want   llm.Response
	}{
		{"metadata may come first", ev(`messageStart {"role":"assistant"}`, text, meta, stop), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn", Usage: two}},
		{"blocks interleaved", ev(`contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"u","name":"g"}}}`, toolStart,
			`contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{ \"x\""}}}`, `contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":""}}}`, text,
			`contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":":1.0}"}},"p":"abc"}`, stop, meta), llm.ClassOK,
			llm.Response{Text: "a", Finish: "tool_calls", NativeFinish: "end_turn", Usage: two, ToolCalls: []llm.ToolCall{{ID: "u", Name: "g", Arguments: `{}`}, {ID: "t", Name: "f", Arguments: `{ "x":1.0}`}}}},
		{"an unknown event, block and delta are gaps", ev(`pondering {"x":1}`, text, `contentBlockDelta {"contentBlockIndex":1,"delta":{"hologram":{"text":"x"}}}`,
			`contentBlockStart {"contentBlockIndex":2,"start":{"image":{"format":"png"}}}`, stop, meta), llm.ClassOK,
			llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn", Usage: two, Gaps: []llm.Gap{
				{Path: "/output/message/content/1", Severity: llm.Semantic, Action: llm.Dropped, Reason: "unknown_block: a piece of the answer of a kind that is not known is left out"},
				{Path: "/output/message/content/2", Severity: llm.Blocking, Action: llm.Dropped, Reason: "media_answer: an answer that is not text cannot be compared"},
				{Path: "/pondering", Severity: llm.Semantic, Action: llm.Dropped, Reason: "unknown_block: a piece of the answer of a kind that is not known is left out"}}}},
		{"a stop reason that is not known", ev(text, `messageStop {"stopReason":"tired"}`), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "tired", Gaps: []llm.Gap{unknownStop.at("/stopReason")}}},
		{"half a count is none", ev(text, stop, `metadata {"usage":{"inputTokens":1}}`), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn"}},
		{"no messageStop", ev(text, meta), llm.ClassTruncated, llm.Response{Text: "a", Usage: two}},
		{"no metadata", ev(text, stop), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn"}},
		{"malformed by the model", ev(text, `messageStop {"stopReason":"malformed_model_output"}`, meta), llm.ClassMalformed, llm.Response{Text: "a", NativeFinish: "malformed_model_output", Usage: two}},
		{"arguments without a start", ev(`contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}`, stop, meta), llm.ClassMalformed, llm.Response{}},
		{"a block that starts twice", ev(toolStart, toolStart), llm.ClassMalformed, llm.Response{ToolCalls: []llm.ToolCall{{ID: "t", Name: "f", Arguments: `{}`}}}},
		{"a delta after the block's end", ev(text, `contentBlockStop {"contentBlockIndex":0}`, text), llm.ClassMalformed, llm.Response{Text: "a"}},
		{"a block that changes its kind", ev(toolStart, `contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"a"}}`), llm.ClassMalformed, llm.Response{ToolCalls: []llm.ToolCall{{ID: "t", Name: "f", Arguments: `{}`}}}},
		{"content after the end", ev(text, stop, text, meta), llm.ClassMalformed, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn"}},
		{"a second messageStop", ev(text, stop, stop), llm.ClassMalformed, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn"}},
		{"metadata twice", ev(text, meta, meta, stop), llm.ClassMalformed, llm.Response{Text: "a", Usage: two}},
		{"a message inside the message", ev(text, `messageStart {"role":"assistant"}`), llm.ClassMalformed, llm.Response{Text: "a"}},
		{"text that goes back to another block", ev(`contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"b"}}`, text, stop, meta), llm.ClassMalformed, llm.Response{Text: "b"}},
		{"a start that says nothing", ev(`contentBlockStart {"contentBlockIndex":0,"start":{}}`, text, stop, meta), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn", Usage: two}},
		{"messageStop inside a call", ev(toolStart, `contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":"}}}`, stop, meta), llm.ClassMalformed,
			llm.Response{ToolCalls: []llm.ToolCall{{ID: "t", Name: "f", Arguments: `{"a":`}}, Finish: "tool_calls", NativeFinish: "end_turn"}},
		{"a limit inside a call", ev(toolStart, `contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":"}}}`, `messageStop {"stopReason":"max_tokens"}`, meta), llm.ClassOK,
			llm.Response{ToolCalls: []llm.ToolCall{{ID: "t", Name: "f", Arguments: `{"a":`}}, Finish: "length", NativeFinish: "max_tokens", Usage: two}},
		{"a tool of the service's own", ev(`contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"grounding","type":"server_tool_use"}}}`,
			`contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}`, `contentBlockStop {"contentBlockIndex":1}`, text, stop, meta), llm.ClassOK,
			llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn", Usage: two, Gaps: []llm.Gap{serverTool.at("/output/message/content/1")}}},
		{"a count that is none", ev(text, stop, `metadata {"usage":{"inputTokens":-5,"outputTokens":9223372036854775807}}`), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn"}},
		{"a count as a fraction", ev(text, stop, `metadata {"usage":{"inputTokens":1.0,"outputTokens":2e0,"cacheReadInputTokens":null}}`), llm.ClassOK, llm.Response{Text: "a", Finish: "stop", NativeFinish: "end_turn", Usage: two}},
		{"no JSON", ev(`contentBlockDelta {"contentBlock`), llm.ClassMalformed, llm.Response{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var s Stream
			for _, e := range c.events {
				_ = s.Event(e.name, []byte(e.payload)) // Response repeats the error
			}
			got, err := s.Response()
			if llm.ClassOf(err) != c.class {
				t.Fatalf("got %v, want class %s", err, c.class)
			}
			if diff := cmp.Diff(&c.want, got, noRaw); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func encodeFrame(t testing.TB, kind, name, payload string) []byte {
	t.Helper()
	msg := eventstream.Message{Payload: []byte(payload)}
	msg.Headers.Set(":message-type", eventstream.StringValue(kind))
	key := ":" + kind + "-type"
	if kind == "error" {
		key = ":error-code"
	}
	msg.Headers.Set(key, eventstream.StringValue(name))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, msg); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFrames(t *testing.T) {
	good := encodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1
	lying := binary.BigEndian.AppendUint32(nil, 20) // headers longer than the frame, with a valid sum
	lying = binary.BigEndian.AppendUint32(lying, 1000)
	lying = binary.BigEndian.AppendUint32(lying, crc32.ChecksumIEEE(lying))
	huge := append([]byte{0xff, 0xff, 0xff, 0xff}, good[4:]...)
	cases := []struct {
		name  string
		bytes []byte
		class llm.Class
		err   error
	}{
		{"whole", good, llm.ClassOK, nil},
		{"nothing", nil, llm.ClassMalformed, io.EOF},
		{"half a prelude", good[:4], llm.ClassMalformed, io.ErrUnexpectedEOF},
		{"a prelude alone", good[:12], llm.ClassMalformed, io.ErrUnexpectedEOF},
		{"half a frame", good[:len(good)-1], llm.ClassMalformed, io.ErrUnexpectedEOF},
		{"a flipped bit", flipped, llm.ClassStream, nil},
		{"lengths that lie", append(lying, make([]byte, 100)...), llm.ClassStream, nil},
		{"a length of four gigabytes", huge, llm.ClassStream, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fr, err := newFrameReader(bytes.NewReader(c.bytes)).next()
			if llm.ClassOf(err) != c.class || c.err != nil && !errors.Is(err, c.err) {
				t.Fatalf("got %v", err)
			}
			if err == nil && (fr.kind != "event" || fr.name != "messageStart" || string(fr.payload) != `{"role":"assistant"}`) {
				t.Errorf("got %+v", fr)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	cases := []struct {
		name, message string
		status        int
		want          llm.Class
	}{
		{"AccessDeniedException", "", 403, llm.ClassAccess}, {"ExpiredTokenException", "", 403, llm.ClassAccess}, {"UnrecognizedClientException", "", 403, llm.ClassAccess},
		{"ResourceNotFoundException", "", 404, llm.ClassNotFound}, {"ThrottlingException", "", 429, llm.ClassThrottled}, {"ServiceQuotaExceededException", "", 400, llm.ClassQuota},
		{"ModelNotReadyException", "", 429, llm.ClassOverloaded}, {"ServiceUnavailableException", "", 503, llm.ClassOverloaded}, {"InternalServerException", "", 500, llm.ClassOverloaded},
		{"ModelErrorException", "", 424, llm.ClassOverloaded}, {"ModelTimeoutException", "", 408, llm.ClassTimeout}, {"ValidationException", "bad", 400, llm.ClassInvalid},
		{"ValidationException", "Input is too long for requested model.", 400, llm.ClassContext}, {"validationException", "prompt is too long: 9 tokens", 0, llm.ClassContext},
		{"modelStreamErrorException", "", 0, llm.ClassStream}, {"throttlingException", "", 0, llm.ClassThrottled}, {"internalServerException", "", 0, llm.ClassOverloaded},
		{"serviceUnavailableException", "", 0, llm.ClassOverloaded}, {"", "", 0, llm.ClassStream}, {"", "", 529, llm.ClassOverloaded}, {"Unheard", "", 418, llm.ClassInvalid},
	}
	for _, c := range cases {
		if got := classify(c.name, c.status, c.message, llm.ClassStream); got != c.want {
			t.Errorf("%s %d %q: got %s, want %s", c.name, c.status, c.message, got, c.want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	one := encodeFrame(f, "event", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a"}}`)
	f.Add(bytes.Join([][]byte{one, encodeFrame(f, "event", "messageStop", `{"stopReason":"end_turn"}`), encodeFrame(f, "event", "metadata", metadata)}, nil))
	f.Add(append(bytes.Clone(one), encodeFrame(f, "exception", "throttlingException", `{"message":"m"}`)...))
	f.Add(encodeFrame(f, "error", "Oops", ""))
	f.Add(one[:20])
	f.Fuzz(func(t *testing.T, body []byte) {
		frames, s := newFrameReader(bytes.NewReader(body)), Stream{}
		for {
			fr, err := frames.next()
			if err != nil {
				break
			}
			if fr.kind != "event" {
				if e := streamFault(fr); llm.ClassOf(e) == llm.ClassOK {
					t.Fatal("an exception without a class")
				}
				break
			}
			_ = s.Event(fr.name, fr.payload)
		}
		if _, err := s.Response(); err == nil && s.stop == nil {
			t.Fatal("an answer without its end")
		}
	})
}

// FuzzStream skips the sums, so that the fuzzer reaches the events.
func FuzzStream(f *testing.F) {
	f.Add("contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}`, "contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}`)
	f.Add("messageStop", `{"stopReason":"end_turn"}`, "metadata", metadata)
	f.Add("contentBlockDelta", `{"delta":{"text":"a","p":null}}`, "contentBlockStop", `{}`)
	f.Fuzz(func(t *testing.T, name1, payload1, name2, payload2 string) {
		var s Stream
		_ = s.Event(name1, []byte(payload1))
		_ = s.Event(name2, []byte(payload2))
		resp, err := s.Response()
		if resp == nil || err == nil && resp.NativeFinish == "" {
			t.Fatalf("got %+v, %v", resp, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"toolUseId":"t","name":"f","input":{"a":1}}},{"x":null}]}},"stopReason":"tool_use","usage":{"inputTokens":1}}`))
	f.Add([]byte(`{"output":{"message":{"content":[{"toolUse":{"input":[]}}]}},"stopReason":""}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := DecodeAnswer(body)
		switch {
		case err == nil && (resp == nil || resp.NativeFinish == "" || resp.Finish == ""):
			t.Fatalf("%q: %+v", body, resp)
		case err != nil && llm.ClassOf(err) != llm.ClassMalformed:
			t.Fatalf("%q: class %s", body, llm.ClassOf(err))
		}
	})
}

func FuzzClosedSchema(f *testing.F) {
	f.Add([]byte(`{"type":"object","properties":{"a":{"type":"integer","minimum":1,"description":"x"},"b":{"anyOf":[{"type":"object"},true]}},"$defs":{"c":{"items":{"maxLength":2}}}}`))
	f.Add([]byte(`{"type":"object","$ref":"#/$defs/c","$defs":{"c":{"$ref":"#/$defs/c"}}}`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		if !json.Valid(schema) {
			return
		}
		out, _, ok := closedSchema(schema)
		if !ok {
			return
		}
		again, changes, ok := closedSchema(out)
		if !json.Valid(out) || !ok || len(changes) > 0 && string(again) != string(out) {
			t.Fatalf("%s\ngives %s\nand then %s, %v", schema, out, again, changes)
		}
		if plain := plainSchema(schema); !json.Valid(plain) || !plainTop(plain) {
			t.Fatalf("%s gives %s", schema, plain)
		}
	})
}
