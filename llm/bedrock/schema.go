package bedrock

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// A schemaChange says what was changed in a schema, and where.
type schemaChange struct {
	path string
	kind *gapKind
}

// unsupported are the keywords that native structured output refuses (live on
// Claude Sonnet 4.5: pydantic-ai 2026-08-22; litellm issue 29624, vercel/ai
// issue 17558). Their demand moves into the description, for the model to read.
var unsupported = []string{
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems",
	"minProperties", "maxProperties",
}

// closedSchema gives a schema in the form that native structured output takes:
// objects closed, keywords that are refused in the description; every other byte
// stays. ok is false for a schema that cannot be brought into it: one that is no
// object at its root, or that refers to itself as a whole.
func closedSchema(schema json.RawMessage) (out json.RawMessage, changes []schemaChange, ok bool) {
	if len(schema) > maxSchema || schemaType(schema) != "object" || recursive(schema) {
		return nil, nil, false
	}
	var c schemaCloser
	out = c.close(nil, schema, "")
	return out, c.changes, !c.tooDeep
}

var (
	reference  = regexp.MustCompile(`"\$ref"\s*:\s*"(#[^"]*)"`)
	definition = regexp.MustCompile(`^#/(?:\$defs|definitions)/([^/"]+)$`)
)

// recursive tells whether a schema refers to itself, or to anything but its
// definitions, which cannot be followed here.
func recursive(schema json.RawMessage) bool {
	var s struct {
		Defs        map[string]json.RawMessage `json:"$defs"`
		Definitions map[string]json.RawMessage `json:"definitions"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return true
	}
	defs := s.Defs
	if defs == nil {
		defs = s.Definitions
	}
	state := map[string]int{} // 1: being followed, 2: done
	var follow func(raw json.RawMessage) bool
	follow = func(raw json.RawMessage) bool {
		for _, ref := range reference.FindAllSubmatch(raw, -1) {
			name := definition.FindSubmatch(ref[1])
			if name == nil || state[string(name[1])] == 1 {
				return true
			}
			def, ok := defs[string(name[1])]
			if !ok || state[string(name[1])] == 2 {
				continue
			}
			state[string(name[1])] = 1
			if follow(def) {
				return true
			}
			state[string(name[1])] = 2
		}
		return false
	}
	return follow(schema)
}

// maxSchema and maxSchemaDepth bound the size in bytes and the nesting of a schema
// that is rewritten.
const (
	maxSchema      = 256 << 10
	maxSchemaDepth = 100
)

type schemaCloser struct {
	changes []schemaChange
	tooDeep bool
}

// schemaMember is one key of a schema with its raw value.
type schemaMember struct {
	key string
	raw json.RawMessage
}

// close appends a schema to b, with what has to be changed.
func (c *schemaCloser) close(b []byte, raw json.RawMessage, path string) []byte {
	ms, ok := schemaMembers(raw)
	if deep := strings.Count(path, "/") > maxSchemaDepth; deep || !ok { // or true, false, no schema
		c.tooDeep = c.tooDeep || deep
		return append(b, raw...)
	}
	var kept []schemaMember
	var moved []string
	closed, description := false, -1
	for _, m := range ms {
		switch {
		case slices.Contains(unsupported, m.key), m.key == "minItems" && string(m.raw) != "0" && string(m.raw) != "1":
			c.change(path+"/"+m.key, schemaKeyword)
			moved = append(moved, m.key+": "+string(m.raw))
			continue
		case m.key == "additionalProperties":
			if closed = true; string(m.raw) != "false" {
				c.change(path+"/additionalProperties", schemaClosed)
				m.raw = json.RawMessage("false")
			}
		case m.key == "description":
			description = len(kept)
		}
		kept = append(kept, m)
	}
	if !closed && schemaType(raw) == "object" {
		c.change(path, schemaClosed)
		kept = append(kept, schemaMember{"additionalProperties", json.RawMessage("false")})
	}
	if len(moved) > 0 {
		kept = describe(kept, description, strings.Join(moved, ", "))
	}
	return c.write(b, kept, path)
}

// describe adds words to the description, which stands at index at, or nowhere.
func describe(ms []schemaMember, at int, words string) []schemaMember {
	var text string
	if at < 0 {
		return append(ms, schemaMember{"description", llm.AppendJSONString(nil, words)})
	}
	if json.Unmarshal(ms[at].raw, &text) == nil {
		ms[at].raw = llm.AppendJSONString(nil, strings.TrimSpace(text+" ("+words+")"))
	}
	return ms
}

// write appends the members; schemas inside are closed as well.
func (c *schemaCloser) write(b []byte, ms []schemaMember, path string) []byte {
	b = append(b, '{')
	for i, m := range ms {
		b = append(llm.AppendJSONString(comma(b, i), m.key), ':')
		at := path + "/" + escapeToken(m.key)
		switch m.key {
		case "properties", "$defs", "definitions", "patternProperties":
			b = c.each(b, m.raw, at)
		case "items", "additionalItems", "not", "contains":
			b = c.close(b, m.raw, at)
		case "anyOf", "allOf", "oneOf", "prefixItems":
			b = c.list(b, m.raw, at)
		default:
			b = append(b, m.raw...)
		}
	}
	return append(b, '}')
}

// each closes every schema of an object of schemas.
func (c *schemaCloser) each(b []byte, raw json.RawMessage, path string) []byte {
	ms, ok := schemaMembers(raw)
	if !ok {
		return append(b, raw...)
	}
	b = append(b, '{')
	for i, m := range ms {
		b = append(llm.AppendJSONString(comma(b, i), m.key), ':')
		b = c.close(b, m.raw, path+"/"+escapeToken(m.key))
	}
	return append(b, '}')
}

func (c *schemaCloser) list(b []byte, raw json.RawMessage, path string) []byte {
	var schemas []json.RawMessage
	if json.Unmarshal(raw, &schemas) != nil {
		return append(b, raw...)
	}
	b = append(b, '[')
	for i, s := range schemas {
		b = c.close(comma(b, i), s, path+"/"+strconv.Itoa(i))
	}
	return append(b, ']')
}

func (c *schemaCloser) change(path string, k *gapKind) {
	c.changes = append(c.changes, schemaChange{path, k})
}

// schemaMembers are the members of an object in their order; false for anything
// else.
func schemaMembers(raw json.RawMessage) ([]schemaMember, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	var ms []schemaMember
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false
		}
		var m schemaMember
		m.key, _ = key.(string) // an object's keys are strings
		if d.Decode(&m.raw) != nil {
			return nil, false
		}
		ms = append(ms, m)
	}
	return ms, true
}

// schemaType is the type that a schema names, "" where it names none or several.
func schemaType(raw json.RawMessage) string {
	var s struct {
		Type any `json:"type"`
	}
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	word, _ := s.Type.(string) // several types are none
	return word
}

// plainTop tells whether a schema has only what Nova takes at its top.
func plainTop(raw json.RawMessage) bool {
	ms, _ := schemaMembers(raw)
	return !slices.ContainsFunc(ms, func(m schemaMember) bool { return !plainKey(m.key) })
}

func plainKey(key string) bool { return key == "type" || key == "properties" || key == "required" }

// wordsOnly tells whether what Nova does not take at a schema's top only describes
// it.
func wordsOnly(raw json.RawMessage) bool {
	ms, _ := schemaMembers(raw)
	return !slices.ContainsFunc(ms, func(m schemaMember) bool {
		switch m.key {
		case "$schema", "$id", "title", "description", "additionalProperties":
			return false
		}
		return !plainKey(m.key)
	})
}

// plainSchema is a schema with only what Nova takes at its top; the rest of it
// stays byte for byte.
func plainSchema(raw json.RawMessage) json.RawMessage {
	ms, _ := schemaMembers(raw)
	b := []byte("{")
	n := 0
	for _, m := range ms {
		if plainKey(m.key) {
			b = append(append(llm.AppendJSONString(comma(b, n), m.key), ':'), m.raw...)
			n++
		}
	}
	return append(b, '}')
}

func escapeToken(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
