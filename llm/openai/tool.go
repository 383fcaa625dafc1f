package openai

import (
	"encoding/json"

	"understudy/llm"
)

// tool reads a declared tool; one that is no function is kept whole.
func (d *decoder) tool(path string, v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	tool := llm.Tool{Path: path}
	if typeOf(v) != "function" {
		tool.Other = v
		d.req.Tools = append(d.req.Tools, tool)
		return nil
	}
	err := d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		switch key {
		case "type":
			return true, nil
		case "function":
			return true, d.function(&tool, path, v)
		}
		return false, nil
	})
	return d.addTool(tool, path+"/function/name", err)
}

// oldFunction reads a tool in the old form. Extra keeps the field as well, so
// that each spoke reports the conversion.
func (d *decoder) oldFunction(path string, v json.RawMessage) error {
	tool := llm.Tool{Path: path}
	return d.addTool(tool, path+"/name", d.function(&tool, path, v))
}

func (d *decoder) addTool(tool llm.Tool, path string, err error) error {
	switch {
	case err != nil:
		return err
	case tool.Name == "":
		return untranslatable(path, "read request: the function has no name")
	}
	d.req.Tools = append(d.req.Tools, tool)
	return nil
}

// function reads a function's declaration into t.
func (d *decoder) function(t *llm.Tool, path string, v json.RawMessage) error {
	return d.object(path, v, func(key, path string, v json.RawMessage) (known bool, err error) {
		switch key {
		case "name":
			err = setString(&t.Name, path, v)
		case "description":
			err = setString(&t.Description, path, v)
		case "parameters":
			t.Parameters, err = objectAt(path, v)
		case "strict":
			t.Strict, err = flagAt(path, v)
		default:
			return false, nil
		}
		return true, err
	})
}

// functionCall reads the old form of tool_choice.
func (d *decoder) functionCall(path string, v json.RawMessage) error {
	if kindOf(v) == isString {
		d.oldChoice = &llm.ToolChoice{Mode: choiceMode(text(v))}
		return nil
	}
	var c llm.ToolCall
	err := d.called(&c, path, v)
	d.oldChoice = &llm.ToolChoice{Mode: "tool", Name: c.Name}
	return err
}

// choiceMode is the mode that a word means.
func choiceMode(word string) string {
	switch word {
	case "auto", "none", "required":
		return word
	}
	return "other"
}

// toolChoice reads tool_choice. A form that is neither a word nor a function
// stays in Extra as well.
func (d *decoder) toolChoice(path string, v json.RawMessage) error {
	choice := &d.req.ToolChoice
	switch {
	case kindOf(v) == isString:
		choice.Mode = choiceMode(text(v))
	case kindOf(v) != isObject:
		return wrongType(path, isObject, v)
	case typeOf(v) != "function":
		choice.Mode = "other"
		if err := d.object(path, v, func(string, string, json.RawMessage) (bool, error) { return true, nil }); err != nil {
			return err
		}
	default:
		err := d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
			switch key {
			case "type":
				return true, nil
			case "function":
				var c llm.ToolCall
				err := d.called(&c, path, v)
				*choice = llm.ToolChoice{Mode: "tool", Name: c.Name}
				return true, err
			}
			return false, nil
		})
		if err != nil {
			return err
		}
		if choice.Name == "" {
			return untranslatable(path+"/function/name", "read request: the function has no name")
		}
	}
	if choice.Mode == "other" {
		d.extra(path, v)
	}
	return nil
}

// responseFormat reads text, json_object and json_schema; any other form stays
// in Extra.
func (d *decoder) responseFormat(path string, v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	format := llm.ResponseFormat{Type: typeOf(v)}
	switch format.Type {
	case "text", "json_object", "json_schema":
	default:
		d.extra(path, v)
		return nil
	}
	d.req.ResponseFormat = &format
	return d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		switch {
		case key == "type":
			return true, nil
		case key == "json_schema" && format.Type == "json_schema":
			return true, d.jsonSchema(&format, path, v)
		}
		return false, nil
	})
}

func (d *decoder) jsonSchema(format *llm.ResponseFormat, path string, v json.RawMessage) error {
	return d.object(path, v, func(key, path string, v json.RawMessage) (known bool, err error) {
		switch key {
		case "name":
			err = setString(&format.Name, path, v)
		case "description":
			err = setString(&format.Description, path, v)
		case "schema":
			format.Schema, err = objectAt(path, v)
		case "strict":
			format.Strict, err = flagAt(path, v)
		default:
			return false, nil
		}
		return true, err
	})
}

// objectAt gives an object byte for byte.
func objectAt(path string, v json.RawMessage) (json.RawMessage, error) {
	if kindOf(v) != isObject {
		return nil, wrongType(path, isObject, v)
	}
	return v, nil
}
