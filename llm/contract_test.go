package llm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

// candidates has a model for every row of the family table.
var candidates = []string{
	"anthropic.claude-v2:1", "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-5-haiku-20241022-v1:0",
	"anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-7-sonnet-20250219-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0",
	"anthropic.claude-opus-4-1-20250805-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-opus-4-6-v1",
	"anthropic.claude-opus-4-7", "anthropic.claude-opus-4-8", "anthropic.claude-opus-5-5", "anthropic.claude-opus-9", "anthropic.claude-opus-4-20250514-v1:0",
	"anthropic.claude-unheard", "meta.llama3-70b-instruct-v1:0", "meta.llama4-scout-17b-instruct-v1:0", "meta.llama3-3-70b-instruct-v1:0",
	"mistral.mixtral-8x7b-instruct-v0:1", "mistral.pixtral-large-2502-v1:0", "mistral.mistral-large-3-675b-instruct",
	"mistral.ministral-3-8b-instruct", "mistral.voxtral-mini-3b-2507", "mistral.devstral-2-123b", "mistral.mistral-large-2402-v1:0",
	"amazon.nova-micro-v1:0", "amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0", "deepseek.r1-v1:0", "deepseek.v3-v1:0",
	"cohere.command-r-v1:0", "ai21.jamba-instruct-v1:0", "ai21.jamba-1-5-large-v1:0", "openai.gpt-oss-120b-1:0", "openai.gpt-6-sol",
	"qwen.qwen3-vl-235b-a22b", "qwen.qwen3-32b-v1:0", "moonshotai.kimi-k2.5", "moonshot.kimi-k2-thinking", "zai.glm-4.7",
	"minimax.minimax-m2", "google.gemma-3-12b-it", "google.gemma-3-27b-it", "nvidia.nemotron-nano-12b-v2", "nvidia.nemotron-nano-9b-v2",
	"writer.palmyra-x5-v1:0", "xai.grok-4.6",
}

