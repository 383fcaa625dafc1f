package bedrock

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"understudy/llm"
)

// The body as the service would read it.
type sentBody struct {
	Messages []struct {
		Role    string
		Content []sentBlock
	}
	System     []struct{ Text string }
	ToolConfig *struct {
		Tools []struct {
			ToolSpec struct {
				Name        string
				Description *string
				InputSchema struct{ JSON json.RawMessage }
			}
		}
		ToolChoice map[string]json.RawMessage
	}
	InferenceConfig struct {
		Temperature, TopP float64
		StopSequences     []string
	}
}

type sentBlock struct {
	Text    *string
	ToolUse *struct {
		ToolUseID, Name string
		Input           json.RawMessage
	}
	ToolResult *struct {
		ToolUseID string
		Content   []sentBlock
	}
}

// refusals gives the reasons for which the service would refuse a body: the
// rules that reports about other translators show (alternation, blanks, pairing
// of results, names and ids, tools with history).
func refusals(f Family, body []byte) (faults []string) {
	bad := func(format string, a ...any) { faults = append(faults, fmt.Sprintf(format, a...)) }
	var b sentBody
	if err := json.Unmarshal(body, &b); err != nil {
		bad("no JSON: %v", err)
		return faults
	}
	if len(b.Messages) == 0 || b.Messages[0].Role != "user" || b.Messages[len(b.Messages)-1].Role != "user" && !f.Prefill {
		bad("it does not begin and end with a user turn")
	}
	history, seen := false, map[string]bool{}
	var open []string
	for i, m := range b.Messages {
		if i > 0 && m.Role == b.Messages[i-1].Role {
			bad("turn %d has the role of the turn before", i)
		}
		if len(m.Content) == 0 {
			bad("turn %d is empty", i)
		}
		var uses, results []string
		for j, k := range m.Content {
			switch {
			case k.Text != nil && blank(*k.Text):
				bad("turn %d block %d is blank", i, j)
			case k.ToolUse != nil:
				id := k.ToolUse.ToolUseID
				if m.Role != "assistant" || seen[id] || !validID(id) || f.ToolID9 && len(id) != 9 || !strings.HasPrefix(string(k.ToolUse.Input), "{") || !validID(k.ToolUse.Name) {
					bad("turn %d block %d is no valid call", i, j)
				}
				seen[id], history, uses = true, true, append(uses, id)
			case k.ToolResult != nil:
				if m.Role != "user" || len(results) != j || len(k.ToolResult.Content) == 0 {
					bad("turn %d block %d is no valid result, or stands after text", i, j)
				}
				results = append(results, k.ToolResult.ToolUseID)
			}
		}
		if !slices.Equal(results, open) {
			bad("turn %d has results %v for calls %v", i, results, open)
		}
		if len(results) > 0 && len(results) < len(m.Content) && !f.ToolResultWithText {
			bad("turn %d has results and text", i)
		}
		open = uses
	}
	for _, s := range b.System {
		if blank(s.Text) || !f.System {
			bad("system text that is blank or not taken")
		}
	}
	switch {
	case b.ToolConfig == nil && history:
		bad("tool history without toolConfig")
	case b.ToolConfig != nil:
		faults = append(faults, toolRefusals(f, &b)...)
	}
	if c := b.InferenceConfig; c.Temperature < 0 || c.Temperature > 1 || c.TopP < 0 || c.TopP > 1 || len(c.StopSequences) > 0 && !f.StopSequences || slices.ContainsFunc(c.StopSequences, blank) {
		bad("inferenceConfig")
	}
	return faults
}

func toolRefusals(f Family, b *sentBody) (faults []string) {
	if len(b.ToolConfig.Tools) == 0 || !f.Tools {
		faults = append(faults, "toolConfig without tools, or not taken")
	}
	names := map[string]bool{}
	for _, t := range b.ToolConfig.Tools {
		s := t.ToolSpec
		if names[s.Name] || !validID(s.Name) || s.Description != nil && blank(*s.Description) || !strings.HasPrefix(string(s.InputSchema.JSON), "{") {
			faults = append(faults, "tool "+s.Name)
		}
		names[s.Name] = true
	}
	for mode := range b.ToolConfig.ToolChoice {
		if mode == "any" && !f.ToolChoiceAny || mode == "tool" && !f.ToolChoiceTool || mode == "none" {
			faults = append(faults, "toolChoice "+mode)
		}
	}
	return faults
}

