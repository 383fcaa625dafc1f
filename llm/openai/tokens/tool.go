package tokens

import (
	"strings"

	"understudy/llm"
)

const (
	// toolsFrame is what the block of tools costs beside the definitions, as a
	// system message of its own; sharedFrame is what it saves where it stands at
	// the end of one (openai-chat-tokens; the cookbook's 105 and 101 tokens agree;
	// measured: 249 of 250).
	toolsFrame, sharedFrame = 9, 4
	// forcedEarly is what forcing a function costs an early model beside its name,
	// noneChosen what forbidding calls costs (openai-chat-tokens).
	forcedEarly, noneChosen = 4, 1
)

// tools counts the block of tools in the system message.
func (c *counter) tools(tools []llm.Tool, hasSystem bool) int {
	if len(tools) == 0 {
		return 0
	}
	text, ok := c.definitions(tools)
	if !ok {
		return c.cannotSay()
	}
	n := toolsFrame + c.text(text)
	if hasSystem {
		n -= sharedFrame
	}
	return n
}

// definitions renders functions as the models read them: as types of a namespace
// in the manner of TypeScript.
func (c *counter) definitions(tools []llm.Tool) (string, bool) {
	w := writer{early: c.early}
	w.WriteString("namespace functions {\n\n")
	for i := range tools {
		t := &tools[i]
		parameters, ok := parse(t.Parameters)
		if !ok || t.Other != nil {
			return "", false
		}
		w.comment(t.Description, 0)
		w.function(t.Name, parameters)
	}
	w.WriteString("} // namespace functions")
	return w.String(), true
}

func (w *writer) function(name string, parameters *value) {
	fields := writer{early: w.early}
	fields.properties(parameters, 0)
	w.WriteString("type " + name)
	if fields.Len() == 0 {
		w.WriteString(" = () => any;\n\n")
		return
	}
	w.WriteString(" = (_: ")
	if title := parameters.str("title"); title != "" && !w.early {
		w.WriteString("// " + title + "\n")
	}
	w.WriteString("{\n" + fields.String() + "}) => any;\n\n")
}

// choice counts what tool_choice adds to the prompt. A forced call's head stands
// there instead of in the answer (langchain4j).
func (c *counter) choice(req *llm.Request) int {
	switch choice := req.ToolChoice; {
	case choice.Mode == "none" && len(req.Tools) > 0:
		return noneChosen
	case choice.Mode == "tool" && c.early:
		return forcedEarly + c.text(choice.Name)
	case choice.Mode == "tool":
		return c.recipient("functions." + choice.Name)
	}
	return 0
}

// format counts a JSON schema that the answer must follow, in the form that
// harmony documents for the open models. Nothing public says that the closed ones
// read the same: a best guess. Every other format costs nothing.
func (c *counter) format(f *llm.ResponseFormat, inSystem bool) int {
	if f == nil || f.Type != "json_schema" {
		return 0
	}
	var b strings.Builder
	b.WriteString("\n\n# Response Formats\n\n## " + f.Name + "\n\n")
	if f.Description != "" {
		b.WriteString("// " + f.Description + "\n")
	}
	b.WriteString(compact(f.Schema))
	n := c.text(b.String())
	if !inSystem {
		n += frame + ownRole
	}
	return n
}
