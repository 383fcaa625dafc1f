package bedrock

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/vendorspec"
	"understudy/llm"
)

func ptr[T any](v T) *T { return &v }

func say(role llm.Role, text string) llm.Message {
	return llm.Message{Role: role, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}}
}

func calling(calls ...llm.ToolCall) llm.Message {
	return llm.Message{Role: llm.RoleAssistant, ToolCalls: calls}
}

func answering(id, text string) llm.Message {
	m := say(llm.RoleTool, text)
	m.ToolCallID = id
	return m
}

func family(t testing.TB, name, model string) Family {
	t.Helper()
	f, ok := FamilyOf(name, model)
	if !ok {
		t.Fatalf("no family %q for %q", name, model)
	}
	return f
}

// brief writes a gap as "severity action path code". That a limit is missing is
// left out: most requests here have none.
func brief(gaps []llm.Gap) []string {
	var got []string
	for _, g := range gaps {
		code := g.Code()
		if code == limitAbsent.code {
			continue
		}
		got = append(got, strings.Join([]string{string(g.Severity), string(g.Action), g.Path, code}, " "))
	}
	return got
}

const (
	claude  = "anthropic.claude-3-5-sonnet-20240620-v1:0"
	llama   = "meta.llama3-3-70b-instruct-v1:0"
	llama3  = "meta.llama3-70b-instruct-v1:0"
	mixtral = "mistral.mixtral-8x7b-instruct-v0:1"
	large   = "mistral.mistral-large-2402-v1:0"
	nova    = "amazon.nova-pro-v1:0"
	opus    = "anthropic.claude-opus-4-6-v1"
	newest  = "anthropic.claude-opus-4-8"
	haiku   = "anthropic.claude-haiku-4-5-20251001-v1:0"
	deep    = "deepseek.v3-v1:0"
	oss     = "openai.gpt-oss-120b-1:0"
	voxtral = "mistral.voxtral-mini-3b-2507"
)

var (
	fTool = llm.Tool{Name: "f", Parameters: json.RawMessage(`{ "type":"object", "z":1.0,"a":[]}`), Path: "/tools/0"}
	gTool = llm.Tool{Name: "g", Description: " ", Path: "/tools/1"}
)

const (
	fSpec = `{"toolSpec":{"name":"f","inputSchema":{"json":{ "type":"object", "z":1.0,"a":[]}}}}`
	gSpec = `{"toolSpec":{"name":"g","inputSchema":{"json":{"type":"object","properties":{}}}}}`
)

type translation struct {
	name, model string
	req         llm.Request
	body        string // with %user for a first user turn that says Hi
	gaps        []string
	whole       bool // Converse, not ConverseStream
}

var hi = say(llm.RoleUser, "Hi")

