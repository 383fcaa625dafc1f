package bedrock

import (
	"strconv"
	"strings"

	"understudy/llm"
)

// A turn is what one side says until the other speaks. Converse demands that
// turns alternate and that a user begins, so neighbours of one role are merged.
type turn struct {
	assistant bool
	path      string
	// texts are the text and image blocks, in order.
	texts []block
	// calls are those of an assistant turn, results those of a user turn.
	calls   []call
	results []result
}

type call struct {
	use  toolUse
	id   string // as the request names it
	path string
}

type result struct {
	id, path string
	content  []block
	used     bool
}

const (
	// notSent stands for what a blocking gap keeps out, so that the turns keep
	// their order; a call with such a gap is never compared.
	notSent = "(not sent)"
	// emptyResult stands for a tool result without text.
	emptyResult = "(empty)"
)

// messages reads the request's messages into turns and system texts.
func (t *translator) messages() {
	for i := range t.req.Messages {
		m := &t.req.Messages[i]
		path := "/messages/" + strconv.Itoa(i)
		t.name(m, path)
		switch m.Role {
		case llm.RoleSystem:
			t.systemMessage(m, path)
		case llm.RoleAssistant:
			t.assistantMessage(m, path)
		case llm.RoleTool:
			u := t.turn(false, path)
			if len(u.texts) > 0 {
				t.gap(path, reordered)
			}
			u.results = append(u.results, result{id: m.ToolCallID, path: path, content: t.resultContent(m, path)})
		default:
			if texts := t.blocks(m, path); len(texts) > 0 {
				u := t.turn(false, path)
				t.merged(u, path)
				u.texts = append(u.texts, texts...)
			} else {
				t.blankMessage(path)
			}
		}
	}
}

func (t *translator) blankMessage(path string) {
	t.gap(path, blankMessage)
}

// name reports a speaker's name, which Converse has no place for. A tool
// result's repeats the call's.
func (t *translator) name(m *llm.Message, path string) {
	if m.Name != "" && m.Role != llm.RoleTool {
		t.gap(path+"/name", speakerName)
	}
}

// turn gives the last turn if that side has it, else opens the next.
func (t *translator) turn(assistant bool, path string) *turn {
	if n := len(t.turns); n > 0 && t.turns[n-1].assistant == assistant {
		return t.turns[n-1]
	}
	u := &turn{assistant: assistant, path: path}
	t.turns = append(t.turns, u)
	return u
}

// merged reports a message that goes into a turn that another began. A result and
// what the user says to it belong together anyway.
func (t *translator) merged(u *turn, path string) {
	if u.path != path && (len(u.results) == 0 || len(u.texts) > 0) {
		t.gap(path, turnsMerged)
	}
}

func (t *translator) systemMessage(m *llm.Message, path string) {
	said := false
	for _, k := range t.blocks(m, path) {
		said = true
		t.system = append(t.system, k.text)
	}
	if !said {
		t.blankMessage(path)
		return
	}
	if t.systemPath == "" {
		t.systemPath = path
	}
	if len(t.turns) > 0 {
		t.gap(path, systemReordered)
	}
}

func (t *translator) assistantMessage(m *llm.Message, path string) {
	texts := t.blocks(m, path)
	if len(texts) == 0 && len(m.ToolCalls) == 0 {
		t.blankMessage(path)
		return
	}
	u := t.turn(true, path)
	t.merged(u, path)
	if len(texts) > 0 && len(u.calls) > 0 {
		t.gap(path, reordered)
	}
	u.texts = append(u.texts, texts...)
	for j, c := range m.ToolCalls {
		at := c.Path
		if at == "" {
			at = path + "/tool_calls/" + strconv.Itoa(j)
		}
		u.calls = append(u.calls, t.call(&c, at))
	}
}

// call writes an earlier call. One in the old form has no id of its own, and its
// function stands in it without another level.
func (t *translator) call(c *llm.ToolCall, at string) call {
	inside := at
	old := strings.HasSuffix(at, "/function_call")
	if !old {
		inside += "/function"
	}
	use := toolUse{id: t.callID(c.ID), name: t.names.wire(c.Name), input: t.input(c.Arguments, inside+"/arguments")}
	if use.name != c.Name {
		t.gap(inside+"/name", toolName)
	}
	if use.id != c.ID && !old {
		t.gap(at+"/id", toolID)
	}
	return call{id: c.ID, path: at, use: use}
}

// resultContent gives a tool result's blocks, never none.
func (t *translator) resultContent(m *llm.Message, path string) []block {
	content := t.blocks(m, path)
	if len(content) > 0 {
		return content
	}
	t.gap(path+"/content", emptyToolResult)
	return []block{{text: emptyResult}}
}
