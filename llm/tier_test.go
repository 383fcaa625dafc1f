package llm_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/sim"
)

// TestTiers asks one schema of models of every tier, streamed and whole: the answer
// is the JSON text that OpenAI would give, valid against the schema, whatever way it
// was asked for.
func TestTiers(t *testing.T) {
	const text = `{"type":"object","properties":{"score":{"type":"integer"},"why":{"type":"string"}},"required":["score","why"],"additionalProperties":false}`
	schema := must(jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text))))(t)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", schema); err != nil {
		t.Fatal(err)
	}
	valid := must(compiler.Compile("schema.json"))(t)
	service := must(sim.New(sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"*": {}}}))(t)
	if err := service.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	for model, tier := range map[string]llm.Tier{
		"anthropic.claude-haiku-4-5-20251001-v1:0":  llm.TierNative,
		"anthropic.claude-3-5-sonnet-20240620-v1:0": llm.TierTool,
		"amazon.nova-pro-v1:0":                      llm.TierTool,
		"mistral.mistral-large-2402-v1:0":           llm.TierTool,
		"meta.llama3-3-70b-instruct-v1:0":           llm.TierInstruction,
	} {
		for _, whole := range []bool{false, true} {
			ep := patient()
			ep.Provider, ep.Region, ep.Model, ep.BaseURL = "bedrock", "us-east-1", model, service.URL()
			client := must(bedrock.NewClient(ep, bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "")}, nil))(t)
			req := question("Rate the answer of the candidate.")
			req.Tools, req.Whole = nil, whole
			req.ResponseFormat = &llm.ResponseFormat{Type: "json_schema", Name: "rating", Schema: []byte(text)}
			call := must(client.Prepare(req))(t)
			if call.Tier != tier || !call.Comparable() {
				t.Errorf("%s: tier %s, want %s; gaps %v", model, call.Tier, tier, call.Gaps)
			}
			resp, err := client.Do(t.Context(), call)
			if err != nil || resp.Finish != llm.FinishStop || len(resp.ToolCalls) > 0 {
				t.Fatalf("%s: %+v, %v", model, resp, err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(resp.Text)))
			if err == nil {
				err = valid.Validate(v)
			}
			if err != nil {
				t.Errorf("%s, tier %s: %q: %v", model, tier, resp.Text, err)
			}
		}
	}
}

// TestRestore: what a model does with a hidden tool beside calling it once.
func TestRestore(t *testing.T) {
	req := question("Rate it.")
	req.Tools = nil
	req.ResponseFormat = &llm.ResponseFormat{Type: "json_schema", Name: "rating", Schema: []byte(`{"type":"object"}`)}
	family, _ := bedrock.FamilyOf("claude", "")
	tr := must(bedrock.Translate(req, family))(t)
	call := llm.ToolCall{ID: "t", Name: "rating", Arguments: `{ "a":1}`}
	for name, c := range map[string]struct {
		resp   llm.Response
		text   string
		finish llm.FinishReason
		gap    string
	}{
		"one call":      {llm.Response{ToolCalls: []llm.ToolCall{call}, Finish: llm.FinishToolCalls}, `{ "a":1}`, llm.FinishStop, ""},
		"a word before": {llm.Response{Text: "So:", ToolCalls: []llm.ToolCall{call}, Finish: llm.FinishToolCalls}, `{ "a":1}`, llm.FinishStop, "beside_answer_tool"},
		"two calls":     {llm.Response{ToolCalls: []llm.ToolCall{call, call}, Finish: llm.FinishToolCalls}, `{ "a":1}`, llm.FinishStop, "beside_answer_tool"},
		"no call":       {llm.Response{Text: "I cannot.", Finish: llm.FinishStop}, "I cannot.", llm.FinishStop, "answer_tool_ignored"},
		"cut off":       {llm.Response{ToolCalls: []llm.ToolCall{{Name: "rating", Arguments: `{ "a`}}, Finish: llm.FinishLength}, `{ "a`, llm.FinishLength, ""},
	} {
		tr.Restore(&c.resp)
		gap := ""
		for _, g := range c.resp.Gaps {
			gap = g.Code()
		}
		if c.resp.Text != c.text || c.resp.Finish != c.finish || len(c.resp.ToolCalls) > 0 || gap != c.gap {
			t.Errorf("%s: %+v", name, c.resp)
		}
	}
}

// TestCutAtStop: an answer of a model that takes no stop sequences ends where the
// first of them stands, as it would have.
func TestCutAtStop(t *testing.T) {
	req := question("Go on.")
	req.Stop = []string{"END", "", "\n\n"}
	family, _ := bedrock.FamilyOf("llama", "")
	tr := must(bedrock.Translate(req, family))(t)
	call := llm.ToolCall{ID: "t", Name: "weather", Arguments: "{}"}
	for text, want := range map[string]llm.Response{
		"one\n\ntwo END three": {Text: "one", Finish: llm.FinishStop},
		"one END\n\ntwo":       {Text: "one ", Finish: llm.FinishStop},
		"END":                  {Finish: llm.FinishStop},
		"one":                  {Text: "one", ToolCalls: []llm.ToolCall{call}, Finish: llm.FinishLength},
	} {
		got := llm.Response{Text: text, ToolCalls: []llm.ToolCall{call}, Finish: llm.FinishLength}
		tr.Restore(&got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestThinkingInText: what some models write before their answer is taken out where
// the operator says so.
func TestThinkingInText(t *testing.T) {
	for _, lifted := range []bool{false, true} {
		family, _ := bedrock.FamilyOf("nova", "")
		if lifted {
			family = family.WithCapabilities([]string{"thinking_in_text"})
		}
		tr := must(bedrock.Translate(question("Hi"), family))(t)
		for text, want := range map[string]string{
			"<thinking> The user says hi.</thinking>\n\nHello": "Hello",
			"Hello <thinking>x</thinking>":                     "Hello <thinking>x</thinking>",
			"<thinking>cut off":                                "<thinking>cut off",
		} {
			got := llm.Response{Text: text}
			tr.Restore(&got)
			if !lifted {
				want = text
			}
			if got.Text != want || (len(got.Gaps) > 0) != (want != text) {
				t.Errorf("lifted %t: %q gives %+v", lifted, text, got)
			}
		}
	}
}

// TestRefusalProposes: a model that refuses what its row was lifted to do says so,
// and the call's error proposes to deny it.
func TestRefusalProposes(t *testing.T) {
	service := must(sim.New(sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"*": {}}}))(t)
	if err := service.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	ep := patient()
	ep.Provider, ep.Region, ep.Model, ep.BaseURL = "bedrock", "us-east-1", "anthropic.claude-opus-4-8", service.URL()
	ep.Capabilities = []string{"sampling"}
	client := must(bedrock.NewClient(ep, bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "")}, nil))(t)
	for _, whole := range []bool{false, true} {
		req := question("Hi")
		half := 0.5
		req.Temperature, req.Whole = &half, whole
		_, err := client.Do(t.Context(), must(client.Prepare(req))(t))
		var e *llm.Error
		if !errors.As(err, &e) || e.Class != llm.ClassInvalid || e.Proposal != "!sampling" {
			t.Errorf("whole %t: %+v", whole, err)
		}
	}
}
