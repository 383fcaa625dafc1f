package openai

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// AskUsage gives body, a Chat Completions request, with the usage of its stream asked for
// (stream_options.include_usage); every other byte stays as it is. ok is false where
// nothing may be changed: body is no JSON object in UTF-8, names a key of the top level
// or of stream_options twice, does not ask for a stream, or says itself whether it wants
// the usage. A stream_options of null counts as absent.
func AskUsage(body []byte) (asking []byte, ok bool) {
	if !bytes.Contains(body, []byte(`"stream"`)) || !valid(body) || !utf8.Valid(body) {
		return nil, false
	}
	top, ok := distinct(body)
	if !ok || string(top.value("stream")) != "true" {
		return nil, false
	}
	at, there := top.at["stream_options"]
	if !there {
		end := bytes.LastIndexByte(body, '}') // stream stands before it: a comma is needed
		return apply(body, []edit{{end, end, []byte(`,"stream_options":{"include_usage":true}`)}}), true
	}
	switch value := body[at.from:at.to]; kindOf(value) {
	case isNull:
	case isObject:
		options, ok := distinct(value)
		if _, said := options.at["include_usage"]; said || !ok {
			return nil, false
		}
	default:
		return nil, false
	}
	return apply(body, usageEdits(body, at)), true
}

// places are the members of an object, by key.
type places struct {
	doc []byte
	at  map[string]span
}

// distinct finds the members of the object doc; ok is false where a key stands twice.
func distinct(doc []byte) (p places, ok bool) {
	p = places{doc, map[string]span{}}
	for key, at := range fields(doc) {
		if _, twice := p.at[key]; twice {
			return p, false
		}
		p.at[key] = at
	}
	return p, true
}

// value is the value of a member, empty where there is none.
func (p places) value(key string) json.RawMessage {
	at := p.at[key]
	return p.doc[at.from:at.to]
}

// AddedUsage tells what of a stream's event, given by its data, is there because
// stream_options.include_usage asked for it: data[from:to]. That is all of it where
// choices is an empty array and usage an object; a member "usage":null with one comma,
// where choices is an array; and else nothing, from = to. Nothing is found either in what
// is no JSON object or names one of the two twice.
//
// What OpenAI adds is stated in its API's definition, at ChatCompletionStreamOptions.
func AddedUsage(data []byte) (from, to int) {
	if !valid(data) {
		return 0, 0
	}
	var choices, usage json.RawMessage
	var member span
	start := bytes.IndexByte(data, '{') + 1
	before := start // the end of what stands before a member
	for key, at := range fields(data) {
		value := data[at.from:at.to]
		switch {
		case key == "choices" && choices != nil, key == "usage" && usage != nil:
			return 0, 0
		case key == "choices":
			choices = value
		case key == "usage":
			usage, member = value, span{before, at.to}
		}
		before = at.to
	}
	switch {
	case usage == nil || choices == nil || kindOf(choices) != isArray:
		return 0, 0
	case kindOf(usage) == isObject && choices[skipSpace(choices, 1)] == ']':
		return 0, len(data)
	case kindOf(usage) != isNull:
		return 0, 0
	}
	if i := skipSpace(data, member.to); member.from == start && data[i] == ',' {
		member.to = i + 1 // the first member has its comma behind it
	}
	return member.from, member.to
}
