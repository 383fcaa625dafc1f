package tokens

import "understudy/llm"

const (
	// frame are the marks around a message: its start, the end of its head, its
	// end; priming those that make the model answer (the cookbook).
	frame   = 3
	priming = 3
	// namedFrame is what a name adds beside itself (the cookbook).
	namedFrame = 1
	// ownRole is the token of a role.
	ownRole = 1
	// primedHead is how much of a past answer's head the model did not write.
	primedHead = 2
)

// request counts the prompt.
func (c *counter) request(req *llm.Request) int {
	n := priming
	hasSystem := false
	names := toolNames{}
	for i := range req.Messages {
		m := &req.Messages[i]
		n += c.message(m, names)
		if m.Role == llm.RoleSystem && !hasSystem {
			hasSystem = true
			n += c.systemEnd(m, req)
		}
		names.add(m)
	}
	n += c.tools(req.Tools, hasSystem)
	n += c.format(req.ResponseFormat, hasSystem || len(req.Tools) > 0)
	return n + c.choice(req)
}

// message counts a turn with its frame.
func (c *counter) message(m *llm.Message, names toolNames) int {
	if m.Role == llm.RoleTool {
		return c.result(m, names)
	}
	n := frame + c.contents(m)
	if len(m.ToolCalls) > 0 {
		n += c.pastCalls(m) - frame
	} else {
		n += ownRole
	}
	if m.Name != "" {
		n += c.text(m.Name) + namedFrame
	}
	return n
}

func (c *counter) text(s string) int { return c.vocabulary.count(s) }

func (c *counter) contents(m *llm.Message) int {
	n := 0
	for _, p := range m.Parts {
		switch p.Kind {
		case llm.PartText, llm.PartRefusal:
			n += c.text(p.Text)
		case llm.PartImage:
			n += c.image(p.Image)
		default:
			return c.cannotSay()
		}
	}
	return n
}

// result counts what a tool gave back. The author of such a turn is the function,
// so its name stands in the place of the role (openai-chat-tokens, for the role
// function; the role tool costs one more, as reported at
// community.openai.com/t/538914).
func (c *counter) result(m *llm.Message, names toolNames) int {
	name := m.Name
	if name == "" {
		name = names[m.ToolCallID]
	}
	n := frame + c.contents(m)
	if c.early {
		return n + c.text(name) + 1
	}
	return n + c.text("functions."+name)
}

// toolNames are the functions called before, by the ids of the calls.
type toolNames map[string]string

func (n toolNames) add(m *llm.Message) {
	for _, call := range m.ToolCalls {
		n[call.ID] = call.Name
	}
}

// systemEnd is what the first system message gains where tools follow in the same
// message: a new line (openai-chat-tokens).
func (c *counter) systemEnd(m *llm.Message, req *llm.Request) int {
	if len(req.Tools) == 0 {
		return 0
	}
	last := ""
	for _, p := range m.Parts {
		last = p.Text
	}
	return max(0, c.text(last+"\n")-c.text(last))
}