func messageCases() []translation {
	callF := calling(llm.ToolCall{ID: "c1", Name: "f", Arguments: `{ "b":1.0, "a":"é" }`})
	callFG := calling(llm.ToolCall{ID: "c1", Name: "f", Arguments: ``}, llm.ToolCall{ID: "c2", Name: "g", Arguments: `null`})
	useF := `{"role":"assistant","content":[{"toolUse":{"toolUseId":"c1","name":"f","input":{ "b":1.0, "a":"é" }}}]}`
	useFG := `{"role":"assistant","content":[{"toolUse":{"toolUseId":"c1","name":"f","input":{}}},{"toolUse":{"toolUseId":"c2","name":"g","input":{}}}]}`
	both := []llm.Tool{fTool, gTool}
	config := `],"toolConfig":{"tools":[` + fSpec + `,` + gSpec + `]}}`
	return []translation{
		{"system is hoisted, blanks dropped", claude, llm.Request{Messages: []llm.Message{say("system", "Be brief."), say("system", " \n"), hi}},
			`{"messages":[%user],"system":[{"text":"Be brief."}]}`, []string{"cosmetic dropped /messages/1 blank_message"}, false},
		{"system in the middle", claude, llm.Request{Messages: []llm.Message{hi, say("system", "Late.")}},
			`{"messages":[%user],"system":[{"text":"Late."}]}`, []string{"semantic approximated /messages/1 system_reordered"}, false},
		{"a family without system text", mixtral, llm.Request{Messages: []llm.Message{say("system", "A"), say("system", "B"), hi}},
			`{"messages":[{"role":"user","content":[{"text":"A\n\nB"},{"text":"Hi"}]}]}`, []string{"semantic emulated /messages/0 system_in_user"}, false},
		{"system alone", claude, llm.Request{Messages: []llm.Message{say("system", "A")}},
			`{"messages":[{"role":"user","content":[{"text":"A"}]}]}`, []string{"semantic emulated /messages/0 system_only"}, false},
		{"neighbours of one role are merged", claude, llm.Request{Messages: []llm.Message{hi, say("user", "there"), say("assistant", "a"), say("assistant", ""), say("assistant", "b"), say("user", "<c>")}},
			`{"messages":[{"role":"user","content":[{"text":"Hi"},{"text":"there"}]},{"role":"assistant","content":[{"text":"a"},{"text":"b"}]},{"role":"user","content":[{"text":"<c>"}]}]}`,
			[]string{"cosmetic approximated /messages/1 turns_merged", "cosmetic dropped /messages/3 blank_message", "cosmetic approximated /messages/4 turns_merged"}, false},
		{"the assistant opens", claude, llm.Request{Messages: []llm.Message{say("assistant", "Welcome."), hi}},
			`{"messages":[{"role":"user","content":[{"text":"(start of the conversation)"}]},{"role":"assistant","content":[{"text":"Welcome."}]},%user]}`,
			[]string{"semantic emulated /messages/0 leading_assistant"}, false},
		{"prefill", claude, llm.Request{Messages: []llm.Message{hi, say("assistant", "{")}},
			`{"messages":[%user,{"role":"assistant","content":[{"text":"{"}]}]}`, []string{"semantic approximated /messages/1 prefill_continued"}, false},
		{"prefill with white space", claude, llm.Request{Messages: []llm.Message{hi, say("assistant", "{ \n")}},
			`{"messages":[%user,{"role":"assistant","content":[{"text":"{"}]}]}`, []string{"semantic approximated /messages/1 prefill_continued", "cosmetic approximated /messages/1 prefill_trimmed"}, false},
		{"prefill where it is not taken", opus, llm.Request{Messages: []llm.Message{hi, say("assistant", "{")}},
			`{"messages":[%user,{"role":"assistant","content":[{"text":"{"}]}]}`, []string{"blocking refused /messages/1 prefill"}, false},
		{"a call without an answer at the end", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callF}}, `{"messages":[%user,` + useF + config,
			[]string{"blocking refused /messages/1 prefill"}, false},
		{"text and calls apart", llama, llm.Request{Tools: both, Messages: []llm.Message{hi, {Role: "assistant", Parts: say("", "So:").Parts, ToolCalls: callF.ToolCalls}, answering("c1", "one")}},
			`{"messages":[%user,{"role":"assistant","content":[{"text":"So:"}]},{"role":"user","content":[{"text":"(go on)"}]},` + useF + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}]}}]}` + config,
			[]string{"semantic emulated /messages/1 filler_turn", "cosmetic emulated /stream streaming_emulated"}, true},
		{"names of speakers", claude, llm.Request{Messages: []llm.Message{{Role: "user", Name: "ann", Parts: hi.Parts}}},
			`{"messages":[%user]}`, []string{"semantic dropped /messages/0/name name"}, false},
		{"results go before text, in the calls' order", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callFG, answering("c2", "two"), answering("c1", "one"), say("user", "and?")}},
			`{"messages":[%user,` + useFG + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}]}},{"toolResult":{"toolUseId":"c2","content":[{"text":"two"}]}},{"text":"and?"}]}` + config, nil, false},
		{"a result after the user's word", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callF, say("user", "wait"), answering("c1", "one")}},
			`{"messages":[%user,` + useF + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}]}},{"text":"wait"}]}` + config, []string{"semantic approximated /messages/3 reordered"}, false},
		{"a missing and an orphan result", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callF, answering("zz", "one")}},
			`{"messages":[%user,` + useF + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"(no result)"}],"status":"error"}},{"text":"Result of an earlier tool call:"},{"text":"one"}]}` + config,
			[]string{"semantic emulated /messages/1/tool_calls/0 missing_tool_result", "semantic approximated /messages/2 orphan_tool_result"}, false},
		{"an empty result", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callF, answering("c1", "")}},
			`{"messages":[%user,` + useF + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"(empty)"}]}}]}` + config,
			[]string{"cosmetic approximated /messages/2/content empty_tool_result"}, false},
		{"results and text apart", llama, llm.Request{Tools: both, Messages: []llm.Message{hi, callF, answering("c1", "one"), say("user", "and?")}},
			`{"messages":[%user,` + useF + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}]}}]},{"role":"assistant","content":[{"text":"(tool results received)"}]},{"role":"user","content":[{"text":"and?"}]}` + config,
			[]string{"semantic emulated /messages/2 filler_turn", "cosmetic emulated /stream streaming_emulated"}, true},
		{"arguments that are no object", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "c1", Name: "f", Arguments: `{"a":`}), answering("c1", "x")}},
			`{"messages":[%user,{"role":"assistant","content":[{"toolUse":{"toolUseId":"c1","name":"f","input":{"_raw":"{\"a\":"}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"x"}]}}]}` + config,
			[]string{"semantic approximated /messages/1/tool_calls/0/function/arguments tool_arguments"}, false},
		{"history without tools", claude, llm.Request{Messages: []llm.Message{hi, callFG, answering("c1", "1"), answering("c2", "2")}},
			`{"messages":[%user,` + useFG + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"1"}]}},{"toolResult":{"toolUseId":"c2","content":[{"text":"2"}]}}]}],"toolConfig":{"tools":[` +
				strings.ReplaceAll(gSpec, `"g"`, `"f"`) + `,` + gSpec + `]}}`, []string{"semantic emulated /tools stub_tools"}, false},
		{"ids outside the form, and twice the same", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "a b", Name: "f"}, llm.ToolCall{ID: "a b", Name: "g"}), answering("a b", "1"), answering("a b", "2")}},
			`{"messages":[%user,{"role":"assistant","content":[{"toolUse":{"toolUseId":"call_c8687a08aa5d6ed2044328fa","name":"f","input":{}}},{"toolUse":{"toolUseId":"call_dfca4cbd62a6e28a09628df0","name":"g","input":{}}}]},` +
				`{"role":"user","content":[{"toolResult":{"toolUseId":"call_c8687a08aa5d6ed2044328fa","content":[{"text":"1"}]}},{"toolResult":{"toolUseId":"call_dfca4cbd62a6e28a09628df0","content":[{"text":"2"}]}}]}` + config,
			[]string{"cosmetic approximated /messages/1/tool_calls/0/id tool_id", "cosmetic approximated /messages/1/tool_calls/1/id tool_id"}, false},
		{"nine letters for Mistral", large, llm.Request{Tools: both, Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "call_1", Name: "f"}, llm.ToolCall{ID: "abcDEF123", Name: "g"}), answering("abcDEF123", "2"), answering("call_1", "1")}},
			`{"messages":[%user,{"role":"assistant","content":[{"toolUse":{"toolUseId":"%id","name":"f","input":{}}},{"toolUse":{"toolUseId":"abcDEF123","name":"g","input":{}}}]},` +
				`{"role":"user","content":[{"toolResult":{"toolUseId":"%id","content":[{"text":"1"}]}},{"toolResult":{"toolUseId":"abcDEF123","content":[{"text":"2"}]}}]}` + config,
			[]string{"cosmetic approximated /messages/1/tool_calls/0/id tool_id", "cosmetic emulated /stream streaming_emulated"}, true},
	}
}

func optionCases() []translation {
	tools := []llm.Tool{fTool, gTool}
	withTools := `{"messages":[%user],"toolConfig":{"tools":[` + fSpec + `,` + gSpec + `]`
	one := func(r llm.Request) llm.Request { r.Messages = []llm.Message{hi}; return r }
	choice := func(mode, name string) llm.Request {
		return one(llm.Request{Tools: tools, ToolChoice: llm.ToolChoice{Mode: mode, Name: name}})
	}
	emulated := "cosmetic emulated /stream streaming_emulated"
	return []translation{
		{"sampling", claude, one(llm.Request{MaxTokens: ptr(9), Temperature: ptr(0.7), TopP: ptr(1.0), Stop: []string{"END", " "}}),
			`{"messages":[%user],"inferenceConfig":{"maxTokens":9,"temperature":0.7,"topP":1,"stopSequences":["END"]}}`, []string{"semantic dropped /stop/1 stop_blank"}, false},
		{"temperature is clamped", claude, one(llm.Request{Temperature: ptr(1.6)}), `{"messages":[%user],"inferenceConfig":{"temperature":1}}`, []string{"semantic approximated /temperature temperature"}, false},
		{"no stop sequences on Llama", llama, one(llm.Request{Stop: []string{"a", "b"}}), `{"messages":[%user]}`, []string{"semantic emulated /stop stop"}, false},
		{"auto is left out", claude, choice("auto", ""), withTools + `}}`, nil, false},
		{"required", claude, choice("required", ""), withTools + `,"toolChoice":{"any":{}}}}`, nil, false},
		{"named", claude, choice("tool", "g"), withTools + `,"toolChoice":{"tool":{"name":"g"}}}}`, nil, false},
		{"none without history", claude, choice("none", ""), `{"messages":[%user]}`, []string{"semantic approximated /tool_choice tool_choice_none"}, false},
		{"required on Llama", llama, choice("required", ""), withTools + `}}`, []string{"semantic approximated /tool_choice required", emulated}, true},
		{"named on Mistral", large, choice("tool", "g"), withTools + `,"toolChoice":{"any":{}}}}`, []string{"semantic approximated /tool_choice tool_choice_named_any", emulated}, true},
		{"the only tool, named, on Mistral", large, one(llm.Request{Tools: tools[:1], ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"}}), `{"messages":[%user],"toolConfig":{"tools":[` + fSpec + `],"toolChoice":{"any":{}}}}`, []string{emulated}, true},
		{"allowed tools", claude, one(llm.Request{Tools: tools, ToolChoice: llm.ToolChoice{Mode: "other"}, Extra: extra("/tool_choice",
			`{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}`)}),
			`{"messages":[%user],"toolConfig":{"tools":[` + gSpec + `],"toolChoice":{"any":{}}}}`, []string{"semantic approximated /tool_choice allowed_tools"}, false},
		{"one call at most, Claude", claude, one(llm.Request{Tools: tools, ParallelToolCalls: ptr(false), ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"}}),
			withTools + `,"toolChoice":{"tool":{"name":"f"}}},"additionalModelRequestFields":{"tool_choice":{"disable_parallel_tool_use":true}}}`, nil, false},
		{"one call at most, auto", claude, one(llm.Request{Tools: tools, ParallelToolCalls: ptr(false)}),
			withTools + `},"additionalModelRequestFields":{"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}}`, nil, false},
		{"one call at most, others", deep, one(llm.Request{Tools: tools, ParallelToolCalls: ptr(false)}), withTools + `}}`, []string{"semantic dropped /parallel_tool_calls parallel_tool_calls"}, false},
		{"tools on a family without", llama3, choice("", ""), `{"messages":[%user]}`, []string{"blocking refused /tools tools"}, false},
		{"tools of another type", claude, one(llm.Request{Tools: []llm.Tool{{Other: json.RawMessage(`{"type":"web_search"}`), Path: "/tools/0"}}}), `{"messages":[%user]}`, []string{"blocking refused /tools/0 tool_type"}, false},
		{"strict", claude, one(llm.Request{Tools: []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{ }`), Strict: ptr(true), Path: "/tools/0"}}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{}}}}}]}}`, []string{"semantic dropped /tools/0/function/strict strict"}, false},
		{"a name outside the form", claude, one(llm.Request{Tools: []llm.Tool{{Name: "a_b", Path: "/tools/0"}, {Name: "a.b", Path: "/tools/1"}}, ToolChoice: llm.ToolChoice{Mode: "tool", Name: "a.b"}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"a_b","inputSchema":{"json":{"type":"object","properties":{}}}}},{"toolSpec":{"name":"a_b_2e7336dc","inputSchema":{"json":{"type":"object","properties":{}}}}}],"toolChoice":{"tool":{"name":"a_b_2e7336dc"}}}}`,
			[]string{"cosmetic approximated /tools/1/function/name tool_name"}, false},
		{"only the plain top of a schema on Nova", nova, one(llm.Request{Tools: []llm.Tool{
			{Name: "f", Parameters: json.RawMessage(`{ "$schema":"x", "properties":{ "a":{} } ,"type":"object" }`), Path: "/tools/0"},
			{Name: "g", Parameters: json.RawMessage(`{"type":"object","$defs":{}}`), Path: "/tools/1"}}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"properties":{ "a":{} },"type":"object"}}}},{"toolSpec":{"name":"g","inputSchema":{"json":{"type":"object"}}}}]}}`,
			[]string{"cosmetic dropped /tools/0/function/parameters tool_schema_words", "semantic dropped /tools/1/function/parameters tool_schema"}, false},
		{"strict where it is taken", haiku, one(llm.Request{Tools: []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`), Strict: ptr(true), Path: "/tools/0"}}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{},"additionalProperties":false}},"strict":true}}]}}`, nil, false},
		{"one of temperature and top_p", haiku, one(llm.Request{Temperature: ptr(0.5), TopP: ptr(0.9)}), `{"messages":[%user],"inferenceConfig":{"temperature":0.5}}`,
			[]string{"semantic dropped /top_p top_p_beside_temperature"}, false},
		{"none of temperature and top_p", newest, one(llm.Request{Temperature: ptr(0.5), TopP: ptr(0.9)}), `{"messages":[%user]}`,
			[]string{"semantic dropped /temperature sampling", "semantic dropped /top_p sampling"}, false},
		{"the model's own limit", "anthropic.claude-3-haiku-20240307-v1:0", one(llm.Request{MaxTokens: ptr(9000)}), `{"messages":[%user],"inferenceConfig":{"maxTokens":4096}}`,
			[]string{"semantic approximated /max_completion_tokens max_tokens_clamped"}, false},
		{"a limit of nothing", claude, one(llm.Request{MaxTokens: ptr(0)}), `{"messages":[%user]}`, []string{"semantic dropped /max_completion_tokens max_tokens"}, false},
		{"reasoning by budget", haiku, one(llm.Request{Effort: "high", MaxTokens: ptr(8000), Temperature: ptr(0.5), Tools: tools[:1], ToolChoice: llm.ToolChoice{Mode: "required"}}),
			`{"messages":[%user],"inferenceConfig":{"maxTokens":8000},"toolConfig":{"tools":[` + fSpec + `]},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":4096}}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_mapped", "semantic approximated /tool_choice tool_choice_with_reasoning", "semantic dropped /temperature sampling_with_reasoning"}, false},
		{"reasoning within the limit", haiku, one(llm.Request{Effort: "high", MaxTokens: ptr(2000)}),
			`{"messages":[%user],"inferenceConfig":{"maxTokens":2000},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1999}}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_mapped"}, false},
		{"no room for reasoning", haiku, one(llm.Request{Effort: "low", MaxTokens: ptr(500)}), `{"messages":[%user],"inferenceConfig":{"maxTokens":500}}`,
			[]string{"semantic dropped /reasoning_effort reasoning_no_room"}, false},
		{"no reasoning inside a call", haiku, llm.Request{Effort: "low", Tools: tools, Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "c1", Name: "f"}), answering("c1", "x")}},
			`{"messages":[%user,{"role":"assistant","content":[{"toolUse":{"toolUseId":"c1","name":"f","input":{}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"x"}]}}]}` + withTools[len(`{"messages":[%user`):] + `}}`,
			[]string{"semantic dropped /reasoning_effort reasoning_history"}, false},
		{"reasoning by effort", newest, one(llm.Request{Effort: "xhigh", Tools: tools[:1], ToolChoice: llm.ToolChoice{Mode: "required"}}),
			`{"messages":[%user],"toolConfig":{"tools":[` + fSpec + `],"toolChoice":{"any":{}}},"additionalModelRequestFields":{"thinking":{"type":"adaptive"}},"outputConfig":{"effort":"xhigh"}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_mapped"}, false},
		{"an effort that the model does not know", opus, one(llm.Request{Effort: "xhigh"}), `{"messages":[%user],"additionalModelRequestFields":{"thinking":{"type":"adaptive"}},"outputConfig":{"effort":"high"}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_mapped"}, false},
		{"a JSON schema beside tools that may not be called", claude, one(llm.Request{Tools: tools[1:], ToolChoice: llm.ToolChoice{Mode: "none"}, ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"type":"object"}`)}}),
			`{"messages":[%user],"system":[{"text":"Answer with one JSON value and nothing else: no words before or after it, no code fence. It must be valid against this JSON Schema:\n{\"type\":\"object\"}"}]}`,
			[]string{"semantic approximated /tool_choice tool_choice_none", "semantic emulated /response_format json_schema"}, false},
		{"a JSON schema after calls", claude, llm.Request{Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "c1", Name: "f"}), answering("c1", "x")}, Tools: tools[:1], ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"type":"object"}`)}},
			`{"messages":[%user,{"role":"assistant","content":[{"toolUse":{"toolUseId":"c1","name":"f","input":{}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"x"}]}}]}],` +
				`"system":[{"text":"Answer with one JSON value and nothing else: no words before or after it, no code fence. It must be valid against this JSON Schema:\n{\"type\":\"object\"}"}],"toolConfig":{"tools":[` + fSpec + `]}}`,
			[]string{"semantic emulated /response_format json_schema"}, false},
		{"reasoning on Nova 2", "amazon.nova-2-lite-v1:0", one(llm.Request{Effort: "high"}), `{"messages":[%user],"additionalModelRequestFields":{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"medium"}}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_lowered"}, false},
		{"reasoning on open weights", oss, one(llm.Request{Effort: "minimal"}), `{"messages":[%user],"additionalModelRequestFields":{"reasoning_effort":"low"}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_mapped"}, false},
		{"reasoning in a nested field", "openai.gpt-6-sol", one(llm.Request{Effort: "none"}), `{"messages":[%user],"additionalModelRequestFields":{"reasoning":{"effort":"none"}}}`, nil, false},
		{"reasoning on DeepSeek", deep, one(llm.Request{Effort: "low"}), `{"messages":[%user],"additionalModelRequestFields":{"reasoning_config":"low"}}`,
			[]string{"semantic approximated /reasoning_effort reasoning_effort_mapped"}, false},
		{"a model that always reasons", "deepseek.r1-v1:0", one(llm.Request{Effort: "low"}), `{"messages":[%user]}`, []string{"semantic dropped /reasoning_effort reasoning_always"}, false},
		{"a model that never reasons", claude, one(llm.Request{Effort: "low"}), `{"messages":[%user]}`, []string{"semantic dropped /reasoning_effort reasoning_effort"}, false},
		{"an effort that is not known", oss, one(llm.Request{Effort: "galactic"}), `{"messages":[%user]}`, []string{"semantic dropped /reasoning_effort reasoning_effort"}, false},
		{"who and what for", claude, one(llm.Request{User: "u", ServiceTier: "flex", Metadata: map[string]string{"team": "a b", "ü": "x\"", "": "y"}}),
			`{"messages":[%user],"additionalModelRequestFields":{"metadata":{"user_id":"0bfe935e70c321c7ca3afc75ce0d0ca2f98b5422e008bb31c00c6d7f1f1c0ad6"}},"requestMetadata":{"team":"a b","_":"x_"}}`,
			[]string{"cosmetic approximated /user user_hashed", "cosmetic dropped /service_tier service_tier", "cosmetic approximated /metadata metadata"}, false},
		{"a user elsewhere", nova, one(llm.Request{User: "u"}), `{"messages":[%user]}`, []string{"cosmetic dropped /user user"}, false},
		{"a JSON schema, native", haiku, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Name: "n", Description: "d", Schema: json.RawMessage(`{ "type":"object","properties":{"a":{"type":"integer","minimum":1,"description":"An age."}},"additionalProperties":false}`)}}),
			`{"messages":[%user],"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"description\":\"An age. (minimum: 1)\"}},\"additionalProperties\":false}","name":"n","description":"d"}}}}}`,
			[]string{"semantic approximated /response_format/json_schema/schema/properties/a/minimum schema_keyword", "semantic approximated /response_format/json_schema/strict schema_enforced"}, false},
		{"a JSON schema, hidden tool", claude, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Name: "n", Schema: json.RawMessage(`{ "type":"object"}`)}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"n","description":"Gives the answer to the user. Always call it, exactly once, with the whole answer.","inputSchema":{"json":{ "type":"object"}}}}],"toolChoice":{"tool":{"name":"n"}}}}`,
			[]string{"semantic emulated /response_format json_schema_tool", "semantic approximated /response_format/json_schema/strict schema_enforced"}, false},
		{"a JSON schema beside tools", claude, one(llm.Request{Tools: tools[1:], ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"type":"object"}`)}}),
			`{"messages":[%user],"system":[{"text":"Answer with one JSON value and nothing else: no words before or after it, no code fence. It must be valid against this JSON Schema:\n{\"type\":\"object\"}"}],"toolConfig":{"tools":[` + gSpec + `]}}`,
			[]string{"semantic emulated /response_format json_schema"}, false},
		{"no dashes on Nova", nova, one(llm.Request{Tools: []llm.Tool{{Name: "a-b", Path: "/tools/0"}}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"a_b","inputSchema":{"json":{"type":"object","properties":{}}}}}]}}`, []string{"cosmetic approximated /tools/0/function/name tool_name"}, false},
		{"a JSON object", claude, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_object"}}),
			`{"messages":[%user],"system":[{"text":"Answer with one JSON object and nothing else: no words before or after it, no code fence."}]}`, []string{"semantic emulated /response_format json_object"}, false},
		{"a JSON schema without system text", mixtral, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"b":1, "a":2}`)}}),
			`{"messages":[{"role":"user","content":[{"text":"Answer with one JSON value and nothing else: no words before or after it, no code fence. It must be valid against this JSON Schema:\n{\"b\":1, \"a\":2}"},{"text":"Hi"}]}]}`,
			[]string{"semantic emulated /response_format json_schema"}, false},
		{"fields that ask for nothing", claude, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "text"}, ServiceTier: "auto", Effort: "none", Extra: extra("/n", "1", "/logprobs", "false", "/logit_bias", "{ }", "/frequency_penalty", "0", "/store", "false", "/modalities", `[ "text" ]`, "/messages/0/annotations", "[]")}),
			`{"messages":[%user]}`, nil, false},
		{"fields that cannot be expressed", claude, one(llm.Request{Extra: extra("/brand~1new", "1", "/logprobs", "true", "/messages/0/content/0/cache_control", `{"type":"ephemeral"}`, "/messages/0/other", "1",
			"/n", "2", "/presence_penalty", "0.5", "/seed", "7", "/tools/0/function/why", "{}", "/web_search_options", "{}")}),
			`{"messages":[%user]}`, []string{"semantic dropped /brand~1new unknown_field", "blocking refused /logprobs logprobs",
				"cosmetic dropped /messages/0/content/0/cache_control cache_mark", "semantic dropped /messages/0/other unknown_field", "blocking refused /n n",
				"semantic dropped /presence_penalty presence_penalty", "cosmetic dropped /seed seed", "semantic dropped /tools/0/function/why unknown_field",
				"blocking refused /web_search_options web_search_options"}, false},
	}
}

