package bedrock

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// brief writes a gap as "severity action path code".
func brief(gaps []llm.Gap) []string {
	var got []string
	for _, g := range gaps {
		code, _, _ := strings.Cut(g.Reason, ":")
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
			`{"messages":[%user],"system":[{"text":"Late."}]}`, []string{"cosmetic approximated /messages/1 system_reordered"}, false},
		{"a family without system text", mixtral, llm.Request{Messages: []llm.Message{say("system", "A"), say("system", "B"), hi}},
			`{"messages":[{"role":"user","content":[{"text":"A\n\nB"},{"text":"Hi"}]}]}`, []string{"semantic emulated /messages/0 system_in_user"}, false},
		{"system alone", claude, llm.Request{Messages: []llm.Message{say("system", "A")}},
			`{"messages":[{"role":"user","content":[{"text":"A"}]}]}`, []string{"semantic emulated /messages/0 system_only"}, false},
		{"neighbours of one role are merged", claude, llm.Request{Messages: []llm.Message{hi, say("user", "there"), say("assistant", "a"), say("assistant", ""), say("assistant", "b"), say("user", "<c>")}},
			`{"messages":[{"role":"user","content":[{"text":"Hi"},{"text":"there"}]},{"role":"assistant","content":[{"text":"a"},{"text":"b"}]},{"role":"user","content":[{"text":"<c>"}]}]}`,
			[]string{"cosmetic dropped /messages/3 blank_message"}, false},
		{"the assistant opens", claude, llm.Request{Messages: []llm.Message{say("assistant", "Welcome."), hi}},
			`{"messages":[{"role":"user","content":[{"text":"(start of the conversation)"}]},{"role":"assistant","content":[{"text":"Welcome."}]},%user]}`,
			[]string{"semantic emulated /messages/0 leading_assistant"}, false},
		{"prefill", claude, llm.Request{Messages: []llm.Message{hi, say("assistant", "{")}},
			`{"messages":[%user,{"role":"assistant","content":[{"text":"{"}]}]}`, []string{"blocking refused /messages/1 prefill"}, false},
		{"names of speakers", claude, llm.Request{Messages: []llm.Message{{Role: "user", Name: "ann", Parts: hi.Parts}}},
			`{"messages":[%user]}`, []string{"semantic dropped /messages/0/name name"}, false},
		{"results go before text, in the calls' order", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callFG, answering("c2", "two"), answering("c1", "one"), say("user", "and?")}},
			`{"messages":[%user,` + useFG + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}]}},{"toolResult":{"toolUseId":"c2","content":[{"text":"two"}]}},{"text":"and?"}]}` + config, nil, false},
		{"a result after the user's word", claude, llm.Request{Tools: both, Messages: []llm.Message{hi, callF, say("user", "wait"), answering("c1", "one")}},
			`{"messages":[%user,` + useF + `,{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}]}},{"text":"wait"}]}` + config, nil, false},
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
				`{"role":"user","content":[{"toolResult":{"toolUseId":"call_c8687a08aa5d6ed2044328fa","content":[{"text":"1"}]}},{"toolResult":{"toolUseId":"call_dfca4cbd62a6e28a09628df0","content":[{"text":"2"}]}}]}` + config, nil, false},
		{"nine letters for Mistral", large, llm.Request{Tools: both, Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "call_1", Name: "f"}, llm.ToolCall{ID: "abcDEF123", Name: "g"}), answering("abcDEF123", "2"), answering("call_1", "1")}},
			`{"messages":[%user,{"role":"assistant","content":[{"toolUse":{"toolUseId":"%id","name":"f","input":{}}},{"toolUse":{"toolUseId":"abcDEF123","name":"g","input":{}}}]},` +
				`{"role":"user","content":[{"toolResult":{"toolUseId":"%id","content":[{"text":"1"}]}},{"toolResult":{"toolUseId":"abcDEF123","content":[{"text":"2"}]}}]}` + config,
			[]string{"cosmetic emulated /stream streaming_emulated"}, true},
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
			`{"messages":[%user],"inferenceConfig":{"maxTokens":9,"temperature":0.7,"topP":1,"stopSequences":["END"]}}`, []string{"semantic dropped /stop stop_blank"}, false},
		{"temperature is clamped", claude, one(llm.Request{Temperature: ptr(1.6)}), `{"messages":[%user],"inferenceConfig":{"temperature":1}}`, []string{"semantic approximated /temperature temperature"}, false},
		{"no stop sequences on Llama", llama, one(llm.Request{Stop: []string{"a", "b"}}), `{"messages":[%user]}`, []string{"semantic dropped /stop stop"}, false},
		{"auto is left out", claude, choice("auto", ""), withTools + `}}`, nil, false},
		{"required", claude, choice("required", ""), withTools + `,"toolChoice":{"any":{}}}}`, nil, false},
		{"named", nova, choice("tool", "g"), withTools + `,"toolChoice":{"tool":{"name":"g"}}}}`, nil, false},
		{"none without history", claude, choice("none", ""), `{"messages":[%user]}`, []string{"cosmetic approximated /tool_choice tool_choice_none"}, false},
		{"required on Llama", llama, choice("required", ""), withTools + `}}`, []string{"semantic approximated /tool_choice required", emulated}, true},
		{"named on Mistral", large, choice("tool", "g"), withTools + `,"toolChoice":{"any":{}}}}`, []string{"semantic approximated /tool_choice tool_choice_named", emulated}, true},
		{"the only tool, named, on Mistral", large, one(llm.Request{Tools: tools[:1], ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"}}), `{"messages":[%user],"toolConfig":{"tools":[` + fSpec + `],"toolChoice":{"any":{}}}}`, []string{emulated}, true},
		{"allowed tools", claude, one(llm.Request{Tools: tools, ToolChoice: llm.ToolChoice{Mode: "other"}, Extra: map[string]json.RawMessage{
			"tool_choice": json.RawMessage(`{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}`)}}),
			`{"messages":[%user],"toolConfig":{"tools":[` + gSpec + `],"toolChoice":{"any":{}}}}`, []string{"cosmetic approximated /tool_choice allowed_tools"}, false},
		{"one call at most, Claude", claude, one(llm.Request{Tools: tools, ParallelToolCalls: ptr(false), ToolChoice: llm.ToolChoice{Mode: "tool", Name: "f"}}),
			withTools + `,"toolChoice":{"tool":{"name":"f"}}},"additionalModelRequestFields":{"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}}`, nil, false},
		{"one call at most, auto", claude, one(llm.Request{Tools: tools, ParallelToolCalls: ptr(false)}),
			withTools + `},"additionalModelRequestFields":{"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}}`, nil, false},
		{"one call at most, others", nova, one(llm.Request{Tools: tools, ParallelToolCalls: ptr(false)}), withTools + `}}`, []string{"semantic dropped /parallel_tool_calls parallel_tool_calls"}, false},
		{"tools on a family without", llama3, choice("", ""), `{"messages":[%user]}`, []string{"blocking refused /tools tools"}, false},
		{"tools of another type", claude, one(llm.Request{Tools: []llm.Tool{{Other: json.RawMessage(`{"type":"web_search"}`), Path: "/tools/0"}}}), `{"messages":[%user]}`, []string{"blocking refused /tools/0 tool_type"}, false},
		{"strict", claude, one(llm.Request{Tools: []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{ }`), Strict: ptr(true), Path: "/tools/0"}}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{}}}}}]}}`, []string{"semantic dropped /tools/0/function/strict strict"}, false},
		{"a name outside the form", claude, one(llm.Request{Tools: []llm.Tool{{Name: "a_b", Path: "/tools/0"}, {Name: "a.b", Path: "/tools/1"}}, ToolChoice: llm.ToolChoice{Mode: "tool", Name: "a.b"}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"a_b","inputSchema":{"json":{"type":"object","properties":{}}}}},{"toolSpec":{"name":"a_b_2e7336dc","inputSchema":{"json":{"type":"object","properties":{}}}}}],"toolChoice":{"tool":{"name":"a_b_2e7336dc"}}}}`,
			[]string{"cosmetic approximated /tools/1/function/name tool_name"}, false},
		{"no dashes on Nova", nova, one(llm.Request{Tools: []llm.Tool{{Name: "a-b", Path: "/tools/0"}}}),
			`{"messages":[%user],"toolConfig":{"tools":[{"toolSpec":{"name":"a_b","inputSchema":{"json":{"type":"object","properties":{}}}}}]}}`, []string{"cosmetic approximated /tools/0/function/name tool_name"}, false},
		{"a JSON object", claude, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_object"}}),
			`{"messages":[%user],"system":[{"text":"Answer with one JSON object and nothing else: no words before or after it, no code fence."}]}`, []string{"semantic emulated /response_format json_object"}, false},
		{"a JSON schema without system text", mixtral, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"b":1, "a":2}`)}}),
			`{"messages":[{"role":"user","content":[{"text":"Answer with one JSON value and nothing else: no words before or after it, no code fence. It must be valid against this JSON Schema:\n{\"b\":1, \"a\":2}"},{"text":"Hi"}]}]}`,
			[]string{"semantic emulated /response_format json_schema"}, false},
		{"fields that ask for nothing", claude, one(llm.Request{ResponseFormat: &llm.ResponseFormat{Type: "text"}, Extra: raw("n", "1", "logprobs", "false", "logit_bias", "{ }", "frequency_penalty", "0", "store", "false", "service_tier", `"auto"`, "modalities", `[ "text" ]`)}),
			`{"messages":[%user]}`, nil, false},
		{"fields that cannot be expressed", claude, one(llm.Request{Extra: raw("n", "2", "logprobs", "true", "seed", "7", "presence_penalty", "0.5", "user", `"u"`, "brand/new", "1")}),
			`{"messages":[%user]}`, []string{"semantic dropped /brand~1new unknown_field", "blocking refused /logprobs logprobs", "blocking refused /n n",
				"semantic dropped /presence_penalty presence_penalty", "cosmetic dropped /seed seed", "cosmetic dropped /user user"}, false},
	}
}

