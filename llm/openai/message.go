package openai

import (
	"encoding/json"
	"strconv"

	"understudy/llm"
)

func (d *decoder) message(path string, v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	var m llm.Message
	role, function, err := roleOf(path, v)
	if err != nil {
		return err
	}
	m.Role = role
	err = d.object(path, v, func(key, path string, v json.RawMessage) (known bool, err error) {
		known = true
		switch key {
		case "role":
		case "content":
			err = d.content(&m, path, v)
		case "name":
			err = setString(&m.Name, path, v)
		case "tool_call_id":
			if known = m.Role == llm.RoleTool; known {
				err = setString(&m.ToolCallID, path, v)
			}
		case "tool_calls":
			if known = m.Role == llm.RoleAssistant; !known {
				return false, nil
			}
			err = d.array(path, v, func(path string, v json.RawMessage) error { return d.toolCall(&m, path, v) })
		case "function_call":
			d.extra(path, v)
			if m.Role != llm.RoleAssistant {
				return true, nil
			}
			d.functionCalls++
			c := llm.ToolCall{ID: functionCallID(d.functionCalls), Path: path}
			err = d.called(&c, path, v)
			m.ToolCalls = append(m.ToolCalls, c)
		case "refusal":
			p := llm.Part{Kind: llm.PartRefusal, Path: path}
			if err = setString(&p.Text, path, v); p.Text != "" {
				m.Parts = append(m.Parts, p)
			}
		default:
			known = false
		}
		return known, err
	})
	switch {
	case err != nil:
		return err
	case function:
		m.ToolCallID = functionCallID(d.functionCalls)
	}
	d.req.Messages = append(d.req.Messages, m)
	return nil
}

// roleOf reads the role of a message, which decides about its other fields; function
// tells that it is the old one of a call's result.
func roleOf(path string, message json.RawMessage) (role llm.Role, function bool, err error) {
	s := ""
	for key, v := range members(message) {
		if key != "role" || kindOf(v) == isNull {
			continue
		}
		if s, err = stringAt(path+"/role", v); err != nil {
			return "", false, err
		}
	}
	switch s {
	case "":
		return "", false, untranslatable(path+"/role", "read request: role is missing")
	case "system", "developer":
		return llm.RoleSystem, false, nil
	case "user", "assistant", "tool":
		return llm.Role(s), false, nil
	case "function":
		return llm.RoleTool, true, nil
	}
	return "", false, untranslatable(path+"/role", "read request: the role is none of system, developer, user, assistant, tool, function")
}

// content reads a message's content: a string or parts.
func (d *decoder) content(m *llm.Message, path string, v json.RawMessage) error {
	switch kindOf(v) {
	case isString:
		m.Parts = append(m.Parts, llm.Part{Kind: llm.PartText, Text: text(v), Path: path})
		return nil
	case isArray:
		return d.array(path, v, func(path string, v json.RawMessage) error { return d.part(m, path, v) })
	}
	return untranslatable(path, "read request: %s where a string or an array of parts is expected", kindOf(v))
}

// part reads a part of one of the kinds that have a neutral form; any other is
// kept whole.
func (d *decoder) part(m *llm.Message, path string, v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	p := llm.Part{Kind: llm.PartOther, Path: path, Raw: v}
	kind := typeOf(v)
	body := false // the member that the type names is there
	read := func(key, path string, v json.RawMessage) (bool, error) {
		switch {
		case key == "type":
			return true, nil
		case key != kind:
			return false, nil
		}
		body = true
		switch kind {
		case "text", "refusal":
			p.Kind = llm.PartKind(kind)
			return true, setString(&p.Text, path, v)
		case "image_url":
			p.Kind, p.Image = llm.PartImage, &llm.Image{}
			return true, d.image(p.Image, path, v)
		case "file":
			p.Kind, p.File = llm.PartFile, &llm.File{}
			return true, d.file(p.File, path, v)
		default: // input_audio
			p.Kind, p.Audio = llm.PartAudio, &llm.Audio{}
			return true, d.audio(p.Audio, path, v)
		}
	}
	switch kind {
	case "text", "refusal", "image_url", "file", "input_audio":
		extra := d.req.Extra
		if err := d.object(path, v, read); err != nil {
			return err
		}
		if body {
			p.Raw = nil
		} else { // Raw holds the whole part
			d.req.Extra = extra
		}
	}
	m.Parts = append(m.Parts, p)
	return nil
}

// toolCall reads a call of a function; one of another tool is kept whole, as a
// part that every spoke reports.
func (d *decoder) toolCall(m *llm.Message, path string, v json.RawMessage) error {
	c := llm.ToolCall{Path: path}
	function := false
	extra := d.req.Extra
	err := d.object(path, v, func(key, path string, v json.RawMessage) (known bool, err error) {
		switch key {
		case "id":
			return true, setString(&c.ID, path, v)
		case "type":
			return true, nil
		case "function":
			function = true
			return true, d.called(&c, path, v)
		}
		return false, nil
	})
	switch {
	case err != nil:
		return err
	case function:
		m.ToolCalls = append(m.ToolCalls, c)
	default:
		d.req.Extra = extra
		m.Parts = append(m.Parts, llm.Part{Kind: llm.PartOther, Path: path, Raw: v})
	}
	return nil
}

// called reads the name and the argument text of a call.
func (d *decoder) called(c *llm.ToolCall, path string, v json.RawMessage) error {
	err := d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		switch key {
		case "name":
			return true, setString(&c.Name, path, v)
		case "arguments":
			return true, setString(&c.Arguments, path, v)
		}
		return false, nil
	})
	if err == nil && c.Name == "" {
		err = untranslatable(path+"/name", "read request: the function has no name")
	}
	return err
}

// functionCallID is the id of the n-th call in the old form, which had none: a
// call and the result that follows it get the same.
func functionCallID(n int) string { return "function_call_" + strconv.Itoa(n) }