// extra makes fields of pairs of path and raw value.
func extra(pairs ...string) (fields []llm.Field) {
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, llm.Field{Path: pairs[i], Raw: json.RawMessage(pairs[i+1])})
	}
	return fields
}

func partCases() []translation {
	header := []byte("\x89PNG\r\n\x1a\nrest")
	show := func(parts ...llm.Part) llm.Request {
		return llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: append(parts, llm.Part{Kind: llm.PartText, Text: "what?"})}}}
	}
	picture := func(img llm.Image) llm.Part {
		return llm.Part{Kind: llm.PartImage, Image: &img, Path: "/messages/0/content/0"}
	}
	other := func(path, raw string) llm.Part {
		return llm.Part{Kind: llm.PartOther, Path: path, Raw: json.RawMessage(raw)}
	}
	file := func(name, mediaType, data string) llm.Part {
		return llm.Part{Kind: llm.PartFile, File: &llm.File{Name: name, MediaType: mediaType, Data: []byte(data)}, Path: "/messages/0/content/0"}
	}
	refused := `{"messages":[{"role":"user","content":[{"text":"(not sent)"},{"text":"what?"}]}]}`
	return []translation{
		{"the bytes decide the format", claude, show(picture(llm.Image{MediaType: "image/jpg", Data: header})),
			`{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"iVBORw0KGgpyZXN0"}}},{"text":"what?"}]}]}`, nil, false},
		{"detail", claude, show(picture(llm.Image{Data: []byte("\xff\xd8\xff"), Detail: "low"})),
			`{"messages":[{"role":"user","content":[{"image":{"format":"jpeg","source":{"bytes":"/9j/"}}},{"text":"what?"}]}]}`, []string{"semantic dropped /messages/0/content/0 image_detail"}, false},
		{"no images on this family", llama, show(picture(llm.Image{Data: header})), refused, []string{"blocking refused /messages/0/content/0 images"}, false},
		{"an address", claude, show(picture(llm.Image{URL: "https://x.example/a.png"})), refused, []string{"blocking refused /messages/0/content/0 image_url"}, false},
		{"an unknown format", claude, show(picture(llm.Image{MediaType: "image/png", Data: []byte("<svg/>")})), refused, []string{"blocking refused /messages/0/content/0 image_format"}, false},
		{"too large", claude, show(picture(llm.Image{Data: append(header, make([]byte, maxImageBytes)...)})), refused, []string{"blocking refused /messages/0/content/0 image_size"}, false},
		{"too many pixels", claude, show(picture(llm.Image{Data: pngOf(9000, 1)})), refused, []string{"blocking refused /messages/0/content/0 image_pixels"}, false},
		{"a part of unknown type", claude, show(other("/messages/0/content/0", `{"type":"hologram"}`)), refused, []string{"blocking refused /messages/0/content/0 content_part"}, false},
		{"a video", claude, show(other("/messages/0/content/0", `{"type":"video_url"}`)), refused, []string{"blocking refused /messages/0/content/0 video"}, false},
		{"speech", voxtral, show(llm.Part{Kind: llm.PartAudio, Audio: &llm.Audio{Format: "wav", Data: []byte("RIFF")}, Path: "/messages/0/content/0"}),
			`{"messages":[{"role":"user","content":[{"audio":{"format":"wav","source":{"bytes":"UklGRg=="}}},{"text":"what?"}]}]}`, nil, false},
		{"speech where none is taken", claude, show(llm.Part{Kind: llm.PartAudio, Audio: &llm.Audio{Format: "wav", Data: []byte("RIFF")}, Path: "/messages/0/content/0"}),
			refused, []string{"blocking refused /messages/0/content/0 input_audio"}, false},
		{"documents have neutral names", claude, show(file("Q3 (final).PDF", "application/pdf", "%PDF-1"), file("", "text/csv", "a,b")),
			`{"messages":[{"role":"user","content":[{"document":{"format":"pdf","name":"document 1","source":{"bytes":"JVBERi0x"}}},{"document":{"format":"csv","name":"document 2","source":{"bytes":"YSxi"}}},{"text":"what?"}]}]}`,
			[]string{"semantic approximated /messages/0/content/0/file/filename document_name"}, false},
		{"a document by its extension, alone", claude, llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{file("a.md", "", "# A")}}}},
			`{"messages":[{"role":"user","content":[{"document":{"format":"md","name":"document 1","source":{"bytes":"IyBB"}}},{"text":"(see the document)"}]}]}`,
			[]string{"semantic approximated /messages/0/content/0/file/filename document_name", "semantic emulated /messages/0 document_text"}, false},
		{"a document that lies at OpenAI", claude, show(llm.Part{Kind: llm.PartFile, File: &llm.File{ID: "file-1"}, Path: "/messages/0/content/0"}), refused,
			[]string{"blocking refused /messages/0/content/0 file_id"}, false},
		{"a document of an unknown format", claude, show(file("a.odt", "", "PK")), refused, []string{"blocking refused /messages/0/content/0 document_format"}, false},
		{"an empty document", claude, show(file("a.txt", "", "")), refused, []string{"blocking refused /messages/0/content/0 document_size"}, false},
		{"no documents on this family", nova[:len("amazon.nova-")] + "micro-v1:0", show(file("a.txt", "", "x")), refused, []string{"blocking refused /messages/0/content/0 documents"}, false},
	}
}