func raw(pairs ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

func partCases() []translation {
	png := []byte("\x89PNG\r\n\x1a\nrest")
	show := func(parts ...llm.Part) llm.Request {
		return llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: append(parts, llm.Part{Kind: llm.PartText, Text: "what?"})}}}
	}
	image := func(img llm.Image) llm.Part {
		return llm.Part{Kind: llm.PartImage, Image: &img, Path: "/messages/0/content/0"}
	}
	other := func(path, raw string) llm.Part {
		return llm.Part{Kind: llm.PartOther, Path: path, Raw: json.RawMessage(raw)}
	}
	refused := `{"messages":[{"role":"user","content":[{"text":"(not sent)"},{"text":"what?"}]}]}`
	plain := `{"messages":[{"role":"user","content":[{"text":"what?"}]}]}`
	return []translation{
		{"the bytes decide the format", claude, show(image(llm.Image{MediaType: "image/jpg", Data: png})),
			`{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"iVBORw0KGgpyZXN0"}}},{"text":"what?"}]}]}`, nil, false},
		{"detail", claude, show(image(llm.Image{Data: []byte("\xff\xd8\xff"), Detail: "low"})),
			`{"messages":[{"role":"user","content":[{"image":{"format":"jpeg","source":{"bytes":"/9j/"}}},{"text":"what?"}]}]}`, []string{"cosmetic dropped /messages/0/content/0 image_detail"}, false},
		{"no images on this family", llama, show(image(llm.Image{Data: png})), refused, []string{"blocking refused /messages/0/content/0 images"}, false},
		{"an address", claude, show(image(llm.Image{URL: "https://x.example/a.png"})), refused, []string{"blocking refused /messages/0/content/0 image_url"}, false},
		{"an unknown format", claude, show(image(llm.Image{MediaType: "image/png", Data: []byte("<svg/>")})), refused, []string{"blocking refused /messages/0/content/0 image_format"}, false},
		{"too large", claude, show(image(llm.Image{Data: append(png, make([]byte, maxImageBytes)...)})), refused, []string{"blocking refused /messages/0/content/0 image_size"}, false},
		{"sound", claude, show(other("/messages/0/content/0", `{"type":"input_audio"}`)), refused, []string{"blocking refused /messages/0/content/0 input_audio"}, false},
		{"a marker for caches", claude, show(other("/messages/0/content/0/cache_control", `{"type":"ephemeral"}`)), plain, []string{"cosmetic dropped /messages/0/content/0/cache_control cache_control"}, false},
		{"an unknown field", claude, show(other("/messages/0/reasoning_content", `"x"`)), plain, []string{"semantic dropped /messages/0/reasoning_content unknown_field"}, false},
		{"an unknown field that holds nothing", claude, show(other("/messages/0/annotations", `[]`)), plain, nil, false},
		{"earlier sound", claude, show(other("/messages/0/audio", `{"id":"a"}`)), refused, []string{"blocking refused /messages/0/audio audio"}, false},
	}
}

func TestTranslate(t *testing.T) {
	for group, cases := range map[string][]translation{"messages": messageCases(), "options": optionCases(), "parts": partCases()} {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
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
