package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"understudy/internal/vendorspec"
)

func TestTranslateToConverse(t *testing.T) {
	body := `{"messages":[{"role":"user","content":"<Hi>"}],"max_tokens":5,"tools":[{"type":"function","function":{"name":"f","parameters":{ "type":"object", "x":1.50}}}],"logprobs":true}`
	stdout, stderr, code := inEmptyDir(t, body, "translate", "--to", "converse", "--model", "us.anthropic.claude-3-5-sonnet-20240620-v1:0")
	want := `{"api":"chat","model_id":"us.anthropic.claude-3-5-sonnet-20240620-v1:0","operation":"ConverseStream","structured_output":null,"request":{"messages":[{"role":"user","content":[{"text":"<Hi>"}]}],` +
		`"inferenceConfig":{"maxTokens":5},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{ "type":"object", "x":1.50}}}}]}},` +
		`"gaps":[{"path":"/logprobs","severity":"blocking","action":"refused","reason":"logprobs: not available on Converse"}],` +
		`"family":{"models":["anthropic.claude-3-5"],"name":"claude","source":"AWS feature table of Converse, read 2025-08 to 2026-11"},"comparable":false}` + "\n"
	if stdout != want || stderr != "" || code != exitOK {
		t.Errorf("code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	stdout, _, code = inEmptyDir(t, `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":5}`, "translate", "--to", "converse", "--family", "llama")
	if !strings.Contains(stdout, `"model_id":null,`) || !strings.Contains(stdout, `,"gaps":[],"family":{"models":[],"name":"llama",`) || !strings.HasSuffix(stdout, `,"comparable":true}`+"\n") || code != exitOK {
		t.Errorf("code %d, stdout\n%s", code, stdout)
	}
	stdout, _, _ = inEmptyDir(t, `{"messages":[{"role":"user","content":"Hi"}],"stop":"x"}`, "translate", "--to", "converse", "--family", "llama", "--capability", "stop_sequences")
	if !strings.Contains(stdout, `"stopSequences":["x"]`) {
		t.Errorf("a lifted limit: %s", stdout)
	}
}

func TestTranslateRefuses(t *testing.T) {
	cases := []struct{ name, input, code, path string }{
		{"no JSON", `{"messages":[{"role":"user",`, "untranslatable", "/messages/0"},
		{"a wrong type", `{"messages":[{"role":"user","content":7}]}`, "untranslatable", "/messages/0/content"},
		{"nothing to send", `{"messages":[]}`, "untranslatable", "/messages"},
		{"the other API", `{"model":"m","input":"Hi"}`, "unsupported_api", "/input"},
	}
	for _, c := range cases {
		stdout, _, code := inEmptyDir(t, c.input, "translate", "--to", "converse")
		var out struct {
			Error struct{ Code, Path, Message string }
		}
		if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != exitFailed || out.Error.Code != c.code || out.Error.Path != c.path || out.Error.Message == "" {
			t.Errorf("%s: code %d, %v, %s", c.name, code, err, stdout)
		}
	}
	for name, input := range map[string]string{"no JSON": `x`, "no output": `{"stopReason":"end_turn"}`, "a broken call": `{"output":{"message":{"content":[]}},"stopReason":"malformed_tool_use"}`} {
		stdout, _, code := inEmptyDir(t, input, "translate", "--to", "openai")
		if !strings.HasPrefix(stdout, `{"error":{"code":"malformed`) || code != exitFailed {
			t.Errorf("%s: code %d, %s", name, code, stdout)
		}
	}
	stdout, _, code := inEmptyDir(t, `{"__type":"com.amazon#ThrottlingException","message":"slow down"}`, "translate", "--to", "openai")
	if !strings.HasPrefix(stdout, `{"error":{"code":"ThrottlingException"`) || code != exitFailed {
		t.Errorf("an error of the service: code %d, %s", code, stdout)
	}
	for name, args := range map[string][]string{"nowhere": {}, "elsewhere": {"--to", "mars"}, "an unknown family": {"--to", "converse", "--family", "none"}, "another form": {"--to", "openai", "--api", "responses"},
		"a flag of the other direction": {"--to", "converse", "--stream"}, "usage without a stream": {"--to", "openai", "--include-usage"},
		"a family that does not fit": {"--to", "converse", "--family", "llama", "--model", "anthropic.claude-v2"}, "an unknown ability": {"--to", "converse", "--capability", "flying"}} {
		if _, _, code := inEmptyDir(t, `{}`, append([]string{"translate"}, args...)...); code != exitUsage {
			t.Errorf("%s: code %d", name, code)
		}
	}
}

const (
	startLine = `{"messageStart":{"role":"assistant"}}`
	textLine  = `{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hel"}}}`
	callLine  = `{"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}}`
	endLine   = `{"contentBlockStop":{"contentBlockIndex":1}}`
	stopLine  = `{"messageStop":{"stopReason":"tool_use"}}`
	usageLine = `{"metadata":{"usage":{"inputTokens":1,"outputTokens":2,"cacheReadInputTokens":4}}}`
)

// received reads SSE as a client does: what each event says, in short.
func received(t *testing.T, stream string) []string {
	t.Helper()
	var got []string
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			t.Fatalf("event %q", event)
		}
		var c struct {
			ID      string
			Choices []struct {
				Delta        json.RawMessage
				FinishReason *string `json:"finish_reason"`
			}
			Usage json.RawMessage
			Error struct{ Code string }
		}
		switch {
		case data == "[DONE]":
			got = append(got, data)
			continue
		case json.Unmarshal([]byte(data), &c) != nil:
			t.Fatalf("event %q", data)
		case c.Error.Code != "":
			got = append(got, "error "+c.Error.Code)
			continue
		case len(c.Choices) == 0:
			got = append(got, "usage "+string(c.Usage))
			continue
		}
		line := string(c.Choices[0].Delta)
		if f := c.Choices[0].FinishReason; f != nil {
			line = "finish " + *f
		}
		got = append(got, line)
	}
	return got
}

func TestTranslateEvents(t *testing.T) {
	role, text := `{"role":"assistant","content":"","refusal":null}`, `{"content":"Hel"}`
	call := `{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}`
	none := `{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`
	usage := `usage {"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":4}}`
	cases := []struct {
		name  string
		lines []string
		flags []string
		want  []string
	}{
		{"whole", []string{startLine, textLine, callLine, endLine, stopLine, usageLine}, nil, []string{role, text, call, none, "finish tool_calls", "[DONE]"}},
		{"usage first, and asked for", []string{startLine, usageLine, textLine, callLine, stopLine}, []string{"--include-usage"}, []string{role, text, call, none, "finish tool_calls", usage, "[DONE]"}},
		{"no usage", []string{textLine, `{"messageStop":{"stopReason":"max_tokens"}}`}, []string{"--include-usage"}, []string{role, text, "finish length", "[DONE]"}},
		{"a call first", []string{callLine, `{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{ \"a\""}}}}`, `{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":":1}"}}}}`, endLine, stopLine}, nil,
			[]string{`{"role":"assistant","content":null}`, call, `{"tool_calls":[{"index":0,"function":{"arguments":"{ \"a\""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}`, "finish tool_calls", "[DONE]"}},
		{"cut", []string{startLine, textLine}, nil, []string{role, text, "error incomplete_stream"}},
		{"cut before anything", []string{startLine}, nil, []string{"error incomplete_stream"}},
		{"an exception", []string{startLine, textLine, `{"throttlingException":{"message":"secret"}}`}, nil, []string{role, text, "error rate_limit_exceeded"}},
		{"an exception after messageStop", []string{textLine, stopLine, `{"modelStreamErrorException":{"message":"secret"}}`}, nil, []string{role, text, "error broken_answer"}},
		{"an exception after all", []string{textLine, usageLine, `{"modelStreamErrorException":{"message":"secret"}}`, stopLine}, nil, []string{role, text, "error broken_answer"}},
		{"out of order", []string{textLine, `{"contentBlockStop":{"contentBlockIndex":0}}`, textLine, stopLine, usageLine}, nil, []string{role, text, "error broken_answer"}},
		{"malformed by the model", []string{textLine, `{"messageStop":{"stopReason":"malformed_tool_use"}}`, usageLine}, nil, []string{role, text, "error broken_answer"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			stdout, _, code := inEmptyDir(t, strings.Join(c.lines, "\n"), append([]string{"translate", "--to", "openai", "--stream"}, c.flags...)...)
			got := received(t, stdout)
			if code != exitOK || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("code %d, got\n%s\nwant\n%s", code, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if strings.Contains(stdout, "secret") {
				t.Error("the provider is quoted")
			}
		})
	}
	cut := strings.Join([]string{startLine, textLine, stopLine[:20]}, "\n")
	stdout, _, code := inEmptyDir(t, cut, "translate", "--to", "openai", "--stream")
	if got := received(t, stdout); code != exitOK || strings.Join(got, "\n") != strings.Join([]string{role, text, "error incomplete_stream"}, "\n") {
		t.Errorf("cut inside a line: code %d, %v", code, got)
	}
	stdout, _, code = inEmptyDir(t, textLine+"\nnonsense\n", "translate", "--to", "openai", "--stream")
	if code != exitFailed || !strings.HasPrefix(stdout, `{"error":{"code":"untranslatable","path":"","message":"line 2: `) {
		t.Errorf("a line that is no event: code %d, %s", code, stdout)
	}
}

// TestTranslatedAnswersAreOpenAIs holds what the verb prints against the vendor's
// definition.
func TestTranslatedAnswersAreOpenAIs(t *testing.T) {
	vendor := vendorspec.ReadOpenAI(t)
	whole, chunk := vendor.Schema(t, "CreateChatCompletionResponse"), vendor.Schema(t, "CreateChatCompletionStreamResponse")
	stdout, _, _ := inEmptyDir(t, `{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"toolUseId":"t","name":"f","input":{"a":1}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2}}`, "translate", "--to", "openai")
	if err := vendorspec.Validate(whole, []byte(stdout)); err != nil {
		t.Errorf("%v\n%s", err, stdout)
	}
	stdout, _, _ = inEmptyDir(t, strings.Join([]string{startLine, textLine, callLine, endLine, stopLine, usageLine}, "\n"), "translate", "--to", "openai", "--stream", "--include-usage")
	for event := range bytes.SplitSeq([]byte(strings.TrimSpace(stdout)), []byte("\n\n")) {
		data := bytes.TrimPrefix(event, []byte("data: "))
		if string(data) == "[DONE]" {
			continue
		}
		if err := vendorspec.Validate(chunk, data); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	}
}
