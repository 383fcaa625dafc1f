package sim

import (
	"fmt"
	"slices"
	"strings"
)

var oaRoles = []string{"system", "assistant", "user", "function", "tool", "developer"}

// checkMessages refuses turns of a wrong shape.
func checkMessages(body map[string]any) *oaError {
	if body["messages"] == nil {
		return badRequest("messages", "missing_required_parameter", "Missing required parameter: 'messages'.")
	}
	messages, ok := body["messages"].([]any)
	if !ok {
		return invalidType("messages", "an array of objects", body["messages"])
	}
	if len(messages) == 0 {
		return badRequest("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	for i, v := range messages {
		param := fmt.Sprintf("messages[%d]", i)
		m, ok := v.(map[string]any)
		if !ok {
			return invalidType(param, "an object", v)
		}
		role, ok := m["role"].(string)
		switch {
		case m["role"] == nil:
			return badRequest(param+".role", "missing_required_parameter", "Missing required parameter: '%s.role'.", param)
		case !ok:
			return invalidType(param+".role", "one of 'system', 'assistant', 'user', 'function', 'tool', or 'developer'", m["role"])
		case !slices.Contains(oaRoles, role):
			return badRequest(param+".role", "invalid_value", "Invalid value: '%s'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.", role)
		}
		if e := checkContent(param, role, m); e != nil {
			return e
		}
		if e := checkCalls(param, role, m); e != nil {
			return e
		}
	}
	return nil
}

func checkContent(param, role string, m map[string]any) *oaError {
	param += ".content"
	switch c := m["content"].(type) {
	case string:
	case nil:
		if role == "assistant" && (m["tool_calls"] != nil || m["function_call"] != nil || m["refusal"] != nil || m["audio"] != nil) || role == "function" {
			return nil
		}
		return badRequest(param, "", "Invalid value for 'content': expected a string, got null.")
	case []any:
		if len(c) == 0 && role != "assistant" {
			return badRequest(param, "empty_array", "Invalid '%s': empty array. Expected an array with minimum length 1, but got an empty array instead.", param)
		}
		for i, p := range c {
			if e := checkPart(fmt.Sprintf("%s[%d]", param, i), role, p); e != nil {
				return e
			}
		}
	default:
		return invalidType(param, "one of a string or array of objects", c)
	}
	return nil
}

func checkPart(param, role string, v any) *oaError {
	part, ok := v.(map[string]any)
	if !ok {
		return invalidType(param, "an object", v)
	}
	switch part["type"] {
	case "text":
		if _, ok := part["text"].(string); !ok {
			return invalidType(param+".text", "a string", part["text"])
		}
	case "refusal":
		if role != "assistant" {
			return badRequest(param, "invalid_value", "Invalid value: 'refusal'.")
		}
	case "image_url":
		image, _ := part["image_url"].(map[string]any)
		url, ok := image["url"].(string)
		switch {
		case role != "user":
			return badRequest(param, "invalid_value", "Image URLs are only allowed for messages with role 'user', but this message with role '%s' contains an image URL.", role)
		case !ok:
			return badRequest(param+".image_url.url", "missing_required_parameter", "Missing required parameter: '%s.image_url.url'.", param)
		case !strings.HasPrefix(url, "data:image/") && !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://"):
			return badRequest(param+".image_url.url", "invalid_value", "Invalid '%s.image_url.url'. Expected a valid URL, but got a value with an invalid format.", param)
		}
	case "input_audio", "file":
	case nil:
		return badRequest(param+".type", "missing_required_parameter", "Missing required parameter: '%s.type'.", param)
	default:
		return badRequest(param+".type", "invalid_value", "Invalid value: '%v'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', and 'file'.", part["type"])
	}
	return nil
}

// checkCalls looks at the tool members of one turn.
func checkCalls(param, role string, m map[string]any) *oaError {
	if role == "tool" {
		if id, _ := m["tool_call_id"].(string); id == "" {
			return badRequest(param+".tool_call_id", "missing_required_parameter", "Missing required parameter: '%s.tool_call_id'.", param)
		}
	}
	if m["tool_calls"] == nil || role != "assistant" {
		return nil
	}
	calls, ok := m["tool_calls"].([]any)
	param += ".tool_calls"
	if !ok {
		return invalidType(param, "an array of objects", m["tool_calls"])
	}
	if len(calls) == 0 {
		return badRequest(param, "empty_array", "Invalid '%s': empty array. Expected an array with minimum length 1, but got an empty array instead.", param)
	}
	for i, v := range calls {
		at := fmt.Sprintf("%s[%d]", param, i)
		call, ok := v.(map[string]any)
		if !ok {
			return invalidType(at, "an object", v)
		}
		if id, _ := call["id"].(string); id == "" {
			return badRequest(at+".id", "missing_required_parameter", "Missing required parameter: '%s.id'.", at)
		}
		if call["type"] == "custom" {
			continue
		}
		if call["type"] != "function" {
			return badRequest(at+".type", "missing_required_parameter", "Missing required parameter: '%s.type'.", at)
		}
		fn, _ := call["function"].(map[string]any)
		if e := checkName(at+".function.name", fn["name"]); e != nil {
			return e
		}
		if _, ok := fn["arguments"].(string); !ok {
			return invalidType(at+".function.arguments", "a string", fn["arguments"])
		}
	}
	return nil
}

// checkToolTurns demands that calls are answered by the turns that follow, and
// that tool turns answer calls.
func checkToolTurns(body map[string]any) *oaError {
	open := map[string]bool{} // unanswered calls
	known := map[string]bool{}
	closeTurn := func(i int) *oaError {
		if len(open) == 0 {
			return nil
		}
		var ids []string
		for id := range open {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return badRequest(fmt.Sprintf("messages.[%d].role", i), "",
			"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(ids, ", "))
	}
	messages := body["messages"].([]any)
	for i, v := range messages {
		m := v.(map[string]any)
		if m["role"] == "tool" {
			id := m["tool_call_id"].(string)
			if !known[id] {
				return badRequest(fmt.Sprintf("messages.[%d].role", i), "",
					"Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
			}
			delete(open, id)
			continue
		}
		if e := closeTurn(i); e != nil {
			return e
		}
		clear(known)
		calls, _ := m["tool_calls"].([]any)
		for _, c := range calls {
			id := c.(map[string]any)["id"].(string)
			open[id], known[id] = true, true
		}
	}
	return closeTurn(len(messages))
}

// checkWordJSON is the vendor's guard of response_format json_object.
func checkWordJSON(body map[string]any) *oaError {
	format, _ := body["response_format"].(map[string]any)
	if format["type"] != "json_object" {
		return nil
	}
	for _, v := range body["messages"].([]any) {
		for _, t := range textBlocks(v.(map[string]any)["content"]) {
			if strings.Contains(strings.ToLower(t), "json") {
				return nil
			}
		}
	}
	return badRequest("messages", "", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
}