// pngOf is a picture of one colour.
func pngOf(width, height int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// awsDefinition is the definition of the service, where it is at hand.
type awsDefinition struct{ service *vendorspec.Service }

// check gives nothing where the definition is not here; the sub-test "definition" skips then.
func (d awsDefinition) check(body []byte) []string {
	if d.service == nil {
		return nil
	}
	return d.service.Check("ConverseRequest", body)
}

func readDefinition(t *testing.T) (d awsDefinition) {
	t.Helper()
	t.Run("definition", func(t *testing.T) { d.service = vendorspec.BedrockRuntime(t) })
	return d
}

func TestTranslate(t *testing.T) {
	service := readDefinition(t)
	for group, cases := range map[string][]translation{"messages": messageCases(), "options": optionCases(), "parts": partCases()} {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				c.req.Stream = true
				tr, err := Translate(&c.req, family(t, "", c.model))
				if err != nil {
					t.Fatal(err)
				}
				want := strings.NewReplacer("%user", `{"role":"user","content":[{"text":"Hi"}]}`, "%id", mistralIDOf(t, tr.Body)).Replace(c.body)
				if string(tr.Body) != want {
					t.Errorf("body\n got %s\nwant %s", tr.Body, want)
				}
				if diff := cmp.Diff(c.gaps, brief(tr.Gaps)); diff != "" {
					t.Errorf("gaps (-want +got):\n%s", diff)
				}
				if faults := service.check(tr.Body); len(faults) > 0 && llm.Comparable(tr.Gaps) {
					t.Errorf("the service definition: %v", faults)
				}
				if tr.Streamed == c.whole {
					t.Errorf("streamed: %t", tr.Streamed)
				}
				again, err := Translate(&c.req, family(t, "", c.model))
				if err != nil || string(again.Body) != string(tr.Body) {
					t.Errorf("the second time: %v\n%s", err, again.Body)
				}
			})
		}
	}
}

