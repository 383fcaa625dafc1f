package bedrock

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// maxStrict is the most strict tools of a request, by the vendor's documentation.
const maxStrict = 20

// emptySchema declares a function without parameters.
var emptySchema = json.RawMessage(`{"type":"object","properties":{}}`)

// tools translates the declared tools and the choice among them.
func (t *translator) tools() {
	history := t.historyTools()
	if t.req.ToolChoice.Mode == "none" && len(history) == 0 && len(t.req.Tools) > 0 {
		t.noCalls = true
		t.gap(t.choicePath(), choiceNone)
		return
	}
	if !t.family.Tools {
		if len(t.req.Tools) > 0 || len(history) > 0 {
			t.gap("/tools", toolsRefused)
		} else {
			t.choose()
		}
		return
	}
	for i := range t.req.Tools {
		t.tool(i, &t.req.Tools[i])
	}
	t.choose()
	if len(t.out.tools) == 0 && len(history) > 0 {
		t.gap("/tools", stubTools)
		for _, name := range history {
			t.out.tools = append(t.out.tools, wireTool{name: name, schema: emptySchema})
		}
	}
}

func (t *translator) tool(i int, tool *llm.Tool) {
	path := tool.Path
	if path == "" {
		path = "/tools/" + strconv.Itoa(i)
	}
	if tool.Other != nil {
		t.gap(path, toolType)
		return
	}
	if strings.HasPrefix(path, "/tools/") {
		path += "/function"
	}
	w := wireTool{name: t.names.wire(tool.Name), schema: tool.Parameters}
	if w.name != tool.Name {
		t.gap(path+"/name", toolName)
	}
	if !blank(tool.Description) {
		w.description = tool.Description
	}
	switch {
	case emptyObject(w.schema):
		w.schema = emptySchema
	case t.family.PlainSchema:
		w.schema = t.plain(w.schema, path+"/parameters")
	}
	if tool.Strict != nil && *tool.Strict {
		_, changes, ok := closedSchema(w.schema)
		if w.strict = t.family.Strict && ok && len(changes) == 0 && t.strict < maxStrict; !w.strict {
			t.gap(path+"/strict", toolStrict)
		} else {
			t.strict++
		}
	}
	t.out.tools = append(t.out.tools, w)
}

// emptyObject tells whether a schema is missing or {}: no parameters at OpenAI,
// refused by Converse, which wants a type.
func emptyObject(schema json.RawMessage) bool {
	inner, ok := bytes.CutPrefix(schema, []byte("{"))
	return len(schema) == 0 || ok && string(bytes.TrimSpace(inner)) == "}"
}

// plain gives a schema as Nova takes it, and reports what that changes.
func (t *translator) plain(schema json.RawMessage, path string) json.RawMessage {
	if hasDefinitions(schema) {
		inlined, ok := inlineDefinitions(schema)
		if !ok {
			t.gap(path, toolSchemaRefs)
			return emptySchema
		}
		t.gap(path, toolSchemaInlined)
		schema = inlined
	}
	switch {
	case plainTop(schema):
		return schema
	case wordsOnly(schema):
		t.gap(path, toolSchemaWords)
	default:
		t.gap(path, toolSchemaTop)
	}
	return plainSchema(schema)
}

// choicePath is where the request chooses among its tools.
func (t *translator) choicePath() string {
	if t.req.Field("/function_call") != nil && t.req.Field("/tool_choice") == nil {
		return "/function_call"
	}
	return "/tool_choice"
}

// choose translates tool_choice. Converse has no "none".
func (t *translator) choose() {
	if len(t.out.tools) == 0 {
		switch t.req.ToolChoice.Mode {
		case "none":
			t.noCalls = true
		case "", "auto":
		default:
			t.gap(t.choicePath(), choiceNothing)
		}
		return
	}
	switch c := t.req.ToolChoice; c.Mode {
	case "", "auto":
	case "none":
		t.noCalls = true
		t.gap(t.choicePath(), choiceUnenforced)
	case "required":
		t.demandAny()
	case "tool":
		t.demandTool(c.Name)
	case "other":
		t.allowedTools()
	default:
		t.gap(t.choicePath(), choiceOther)
	}
}

func (t *translator) demandAny() {
	if t.family.ToolChoiceAny {
		t.out.choice.mode = "any"
		return
	}
	t.gap(t.choicePath(), choiceRequired)
}

func (t *translator) demandTool(name string) {
	sent := slices.ContainsFunc(t.out.tools, func(w wireTool) bool { return w.name == t.names.wire(name) })
	switch {
	case !sent:
		t.gap(t.choicePath(), choiceNothing)
	case t.family.ToolChoiceTool:
		t.out.choice = wireChoice{mode: "tool", name: t.names.wire(name)}
	case t.family.ToolChoiceAny && len(t.out.tools) == 1:
		t.out.choice.mode = "any" // the only tool is the named one
	case t.family.ToolChoiceAny:
		t.gap(t.choicePath(), choiceNamedAny)
		t.out.choice.mode = "any"
	default:
		t.gap(t.choicePath(), choiceNamed)
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
	err := json.Unmarshal(t.req.Field("/tool_choice"), &form)
	if err != nil || form.Type != "allowed_tools" || len(form.Allowed.Tools) == 0 {
		t.gap(t.choicePath(), choiceOther)
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
	t.gap(t.choicePath(), choiceAllowed)
	switch {
	case len(kept) == 0:
		t.gap(t.choicePath(), choiceNothing)
	case form.Allowed.Mode == "required":
		t.demandAny()
	}
}

// parallel translates parallel_tool_calls: false.
func (t *translator) parallel() {
	p := t.req.ParallelToolCalls
	switch {
	case p == nil || *p || len(t.out.tools) == 0:
	case t.family.SingleToolCall:
		t.singleCall()
	default:
		t.gap("/parallel_tool_calls", parallelCalls)
	}
}

// input gives the argument text of an earlier call as the object that Converse
// demands: the same bytes where they are one.
func (t *translator) input(arguments, path string) json.RawMessage {
	raw := bytes.Trim([]byte(arguments), " \t\r\n")
	switch {
	case len(raw) == 0, string(raw) == "null":
		return json.RawMessage("{}")
	case raw[0] == '{' && json.Valid(raw):
		return raw
	}
	t.gap(path, toolArguments)
	return append(llm.AppendJSONString([]byte(`{"_raw":`), arguments), '}')
}
