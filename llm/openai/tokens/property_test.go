package tokens_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiktoken-go/tokenizer"
	"pgregory.net/rapid"

	"understudy/llm"
	"understudy/llm/openai/tokens"
)

var someModels = []string{"gpt-4-0613", "gpt-4-turbo-2024-04-09", "gpt-4o-2024-08-06"}

// TestGrows: one more message, tool or call never lowers the count.
func TestGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.SampledFrom(someModels).Draw(t, "model")
		req := &llm.Request{Messages: rapid.SliceOfN(drawnMessage(), 0, 5).Draw(t, "messages"), Tools: rapid.SliceOfN(drawnTool(), 0, 3).Draw(t, "tools")}
		resp := &llm.Response{ToolCalls: rapid.SliceOfN(drawnCall(), 0, 3).Draw(t, "calls")}
		before, ok := tokens.Estimate(model, req, resp)
		if !ok {
			t.Fatal("no estimate")
		}
		more := *req
		switch rapid.IntRange(0, 2).Draw(t, "what") {
		case 0:
			at := rapid.IntRange(0, len(req.Messages)).Draw(t, "at")
			more.Messages = slices.Insert(slices.Clone(req.Messages), at, drawnMessage().Draw(t, "message"))
		case 1:
			at := rapid.IntRange(0, len(req.Tools)).Draw(t, "at")
			more.Tools = slices.Insert(slices.Clone(req.Tools), at, drawnTool().Draw(t, "tool"))
		case 2:
			resp.ToolCalls = append(resp.ToolCalls, drawnCall().Draw(t, "call"))
		}
		after, ok := tokens.Estimate(model, &more, resp)
		if !ok || after.InputTokens < before.InputTokens || after.OutputTokens < before.OutputTokens {
			t.Fatalf("%+v became %+v, %v", before, after, ok)
		}
	})
}

func drawnMessage() *rapid.Generator[llm.Message] {
	return rapid.Custom(func(t *rapid.T) llm.Message {
		m := llm.Message{Role: rapid.SampledFrom([]llm.Role{llm.RoleSystem, llm.RoleUser, llm.RoleAssistant, llm.RoleTool}).Draw(t, "role")}
		for _, s := range rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "texts") {
			m.Parts = append(m.Parts, llm.Part{Kind: llm.PartText, Text: s})
		}
		m.Name = rapid.StringMatching(`[a-z_]{0,8}`).Draw(t, "name")
		switch m.Role {
		case llm.RoleAssistant:
			m.ToolCalls = rapid.SliceOfN(drawnCall(), 0, 3).Draw(t, "past calls")
		case llm.RoleTool:
			m.ToolCallID = rapid.StringMatching(`[a-c]`).Draw(t, "id")
		}
		return m
	})
}

func drawnCall() *rapid.Generator[llm.ToolCall] {
	return rapid.Custom(func(t *rapid.T) llm.ToolCall {
		return llm.ToolCall{ID: rapid.StringMatching(`[a-c]`).Draw(t, "id"), Name: rapid.StringMatching(`[a-zA-Z_]{1,12}`).Draw(t, "name"),
			Arguments: rapid.OneOf(rapid.SampledFrom([]string{`{}`, `{"a": 1}`, `{"a":[1,2]}`, `{"a`}), rapid.String()).Draw(t, "arguments")}
	})
}

func drawnTool() *rapid.Generator[llm.Tool] {
	return rapid.Custom(func(t *rapid.T) llm.Tool {
		schema, err := json.Marshal(map[string]any{"type": "object", "properties": drawnSchemas(3).Draw(t, "properties"), "required": []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		return llm.Tool{Name: rapid.StringMatching(`[a-zA-Z_]{1,12}`).Draw(t, "name"), Description: rapid.String().Draw(t, "description"), Parameters: schema}
	})
}

// drawnSchemas draws schemas by name, sound ones and others.
func drawnSchemas(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.StringMatching(`[a-d]{1,3}`), drawnSchema(depth), 0, 3)
}

func drawnSchema(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		s := map[string]any{}
		odd := rapid.SampledFrom([]any{true, nil, "x", 1.5, []any{}, []any{[]any{nil}}, map[string]any{"type": 1}})
		for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"type", "description", "title", "enum", "const", "default", "minimum", "required", "format", "$ref"}), 0, 5).Draw(t, "keys") {
			s[key] = rapid.OneOf(odd, rapid.SampledFrom([]any{"string", "integer", "array", "object", []any{"string", "null"}, "#/$defs/a"})).Draw(t, key)
		}
		if depth > 0 {
			switch rapid.IntRange(0, 4).Draw(t, "inner") {
			case 0:
				s["properties"] = drawnSchemas(depth-1).Draw(t, "properties")
			case 1:
				s["items"] = drawnSchema(depth-1).Draw(t, "items")
			case 2:
				s["anyOf"] = []any{drawnSchema(depth-1).Draw(t, "variant"), drawnSchema(depth-1).Draw(t, "variant")}
			case 3:
				return odd.Draw(t, "odd")
			}
		}
		return s
	})
}

