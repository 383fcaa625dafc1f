package llm_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// FuzzTranslate reads a request and writes it for every family: no panic, a typed
// error with a place, JSON, the same bytes each time, gaps that point somewhere.
func FuzzTranslate(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]},
		{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}],
		"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required","max_tokens":9,"temperature":1.5}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"minimum":1}}}}},"reasoning_effort":"high"}`))
	f.Add([]byte(`{"messages":[{"role":"system","content":"a"},{"role":"assistant","content":"b","x":{}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":[{}]}},"metadata":{"a":"ü"},"user":"u"}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/plain;base64,eA=="}},{"type":"input_audio","input_audio":{"data":"eA==","format":"wav"}}]}],"functions":[{"name":"f"}],"function_call":"auto"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := openai.Decode(body)
		if err != nil {
			if llm.ClassOf(err) != llm.ClassUntranslatable {
				t.Fatalf("class %s: %v", llm.ClassOf(err), err)
			}
			return
		}
		for _, model := range candidates {
			family, _ := bedrock.FamilyOf("", model)
			tr, err := bedrock.Translate(req, family)
			if err != nil {
				if llm.ClassOf(err) != llm.ClassUntranslatable {
					t.Fatalf("%s: class %s: %v", model, llm.ClassOf(err), err)
				}
				continue
			}
			again, err := bedrock.Translate(req, family)
			if !json.Valid(tr.Body) || err != nil || !bytes.Equal(tr.Body, again.Body) {
				t.Fatalf("%s: %q gives %q, then %q", model, body, tr.Body, again.Body)
			}
			for _, g := range tr.Gaps {
				if g.Path != "" && !strings.HasPrefix(g.Path, "/") || g.Severity == "" || g.Action == "" || !strings.Contains(g.Reason, ": ") {
					t.Fatalf("%s: %q gives the gap %+v", model, body, g)
				}
			}
		}
	})
}

// FuzzLines reads events line by line and writes what a client receives: a stream
// that is whole for it, or one with an error and neither finish nor end.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"messageStart":{"role":"assistant"}}
{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"a"}}}
{"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}}
{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}}
{"contentBlockStop":{"contentBlockIndex":1}}
{"messageStop":{"stopReason":"tool_use"}}
{"metadata":{"usage":{"inputTokens":1,"outputTokens":2}}}`))
	f.Add([]byte(`{"contentBlockStart":{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}}
{"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"u","name":"g"}}}}
{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{"}}}}
{"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{}"}}}}
{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":"}"}}}}
{"messageStop":{"stopReason":"tool_use"}}`))
	f.Add([]byte(`{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"b"}}}
{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"a"}}}
{"messageStop":{"stopReason":"end_turn"}}`))
	f.Add([]byte(`{"metadata":{}}
{"messageStop":{"stopReason":"malformed_tool_use"}}
{"throttlingException":{"message":"x"}}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		var out []byte
		enc := openai.StreamEncoder{ID: "c", Model: "m", Created: 1, IncludeUsage: true}
		s := bedrock.Stream{Emit: func(ev llm.Event) { out = enc.Append(out, ev) }}
		for line := range bytes.Lines(lines) {
			_ = s.Line(line)
		}
		err := s.End()
		if err == nil {
			out = enc.AppendDone(out)
		} else {
			out = enc.AppendError(out, err)
		}
		var asm openai.Assembler
		_, _ = asm.Write(out)
		verdict := asm.Close()
		if (err == nil) != (verdict == nil) || err != nil && (asm.Finished() || bytes.Contains(out, []byte("[DONE]\n"))) {
			t.Fatalf("%q: the stream says %v, its reader %v\n%s", lines, err, verdict, out)
		}
		want, _ := s.Response()
		got := asm.Response()
		same := got.Text == want.Text && len(got.ToolCalls) == len(want.ToolCalls) && (err != nil || got.Finish == want.Finish)
		for i := range want.ToolCalls {
			same = same && got.ToolCalls[i].ID == want.ToolCalls[i].ID && got.ToolCalls[i].Name == want.ToolCalls[i].Name &&
				(err != nil || got.ToolCalls[i].Arguments == want.ToolCalls[i].Arguments)
		}
		if !same {
			t.Fatalf("%q: got %+v, want %+v", lines, got, want)
		}
	})
}

// FuzzDecodeResponse reads an answer, and the same bytes as an error.
func FuzzDecodeResponse(f *testing.F) {
	f.Add([]byte(`{"id":"c","choices":[{"index":0,"message":{"content":"a","tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`))
	f.Add([]byte(`{"error":{"message":"m","type":"t","code":429}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := openai.DecodeResponse(body)
		if (resp == nil) != (err != nil) || err != nil && llm.ClassOf(err) == llm.ClassOK {
			t.Fatalf("%q: %+v, %v", body, resp, err)
		}
		if e := openai.DecodeError(400, nil, body); e == nil || e.Class == "" || len(e.Summary()) > 10_000 {
			t.Fatalf("%q: %v", body, e)
		}
		if resp != nil {
			if again := openai.EncodeResponse(resp, 1); !json.Valid(again) {
				t.Fatalf("%q gives %q", body, again)
			}
		}
	})
}
