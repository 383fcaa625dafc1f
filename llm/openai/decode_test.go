package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/vendorspec"
	"understudy/llm"
)

func ptr[T any](v T) *T { return &v }

func text1(path, s string) []llm.Part {
	return []llm.Part{{Kind: llm.PartText, Text: s, Path: path}}
}

func field(path, raw string) llm.Field { return llm.Field{Path: path, Raw: json.RawMessage(raw)} }

func TestDecode(t *testing.T) {
	cases := []struct {
		name, body string
		want       llm.Request
	}{
		{"every neutral field", `{"model":"m","messages":[{"role":"developer","content":"Be brief."},{"role":"user","name":"ann","content":"Hi"}],
			"temperature":0.70,"top_p":1,"max_tokens":5,"max_completion_tokens":7,"stop":"END","stream":true,"stream_options":{"include_usage":true},
			"parallel_tool_calls":false,"tool_choice":"required","response_format":{"type":"json_object"}}`,
			llm.Request{Model: "m", Messages: []llm.Message{
				{Role: llm.RoleSystem, Parts: text1("/messages/0/content", "Be brief.")},
				{Role: llm.RoleUser, Name: "ann", Parts: text1("/messages/1/content", "Hi")}},
				Temperature: ptr(0.7), TopP: ptr(1.0), MaxTokens: ptr(7), MaxTokensPath: "/max_completion_tokens", Extra: []llm.Field{field("/max_tokens", "5")}, Stop: []string{"END"}, Stream: true, IncludeUsage: true,
				ParallelToolCalls: ptr(false), ToolChoice: llm.ToolChoice{Mode: "required"}, ResponseFormat: &llm.ResponseFormat{Type: "json_object"}}},
		{"null is absent", `{"model":"m","messages":[{"role":"assistant","content":null,"name":null,"refusal":null,"audio":null}],"temperature":null,"seed":null,"stop":null,"tools":null}`,
			llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleAssistant}}}},
		{"unknown fields are kept raw", `{"messages":[],"n": 2 ,"brand_new":{"b":1, "a":[2.50]}}`,
			llm.Request{Extra: []llm.Field{field("/brand_new", `{"b":1, "a":[2.50]}`), field("/n", "2")}}},
		{"keys are matched by case", `{"messages":[{"role":"user","content":"a","Content":"b"}],"Model":"x"}`,
			llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: text1("/messages/0/content", "a")}},
				Extra: []llm.Field{field("/Model", `"x"`), field("/messages/0/Content", `"b"`)}}},
		{"unknown fields of any depth", `{"messages":[{"role":"user","content":[{"type":"text","text":"x","a/b":1},{"type":"image_url","image_url":{"url":"u","~":2}}]},
			{"role":"assistant","tool_calls":[{"id":"c","type":"function","index":0,"function":{"name":"f","arguments":"{}","parsed":{}}}]}],
			"tools":[{"type":"function","cache_control":{},"function":{"name":"f","title":"t"}}],"tool_choice":{"type":"function","function":{"name":"f","why":1}},
			"response_format":{"type":"json_schema","json_schema":{"name":"n","x":1},"y":2},"stream_options":{"z":true}}`,
			llm.Request{Messages: []llm.Message{
				{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "x", Path: "/messages/0/content/0"},
					{Kind: llm.PartImage, Image: &llm.Image{URL: "u"}, Path: "/messages/0/content/1"}}},
				{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "c", Name: "f", Arguments: "{}", Path: "/messages/1/tool_calls/0"}}}},
				Tools: []llm.Tool{{Name: "f", Path: "/tools/0"}}, ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"},
				ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Name: "n"},
				Extra: []llm.Field{field("/messages/0/content/0/a~1b", "1"), field("/messages/0/content/1/image_url/~0", "2"),
					field("/messages/1/tool_calls/0/index", "0"), field("/messages/1/tool_calls/0/function/parsed", "{}"),
					field("/response_format/json_schema/x", "1"), field("/response_format/y", "2"), field("/stream_options/z", "true"),
					field("/tool_choice/function/why", "1"), field("/tools/0/cache_control", "{}"), field("/tools/0/function/title", `"t"`)}}},
		{"who, what for and how hard", `{"messages":[],"user":"u1","metadata":{"team":"a","":"b","n":1},"service_tier":"flex","reasoning_effort":"low"}`,
			llm.Request{User: "u1", Metadata: map[string]string{"team": "a", "": "b"}, ServiceTier: "flex", Effort: "low", Extra: []llm.Field{field("/metadata/n", "1")}}},
		{"files and speech", `{"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/PDF;base64,JVBERg=="}},
			{"type":"file","file":{"file_id":"file-1"}},{"type":"file","file":{"file_data":"JVBERg"}},{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}]}`,
			llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{
				{Kind: llm.PartFile, File: &llm.File{Name: "a.pdf", MediaType: "application/pdf", Data: []byte("%PDF")}, Path: "/messages/0/content/0"},
				{Kind: llm.PartFile, File: &llm.File{ID: "file-1"}, Path: "/messages/0/content/1"},
				{Kind: llm.PartFile, File: &llm.File{Data: []byte("%PDF")}, Path: "/messages/0/content/2"},
				{Kind: llm.PartAudio, Audio: &llm.Audio{Format: "wav", Data: []byte("RIFF")}, Path: "/messages/0/content/3"}}}}}},
		{"strings", `{"messages":[{"role":"user","content":"tab\t é 😀 lone \ud800 "}]}`,
			llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: text1("/messages/0/content", "tab\t é 😀 lone \ufffd ")}}}},
		{"parts", `{"messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/PNG;base64,iVBORw0K","detail":"low"}},
			{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},{"type":"video_url","video_url":{"data":"AA"}},{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},{"type":"text"}]}]}`,
			llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{
				{Kind: llm.PartText, Text: "see", Path: "/messages/0/content/0"},
				{Kind: llm.PartImage, Image: &llm.Image{MediaType: "image/png", Data: []byte("\x89PNG\r\n"), Detail: "low"}, Path: "/messages/0/content/1"},
				{Kind: llm.PartImage, Image: &llm.Image{URL: "https://example.com/a.png"}, Path: "/messages/0/content/2"},
				{Kind: llm.PartOther, Path: "/messages/0/content/3", Raw: json.RawMessage(`{"type":"video_url","video_url":{"data":"AA"}}`)},
				{Kind: llm.PartText, Text: "x", Path: "/messages/0/content/4"},
				{Kind: llm.PartOther, Path: "/messages/0/content/5", Raw: json.RawMessage(`{"type":"text"}`)}}}},
				Extra: []llm.Field{field("/messages/0/content/4/cache_control", `{"type":"ephemeral"}`)}}},
		{"tools keep their schema's bytes", `{"messages":[],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{ "type":"object","x":1.0 },"strict":true}},{"type":"web_search"}],
			"tool_choice":{"type":"function","function":{"name":"f"}}}`,
			llm.Request{Tools: []llm.Tool{
				{Name: "f", Description: "d", Parameters: json.RawMessage(`{ "type":"object","x":1.0 }`), Strict: ptr(true), Path: "/tools/0"},
				{Other: json.RawMessage(`{"type":"web_search"}`), Path: "/tools/1"}}, ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"}}},
		{"calls and results", `{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{ \"a\":1}"}},{"id":"c2","type":"custom","custom":{"name":"g","input":"x"}}]},
			{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"ok"}]}]}`,
			llm.Request{Messages: []llm.Message{
				{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "c1", Name: "f", Arguments: `{ "a":1}`, Path: "/messages/0/tool_calls/0"}}, Parts: []llm.Part{
					{Kind: llm.PartOther, Path: "/messages/0/tool_calls/1", Raw: json.RawMessage(`{"id":"c2","type":"custom","custom":{"name":"g","input":"x"}}`)}}},
				{Role: llm.RoleTool, ToolCallID: "c1", Parts: text1("/messages/1/content/0", "ok")}}}},
		{"the old form of calls", `{"messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"ok"}],
			"functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}}`,
			llm.Request{Messages: []llm.Message{
				{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "function_call_1", Name: "f", Arguments: `{}`, Path: "/messages/0/function_call"}}},
				{Role: llm.RoleTool, Name: "f", ToolCallID: "function_call_1", Parts: text1("/messages/1/content", "ok")}},
				Tools:      []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{"type":"object"}`), Path: "/functions/0"}},
				ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"},
				Extra: []llm.Field{field("/function_call", `{"name":"f"}`), field("/functions", `[{"name":"f","parameters":{"type":"object"}}]`),
					field("/messages/0/function_call", `{"name":"f","arguments":"{}"}`)}}},
		{"calls and results of another role", `{"messages":[{"tool_call_id":"c","tool_calls":[],"function_call":{},"role":"user","content":"x"}]}`,
			llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: text1("/messages/0/content", "x")}},
				Extra: []llm.Field{field("/messages/0/tool_call_id", `"c"`), field("/messages/0/tool_calls", `[]`), field("/messages/0/function_call", `{}`)}}},
		{"allowed tools and other forms stay raw", `{"messages":[],"tool_choice":{"type":"allowed_tools"},"response_format":{"type":"grammar"},"stream_options":{"include_obfuscation":false}}`,
			llm.Request{ToolChoice: llm.ToolChoice{Mode: "other"}, Extra: []llm.Field{
				field("/response_format", `{"type":"grammar"}`), field("/stream_options/include_obfuscation", "false"), field("/tool_choice", `{"type":"allowed_tools"}`)}}},
		{"json schema", `{"messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":false,"schema":{"b":1,"a":2}}}}`,
			llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Name: "n", Description: "d", Strict: ptr(false), Schema: json.RawMessage(`{"b":1,"a":2}`)}}},
		{"refusals", `{"messages":[{"role":"assistant","refusal":"I cannot."},{"role":"assistant","content":[{"type":"refusal","refusal":"No."}]}]}`,
			llm.Request{Messages: []llm.Message{
				{Role: llm.RoleAssistant, Parts: []llm.Part{{Kind: llm.PartRefusal, Text: "I cannot.", Path: "/messages/0/refusal"}}},
				{Role: llm.RoleAssistant, Parts: []llm.Part{{Kind: llm.PartRefusal, Text: "No.", Path: "/messages/1/content/0"}}}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Raw) != c.body {
				t.Error("Raw is not the body")
			}
			got.Raw = nil
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	cases := []struct{ name, body, path string }{
		{"nothing", ``, ""},
		{"cut JSON", `{"messages":[`, "/messages/0"},
		{"two values", `{"messages":[]} {}`, ""},
		{"a cut string", `{"messages":[{"role":"user","content":"abc`, "/messages/0/content"},
		{"a word that is none", `{"messages":[{"role":"user","content":NaN}]}`, "/messages/0/content"},
		{"a missing comma", `{"messages":[] "model":"m"}`, ""},
		{"a control character", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\x01\"}]}", "/messages/0/content"},
		{"no UTF-8", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\xff\"}]}", "/messages/0/content"},
		{"a key twice", `{"model":"a","messages":[],"model":"b"}`, "/model"},
		{"a key twice, deep", `{"messages":[{"role":"user","content":"x","content":"y"}]}`, "/messages/0/content"},
		{"a key twice, escaped", `{"messages":[],"user":"b","us\u0065r":"c"}`, "/user"},
		{"a call without a name", `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"arguments":"{}"}}]}]}`, "/messages/0/tool_calls/0/function/name"},
		{"an old choice without a name", `{"messages":[],"function_call":{}}`, "/function_call/name"},
		{"a key twice in a choice", `{"messages":[],"tool_choice":{"type":"allowed_tools","allowed_tools":{},"allowed_tools":{}}}`, "/tool_choice/allowed_tools"},
		{"a limit out of range", `{"messages":[],"max_tokens":1e300}`, "/max_tokens"},
		{"endless nesting", `{"messages":[],"x":` + strings.Repeat("[", 11_000), "/x" + strings.Repeat("/0", 128)},
		{"metadata that is no object", `{"messages":[],"metadata":7}`, "/metadata"},
		{"audio that is no base64", `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"%"}}]}]}`, "/messages/0/content/0/input_audio/data"},
		{"a file that is no base64", `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"%"}}]}]}`, "/messages/0/content/0/file/file_data"},
		{"tool_choice without a name", `{"messages":[],"tool_choice":{"type":"function"}}`, "/tool_choice/function/name"},
		{"no object", `[1]`, ""},
		{"no messages", `{"model":"m"}`, "/messages"},
		{"messages of a wrong type", `{"messages":{"role":"user"}}`, "/messages"},
		{"a message that is no object", `{"messages":["x"]}`, "/messages/0"},
		{"no role", `{"messages":[{"content":"x"}]}`, "/messages/0/role"},
		{"unknown role", `{"messages":[{"role":"user","content":"x"},{"role":"narrator"}]}`, "/messages/1/role"},
		{"content of a wrong type", `{"messages":[{"role":"user","content":7}]}`, "/messages/0/content"},
		{"a part that is no object", `{"messages":[{"role":"user","content":["x"]}]}`, "/messages/0/content/0"},
		{"text of a wrong type", `{"messages":[{"role":"user","content":[{"type":"text","text":{}}]}]}`, "/messages/0/content/0/text"},
		{"image data that is no base64", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%%"}}]}]}`, "/messages/0/content/0/image_url/url"},
		{"temperature of a wrong type", `{"messages":[],"temperature":"hot"}`, "/temperature"},
		{"a number out of range", `{"messages":[],"top_p":1e999}`, "/top_p"},
		{"a limit with a fraction", `{"messages":[],"max_tokens":1.5}`, "/max_tokens"},
		{"stop with a number", `{"messages":[],"stop":["a",1]}`, "/stop/1"},
		{"a tool without name", `{"messages":[],"tools":[{"type":"function"}]}`, "/tools/0/function/name"},
		{"parameters of a wrong type", `{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":true}}]}`, "/tools/0/function/parameters"},
		{"arguments as an object", `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}}]}]}`, "/messages/0/tool_calls/0/function/arguments"},
		{"stream as a word", `{"messages":[],"stream":"yes"}`, "/stream"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode([]byte(c.body))
			var e *llm.Error
			if !errors.As(err, &e) || e.Class != llm.ClassUntranslatable || e.Path != c.path {
				t.Fatalf("got %v, want untranslatable at %q", err, c.path)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a\"\\"},{"type":"image_url","image_url":"data:,x"}]}],"stop":["a"],"n":1}`))
	f.Add([]byte(`{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}],"tools":[{"type":"function","function":{"name":"f"}}],"stream_options":{}}`))
	f.Add([]byte(" {\"messages\" : [ ] , \"function_call\" : \"auto\" }\n"))
	f.Add([]byte(`{"a":"\\","messages":[],"":{},"b":[[],[{}]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := Decode(body)
		if err != nil {
			if llm.ClassOf(err) != llm.ClassUntranslatable {
				t.Fatalf("class %s: %v", llm.ClassOf(err), err)
			}
			return
		}
		if sent := splice(body, "other", 7, true); !json.Valid(sent) {
			t.Fatalf("splice of %q gives %q", body, sent)
		} else if again, err := Decode(sent); err != nil || again.Model != "other" || !again.Stream || !again.IncludeUsage {
			t.Fatalf("splice of %q gives %q: %v", body, sent, err)
		}
		if encoded := EncodeRequest(req, "m"); !json.Valid(encoded) {
			t.Fatalf("encode of %q gives %q", body, encoded)
		}
	})
}