// A service is the simulator, and the vendor's definition where it is at hand.
type service struct {
	sim        *sim.Server
	definition *vendorspec.Service
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	t.Run("definition", func(t *testing.T) { s.definition = vendorspec.BedrockRuntime(t) })
	var err error
	s.sim, err = sim.New(sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"*": {}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refuses sends a translation and gives the words of a refusal, "" for none.
func (s *service) refuses(model string, tr *bedrock.Translation) string {
	if s.definition != nil {
		if faults := s.definition.Check("ConverseRequest", tr.Body); len(faults) > 0 {
			return strings.Join(faults, "; ")
		}
	}
	operation := "/converse"
	if tr.Streamed {
		operation = "/converse-stream"
	}
	r := httptest.NewRequest(http.MethodPost, "/model/"+url.PathEscape(model)+operation, bytes.NewReader(tr.Body))
	r.Header.Set("Authorization", "Bearer sk-simulated")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.sim.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return w.Body.String()
	}
	return ""
}

// try translates a body for a model and tells whether it is comparable; what is
// must not be refused.
func (s *service) try(t interface{ Fatalf(string, ...any) }, model string, body []byte) bool {
	req, err := openai.Decode(body)
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	family, ok := bedrock.FamilyOf("", model)
	if !ok {
		t.Fatalf("no family for %s", model)
	}
	tr, err := bedrock.Translate(req, family)
	if llm.ClassOf(err) == llm.ClassUntranslatable {
		return false
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", model, err, body)
	}
	if !llm.Comparable(tr.Gaps) {
		for _, g := range tr.Gaps {
			if strings.HasPrefix(g.Reason, "preflight_") {
				t.Fatalf("%s: the translator broke a rule itself: %+v\n%s\n%s", model, g, body, tr.Body)
			}
		}
		return false
	}
	if words := s.refuses(model, tr); words != "" {
		t.Fatalf("%s refuses: %s\nfrom %s\nsent %s\ngaps %v", model, words, body, tr.Body, tr.Gaps)
	}
	return true
}

// TestNothingComparableIsRefused draws requests of every shape and sends what
// their translation for every family gives.
func TestNothingComparableIsRefused(t *testing.T) {
	s := newService(t)
	rapid.Check(t, func(t *rapid.T) {
		body := drawRequest(t)
		s.try(t, rapid.SampledFrom(candidates).Draw(t, "model"), body)
	})
}

// drawRequest draws a request as a client might send it.
func drawRequest(t *rapid.T) []byte {
	text := rapid.SampledFrom([]string{"", " \\n", "Hi", "<b> é \\u2028", "{\\\"a\\\":1}"})
	id := rapid.SampledFrom([]string{"c1", "c2", "abcDEF123", "a b", strings.Repeat("x", 80)})
	tool := rapid.SampledFrom([]string{"f", "get-it", "a.b", "a_b", "größe", strings.Repeat("n", 70)})
	part := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{
			`{"type":"text","text":"` + text.Draw(t, "text") + `"}`,
			`{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUg","detail":"low"}}`,
			`{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,eA=="}}`,
			`{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}`,
			`{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}`,
		}).Draw(t, "part")
	})
	list := func(ss []string) string { return "[" + strings.Join(ss, ",") + "]" }
	message := rapid.Custom(func(t *rapid.T) string {
		plain := `"content":"` + text.Draw(t, "content") + `"`
		switch role := rapid.SampledFrom([]string{"system", "developer", "user", "user", "assistant", "assistant", "tool", "tool"}).Draw(t, "role"); role {
		case "tool":
			return `{"role":"tool","tool_call_id":"` + id.Draw(t, "answers") + `",` + plain + `}`
		case "assistant":
			calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
				arguments := rapid.SampledFrom([]string{"", "{}", ` {\"a\": 1.0}`, "[1]", `{\"a\":`, "null"}).Draw(t, "arguments")
				return `{"id":"` + id.Draw(t, "id") + `","type":"function","function":{"name":"` + tool.Draw(t, "name") + `","arguments":"` + arguments + `"}}`
			}), 0, 2).Draw(t, "calls")
			return `{"role":"assistant",` + plain + `,"tool_calls":` + list(calls) + `}`
		case "user":
			return `{"role":"user","content":` + list(rapid.SliceOfN(part, 0, 3).Draw(t, "parts")) + `}`
		default:
			return `{"role":"` + role + `",` + plain + `}`
		}
	})
	fields := []string{`"messages":` + list(rapid.SliceOfN(message, 1, 9).Draw(t, "messages"))}
	var declared []string
	for _, name := range rapid.SliceOfNDistinct(tool, 0, 4, rapid.ID[string]).Draw(t, "tools") {
		schema := rapid.SampledFrom([]string{`{}`, `{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"additionalProperties":false}`, `{"type":"object","$defs":{"x":{}}}`}).Draw(t, "schema")
		declared = append(declared, `{"type":"function","function":{"name":"`+name+`","description":"`+text.Draw(t, "description")+`","strict":true,"parameters":`+schema+`}}`)
	}
	if len(declared) > 0 {
		fields = append(fields, `"tools":`+list(declared))
		fields = append(fields, rapid.SampledFrom([]string{`"x":1`, `"tool_choice":"auto"`, `"tool_choice":"none"`, `"tool_choice":"required"`, `"parallel_tool_calls":false`,
			`"tool_choice":{"type":"function","function":{"name":"` + tool.Draw(t, "named") + `"}}`, `"tool_choice":{"type":"custom","custom":{"name":"f"}}`,
			`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"` + tool.Draw(t, "allowed") + `"}}]}}`,
			`"tool_choice":"required","parallel_tool_calls":false`}).Draw(t, "choice"))
	}
	options := []string{`"temperature":0.5`, `"temperature":1.9`, `"temperature":-1`, `"top_p":0.9`, `"max_tokens":5000`, `"max_completion_tokens":200000`, `"stop":["a"," "]`, `"stop":["a","b","c","d","e","f","g","h","i","j","k"]`, `"stream":true`,
		`"reasoning_effort":"none"`, `"reasoning_effort":"low"`, `"reasoning_effort":"high"`, `"reasoning_effort":"xhigh"`, `"user":"u"`, `"metadata":{"a":"ü"}`, `"service_tier":"flex"`, `"seed":1`,
		`"response_format":{"type":"json_object"}`,
		`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"string","maxLength":3},"b":{"type":"object"}}}}}`,
		`"response_format":{"type":"json_schema","json_schema":{"name":"n o","schema":{"type":"array"}}}`}
	key := func(s string) string { k, _, _ := strings.Cut(s, ":"); return k }
	fields = append(fields, rapid.SliceOfNDistinct(rapid.SampledFrom(options), 0, 5, key).Draw(t, "options")...)
	return []byte("{" + strings.Join(fields, ",") + "}")
}

// TestRealRequests translates the recorded requests for every family: the
// requests with tools, and those that the traffic maker makes of the rest.
func TestRealRequests(t *testing.T) {
	var bodies [][]byte
	var row struct {
		Request     json.RawMessage
		Instruction string
	}
	for _, line := range vendorspec.Lines(t, "data", "tools", "tools.jsonl.gz") {
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, bytes.Clone(row.Request))
	}
	tools := len(bodies)
	for _, line := range vendorspec.Lines(t, "data", "alpaca", "alpaca.jsonl.gz") {
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		b := llm.AppendJSONString([]byte(`{"model":"gpt-4-turbo","messages":[{"role":"user","content":`), row.Instruction)
		bodies = append(bodies, append(b, `}]}`...))
	}
	s := newService(t)
	if tools != 300 || len(bodies) != 837 {
		t.Fatalf("%d requests with tools, %d in all", tools, len(bodies))
	}
	for _, model := range candidates {
		family, _ := bedrock.FamilyOf("", model)
		for i, body := range bodies {
			comparable := s.try(t, model, body)
			if want := i >= tools || family.Tools; comparable != want {
				t.Fatalf("%s, request %d: comparable %t, want %t", model, i, comparable, want)
			}
		}
	}
}

// TestCandidatesCoverTheTable keeps the list above complete.
func TestCandidatesCoverTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, model := range candidates {
		f, ok := bedrock.FamilyOf("", model)
		if !ok {
			t.Errorf("no family for %s", model)
		}
		seen[fmt.Sprint(f.Name, f.Models)] = true
	}
	for _, name := range bedrock.FamilyNames() {
		if f, ok := bedrock.FamilyOf(name, ""); ok && !seen[fmt.Sprint(f.Name, f.Models)] {
			t.Errorf("no candidate is of the row %s %v", f.Name, f.Models)
		}
	}
}
