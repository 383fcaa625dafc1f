package openai

import (
	"bytes"
	"strconv"

	"understudy/llm"
)

// An edit replaces body[from:to].
type edit struct {
	from, to int
	with     []byte
}

// splice gives body with another model, with the stream and its usage asked for, or
// with neither, and, where limit is above 0, with that limit of output tokens. Every
// other byte, and the order of the keys, stays as it is. body must be a JSON object.
func splice(body []byte, model string, limit int, stream bool) []byte {
	const usageOn = `{"include_usage":true}`
	quoted := llm.AppendJSONString(nil, model)
	var edits []edit
	seen := map[string]bool{}
	for key, at := range fields(body) {
		switch {
		case limit > 0 && (key == "max_tokens" || key == "max_completion_tokens"): // null
			edits = append(edits, edit{at.from, at.to, strconv.AppendInt(nil, int64(limit), 10)})
			key = "max_completion_tokens"
		case key == "model":
			edits = append(edits, edit{at.from, at.to, quoted})
		case key == "stream":
			edits = append(edits, edit{at.from, at.to, strconv.AppendBool(nil, stream)})
		case key == "stream_options" && !stream: // OpenAI takes them only with a stream
			edits = append(edits, edit{at.from, at.to, []byte("null")})
		case key == "stream_options":
			edits = append(edits, usageEdits(body, at)...)
		default:
			key = ""
		}
		seen[key] = true
	}
	open := bytes.IndexByte(body, '{') + 1
	end := bytes.LastIndexByte(body, '}')
	var added []byte
	add := func(key, value string) {
		if !seen[key] {
			added = append(added, `,"`+key+`":`+value...)
		}
	}
	add("model", string(quoted))
	if stream {
		add("stream", "true")
		add("stream_options", usageOn)
	}
	if limit > 0 {
		add("max_completion_tokens", strconv.Itoa(limit))
	}
	if len(added) > 0 && skipSpace(body, open) == end {
		added = added[1:] // the object was empty: no comma first
	}
	return apply(body, append(edits, edit{end, end, added}))
}

// usageEdits turns usage on inside the stream_options at the given place.
func usageEdits(body []byte, at span) []edit {
	value := body[at.from:at.to]
	if kindOf(value) != isObject {
		return []edit{{at.from, at.to, []byte(`{"include_usage":true}`)}}
	}
	var edits []edit
	for key, f := range fields(value) {
		if key == "include_usage" {
			edits = append(edits, edit{at.from + f.from, at.from + f.to, []byte("true")})
		}
	}
	if len(edits) > 0 {
		return edits
	}
	with := `"include_usage":true`
	if value[skipSpace(value, 1)] != '}' {
		with += ","
	}
	return []edit{{at.from + 1, at.from + 1, []byte(with)}}
}

// apply makes the edits, which do not overlap and come in order.
func apply(body []byte, edits []edit) []byte {
	size := len(body)
	for _, e := range edits {
		size += len(e.with)
	}
	out := make([]byte, 0, size)
	from := 0
	for _, e := range edits {
		out = append(append(out, body[from:e.from]...), e.with...)
		from = e.to
	}
	return append(out, body[from:]...)
}