// TestOddSchemas: what is no schema is counted or refused, and never a panic.
func TestOddSchemas(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"type":"object","properties":{"a":`, n) + `{}` + strings.Repeat(`}}`, n)
	}
	twice := strings.Repeat(`{"type":["array","array","object","object"],"items":{},"properties":{"a":`, 20) + `{}` + strings.Repeat(`}}`, 20)
	for schema, want := range map[string]bool{
		``: true, `{}`: true, `true`: true, `null`: true, `[]`: true, `{"properties":true}`: true, `{"properties":{"a":true,"b":null,"c":[1]}}`: true,
		`{"properties":{"a":{"$ref":"#"}},"$defs":{"a":{"$ref":"#/$defs/a"}}}`: true, `{"properties":{"a":{"enum":[{"b":[1,"c"]},null]}}}`: true,
		`{"properties":{"a":{"type":["string",1,null]},"a":{"anyOf":[true,{}]}}}`: true, `{"type":"object","properties":{"e":{"enum":[` + strings.Repeat(`"x",`, 100_000) + `"y"]}}}`: true,
		`{"properties":{` + strings.Repeat(`"a":{},`, 300_000) + `"b":{}}}`: false,
		deep(20): true, deep(10_000): false, twice: true, `{`: false, `{}{}`: false, `{"a"`: false, `x`: false,
	} {
		for _, model := range someModels {
			req := &llm.Request{Tools: []llm.Tool{{Name: "f", Parameters: json.RawMessage(schema)}}}
			if _, ok := tokens.Estimate(model, req, &llm.Response{}); ok != want {
				t.Errorf("%s: %.60s: ok is %v", model, schema, ok)
			}
		}
	}
}

// TestHostileTexts: the time of 256 KiB without an end or a space stays near that of
// prose, and what is beyond the bound is refused at once.
func TestHostileTexts(t *testing.T) {
	const size = 256 << 10
	request := func(text string) *llm.Request {
		return &llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}}}}
	}
	spend := func(text string) time.Duration {
		start := time.Now()
		if _, ok := tokens.Estimate("gpt-4o", request(text), &llm.Response{}); !ok {
			t.Fatal("no estimate")
		}
		return time.Since(start)
	}
	spend("x")
	prose := spend(strings.Repeat("The quick brown fox jumps over the lazy dog. ", size/45))
	for name, unit := range map[string]string{"letters": "a", "spaces": " ", "lines": "\n", "spaces and lines": " \n", "marks": "!", "digits": "7", "two bytes": "é", "four bytes": "😀", "no UTF-8": "\xff", "apostrophes": "'s", "slashes": "/\r\n", "capitals": "A", "Han": "日", "wide spaces": "\u3000\n", "marked": "e\u0301"} {
		if spent := spend(strings.Repeat(unit, size/len(unit))); spent > 20*prose+time.Second {
			t.Errorf("%s: %v, prose takes %v", name, spent, prose)
		}
	}
	if _, ok := tokens.Estimate("gpt-4o", request(strings.Repeat("a ", 9<<20)), &llm.Response{}); ok {
		t.Error("18 MiB were counted")
	}
}

// TestChunks: a long text has the count that the tokenizer gives it in one piece.
func TestChunks(t *testing.T) {
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zA-Zé0-9'.,/!]{1,9}[ \n\t\r]{1,3}|[ 　\x{a0}]{1,4}x`), 1, 50).Draw(t, "words")
		line := strings.Join(words, "") + "an end"
		text := strings.Repeat(line, 1+70_000/len(line))
		want, err := codec.Count(text)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := tokens.Estimate("gpt-4o", &llm.Request{}, &llm.Response{Text: text})
		if got := u.OutputTokens - 1; got != want {
			t.Fatalf("%d in chunks, %d whole", got, want)
		}
	})
}
