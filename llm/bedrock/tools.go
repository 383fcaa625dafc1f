package bedrock

import (
	"bytes"
	"encoding/json"
	"strings"

	"understudy/llm"
)

// emptySchema declares a function without parameters.
var emptySchema = json.RawMessage(`{"type":"object","properties":{}}`)

// tools translates the declared tools and the choice among them.
func (t *translator) tools() {
	history := t.historyTools()
	if !t.family.Tools {
		t.refuseTools(len(history) > 0)
		return
	}
	for i := range t.req.Tools {
		t.tool(&t.req.Tools[i])
	}
	t.choose(len(history) > 0)
	if len(t.out.tools) == 0 && len(history) > 0 {
		t.gap("/tools", llm.Semantic, llm.Emulated, "stub_tools: earlier calls need declared tools; empty ones are declared")
		for _, name := range history {
			t.out.tools = append(t.out.tools, wireTool{name: name, schema: emptySchema})
		}
	}
	t.parallel()
}

func (t *translator) refuseTools(history bool) {
	if len(t.req.Tools) > 0 || history {
		t.gap("/tools", llm.Blocking, llm.Refused, "tools: the model takes no tools on Converse")
	}
}

func (t *translator) tool(tool *llm.Tool) {
	path := tool.Path
	if path == "" {
		path = "/tools"
	}
	if tool.Other != nil {
		t.gap(path, llm.Blocking, llm.Refused, "tool_type: only function tools can be sent")
		return
	}
	if strings.HasPrefix(path, "/tools/") {
		path += "/function"
	}
	w := wireTool{name: t.names.wire(tool.Name), schema: tool.Parameters}
	if w.name != tool.Name {
		t.gap(path+"/name", llm.Cosmetic, llm.Approximated, "tool_name: sent under a name that the model accepts, and mapped back")
	}
	if !blank(tool.Description) {
		w.description = tool.Description
	}
	if emptyObject(w.schema) {
		w.schema = emptySchema
	}
	if tool.Strict != nil && *tool.Strict {
		t.gap(path+"/strict", llm.Semantic, llm.Dropped, "strict: arguments are not held to the schema")
	}
	t.out.tools = append(t.out.tools, w)
}

// emptyObject tells whether a schema is missing or {}: no parameters at OpenAI,
// refused by Converse, which wants a type.
func emptyObject(schema json.RawMessage) bool {
	inner, ok := bytes.CutPrefix(schema, []byte("{"))
	return len(schema) == 0 || ok && string(bytes.TrimSpace(inner)) == "}"
}

// choose translates tool_choice. Converse has no "none".
func (t *translator) choose(history bool) {
	if len(t.out.tools) == 0 {
		t.noCalls = t.req.ToolChoice.Mode == "none"
		return
	}
	switch c := t.req.ToolChoice; c.Mode {
	case "none":
		t.noCalls = true
		if history {
			t.gap("/tool_choice", llm.Semantic, llm.Approximated, "tool_choice_none_unenforced: earlier calls need the tools declared, so the model may call them")
			return
		}
		t.gap("/tool_choice", llm.Cosmetic, llm.Approximated, "tool_choice_none: the tools are left out")
		t.out.tools = nil
	case "required":
		t.demandAny("required: the model takes no demand for a call; it may answer without one")
	case "tool":
		t.demandTool(c.Name)
	case "other":
		t.allowedTools()
	}
}

func (t *translator) demandAny(otherwise string) {
	if t.family.ToolChoiceAny {
		t.out.choice.mode = "any"
		return
	}
	t.gap("/tool_choice", llm.Semantic, llm.Approximated, otherwise)
}

func (t *translator) demandTool(name string) {
	switch {
	case t.family.ToolChoiceTool:
		t.out.choice = wireChoice{mode: "tool", name: t.names.wire(name)}
	case t.family.ToolChoiceAny && len(t.out.tools) == 1:
		t.out.choice.mode = "any" // the only tool is the named one
	case t.family.ToolChoiceAny:
		t.gap("/tool_choice", llm.Semantic, llm.Approximated, "tool_choice_named: the model takes no named tool; a call of any tool is demanded")
		t.out.choice.mode = "any"
	default:
		t.gap("/tool_choice", llm.Semantic, llm.Approximated, "tool_choice_named: the model takes no demand for a call; it may answer without one")
	}
}

// allowedTools translates the form that allows some of the tools: the others
// are left out.
func (t *translator) allowedTools() {
	var form struct {
		Type    string `json:"type"`
		Allowed struct {
			Mode  string `json:"mode"`
			Tools []struct {
				Function struct {
					Name string `json:"name"`
				} `json:"function"`
			} `json:"tools"`
		} `json:"allowed_tools"`
	}
	err := json.Unmarshal(t.req.Extra["tool_choice"], &form)
	if err != nil || form.Type != "allowed_tools" || len(form.Allowed.Tools) == 0 {
		t.gap("/tool_choice", llm.Semantic, llm.Dropped, "tool_choice: a form without a counterpart on Converse")
		return
	}
	allowed := map[string]bool{}
	for _, f := range form.Allowed.Tools {
		allowed[t.names.wire(f.Function.Name)] = true
	}
	kept := t.out.tools[:0]
	for _, w := range t.out.tools {
		if allowed[w.name] {
			kept = append(kept, w)
		}
	}
	t.out.tools = kept
	t.gap("/tool_choice", llm.Cosmetic, llm.Approximated, "allowed_tools: the tools that are not allowed are left out")
	if form.Allowed.Mode == "required" && len(kept) > 0 {
		t.demandAny("required: the model takes no demand for a call; it may answer without one")
	}
}

// parallel translates parallel_tool_calls: false.
func (t *translator) parallel() {
	p := t.req.ParallelToolCalls
	switch {
	case p == nil || *p || len(t.out.tools) == 0:
	case t.family.SingleToolCall:
		t.out.single = true
	default:
		t.gap("/parallel_tool_calls", llm.Semantic, llm.Dropped, "parallel_tool_calls: the model cannot be held to one call")
	}
}

// input gives the argument text of an earlier call as the object that Converse
// demands: the same bytes where they are one.
func (t *translator) input(arguments, path string) json.RawMessage {
	raw := bytes.TrimSpace([]byte(arguments))
	switch {
	case len(raw) == 0, string(raw) == "null":
		return json.RawMessage("{}")
	case raw[0] == '{' && json.Valid(raw):
		return raw
	}
	t.gap(path+"/function/arguments", llm.Semantic, llm.Approximated, "tool_arguments: they are no JSON object and are sent as text")
	return append(llm.AppendJSONString([]byte(`{"_raw":`), arguments), '}')
}
