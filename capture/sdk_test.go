package capture

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	openaisdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"understudy/llm"
	"understudy/llm/openai"
)

// The official client through the proxy: it reads what it would read directly,
// and the record says the same.
func TestOfficialClient(t *testing.T) {
	call := llm.ToolCall{ID: "call_1", Name: "lookup", Arguments: "{ \"q\":  1.0 }"}
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Stream bool }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if !body.Stream {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(openai.EncodeResponse(&llm.Response{
				ID: "chatcmpl-9", Model: "gpt-4-turbo", ToolCalls: []llm.ToolCall{call}, Finish: llm.FinishToolCalls,
				Usage: &llm.Usage{InputTokens: 5, OutputTokens: 2},
			}, 1700000000))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		e := openai.StreamEncoder{ID: "chatcmpl-9", Model: "gpt-4-turbo", Created: 1700000000, IncludeUsage: true}
		write := func(b []byte) {
			_, _ = w.Write(b)
			w.(http.Flusher).Flush()
		}
		for _, ev := range []llm.Event{
			{Kind: llm.EventText, Text: "Let me "}, {Kind: llm.EventText, Text: "see."}, {Kind: llm.EventCall, ID: call.ID, Name: call.Name},
			{Kind: llm.EventArguments, Text: call.Arguments[:5]}, {Kind: llm.EventArguments, Text: call.Arguments[5:]},
			{Kind: llm.EventFinish, Finish: llm.FinishToolCalls}, {Kind: llm.EventUsage, Usage: llm.Usage{InputTokens: 5, OutputTokens: 2}},
		} {
			write(e.Append(nil, ev))
		}
		write(e.AppendDone(nil))
	})
	r := start(t, up, rigConfig{})
	sdk := openaisdk.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey("sk-0123456789abcdef"), option.WithMaxRetries(0), option.WithHTTPClient(client(t)))
	params := openaisdk.ChatCompletionNewParams{
		Model:    "gpt-4-turbo",
		Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.UserMessage("What is q?")},
		Tools: []openaisdk.ChatCompletionToolUnionParam{openaisdk.ChatCompletionFunctionTool(openaisdk.FunctionDefinitionParam{
			Name: "lookup", Parameters: openaisdk.FunctionParameters{"type": "object"},
		})},
	}
	whole, err := sdk.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if got := whole.Choices[0].Message.ToolCalls[0].Function.Arguments; got != call.Arguments {
		t.Errorf("arguments %q", got)
	}
	stream := sdk.Chat.Completions.NewStreaming(t.Context(), params)
	acc := openaisdk.ChatCompletionAccumulator{}
	for stream.Next() {
		acc.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if m := acc.Choices[0].Message; m.Content != "Let me see." || m.ToolCalls[0].Function.Arguments != call.Arguments {
		t.Errorf("stream gave %q, %q", m.Content, m.ToolCalls[0].Function.Arguments)
	}
	r.settled(2)
	for _, e := range r.shelf.records() {
		answer, err := openai.DecodeResponse(e.Response)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]llm.ToolCall{call}, answer.ToolCalls); d != "" {
			t.Error(d)
		}
		if e.Class != llm.ClassOK || e.Usage == nil || e.Usage.InputTokens != 5 || e.Usage.OutputTokens != 2 || e.Usage.Raw != nil || e.Finish != llm.FinishToolCalls {
			t.Errorf("class %q, usage %v, finish %q", e.Class, e.Usage, e.Finish)
		}
		if e.Headers["x-stainless-lang"] != "go" || strings.Contains(string(compactJSON(t, e)), "sk-0123456789abcdef") {
			t.Errorf("headers %v", e.Headers)
		}
	}
}

func compactJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
