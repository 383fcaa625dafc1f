package openai

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"understudy/llm"
)

// Decode reads a Chat Completions request. What has a neutral form is mapped;
// every other top-level field is kept in Request.Extra, and every other part or
// field of a message as a PartOther, so that each spoke has to say what becomes
// of it. A field whose value is null counts as absent, as it does at OpenAI.
//
// The result refers to body, which must not be changed afterwards. A body that
// is no JSON, or has a field of the wrong type, is an *llm.Error of
// ClassUntranslatable whose Path points at the fault.
func Decode(body []byte) (*llm.Request, error) {
	if !json.Valid(body) {
		return nil, untranslatable("", "read request: the body is not valid JSON")
	}
	doc := body[skipSpace(body, 0):]
	if kindOf(doc) != isObject {
		return nil, untranslatable("", "read request: the body is not a JSON object")
	}
	d := decoder{req: &llm.Request{Raw: body}, top: map[string]json.RawMessage{}}
	for key, v := range members(doc) {
		d.top[key] = v // of a key that stands twice the last counts
	}
	for _, key := range slices.Sorted(maps.Keys(d.top)) {
		if v := d.top[key]; kindOf(v) != isNull {
			if err := d.field(key, v); err != nil {
				return nil, err
			}
		}
	}
	if kindOf(d.top["messages"]) == isNull {
		return nil, untranslatable("/messages", "read request: messages is missing")
	}
	return d.req, nil
}

// A decoder reads one request.
type decoder struct {
	req *llm.Request
	top map[string]json.RawMessage
	// functionCalls counts the calls in the old form, which have no id.
	functionCalls int
}

// field reads one top-level field that is not null.
func (d *decoder) field(key string, v json.RawMessage) (err error) {
	path := "/" + escape(key)
	switch key {
	case "model":
		d.req.Model, err = stringAt(path, v)
	case "messages":
		err = d.messages(v)
	case "tools":
		err = d.tools(v)
	case "tool_choice":
		err = d.toolChoice(v)
	case "parallel_tool_calls":
		d.req.ParallelToolCalls, err = flagAt(path, v)
	case "response_format":
		err = d.responseFormat(v)
	case "max_tokens", "max_completion_tokens":
		err = d.limit(key, v)
	case "temperature":
		d.req.Temperature, err = numberAt(path, v)
	case "top_p":
		d.req.TopP, err = numberAt(path, v)
	case "stop":
		d.req.Stop, err = stopAt(path, v)
	case "stream":
		var on *bool
		if on, err = flagAt(path, v); err == nil {
			d.req.Stream = *on
		}
	case "stream_options":
		err = d.streamOptions(v)
	case "functions":
		d.extra(key, v)
		err = d.functions(v)
	case "function_call":
		d.extra(key, v)
		err = d.functionCall(v)
	default:
		d.extra(key, v)
	}
	return err
}

func (d *decoder) extra(key string, v json.RawMessage) {
	if d.req.Extra == nil {
		d.req.Extra = map[string]json.RawMessage{}
	}
	d.req.Extra[key] = v
}

// limit reads the limit of the answer; the newer name wins over the older.
func (d *decoder) limit(key string, v json.RawMessage) error {
	n, ok := integer(v)
	if !ok || kindOf(v) != isNumber {
		return untranslatable("/"+key, "read request: %s is not a whole number", key)
	}
	if key == "max_tokens" && d.req.MaxTokens != nil {
		return nil // max_completion_tokens was read before: keys come sorted
	}
	d.req.MaxTokens = &n
	return nil
}

func (d *decoder) streamOptions(v json.RawMessage) error {
	if kindOf(v) != isObject {
		return wrongType("/stream_options", isObject, v)
	}
	for key, v := range members(v) {
		if key != "include_usage" {
			d.extra("stream_options", d.top["stream_options"])
			continue
		}
		if kindOf(v) == isNull {
			continue
		}
		on, err := flagAt("/stream_options/include_usage", v)
		if err != nil {
			return err
		}
		d.req.IncludeUsage = *on
	}
	return nil
}

func stopAt(path string, v json.RawMessage) ([]string, error) {
	switch kindOf(v) {
	case isString:
		return []string{text(v)}, nil
	case isArray:
		var stop []string
		for i, v := range elements(v) {
			s, err := stringAt(path+"/"+strconv.Itoa(i), v)
			if err != nil {
				return nil, err
			}
			stop = append(stop, s)
		}
		return stop, nil
	}
	return nil, wrongType(path, isString, v)
}

func wrongType(path string, want kind, v json.RawMessage) error {
	return untranslatable(path, "read request: %s where %s is expected", kindOf(v), want)
}

func stringAt(path string, v json.RawMessage) (string, error) {
	if kindOf(v) != isString {
		return "", wrongType(path, isString, v)
	}
	return text(v), nil
}

// optionalStringAt reads a string that may be null.
func optionalStringAt(path string, v json.RawMessage) (string, error) {
	if kindOf(v) == isNull {
		return "", nil
	}
	return stringAt(path, v)
}

func flagAt(path string, v json.RawMessage) (*bool, error) {
	if kindOf(v) != isBool {
		return nil, wrongType(path, isBool, v)
	}
	on := v[0] == 't'
	return &on, nil
}

func numberAt(path string, v json.RawMessage) (*float64, error) {
	if kindOf(v) != isNumber {
		return nil, wrongType(path, isNumber, v)
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return nil, untranslatable(path, "read request: the number is out of range")
	}
	return &f, nil
}
