package llm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// TestRoundTrip: what an application asks and gets over OpenAI's wire is the same
// when it goes to Converse and back, for what both can express: the earlier calls
// with their ids, names and argument bytes, and the answer's text and calls, whole
// or streamed in pieces of any size.
//
// What goes out to the application is held against OpenAI's definition as well, where
// that is at hand.
func TestRoundTrip(t *testing.T) {
	var answer, chunk *jsonschema.Schema
	t.Run("definition", func(t *testing.T) {
		vendor := vendorspec.ReadOpenAI(t)
		answer, chunk = vendor.Schema(t, "CreateChatCompletionResponse"), vendor.Schema(t, "CreateChatCompletionStreamResponse")
	})
	names := []string{"f", "get-it", "a.b", "a_b", "größe", strings.Repeat("n", 70), "a b"}
	arguments := rapid.SampledFrom([]string{"{}", `{ "z" : 1.50, "a":1e2 }`, `{"s":"\u00e9\n <&>","n":null,"l":[{}]}`, `{"b":1,"a":2,"b":3}`})
	text := rapid.SampledFrom([]string{"", "Hi", "So:\n", "<b> é 𝄞 \u2028 \"q\""})
	id := rapid.SampledFrom([]string{"call_1", "tooluse_x", "abcDEF123", "a b", strings.Repeat("x", 80)})
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.SampledFrom([]string{"anthropic.claude-3-5-sonnet-20240620-v1:0", "mistral.mistral-large-2402-v1:0", "amazon.nova-pro-v1:0", "meta.llama3-3-70b-instruct-v1:0"}).Draw(t, "model")
		family, _ := bedrock.FamilyOf("", model)
		draw := func(label string) (calls []llm.ToolCall) {
			for range rapid.IntRange(0, 3).Draw(t, label) {
				calls = append(calls, llm.ToolCall{ID: id.Draw(t, "id"), Name: rapid.SampledFrom(names).Draw(t, "name"), Arguments: arguments.Draw(t, "arguments")})
			}
			return calls
		}
		asked := request()
		asked.Tools = nil
		for _, n := range names {
			asked.Tools = append(asked.Tools, llm.Tool{Name: n})
		}
		history := draw("history")
		if len(history) > 0 {
			asked.Messages = append(asked.Messages, llm.Message{Role: llm.RoleAssistant, ToolCalls: history})
			for _, c := range history {
				asked.Messages = append(asked.Messages, llm.Message{Role: llm.RoleTool, ToolCallID: c.ID, Parts: []llm.Part{{Kind: llm.PartText, Text: "ok"}}})
			}
		}
		req := must(openai.Decode(openai.EncodeRequest(asked, "m")))(t)
		tr := must(bedrock.Translate(req, family))(t)
		sent := readSent(t, tr)
		if diff := cmp.Diff(history, sent.calls, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the earlier calls (-want +got):\n%s", diff)
		}
		want := &llm.Response{Text: text.Draw(t, "text"), ToolCalls: draw("calls"), Finish: llm.FinishStop, Usage: &llm.Usage{InputTokens: 5, OutputTokens: 2}}
		for i := range want.ToolCalls { // a model makes ids of its own
			want.ToolCalls[i].ID = "tooluse_" + string(rune('a'+i))
		}
		if len(want.ToolCalls) > 0 {
			want.Finish = llm.FinishToolCalls
		}
		check := func(how string, got *llm.Response, err error) {
			if err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(llm.Response{}, "NativeFinish", "ID", "Model"), countsAlone); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", how, diff)
			}
		}
		whole, err := bedrock.DecodeAnswer(sent.whole(want))
		tr.Restore(whole)
		check("whole", whole, err)
		written := openai.EncodeResponse(whole, 1)
		if answer != nil {
			if err := vendorspec.Validate(answer, written); err != nil {
				t.Fatalf("%v\n%s", err, written)
			}
		}
		back, err := openai.DecodeResponse(written)
		check("whole, written and read", back, err)

		var out []byte
		enc := openai.StreamEncoder{ID: "c", IncludeUsage: true}
		s := bedrock.Stream{Emit: func(ev llm.Event) {
			ev.Name = tr.ToolName(ev.Name)
			out = enc.Append(out, ev)
		}}
		for _, line := range sent.lines(t, want) {
			if err := s.Line([]byte(line)); err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		for event := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
			if chunk == nil {
				break
			}
			if err := vendorspec.Validate(chunk, []byte(strings.TrimPrefix(event, "data: "))); err != nil {
				t.Fatalf("%v\n%s", err, event)
			}
		}
		var asm openai.Assembler
		_, _ = asm.Write(enc.AppendDone(out))
		check("streamed, written and read", asm.Response(), asm.Close())
	})
}

