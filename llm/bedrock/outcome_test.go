package bedrock_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// TestEveryFieldHasAnOutcome walks the vendor's own definition of a request.
func TestEveryFieldHasAnOutcome(t *testing.T) {
	paths := vendorspec.ReadOpenAI(t).Fields("CreateChatCompletionRequest")
	if len(paths) < 120 {
		t.Fatalf("only %d fields were found in the definition", len(paths))
	}
	for _, path := range paths {
		if bedrock.RowOf(path) == nil {
			t.Errorf("%s has no outcome", path)
		}
	}
	for _, path := range []string{"/brand_new", "/messages/*/brand_new", "/tools/*/function/brand_new", "/model/x"} {
		if bedrock.RowOf(path) != nil {
			t.Errorf("%s, which no request has, has an outcome", path)
		}
	}
}

// An example shows what becomes of a field: a piece of the wire, or a gap.
type example struct {
	path, model, body string
	wire              string
	gap               string // code, and its path where that is another
}

const (
	claude  = "anthropic.claude-3-5-sonnet-20240620-v1:0"
	haiku   = "anthropic.claude-haiku-4-5-20251001-v1:0"
	opus    = "anthropic.claude-opus-4-6-v1"
	newest  = "anthropic.claude-opus-4-8"
	llama   = "meta.llama3-3-70b-instruct-v1:0"
	llama3  = "meta.llama3-70b-instruct-v1:0"
	mixtral = "mistral.mixtral-8x7b-instruct-v0:1"
	large   = "mistral.mistral-large-2402-v1:0"
	voxtral = "mistral.voxtral-mini-3b-2507"
	nova    = "amazon.nova-pro-v1:0"
	micro   = "amazon.nova-micro-v1:0"
)

// asks is a request with these fields beside a question; says one with these
// messages.
func asks(fields string) string {
	return `{"messages":[{"role":"user","content":"Hi"}],` + fields + `}`
}
func says(messages string) string {
	return `{"messages":[` + messages + `]}`
}

const (
	hi     = `{"role":"user","content":"Hi"},`
	call   = `{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{ \"a\":1.0}"}}]},`
	result = `{"role":"tool","tool_call_id":"c1","content":"ok"}`
	tools  = `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]`
	png    = "iVBORw0KGgoAAAAN"
)

func shows(part string) string {
	return says(`{"role":"user","content":[{"type":"text","text":"x"},` + part + `]}`)
}

// numbered are n fields that nobody knows.
func numbered(n int) string {
	var fields []string
	for i := range n {
		fields = append(fields, fmt.Sprintf(`"field%d":1`, i))
	}
	return strings.Join(fields, ",")
}

