package openai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// escape writes a key as a token of a JSON Pointer.
func escape(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

func (d *decoder) messages(v json.RawMessage) error {
	if kindOf(v) != isArray {
		return wrongType("/messages", isArray, v)
	}
	for i, v := range elements(v) {
		if err := d.message("/messages/"+strconv.Itoa(i), v); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) message(path string, v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	var m llm.Message
	function := false
	for key, v := range members(v) {
		if key != "role" {
			continue
		}
		s, err := stringAt(path+"/role", v)
		if err != nil {
			return err
		}
		switch s {
		case "system", "developer":
			m.Role = llm.RoleSystem
		case "user", "assistant", "tool":
			m.Role = llm.Role(s)
		case "function":
			m.Role, function = llm.RoleTool, true
		default:
			return untranslatable(path+"/role", "read request: the role is none of system, developer, user, assistant, tool, function")
		}
	}
	if m.Role == "" {
		return untranslatable(path+"/role", "read request: role is missing")
	}
	for key, v := range members(v) {
		if err := d.messageField(&m, path+"/"+escape(key), key, v); err != nil {
			return err
		}
	}
	if function {
		m.ToolCallID = functionCallID(d.functionCalls)
	}
	d.req.Messages = append(d.req.Messages, m)
	return nil
}

func (d *decoder) messageField(m *llm.Message, path, key string, v json.RawMessage) (err error) {
	if kindOf(v) == isNull {
		return nil
	}
	switch key {
	case "role":
	case "content":
		// Of a key that stands twice the last counts.
		m.Parts = slices.DeleteFunc(m.Parts, func(p llm.Part) bool { return strings.HasPrefix(p.Path, path) })
		err = content(m, path, v)
	case "name":
		m.Name, err = stringAt(path, v)
	case "tool_call_id":
		m.ToolCallID, err = stringAt(path, v)
	case "tool_calls":
		m.ToolCalls = nil
		err = toolCalls(m, path, v)
	case "function_call":
		d.functionCalls++
		err = functionCallOf(m, path, functionCallID(d.functionCalls), v)
	case "refusal":
		var s string
		if s, err = stringAt(path, v); err == nil && s != "" {
			m.Parts = append(m.Parts, llm.Part{Kind: llm.PartText, Text: s, Path: path})
		}
	default:
		m.Parts = append(m.Parts, llm.Part{Kind: llm.PartOther, Path: path, Raw: v})
	}
	return err
}

// content reads a message's content: a string or parts.
func content(m *llm.Message, path string, v json.RawMessage) error {
	switch kindOf(v) {
	case isString:
		m.Parts = append(m.Parts, llm.Part{Kind: llm.PartText, Text: text(v), Path: path})
		return nil
	case isArray:
	default:
		return untranslatable(path, "read request: %s where a string or an array of parts is expected", kindOf(v))
	}
	for i, v := range elements(v) {
		at := path + "/" + strconv.Itoa(i)
		if kindOf(v) != isObject {
			return wrongType(at, isObject, v)
		}
		if err := part(m, at, v); err != nil {
			return err
		}
	}
	return nil
}

func part(m *llm.Message, path string, v json.RawMessage) error {
	p := llm.Part{Kind: llm.PartOther, Path: path, Raw: v}
	var extra []llm.Part
	kind := partType(v)
	for key, v := range members(v) {
		var err error
		switch {
		case key == "type", kindOf(v) == isNull:
		case key == "text" && kind == "text", key == "refusal" && kind == "refusal":
			p.Kind, p.Raw = llm.PartText, nil
			p.Text, err = stringAt(path+"/"+key, v)
		case key == "image_url" && kind == "image_url":
			p.Kind, p.Raw = llm.PartImage, nil
			p.Image, err = image(path+"/image_url", v)
		default:
			extra = append(extra, llm.Part{Kind: llm.PartOther, Path: path + "/" + escape(key), Raw: v})
		}
		if err != nil {
			return err
		}
	}
	m.Parts = append(m.Parts, p)
	if p.Kind != llm.PartOther { // else Raw holds the whole part already
		m.Parts = append(m.Parts, extra...)
	}
	return nil
}

func partType(v json.RawMessage) string {
	kind := ""
	for key, v := range members(v) {
		if key == "type" && kindOf(v) == isString {
			kind = text(v)
		}
	}
	return kind
}

func toolCalls(m *llm.Message, path string, v json.RawMessage) error {
	if kindOf(v) != isArray {
		return wrongType(path, isArray, v)
	}
	for i, v := range elements(v) {
		at := path + "/" + strconv.Itoa(i)
		if kindOf(v) != isObject {
			return wrongType(at, isObject, v)
		}
		var c llm.ToolCall
		function := false
		for key, v := range members(v) {
			var err error
			switch key {
			case "id":
				c.ID, err = optionalStringAt(at+"/id", v)
			case "function":
				function = true
				c.Name, c.Arguments, err = callOf(at+"/function", v)
			}
			if err != nil {
				return err
			}
		}
		if !function {
			m.Parts = append(m.Parts, llm.Part{Kind: llm.PartOther, Path: at, Raw: v})
			continue
		}
		m.ToolCalls = append(m.ToolCalls, c)
	}
	return nil
}

// callOf reads the name and the argument text of a call.
func callOf(path string, v json.RawMessage) (name, arguments string, err error) {
	if kindOf(v) != isObject {
		return "", "", wrongType(path, isObject, v)
	}
	for key, v := range members(v) {
		switch key {
		case "name":
			name, err = stringAt(path+"/name", v)
		case "arguments":
			arguments, err = optionalStringAt(path+"/arguments", v)
		}
		if err != nil {
			return "", "", err
		}
	}
	return name, arguments, nil
}

// functionCallID is the id of the n-th call in the old form, which had none: a
// call and the result that follows it get the same.
func functionCallID(n int) string { return fmt.Sprintf("function_call_%d", n) }

func functionCallOf(m *llm.Message, path, id string, v json.RawMessage) error {
	name, arguments, err := callOf(path, v)
	if err != nil {
		return err
	}
	m.ToolCalls = append(m.ToolCalls, llm.ToolCall{ID: id, Name: name, Arguments: arguments})
	return nil
}