// TestNothingIsSentThatTheServiceRefuses draws requests of every shape and sends
// those that are comparable past the service's rules.
func TestNothingIsSentThatTheServiceRefuses(t *testing.T) {
	texts := rapid.SampledFrom([]string{"", " \n", "Hi", "<b> é \u2028", "{\"a\":1}"})
	ids := rapid.SampledFrom([]string{"", "c1", "c2", "abcDEF123", "a b", strings.Repeat("x", 80)})
	toolNames := rapid.SampledFrom([]string{"f", "get-it", "a.b", "a_b", "größe", strings.Repeat("n", 70)})
	message := rapid.Custom(func(t *rapid.T) llm.Message {
		m := llm.Message{Role: rapid.SampledFrom([]llm.Role{"system", "user", "user", "assistant", "assistant", "tool", "tool"}).Draw(t, "role")}
		for range rapid.IntRange(0, 2).Draw(t, "parts") {
			m.Parts = append(m.Parts, llm.Part{Kind: llm.PartText, Text: texts.Draw(t, "text")})
		}
		switch m.Role {
		case llm.RoleTool:
			m.ToolCallID = ids.Draw(t, "answers")
		case llm.RoleAssistant:
			for range rapid.IntRange(0, 2).Draw(t, "calls") {
				m.ToolCalls = append(m.ToolCalls, llm.ToolCall{ID: ids.Draw(t, "id"), Name: toolNames.Draw(t, "name"),
					Arguments: rapid.SampledFrom([]string{"", "{}", " {\"a\": 1.0}", "[1]", "{\"a\":", "null"}).Draw(t, "arguments")})
			}
		}
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		req := &llm.Request{
			Messages:    rapid.SliceOfN(message, 1, 9).Draw(t, "messages"),
			ToolChoice:  llm.ToolChoice{Mode: rapid.SampledFrom([]string{"", "auto", "none", "required", "tool", "other"}).Draw(t, "choice")},
			Temperature: rapid.Ptr(rapid.Float64Range(-1, 3), true).Draw(t, "temperature"),
			Stop:        rapid.SliceOfN(texts, 0, 2).Draw(t, "stop"),
		}
		for _, name := range rapid.SliceOfNDistinct(toolNames, 0, 4, rapid.ID[string]).Draw(t, "tools") {
			req.Tools = append(req.Tools, llm.Tool{Name: name, Description: texts.Draw(t, "description")})
		}
		if req.ToolChoice.Mode == "tool" && len(req.Tools) > 0 {
			req.ToolChoice.Name = req.Tools[0].Name
		}
		if rapid.Bool().Draw(t, "json") {
			req.ResponseFormat = &llm.ResponseFormat{Type: "json_object"}
		}
		f := rapid.SampledFrom(families).Draw(t, "family")
		tr, err := Translate(req, f)
		if err != nil {
			if llm.ClassOf(err) != llm.ClassUntranslatable {
				t.Fatal(err)
			}
			return
		}
		if !llm.Comparable(tr.Gaps) {
			if !json.Valid(tr.Body) {
				t.Fatalf("no JSON: %s", tr.Body)
			}
			return
		}
		if faults := refusals(f, tr.Body); len(faults) > 0 {
			t.Fatalf("family %s: %v\n%s\ngaps %v", f.Name, faults, tr.Body, brief(tr.Gaps))
		}
		for _, tool := range req.Tools {
			if back := tr.names.neutral(tr.names.wire(tool.Name)); back != tool.Name {
				t.Fatalf("%q comes back as %q", tool.Name, back)
			}
		}
	})
}