func examples() []example {
	many := func(part string, n int) string { return strings.TrimSuffix(strings.Repeat(part+",", n), ",") }
	picture := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + png + `"}}`
	document := `{"type":"file","file":{"file_data":"data:text/plain;base64,eA=="}}`
	huge := base64.StdEncoding.EncodeToString(append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 4_000_000)...))
	wide := "iVBORw0KGgoAAAANSUhEUgAAIygAAAABCAAAAACWSFqZ" // the header of 9000 × 1
	schema := `"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"why","strict":true,"schema":{"type":"object","properties":{}}}}`
	return []example{
		{path: "/model", body: asks(`"model":"gpt"`), wire: `{"messages":`},
		{path: "/messages", body: says(hi[:len(hi)-1]), wire: `{"messages":[{"role":"user","content":[{"text":"Hi"}]}]`},
		{path: "/messages", body: says(`{"role":"system","content":"A"}`), gap: "system_only /messages/0"},
		{path: "/messages", body: says(`{"role":"assistant","content":"A"},` + hi[:len(hi)-1]), gap: "leading_assistant /messages/0"},
		{path: "/messages", model: opus, body: says(hi + `{"role":"assistant","content":"A"}`), gap: "prefill /messages/1"},
		{path: "/messages", body: says(hi + `{"role":"assistant","content":"A"}`), gap: "prefill_continued /messages/1"},
		{path: "/messages", body: says(hi + `{"role":"assistant","content":"A "}`), gap: "prefill_trimmed /messages/1"},
		{path: "/messages", body: says(hi + `{"role":"assistant","content":"A"}`)[:len(says(hi+`{"role":"assistant","content":"A"}`))-1] + `,` + tools + `}`, gap: "prefill_with_tools /messages/1"},
		{path: "/messages", body: says(hi + call + hi[:len(hi)-1] + `,` + result), gap: "reordered /messages/3"},
		{path: "/messages", model: llama, body: says(hi + call + result + `,{"role":"user","content":"B"}`), gap: "filler_turn /messages/2"},
		{path: "/messages/*/role", body: says(`{"role":"developer","content":"A"},` + hi[:len(hi)-1]), wire: `"system":[{"text":"A"}]`},
		{path: "/messages/*/role", body: says(hi + `{"role":"system","content":"A"}`), gap: "system_reordered /messages/1"},
		{path: "/messages/*/role", model: mixtral, body: says(`{"role":"system","content":"A"},` + hi[:len(hi)-1]), gap: "system_in_user /messages/0"},
		{path: "/messages/*/content", body: says(hi + hi[:len(hi)-1]), gap: "turns_merged /messages/1"},
		{path: "/messages/*/content", body: says(hi[:len(hi)-1]), wire: `[{"text":"Hi"}]`},
		{path: "/messages/*/content", body: says(hi + `{"role":"user","content":" "}`), gap: "blank_message /messages/1"},
		{path: "/messages/*/content", body: says(hi + call + `{"role":"tool","tool_call_id":"c1","content":""}`), gap: "empty_tool_result /messages/2/content"},
		{path: "/messages/*/content/*/type", body: shows(`{"type":"text","text":"y"}`), wire: `{"text":"x"},{"text":"y"}`},
		{path: "/messages/*/content/*/type", body: shows(`{"type":"hologram"}`), gap: "content_part /messages/0/content/1"},
		{path: "/messages/*/content/*/type", body: shows(`{"type":"video_url"}`), gap: "video /messages/0/content/1"},
		{path: "/messages/*/content/*/text", body: shows(`{"type":"text","text":"y"}`), wire: `{"text":"y"}`},
		{path: "/messages/*/content/*/refusal", body: says(hi + `{"role":"assistant","content":[{"type":"refusal","refusal":"No."}]},` + hi[:len(hi)-1]), wire: `{"text":"No."}`},
		{path: "/messages/*/content/*/image_url", body: shows(picture), wire: `{"image":{`},
		{path: "/messages/*/content/*/image_url", model: llama, body: shows(picture), gap: "images /messages/0/content/1"},
		{path: "/messages/*/content/*/image_url", body: says(hi + `{"role":"assistant","content":[` + picture + `]},` + hi[:len(hi)-1]), gap: "image_role /messages/1/content/0"},
		{path: "/messages/*/content/*/image_url", body: shows(many(picture, 21)), gap: "image_count /messages/0/content/21"},
		{path: "/messages/*/content/*/image_url/url", body: shows(picture), wire: `"format":"png","source":{"bytes":"` + png + `"}`},
		{path: "/messages/*/content/*/image_url/url", body: shows(`{"type":"image_url","image_url":{"url":"https://h/x.png"}}`), gap: "image_url /messages/0/content/1"},
		{path: "/messages/*/content/*/image_url/url", body: shows(`{"type":"image_url","image_url":{"url":"data:image/svg+xml,x"}}`), gap: "image_format /messages/0/content/1"},
		{path: "/messages/*/content/*/image_url/url", body: shows(strings.Replace(picture, png, huge, 1)), gap: "image_size /messages/0/content/1"},
		{path: "/messages/*/content/*/image_url/url", body: shows(strings.Replace(picture, png, wide, 1)), gap: "image_pixels /messages/0/content/1"},
		{path: "/messages/*/content/*/image_url/detail", body: shows(strings.Replace(picture, `"url"`, `"detail":"low","url"`, 1)), gap: "image_detail /messages/0/content/1"},
		{path: "/messages/*/content/*/input_audio", model: voxtral, body: shows(`{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}`), wire: `{"audio":{`},
		{path: "/messages/*/content/*/input_audio", body: shows(`{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}`), gap: "input_audio /messages/0/content/1"},
		{path: "/messages/*/content/*/input_audio", model: voxtral, body: says(hi + `{"role":"assistant","content":[{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}]},` + hi[:len(hi)-1]), gap: "input_audio_role /messages/1/content/0"},
		{path: "/messages/*/content/*/input_audio/data", model: voxtral, body: shows(`{"type":"input_audio","input_audio":{"data":"UklG","format":"mp3"}}`), wire: `"source":{"bytes":"UklG"}`},
		{path: "/messages/*/content/*/input_audio/format", model: voxtral, body: shows(`{"type":"input_audio","input_audio":{"data":"UklG","format":"mp3"}}`), wire: `"format":"mp3"`},
		{path: "/messages/*/content/*/input_audio/format", model: voxtral, body: shows(`{"type":"input_audio","input_audio":{"data":"UklG","format":"xyz"}}`), gap: "input_audio_format /messages/0/content/1"},
		{path: "/messages/*/content/*/file", body: shows(document), wire: `{"document":{`},
		{path: "/messages/*/content/*/file", model: micro, body: shows(document), gap: "documents /messages/0/content/1"},
		{path: "/messages/*/content/*/file", body: says(hi + `{"role":"assistant","content":[` + document + `]},` + hi[:len(hi)-1]), gap: "document_role /messages/1/content/0"},
		{path: "/messages/*/content/*/file", body: shows(many(document, 6)), gap: "document_count /messages/0/content/6"},
		{path: "/messages/*/content/*/file", body: says(`{"role":"user","content":[` + document + `]}`), gap: "document_text /messages/0"},
		{path: "/messages/*/content/*/file/file_data", body: shows(document), wire: `"format":"txt","name":"document 1","source":{"bytes":"eA=="}`},
		{path: "/messages/*/content/*/file/file_data", body: shows(strings.Replace(document, "text/plain", "x/y", 1)), gap: "document_format /messages/0/content/1"},
		{path: "/messages/*/content/*/file/file_data", body: shows(strings.Replace(document, "eA==", "", 1)), gap: "document_size /messages/0/content/1"},
		{path: "/messages/*/content/*/file/filename", body: shows(strings.Replace(document, `"file_data"`, `"filename":"a.txt","file_data"`, 1)), gap: "document_name /messages/0/content/1/file/filename"},
		{path: "/messages/*/content/*/file/file_id", body: shows(`{"type":"file","file":{"file_id":"f"}}`), gap: "file_id /messages/0/content/1"},
		{path: "/messages/*/content/*/prompt_cache_breakpoint", body: shows(`{"type":"text","text":"y","prompt_cache_breakpoint":{"mode":"explicit"}}`), gap: "cache_mark /messages/0/content/1/prompt_cache_breakpoint"},
		{path: "/messages/*/content/*/cache_control", body: shows(`{"type":"text","text":"y","cache_control":{"type":"ephemeral"}}`), gap: "cache_mark /messages/0/content/1/cache_control"},
		{path: "/messages/*/name", body: says(`{"role":"user","name":"ann","content":"Hi"}`), gap: "name /messages/0/name"},
		{path: "/messages/*/refusal", body: says(hi + `{"role":"assistant","refusal":"No."},` + hi[:len(hi)-1]), gap: "refusal /messages/1/refusal"},
		{path: "/messages/*/content/*/image_url", model: "openai.gpt-6-sol", body: says(hi + call + `{"role":"tool","tool_call_id":"c1","content":[` + picture + `]}`), gap: "image_in_result /messages/2/content/0"},
		{path: "/messages/*/refusal", body: says(hi + `{"role":"assistant","refusal":"No."},` + hi[:len(hi)-1]), wire: `{"text":"No."}`},
		{path: "/messages/*/audio", body: says(hi + `{"role":"assistant","content":"A","audio":{"id":"a"}},` + hi[:len(hi)-1]), gap: "audio_answer /messages/1/audio"},
		{path: "/messages/*/tool_calls", body: says(hi + call + result), wire: `{"toolUse":{`},
		{path: "/messages/*/tool_calls/*/id", body: says(hi + call + result), wire: `"toolUseId":"c1"`},
		{path: "/messages/*/tool_calls/*/id", body: says(hi + strings.ReplaceAll(call+result, "c1", "c 1")), gap: "tool_id /messages/1/tool_calls/0/id"},
		{path: "/messages/*/tool_calls/*/id", body: says(hi + call + hi[:len(hi)-1]), gap: "missing_tool_result /messages/1/tool_calls/0"},
		{path: "/messages/*/tool_calls/*/type", body: says(hi + call + result), wire: `{"toolUse":{`},
		{path: "/messages/*/tool_calls/*/custom", body: says(hi + `{"role":"assistant","tool_calls":[{"id":"c1","type":"custom","custom":{"name":"f","input":"x"}}]},` + result), gap: "custom_tool_call /messages/1/tool_calls/0"},
		{path: "/messages/*/tool_calls/*/function", body: says(hi + call + result), wire: `"name":"f","input":{ "a":1.0}`},
		{path: "/messages/*/tool_calls/*/function/name", body: says(hi + call + result), wire: `"name":"f"`},
		{path: "/messages/*/tool_calls/*/function/arguments", body: says(hi + call + result), wire: `"input":{ "a":1.0}`},
		{path: "/messages/*/tool_calls/*/function/arguments", body: says(hi + strings.Replace(call, `{ \"a\":1.0}`, `[1`, 1) + result), gap: "tool_arguments /messages/1/tool_calls/0/function/arguments"},
		{path: "/messages/*/tool_calls/*/function/parsed_arguments", body: says(hi + strings.Replace(call, `"name"`, `"parsed_arguments":{"a":1},"name"`, 1) + result), gap: "client_field /messages/1/tool_calls/0/function/parsed_arguments"},
		{path: "/messages/*/tool_calls/*/index", body: says(hi + strings.Replace(call, `"id"`, `"index":0,"id"`, 1) + result), gap: "call_index /messages/1/tool_calls/0/index"},
		{path: "/messages/*/tool_call_id", body: says(hi + call + result), wire: `{"toolResult":{"toolUseId":"c1"`},
		{path: "/messages/*/tool_call_id", body: says(hi + call + result + "," + strings.Replace(result, "c1", "c2", 1)), gap: "orphan_tool_result /messages/3"},
		{path: "/messages/*/function_call", body: says(hi + `{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"ok"}`), gap: "earlier_function_call /messages/1/function_call"},
		{path: "/messages/*/function_call", body: says(hi + `{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"ok"}`), wire: `"toolUseId":"function_call_1"`},
		{path: "/messages/*/function_call/name", body: says(hi + `{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"ok"}`), wire: `"name":"f"`},
		{path: "/messages/*/function_call/arguments", body: says(hi + `{"role":"assistant","function_call":{"name":"f","arguments":"[2]"}},{"role":"function","name":"f","content":"ok"}`), gap: "tool_arguments /messages/1/function_call/arguments"},
		{path: "/messages/*/function_call/name", body: says(hi + `{"role":"assistant","function_call":{"name":"a.b","arguments":"{}"}},{"role":"function","name":"a.b","content":"ok"}`), gap: "tool_name /messages/1/function_call/name"},
		{path: "/messages/*/function_call/arguments", body: says(hi + `{"role":"assistant","function_call":{"name":"f","arguments":"{ \"b\":2}"}},{"role":"function","name":"f","content":"ok"}`), wire: `"input":{ "b":2}`},
		{path: "/messages/*/cache_control", body: says(`{"role":"user","content":"Hi","cache_control":{"type":"ephemeral"}}`), gap: "cache_mark /messages/0/cache_control"},
		{path: "/messages/*/annotations", body: says(hi + `{"role":"assistant","content":"A","annotations":[{"type":"url_citation"}]},` + hi[:len(hi)-1]), gap: "annotations /messages/1/annotations"},
		{path: "/messages/*/parsed", body: says(hi + `{"role":"assistant","content":"A","parsed":{"a":1}},` + hi[:len(hi)-1]), gap: "client_field /messages/1/parsed"},
		{path: "/messages/*/reasoning_content", body: says(hi + `{"role":"assistant","content":"A","reasoning_content":"so"},` + hi[:len(hi)-1]), gap: "earlier_reasoning /messages/1/reasoning_content"},

		{path: "/tools", body: asks(tools), wire: `"toolConfig":{"tools":[{"toolSpec":{"name":"f"`},
		{path: "/tools", model: llama3, body: asks(tools), gap: "tools /tools"},
		{path: "/tools", body: says(hi + call + result), gap: "stub_tools /tools"},
		{path: "/tools/*/type", body: asks(tools), wire: `{"toolSpec":`},
		{path: "/tools/*/type", body: asks(`"tools":[{"type":"web_search"}]`), gap: "tool_type /tools/0"},
		{path: "/tools/*/custom", body: asks(`"tools":[{"type":"custom","custom":{"name":"f"}}]`), gap: "tool_type /tools/0"},
		{path: "/tools/*/function", body: asks(tools), wire: `{"toolSpec":{"name":"f"`},
		{path: "/tools/*/function/name", body: asks(tools), wire: `"name":"g"`},
		{path: "/tools/*/function/name", model: nova, body: asks(`"tools":[{"type":"function","function":{"name":"a-b"}}]`), gap: "tool_name /tools/0/function/name"},
		{path: "/tools/*/function/description", body: asks(`"tools":[{"type":"function","function":{"name":"f","description":"does"}}]`), wire: `"description":"does"`},
		{path: "/tools/*/function/parameters", body: asks(`"tools":[{"type":"function","function":{"name":"f","parameters":{ "type":"object", "x":1.50}}}]`), wire: `"json":{ "type":"object", "x":1.50}`},
		{path: "/tools/*/function/parameters", model: nova, body: asks(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","title":"t"}}}]`), gap: "tool_schema_words /tools/0/function/parameters"},
		{path: "/tools/*/function/parameters", model: nova, body: asks(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","$defs":{}}}}]`), gap: "tool_schema /tools/0/function/parameters"},
		{path: "/tools/*/function/parameters", model: nova, body: asks(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"type":"string"}}}}}]`), gap: "tool_schema_inlined /tools/0/function/parameters",
			wire: `"json":{"type":"object","properties":{"a":{"type":"string"}}}`},
		{path: "/tools/*/function/parameters", model: nova, body: asks(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"$ref":"#/$defs/b"}}}}}]`), gap: "tool_schema_refs /tools/0/function/parameters"},
		{path: "/tools/*/function/strict", model: haiku, body: asks(`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},"additionalProperties":false}}}]`), wire: `"strict":true`},
		{path: "/tools/*/function/strict", body: asks(`"tools":[{"type":"function","function":{"name":"f","strict":true}}]`), gap: "strict /tools/0/function/strict"},
		{path: "/tools/*/cache_control", body: asks(`"tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}]`), gap: "cache_mark /tools/0/cache_control"},
		{path: "/tools/*/function/cache_control", body: asks(`"tools":[{"type":"function","function":{"name":"f","cache_control":{"type":"ephemeral"}}}]`), gap: "cache_mark /tools/0/function/cache_control"},
		{path: "/tool_choice", body: asks(tools + `,"tool_choice":"required"`), wire: `"toolChoice":{"any":{}}`},
		{path: "/tool_choice", body: asks(`"tool_choice":"required"`), gap: "tool_choice_without_tools /tool_choice"},
		{path: "/tool_choice", body: asks(tools + `,"tool_choice":"none"`), gap: "tool_choice_none /tool_choice"},
		{path: "/tool_choice", body: says(hi + call + result)[:len(says(hi+call+result))-1] + `,` + tools + `,"tool_choice":"none"}`, gap: "tool_choice_none_unenforced /tool_choice"},
		{path: "/tool_choice", model: llama, body: asks(tools + `,"tool_choice":"required"`), gap: "required /tool_choice"},
		{path: "/tool_choice", model: llama, body: asks(tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`), gap: "tool_choice_named /tool_choice"},
		{path: "/tool_choice", model: large, body: asks(tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`), gap: "tool_choice_named_any /tool_choice"},
		{path: "/tool_choice", model: haiku, body: asks(tools + `,"tool_choice":"required","reasoning_effort":"low"`), gap: "tool_choice_with_reasoning /tool_choice"},
		{path: "/tool_choice/type", body: asks(tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`), wire: `"toolChoice":{"tool":`},
		{path: "/tool_choice/function", body: asks(tools + `,"tool_choice":{"type":"function","function":{"name":"f"}}`), wire: `"toolChoice":{"tool":`},
		{path: "/tool_choice/function/name", body: asks(tools + `,"tool_choice":{"type":"function","function":{"name":"g"}}`), wire: `"toolChoice":{"tool":{"name":"g"}}`},
		{path: "/tool_choice/allowed_tools", body: asks(tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"g"}}]}}`), gap: "allowed_tools /tool_choice"},
		{path: "/tool_choice/custom", body: asks(tools + `,"tool_choice":{"type":"custom","custom":{"name":"g"}}`), gap: "tool_choice /tool_choice"},
		{path: "/parallel_tool_calls", body: asks(tools + `,"parallel_tool_calls":false`), wire: `"disable_parallel_tool_use":true`},
		{path: "/parallel_tool_calls", model: nova, body: asks(tools + `,"parallel_tool_calls":false`), gap: "parallel_tool_calls /parallel_tool_calls"},
		{path: "/functions", body: asks(`"functions":[{"name":"f"}]`), gap: "functions /functions"},
		{path: "/functions/*/name", body: asks(`"functions":[{"name":"f"}]`), wire: `{"toolSpec":{"name":"f"`},
		{path: "/functions/*/description", body: asks(`"functions":[{"name":"f","description":"does"}]`), wire: `"description":"does"`},
		{path: "/functions/*/parameters", body: asks(`"functions":[{"name":"f","parameters":{ "type":"object"}}]`), wire: `"json":{ "type":"object"}`},
		{path: "/function_call", body: asks(`"functions":[{"name":"f"}],"function_call":"auto"`), gap: "function_call /function_call"},
		{path: "/function_call/name", body: asks(`"functions":[{"name":"f"}],"function_call":{"name":"f"}`), wire: `"toolChoice":{"tool":{"name":"f"}}`},

		{path: "/response_format", body: asks(schema), gap: "json_schema_tool /response_format"},
		{path: "/response_format", model: llama, body: asks(schema), gap: "json_schema /response_format"},
		{path: "/response_format", body: asks(`"response_format":{"type":"grammar"}`), gap: "response_format /response_format"},
		{path: "/response_format/type", body: asks(`"response_format":{"type":"json_object"}`), gap: "json_object /response_format"},
		{path: "/response_format/json_schema", model: haiku, body: asks(schema), wire: `"outputConfig":{"textFormat":{"type":"json_schema"`},
		{path: "/response_format/json_schema/name", model: haiku, body: asks(schema), wire: `"name":"n"`},
		{path: "/response_format/json_schema/description", model: haiku, body: asks(schema), wire: `"description":"why"`},
		{path: "/response_format/json_schema/schema", model: haiku, body: asks(schema), gap: "schema_closed /response_format/json_schema/schema"},
		{path: "/response_format/json_schema/schema", model: haiku, body: asks(strings.Replace(schema, `"properties":{}`, `"additionalProperties":false,"properties":{"a":{"maxLength":3}}`, 1)), gap: "schema_keyword /response_format/json_schema/schema/properties/a/maxLength"},
		{path: "/response_format/json_schema/strict", body: asks(strings.Replace(schema, `"strict":true,`, "", 1)), gap: "schema_enforced /response_format/json_schema/strict"},
		{path: "/response_format/json_schema/strict", body: asks(schema), wire: `"toolChoice":{"tool":{"name":"n"}}`},

		{path: "/max_tokens", body: asks(`"max_tokens":7`), wire: `"maxTokens":7`},
		{path: "/max_tokens", body: asks(`"max_tokens":0`), gap: "max_tokens /max_tokens"},
		{path: "/max_tokens", model: haiku, body: asks(`"max_tokens":100000`), gap: "max_tokens_clamped /max_tokens"},
		{path: "/max_tokens", body: asks(`"max_completion_tokens":8,"max_tokens":7`), gap: "max_tokens_beside /max_tokens"},
		{path: "/max_completion_tokens", body: asks(`"max_completion_tokens":8,"max_tokens":7`), wire: `"maxTokens":8`},
		{path: "/max_completion_tokens", body: says(hi[:len(hi)-1]), gap: "max_tokens_absent /max_completion_tokens"},
		{path: "/temperature", body: asks(`"temperature":0.5`), wire: `"temperature":0.5`},
		{path: "/temperature", body: asks(`"temperature":2`), gap: "temperature /temperature"},
		{path: "/temperature", model: newest, body: asks(`"temperature":0.5`), gap: "sampling /temperature"},
		{path: "/temperature", model: haiku, body: asks(`"temperature":0.5,"reasoning_effort":"low"`), gap: "sampling_with_reasoning /temperature"},
		{path: "/top_p", body: asks(`"top_p":0.5`), wire: `"topP":0.5`},
		{path: "/top_p", body: asks(`"top_p":-1`), gap: "top_p /top_p"},
		{path: "/top_p", model: haiku, body: asks(`"temperature":0.5,"top_p":0.5`), gap: "top_p_beside_temperature /top_p"},
		{path: "/stop", body: asks(`"stop":"END"`), wire: `"stopSequences":["END"]`},
		{path: "/stop", model: llama, body: asks(`"stop":"END"`), gap: "stop /stop"},
		{path: "/stop", body: asks(`"stop":["\n"]`), gap: "stop_blank /stop/0"},
		{path: "/reasoning_effort", model: haiku, body: asks(`"reasoning_effort":"high"`), gap: "reasoning_effort_mapped /reasoning_effort"},
		{path: "/reasoning_effort", body: asks(`"reasoning_effort":"high"`), gap: "reasoning_effort /reasoning_effort"},
		{path: "/reasoning_effort", model: "amazon.nova-2-lite-v1:0", body: asks(`"reasoning_effort":"high"`), gap: "reasoning_effort_lowered /reasoning_effort"},
		{path: "/reasoning_effort", model: "deepseek.r1-v1:0", body: asks(`"reasoning_effort":"high"`), gap: "reasoning_always /reasoning_effort"},
		{path: "/reasoning_effort", model: "anthropic.claude-opus-5-5", body: asks(`"reasoning_effort":"none"`), gap: "reasoning_always /reasoning_effort"},
		{path: "/reasoning_effort", model: haiku, body: asks(`"reasoning_effort":"high","max_tokens":100`), gap: "reasoning_no_room /reasoning_effort"},
		{path: "/reasoning_effort", model: haiku, body: says(hi + call + result)[:len(says(hi+call+result))-1] + `,"reasoning_effort":"high"}`, gap: "reasoning_history /reasoning_effort"},
		{path: "/stream", model: llama, body: asks(tools + `,"stream":true`), gap: "streaming_emulated /stream"},
		{path: "/stream_options", body: asks(`"stream":true,"stream_options":{"include_usage":true}`), wire: `{"messages"`},
		{path: "/stream_options/include_usage", body: asks(`"stream":true,"stream_options":{"include_usage":true}`), wire: `{"messages"`},
		{path: "/stream_options/include_obfuscation", body: asks(`"stream_options":{"include_obfuscation":true}`), gap: "stream_options /stream_options/include_obfuscation"},
		{path: "/metadata", body: asks(`"metadata":{"team":"a"}`), wire: `"requestMetadata":{"team":"a"}`},
		{path: "/metadata", body: asks(`"metadata":{"team":"ü"}`), gap: "metadata /metadata"},
		{path: "/user", body: asks(`"user":"u"`), wire: `"metadata":{"user_id":"0bfe935e`},
		{path: "/user", body: asks(`"user":"u"`), gap: "user_hashed /user"},
		{path: "/user", model: nova, body: asks(`"user":"u"`), gap: "user /user"},
		{path: "/service_tier", body: asks(`"service_tier":"flex"`), gap: "service_tier /service_tier"},
		{path: "/n", body: asks(`"n":2`), gap: "n /n"},
		{path: "/logprobs", body: asks(`"logprobs":true`), gap: "logprobs /logprobs"},
		{path: "/top_logprobs", body: asks(`"top_logprobs":2`), gap: "top_logprobs /top_logprobs"},
		{path: "/logit_bias", body: asks(`"logit_bias":{"1":2}`), gap: "logit_bias /logit_bias"},
		{path: "/audio", body: asks(`"audio":{"voice":"x"}`), gap: "audio /audio"},
		{path: "/modalities", body: asks(`"modalities":["audio"]`), gap: "modalities /modalities"},
		{path: "/web_search_options", body: asks(`"web_search_options":{}`), gap: "web_search_options /web_search_options"},
		{path: "/frequency_penalty", body: asks(`"frequency_penalty":1`), gap: "frequency_penalty /frequency_penalty"},
		{path: "/presence_penalty", body: asks(`"presence_penalty":1`), gap: "presence_penalty /presence_penalty"},
		{path: "/verbosity", body: asks(`"verbosity":"low"`), gap: "verbosity /verbosity"},
		{path: "/moderation", body: asks(`"moderation":{"model":"m"}`), gap: "moderation /moderation"},
		{path: "/seed", body: asks(`"seed":1`), gap: "seed /seed"},
		{path: "/prediction", body: asks(`"prediction":{"type":"content","content":"x"}`), gap: "prediction /prediction"},
		{path: "/safety_identifier", body: asks(`"safety_identifier":"x"`), gap: "safety_identifier /safety_identifier"},
		{path: "/store", body: asks(`"store":true`), gap: "store /store"},
		{path: "/prompt_cache_key", body: asks(`"prompt_cache_key":"x"`), gap: "prompt_cache_key /prompt_cache_key"},
		{path: "/prompt_cache_options", body: asks(`"prompt_cache_options":{"mode":"x"}`), gap: "prompt_cache_options /prompt_cache_options"},
		{path: "/prompt_cache_retention", body: asks(`"prompt_cache_retention":"24h"`), gap: "prompt_cache_retention /prompt_cache_retention"},
		{path: "/data_sources", body: asks(`"data_sources":[{"type":"azure_search"}]`), gap: "data_sources /data_sources"},
		{path: "/user_security_context", body: asks(`"user_security_context":{"end_user_id":"x"}`), gap: "user_security_context /user_security_context"},
		// Only the look at the built request finds this one.
		{path: "", body: asks(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"array"}}}]`), gap: "preflight_tool /tools/0"},
		{path: "", body: asks(`"brand_new":1`), gap: "unknown_field /brand_new"},
		{path: "", body: asks(numbered(300)), gap: "more_gaps "},
	}
}

// TestOutcomes shows what becomes of every field of the table by an example, and
// every kind of gap that a request may have.
func TestOutcomes(t *testing.T) {
	var service *vendorspec.Service
	t.Run("definition", func(t *testing.T) { service = vendorspec.BedrockRuntime(t) })
	shown, reported := map[string]bool{}, map[string]bool{}
	for _, e := range examples() {
		shown[e.path] = true
		if e.model == "" {
			e.model = claude
		}
		f, ok := bedrock.FamilyOf("", e.model)
		if !ok {
			t.Fatalf("no family for %s", e.model)
		}
		req, err := openai.Decode([]byte(e.body))
		if err != nil {
			t.Fatalf("%s: %v", e.body, err)
		}
		tr, err := bedrock.Translate(req, f)
		if err != nil {
			t.Fatalf("%s: %v", e.body, err)
		}
		if !strings.Contains(string(tr.Body), e.wire) {
			t.Errorf("%s: %s is not in %.300s", e.path, e.wire, tr.Body)
		}
		if service != nil && llm.Comparable(tr.Gaps) {
			if faults := service.Check("ConverseRequest", tr.Body); len(faults) > 0 {
				t.Errorf("%s: the service definition: %v", e.path, faults)
			}
		}
		var got []string
		for _, g := range tr.Gaps {
			got, reported[g.Code()] = append(got, g.Code()+" "+g.Path), true
		}
		if e.gap != "" && !slices.Contains(got, e.gap) {
			t.Errorf("%s: no gap %s among %v", e.path, e.gap, got)
		}
	}
	for i := range bedrock.FieldRows {
		r := &bedrock.FieldRows[i]
		if !shown[r.Path()] {
			t.Errorf("%s has no example", r.Path())
		}
	}
	for _, k := range bedrock.GapKinds {
		if !reported[k.Code()] && !strings.HasPrefix(k.Code(), "preflight_") && !answerOnly[k.Code()] {
			t.Errorf("no example reports %s", k.Code())
		}
	}
}

// answerOnly are found in answers; their tests are those of the answers.
var answerOnly = map[string]bool{"tool_choice_none_violated": true, "answer_tool_ignored": true, "beside_answer_tool": true,
	"unknown_stop_reason": true, "server_tool": true, "thinking_in_text": true, "reasoning": true, "media_answer": true, "citations": true, "unknown_block": true}