// sent is what the model sees of a request.
type sent struct {
	names map[string]string // of tools: the request's to the wire's
	calls []llm.ToolCall    // earlier ones, in the request's terms
}

func readSent(t *rapid.T, tr *bedrock.Translation) sent {
	var body struct {
		Messages []struct {
			Content []struct {
				ToolUse *struct {
					ToolUseID, Name string
					Input           json.RawMessage
				}
			}
		}
		ToolConfig struct {
			Tools []struct{ ToolSpec struct{ Name string } }
		}
	}
	if err := json.Unmarshal(tr.Body, &body); err != nil {
		t.Fatal(err)
	}
	s := sent{names: map[string]string{}}
	for _, tool := range body.ToolConfig.Tools {
		s.names[tr.ToolName(tool.ToolSpec.Name)] = tool.ToolSpec.Name
	}
	for _, m := range body.Messages {
		for _, k := range m.Content {
			if u := k.ToolUse; u != nil {
				s.calls = append(s.calls, llm.ToolCall{ID: tr.CallID(u.ToolUseID), Name: tr.ToolName(u.Name), Arguments: string(u.Input)})
			}
		}
	}
	return s
}

func quoted(s string) string { return string(llm.AppendJSONString(nil, s)) }

const wireUsage = `{"inputTokens":5,"outputTokens":2,"totalTokens":7}`

// whole is the answer as Converse gives it.
func (s sent) whole(r *llm.Response) []byte {
	var blocks []string
	if r.Text != "" {
		blocks = append(blocks, `{"text":`+quoted(r.Text)+`}`)
	}
	for _, c := range r.ToolCalls {
		blocks = append(blocks, `{"toolUse":{"toolUseId":"`+c.ID+`","name":"`+s.names[c.Name]+`","input":`+c.Arguments+`}}`)
	}
	return []byte(`{"output":{"message":{"role":"assistant","content":[` + strings.Join(blocks, ",") + `]}},"stopReason":"end_turn","usage":` + wireUsage + `}`)
}

// lines is the answer as ConverseStream gives it, in pieces of drawn sizes; the
// calls' pieces interleave, and usage comes before or after the end.
func (s sent) lines(t *rapid.T, r *llm.Response) []string {
	lines := []string{`{"messageStart":{"role":"assistant"}}`}
	for rest := r.Text; rest != ""; {
		n := 1
		for n < len(rest) && (rest[n]&0xC0 == 0x80 || rapid.Bool().Draw(t, "more")) {
			n++
		}
		lines = append(lines, `{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":`+quoted(rest[:n])+`}}}`)
		rest = rest[n:]
	}
	var pieces []string
	for i, c := range r.ToolCalls {
		at := `"contentBlockIndex":` + string(rune('1'+i))
		lines = append(lines, `{"contentBlockStart":{`+at+`,"start":{"toolUse":{"toolUseId":"`+c.ID+`","name":"`+s.names[c.Name]+`"}}}}`)
		if c.Arguments == "{}" && rapid.Bool().Draw(t, "silent") {
			continue
		}
		cut := rapid.IntRange(0, len(c.Arguments)).Draw(t, "cut")
		for cut < len(c.Arguments) && c.Arguments[cut]&0xC0 == 0x80 {
			cut++
		}
		lines = append(lines, `{"contentBlockDelta":{`+at+`,"delta":{"toolUse":{"input":`+quoted(c.Arguments[:cut])+`}}}}`)
		pieces = append(pieces, `{"contentBlockDelta":{`+at+`,"delta":{"toolUse":{"input":`+quoted(c.Arguments[cut:])+`}}}}`)
	}
	lines = append(lines, pieces...)
	stop, usage := `{"messageStop":{"stopReason":"end_turn"}}`, `{"metadata":{"usage":`+wireUsage+`}}`
	if rapid.Bool().Draw(t, "usage first") {
		stop, usage = usage, stop
	}
	return append(lines, stop, usage)
}
