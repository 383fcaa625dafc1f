package sim

import (
	"encoding/json"
	"strings"
)

// readChat takes from a checked Chat Completions body what the answer needs.
func readChat(body map[string]any, model string) *oaCall {
	c := &oaCall{body: body, n: 1}
	c.stream = body["stream"] == true
	if o, ok := body["stream_options"].(map[string]any); ok {
		c.usage = o["include_usage"] == true
	}
	if n, ok := whole64(body["n"]); ok {
		c.n = n
	}
	a := &ask{model: model, choice: "auto", digest: digest(body)}
	c.ask = a
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if n, ok := whole64(body[name]); ok {
			a.maxTokens = n
		}
	}
	a.readTurns(body["messages"].([]any))
	a.readTools(body["tools"])
	switch v := body["tool_choice"].(type) {
	case string:
		a.choice = map[string]string{"none": "none", "auto": "auto", "required": "any"}[v]
	case map[string]any:
		if fn, ok := v["function"].(map[string]any); ok {
			a.choice = "tool"
			a.named, _ = fn["name"].(string)
		}
	}
	if f, ok := body["response_format"].(map[string]any); ok {
		js, _ := f["json_schema"].(map[string]any)
		a.schema = js["schema"]
		a.wantJSON = f["type"] == "json_object" || f["type"] == "json_schema"
	}
	a.form()
	return c
}

func (a *ask) readTurns(messages []any) {
	for _, v := range messages {
		m := v.(map[string]any)
		blocks := textBlocks(m["content"])
		for _, b := range blocks {
			a.bytes += len(b)
		}
		a.afterTool = m["role"] == "tool" || m["role"] == "function"
		switch m["role"] {
		case "system", "developer":
			for _, b := range blocks {
				a.system += b + "\n"
			}
		case "user":
			a.heard(blocks)
		case "assistant":
			calls, _ := m["tool_calls"].([]any)
			for _, c := range calls {
				fn, _ := c.(map[string]any)["function"].(map[string]any)
				args, _ := fn["arguments"].(string)
				a.bytes += len(args)
			}
		}
	}
}

// heard takes the text blocks of a user turn; a turn without text changes nothing.
func (a *ask) heard(blocks []string) {
	if strings.TrimSpace(strings.Join(blocks, "")) == "" {
		return
	}
	if len(a.user) > 0 {
		a.context += a.user[len(a.user)-1] + "\n"
	}
	a.user = blocks
	a.context += strings.Join(blocks[:len(blocks)-1], "\n")
}

func (a *ask) readTools(v any) {
	tools, _ := v.([]any)
	for _, t := range tools {
		fn, ok := t.(map[string]any)["function"].(map[string]any)
		if !ok {
			continue
		}
		name, _ := fn["name"].(string)
		description, _ := fn["description"].(string)
		a.tools = append(a.tools, askTool{name, description, fn["parameters"]})
		a.bytes += len(name) + len(description) + len(encode(fn["parameters"]))
	}
}

// textBlocks are the texts of a content member: a string, or its text parts.
func textBlocks(content any) []string {
	switch c := content.(type) {
	case string:
		return []string{c}
	case []any:
		var out []string
		for _, p := range c {
			if m, ok := p.(map[string]any); ok && m["type"] == "text" {
				if s, ok := m["text"].(string); ok {
					out = append(out, s)
				}
			}
		}
		return out
	}
	return nil
}

func whole64(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}
