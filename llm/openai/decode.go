package openai

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"understudy/llm"
)

// Decode reads a Chat Completions request, OpenAI's or Azure's. What has a neutral
// form is mapped; every other field, at any depth, is kept in Request.Extra, and
// every part of another kind as a PartOther, so that each spoke has to say what
// becomes of it. A field whose value is null counts as absent, as it does at
// OpenAI.
//
// The result refers to body, which must not be changed afterwards. A body that
// is no JSON in UTF-8, names a key twice, or has a field of the wrong type or out
// of range, is an *llm.Error of ClassUntranslatable whose Path points at the fault.
func Decode(body []byte) (*llm.Request, error) {
	if !valid(body) || !utf8.Valid(body) {
		path, what := faultIn(body)
		return nil, untranslatable(path, "read request: %s", what)
	}
	doc := body[skipSpace(body, 0):]
	if kindOf(doc) != isObject {
		return nil, untranslatable("", "read request: the body is not a JSON object")
	}
	d := decoder{req: &llm.Request{Raw: body}}
	if err := d.object("", doc, d.field); err != nil {
		return nil, err
	}
	if !d.hasMessages {
		return nil, untranslatable("/messages", "read request: messages is missing")
	}
	switch n := d.req.MaxTokens; {
	case n == nil && d.oldLimit != nil:
		d.req.MaxTokens, d.req.MaxTokensPath = d.oldLimit, "/max_tokens"
	case n != nil && d.oldLimit != nil && *n != *d.oldLimit:
		d.extra("/max_tokens", d.oldLimitRaw)
	}
	if d.oldChoice != nil && d.req.ToolChoice.Mode == "" {
		d.req.ToolChoice = *d.oldChoice
	}
	// The wire's order is chance; gaps and encoded requests come in a fixed one.
	slices.SortStableFunc(d.req.Extra, func(a, b llm.Field) int { return strings.Compare(topLevel(a.Path), topLevel(b.Path)) })
	return d.req, nil
}

// topLevel is the first token of a path.
func topLevel(path string) string {
	token, _, _ := strings.Cut(path[1:], "/")
	return token
}

// A decoder reads one request.
type decoder struct {
	req         *llm.Request
	hasMessages bool
	// oldLimit is what max_tokens says; max_completion_tokens wins over it.
	oldLimit    *int
	oldLimitRaw json.RawMessage
	// oldChoice is what function_call says.
	oldChoice *llm.ToolChoice
	// functionCalls counts the calls in the old form, which have no id.
	functionCalls int
}

// field reads one top-level field.
func (d *decoder) field(key, path string, v json.RawMessage) (known bool, err error) {
	known = true
	switch key {
	case "model":
		d.req.Model, err = stringAt(path, v)
	case "messages":
		d.hasMessages = true
		err = d.array(path, v, d.message)
	case "tools":
		err = d.array(path, v, d.tool)
	case "tool_choice":
		err = d.toolChoice(path, v)
	case "parallel_tool_calls":
		d.req.ParallelToolCalls, err = flagAt(path, v)
	case "response_format":
		err = d.responseFormat(path, v)
	case "max_tokens", "max_completion_tokens":
		err = d.limit(key, path, v)
	case "temperature":
		d.req.Temperature, err = numberAt(path, v)
	case "top_p":
		d.req.TopP, err = numberAt(path, v)
	case "stop":
		d.req.Stop, err = stopAt(path, v)
	case "reasoning_effort":
		d.req.Effort, err = stringAt(path, v)
	case "user":
		d.req.User, err = stringAt(path, v)
	case "service_tier":
		d.req.ServiceTier, err = stringAt(path, v)
	case "metadata":
		err = d.metadata(path, v)
	case "stream":
		err = setFlag(&d.req.Stream, path, v)
	case "stream_options":
		err = d.object(path, v, d.streamOption)
	case "functions":
		d.extra(path, v)
		err = d.array(path, v, d.oldFunction)
	case "function_call":
		d.extra(path, v)
		err = d.functionCall(path, v)
	default:
		known = false
	}
	return known, err
}

// limit reads the limit of the answer; the newer name wins over the older.
func (d *decoder) limit(key, path string, v json.RawMessage) error {
	n, ok := integer(v)
	if !ok || kindOf(v) != isNumber {
		return untranslatable(path, "read request: %s is not a whole number of at most 32 bits", key)
	}
	if key == "max_tokens" {
		d.oldLimit, d.oldLimitRaw = &n, v
	} else {
		d.req.MaxTokens, d.req.MaxTokensPath = &n, path
	}
	return nil
}

func (d *decoder) streamOption(key, path string, v json.RawMessage) (bool, error) {
	if key != "include_usage" {
		return false, nil
	}
	return true, setFlag(&d.req.IncludeUsage, path, v)
}

// metadata reads the caller's labels. One that is no text is kept aside: some
// servers take it.
func (d *decoder) metadata(path string, v json.RawMessage) error {
	d.req.Metadata = map[string]string{}
	return d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		if kindOf(v) != isString {
			return false, nil
		}
		d.req.Metadata[key] = text(v)
		return true, nil
	})
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

// setString reads a string into s.
func setString(s *string, path string, v json.RawMessage) (err error) {
	*s, err = stringAt(path, v)
	return err
}

// setFlag reads a truth value into b.
func setFlag(b *bool, path string, v json.RawMessage) error {
	on, err := flagAt(path, v)
	if err == nil {
		*b = *on
	}
	return err
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
