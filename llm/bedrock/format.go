package bedrock

import (
	"slices"

	"understudy/llm"
)

const (
	jsonObjectInstruction = "Answer with one JSON object and nothing else: no words before or after it, no code fence."
	jsonSchemaInstruction = "Answer with one JSON value and nothing else: no words before or after it, no code fence. " +
		"It must be valid against this JSON Schema:\n"
	// answerTool and its description stand where the request names no other.
	answerToolName        = "answer"
	answerToolDescription = "Gives the answer to the user. Always call it, exactly once, with the whole answer."
)

// format asks for JSON in the best tier that the family and the request allow.
func (t *translator) format() {
	f := t.req.ResponseFormat
	if f == nil || f.Type == "text" {
		return
	}
	const path = "/response_format"
	switch {
	case f.Type != "json_object" && f.Type != "json_schema":
		t.gap(path, formatOther)
	case f.Schema == nil:
		t.instruct(jsonObjectInstruction)
		t.gap(path, map[bool]*gapKind{true: jsonObject, false: jsonSchema}[f.Type == "json_object"])
	case t.family.StructuredOutput && !t.prefilled() && t.nativeSchema(f):
		t.tier = llm.TierNative
		t.enforced(f)
	case t.canHideTool(f):
		t.hideTool(f)
		t.gap(path, jsonSchemaTool)
		t.enforced(f)
	default:
		s := jsonSchemaInstruction + string(f.Schema)
		if !blank(f.Description) {
			s += "\n" + f.Description
		}
		t.instruct(s)
		t.gap(path, jsonSchema)
	}
}

// enforced reports a schema that the request does not want to be held to.
func (t *translator) enforced(f *llm.ResponseFormat) {
	if f.Strict == nil || !*f.Strict {
		t.gap("/response_format/json_schema/strict", schemaEnforced)
	}
}

// prefilled tells whether the conversation ends with the assistant's turn.
func (t *translator) prefilled() bool {
	return len(t.turns) > 0 && t.turns[len(t.turns)-1].assistant
}

func (t *translator) instruct(s string) {
	t.tier = llm.TierInstruction
	t.system = append(t.system, s)
}

// nativeSchema hands the schema to the service, changed where it would refuse
// it; false where it cannot be handed over.
func (t *translator) nativeSchema(f *llm.ResponseFormat) bool {
	schema, changes, ok := closedSchema(f.Schema)
	if !ok {
		return false
	}
	for _, c := range changes {
		t.gap("/response_format/json_schema/schema"+c.path, c.kind)
	}
	t.out.output.schema, t.out.output.name = schema, f.Name
	if !blank(f.Description) {
		t.out.output.description = f.Description
	}
	return true
}

// canHideTool tells whether the answer can be asked for as a call: the model can
// be held to one, the request has no tools of its own, which it might rather
// call, and the schema is one that a tool may have.
func (t *translator) canHideTool(f *llm.ResponseFormat) bool {
	fits := (t.family.ToolChoiceAny || t.family.ToolChoiceTool) && (!t.reasons || t.family.ForcedWithReasoning)
	return t.family.Tools && fits && !t.prefilled() && len(t.out.tools) == 0 && len(t.req.Tools) == 0 && len(t.historyTools()) == 0 &&
		schemaType(f.Schema) == "object" && (!t.family.PlainSchema || canBePlain(f.Schema))
}

// hideTool asks for the answer as the arguments of a call. The client turns the
// call back into text.
func (t *translator) hideTool(f *llm.ResponseFormat) {
	name := f.Name
	if !t.names.accepted(name) {
		name = answerToolName
	}
	tool := wireTool{name: name, description: answerToolDescription, schema: f.Schema}
	if t.family.PlainSchema {
		tool.schema = t.plain(f.Schema, "/response_format/json_schema/schema")
	}
	if !blank(f.Description) {
		tool.description = answerToolDescription + " " + f.Description
	}
	t.out.tools = []wireTool{tool}
	t.out.choice = wireChoice{mode: "any"}
	if t.family.ToolChoiceTool {
		t.out.choice = wireChoice{mode: "tool", name: name}
	}
	t.tier, t.answerTool = llm.TierTool, name
}

// unhide makes the first call of the hidden tool the text of the answer.
func (tr *Translation) unhide(resp *llm.Response) {
	if tr.answerTool == "" {
		return
	}
	i := slices.IndexFunc(resp.ToolCalls, func(c llm.ToolCall) bool { return c.Name == tr.answerTool })
	if i < 0 {
		resp.Gaps = append(resp.Gaps, answerToolIgnored.at("/response_format"))
		return
	}
	if resp.Text != "" || len(resp.ToolCalls) > 1 {
		resp.Gaps = append(resp.Gaps, besideAnswerTool.at("/response_format"))
	}
	resp.Text, resp.ToolCalls = resp.ToolCalls[i].Arguments, nil
	if resp.Finish == llm.FinishToolCalls {
		resp.Finish = llm.FinishStop
	}
}
