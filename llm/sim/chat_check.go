package sim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// checkChat refuses what Chat Completions refuses. Members that it does not know
// are let through: the real service grows.
func checkChat(body map[string]any) *oaError {
	for _, check := range []func(map[string]any) *oaError{
		checkScalars, checkStop, checkStreamOptions, checkTools, checkToolChoice, checkFormat, checkMessages, checkToolTurns, checkWordJSON,
	} {
		if e := check(body); e != nil {
			return e
		}
	}
	return nil
}

// jsonType names a decoded value's type as OpenAI's errors do.
func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "a decimal number"
		}
		return "an integer"
	}
	return fmt.Sprintf("%T", v)
}

func invalidType(param, want string, got any) *oaError {
	return badRequest(param, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", param, want, jsonType(got))
}

// oaRanges are the number parameters, as the vendor's definition bounds them.
var oaRanges = []struct {
	name    string
	integer bool
	lo, hi  float64
}{
	{"temperature", false, 0, 2}, {"top_p", false, 0, 1}, {"frequency_penalty", false, -2, 2}, {"presence_penalty", false, -2, 2},
	{"n", true, 1, 128}, {"max_tokens", true, 1, 1e9}, {"max_completion_tokens", true, 1, 1e9}, {"top_logprobs", true, 0, 20},
	{"seed", true, -9.3e18, 9.3e18},
}

func checkScalars(body map[string]any) *oaError {
	for _, p := range oaRanges {
		v := body[p.name]
		if v == nil {
			continue
		}
		want, kind := "a decimal", "decimal"
		if p.integer {
			want, kind = "an integer", "integer"
		}
		n, ok := v.(json.Number)
		if !ok || p.integer && jsonType(v) != "an integer" {
			return invalidType(p.name, want, v)
		}
		f, err := n.Float64()
		if err != nil || f > p.hi {
			return badRequest(p.name, kind+"_above_max_value", "Invalid '%s': %s above maximum value. Expected a value <= %g, but got %s instead.", p.name, kind, p.hi, n)
		}
		if f < p.lo {
			return badRequest(p.name, kind+"_below_min_value", "Invalid '%s': %s below minimum value. Expected a value >= %g, but got %s instead.", p.name, kind, p.lo, n)
		}
	}
	for _, name := range []string{"stream", "parallel_tool_calls", "logprobs", "store"} {
		if v := body[name]; v != nil {
			if _, ok := v.(bool); !ok {
				return invalidType(name, "a boolean", v)
			}
		}
	}
	if body["top_logprobs"] != nil && body["logprobs"] != true {
		return badRequest("top_logprobs", "invalid_value", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
	}
	return nil
}

func checkStop(body map[string]any) *oaError {
	switch v := body["stop"].(type) {
	case nil, string:
	case []any:
		if len(v) > 4 {
			return badRequest("stop", "array_above_max_length", "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length %d instead.", len(v))
		}
		for i, e := range v {
			if _, ok := e.(string); !ok {
				return invalidType(fmt.Sprintf("stop[%d]", i), "a string", e)
			}
		}
	default:
		return invalidType("stop", "one of an array of strings or a string", v)
	}
	return nil
}

func checkStreamOptions(body map[string]any) *oaError {
	v := body["stream_options"]
	if v == nil {
		return nil
	}
	if _, ok := v.(map[string]any); !ok {
		return invalidType("stream_options", "an object", v)
	}
	if body["stream"] != true {
		return badRequest("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	return nil
}

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func checkName(param string, v any) *oaError {
	name, ok := v.(string)
	switch {
	case v == nil:
		return badRequest(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
	case !ok:
		return invalidType(param, "a string", v)
	case len(name) > 64:
		return badRequest(param, "string_above_max_length", "Invalid '%s': string too long. Expected a string with maximum length 64, but got a string with length %d instead.", param, len(name))
	case !toolName.MatchString(name):
		return badRequest(param, "invalid_value", "Invalid '%s': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", param)
	}
	return nil
}

func checkTools(body map[string]any) *oaError {
	if body["tools"] == nil {
		return nil
	}
	tools, ok := body["tools"].([]any)
	if !ok {
		return invalidType("tools", "an array of objects", body["tools"])
	}
	if len(tools) == 0 {
		return badRequest("tools", "empty_array", "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	if len(tools) > 128 {
		return badRequest("tools", "array_above_max_length", "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length %d instead.", len(tools))
	}
	for i, t := range tools {
		param := fmt.Sprintf("tools[%d]", i)
		tool, ok := t.(map[string]any)
		if !ok {
			return invalidType(param, "an object", t)
		}
		switch tool["type"] {
		case nil:
			return badRequest(param+".type", "missing_required_parameter", "Missing required parameter: '%s.type'.", param)
		case "custom":
			continue
		case "function":
		default:
			return badRequest(param+".type", "invalid_value", "Invalid value: '%v'. Supported values are: 'function' and 'custom'.", tool["type"])
		}
		if e := checkFunction(param+".function", tool["function"]); e != nil {
			return e
		}
	}
	return nil
}

func checkFunction(param string, v any) *oaError {
	fn, ok := v.(map[string]any)
	if v == nil {
		return badRequest(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
	}
	if !ok {
		return invalidType(param, "an object", v)
	}
	if e := checkName(param+".name", fn["name"]); e != nil {
		return e
	}
	if d := fn["description"]; d != nil {
		if _, ok := d.(string); !ok {
			return invalidType(param+".description", "a string", d)
		}
	}
	p := fn["parameters"]
	if p == nil {
		return nil
	}
	schema, ok := p.(map[string]any)
	if !ok {
		return invalidType(param+".parameters", "an object", p)
	}
	if t := schema["type"]; len(schema) > 0 && t != "object" {
		if t == nil {
			t = "None"
		}
		return badRequest(param+".parameters", "invalid_function_parameters",
			"Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"%v\"'.", fn["name"], t)
	}
	return nil
}

func checkToolChoice(body map[string]any) *oaError {
	if body["tools"] == nil {
		if c := body["tool_choice"]; c != nil && c != "none" {
			return badRequest("tool_choice", "", "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
		}
		if body["parallel_tool_calls"] != nil {
			return badRequest("parallel_tool_calls", "", "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.")
		}
		return nil
	}
	switch c := body["tool_choice"].(type) {
	case nil:
	case string:
		if !slices.Contains([]string{"none", "auto", "required"}, c) {
			return badRequest("tool_choice", "invalid_value", "Invalid value: '%s'. Supported values are: 'none', 'auto', and 'required'.", c)
		}
	case map[string]any:
		if c["type"] != "function" {
			return nil // allowed_tools and custom tools have forms of their own
		}
		fn, _ := c["function"].(map[string]any)
		if e := checkName("tool_choice.function.name", fn["name"]); e != nil {
			return e
		}
		for _, t := range body["tools"].([]any) {
			f, _ := t.(map[string]any)["function"].(map[string]any)
			if f["name"] == fn["name"] {
				return nil
			}
		}
		return badRequest("tool_choice", "", "Invalid value for 'tool_choice': Tool choice '%s' not found in 'tools' parameter.", fn["name"])
	default:
		return invalidType("tool_choice", "one of 'none', 'auto', 'required' or an object", c)
	}
	return nil
}

func checkFormat(body map[string]any) *oaError {
	v := body["response_format"]
	if v == nil {
		return nil
	}
	format, ok := v.(map[string]any)
	if !ok {
		return invalidType("response_format", "an object", v)
	}
	switch format["type"] {
	case "text", "json_object":
		return nil
	case "json_schema":
	default:
		return badRequest("response_format.type", "invalid_value", "Invalid value: '%v'. Supported values are: 'json_object', 'json_schema', and 'text'.", format["type"])
	}
	js, ok := format["json_schema"].(map[string]any)
	if !ok {
		return badRequest("response_format.json_schema", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema'.")
	}
	if e := checkName("response_format.json_schema.name", js["name"]); e != nil {
		return e
	}
	if s := js["schema"]; s != nil {
		if _, ok := s.(map[string]any); !ok {
			return invalidType("response_format.json_schema.schema", "an object", s)
		}
	}
	return nil
}
