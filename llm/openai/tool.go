package openai

import (
	"encoding/json"
	"strconv"

	"understudy/llm"
)

func (d *decoder) tools(v json.RawMessage) error {
	if kindOf(v) != isArray {
		return wrongType("/tools", isArray, v)
	}
	for i, v := range elements(v) {
		path := "/tools/" + strconv.Itoa(i)
		if kindOf(v) != isObject {
			return wrongType(path, isObject, v)
		}
		tool := llm.Tool{Path: path, Other: v}
		if partType(v) == "function" {
			tool.Other = nil
			for key, v := range members(v) {
				if key != "function" {
					continue
				}
				if err := function(&tool, path+"/function", v); err != nil {
					return err
				}
			}
			if tool.Name == "" {
				return untranslatable(path+"/function/name", "read request: the function has no name")
			}
		}
		d.req.Tools = append(d.req.Tools, tool)
	}
	return nil
}

// function reads a function's declaration into t.
func function(t *llm.Tool, path string, v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	for key, v := range members(v) {
		var err error
		switch {
		case kindOf(v) == isNull:
		case key == "name":
			t.Name, err = stringAt(path+"/name", v)
		case key == "description":
			t.Description, err = stringAt(path+"/description", v)
		case key == "parameters":
			if kindOf(v) != isObject {
				return wrongType(path+"/parameters", isObject, v)
			}
			t.Parameters = v
		case key == "strict":
			t.Strict, err = flagAt(path+"/strict", v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// functions reads the old form of tools. Extra keeps the field as well, so that
// each spoke reports the conversion.
func (d *decoder) functions(v json.RawMessage) error {
	if kindOf(v) != isArray {
		return wrongType("/functions", isArray, v)
	}
	for i, v := range elements(v) {
		tool := llm.Tool{Path: "/functions/" + strconv.Itoa(i)}
		if err := function(&tool, tool.Path, v); err != nil {
			return err
		}
		if tool.Name == "" {
			return untranslatable(tool.Path+"/name", "read request: the function has no name")
		}
		d.req.Tools = append(d.req.Tools, tool)
	}
	return nil
}

// functionCall reads the old form of tool_choice.
func (d *decoder) functionCall(v json.RawMessage) error {
	if kindOf(d.top["tool_choice"]) != isNull {
		return nil
	}
	switch kindOf(v) {
	case isString:
		d.req.ToolChoice.Mode = choiceMode(text(v))
		return nil
	case isObject:
		name, _, err := callOf("/function_call", v)
		d.req.ToolChoice = llm.ToolChoice{Mode: "tool", Name: name}
		return err
	}
	return wrongType("/function_call", isObject, v)
}

// choiceMode is the mode that a word means.
func choiceMode(word string) string {
	switch word {
	case "auto", "none", "required":
		return word
	}
	return "other"
}

func (d *decoder) toolChoice(v json.RawMessage) error {
	switch kindOf(v) {
	case isString:
		d.req.ToolChoice.Mode = choiceMode(text(v))
	case isObject:
		d.req.ToolChoice.Mode = "other"
		for key, f := range members(v) {
			if key == "function" && partType(v) == "function" {
				name, _, err := callOf("/tool_choice/function", f)
				if err != nil {
					return err
				}
				d.req.ToolChoice = llm.ToolChoice{Mode: "tool", Name: name}
			}
		}
	default:
		return wrongType("/tool_choice", isObject, v)
	}
	if d.req.ToolChoice.Mode == "other" {
		d.extra("tool_choice", v)
	}
	return nil
}

// responseFormat reads text, json_object and json_schema; any other form stays
// in Extra.
func (d *decoder) responseFormat(v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType("/response_format", isObject, v)
	}
	format := llm.ResponseFormat{Type: partType(v)}
	switch format.Type {
	case "text", "json_object":
	case "json_schema":
		for key, v := range members(v) {
			if key != "json_schema" {
				continue
			}
			if err := jsonSchema(&format, v); err != nil {
				return err
			}
		}
	default:
		d.extra("response_format", v)
		return nil
	}
	d.req.ResponseFormat = &format
	return nil
}

func jsonSchema(format *llm.ResponseFormat, v json.RawMessage) error {
	const path = "/response_format/json_schema"
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	for key, v := range members(v) {
		var err error
		switch {
		case kindOf(v) == isNull:
		case key == "name":
			format.Name, err = stringAt(path+"/name", v)
		case key == "description":
			format.Description, err = stringAt(path+"/description", v)
		case key == "schema":
			if kindOf(v) != isObject {
				return wrongType(path+"/schema", isObject, v)
			}
			format.Schema = v
		case key == "strict":
			format.Strict, err = flagAt(path+"/strict", v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