// TestScanAgreesWithEncodingJSON walks documents with both readers.
func TestScanAgreesWithEncodingJSON(t *testing.T) {
	for _, doc := range []string{`{}`, `{ }`, `{"a":1}`, " {\t\"a\" :\n[1 , {\"b\":\"]}\\\"\"}] , \"\\u0062\": null }\n", `{"x":{"y":{}},"z":-1.5e3,"t":true}`} {
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		for key, v := range members([]byte(doc)) {
			got[key] = v
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", doc, diff)
		}
	}
	n := 0
	for i, v := range elements([]byte(` [ 1, "a,]" ,[2,3],{} ] `)) {
		if want := []string{`1`, `"a,]"`, `[2,3]`, `{}`}[i]; string(v) != want {
			t.Errorf("element %d: got %s, want %s", i, v, want)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d elements, want 4", n)
	}
}

// TestDecodeRealRequests reads the recorded requests, where they are at hand:
// nothing in them may be refused or be unknown.
func TestDecodeRealRequests(t *testing.T) {
	bodies := realRequests(t)
	for _, body := range bodies {
		req, err := Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if len(req.Extra) != 0 || len(req.Messages) == 0 {
			t.Fatalf("extra %v, %d messages", req.Extra, len(req.Messages))
		}
	}
}

func realRequests(t testing.TB) (bodies [][]byte) {
	t.Helper()
	for _, line := range vendorspec.Lines(t, "data", "tools", "tools.jsonl.gz") {
		var row struct{ Request json.RawMessage }
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, row.Request)
	}
	return bodies
}