// mistralIDOf is the first tool id of a body where it has Mistral's form.
func mistralIDOf(t *testing.T, body []byte) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(body), `"toolUseId":"`)
	if id, _, _ := strings.Cut(rest, `"`); ok && len(id) == 9 && validID(id) && !strings.ContainsAny(id, "_-") {
		return id
	}
	return "no id of nine letters"
}

func TestTranslateRefusesNothing(t *testing.T) {
	for name, messages := range map[string][]llm.Message{"no message": nil, "blank ones": {say("system", " "), say("user", "\n"), say("assistant", "")}} {
		_, err := Translate(&llm.Request{Messages: messages}, family(t, "", claude))
		if llm.ClassOf(err) != llm.ClassUntranslatable {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNoneWithHistory(t *testing.T) {
	req := &llm.Request{Tools: []llm.Tool{fTool}, ToolChoice: llm.ToolChoice{Mode: "none"},
		Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "c1", Name: "f"}), answering("c1", "x")}}
	tr, err := Translate(req, family(t, "", claude))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"semantic approximated /tool_choice tool_choice_none_unenforced"}; !cmp.Equal(brief(tr.Gaps), want) || tr.Tools != 1 || !tr.noCalls {
		t.Errorf("gaps %v, %d tools, noCalls %t", brief(tr.Gaps), tr.Tools, tr.noCalls)
	}
}
