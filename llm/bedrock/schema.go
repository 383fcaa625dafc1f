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

// understood are the other keywords that it is known to take.
var understood = []string{
	"type", "properties", "required", "additionalProperties", "items", "minItems", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions",
	"description", "title", "default", "examples", "format", "pattern", "$schema", "$id", "$comment",
}

// closedSchema gives a schema in the form that native structured output takes:
// objects closed, keywords that are refused in the description; the rest stays, and
// all of it where nothing is to be changed. ok is false for a schema that cannot be
// brought into it: no object at its root, an object that is open by intention, a
// keyword that is not known to be taken, or a reference to itself.
func closedSchema(schema json.RawMessage) (out json.RawMessage, changes []schemaChange, ok bool) {
	if len(schema) > maxSchema || schemaType(schema) != "object" || recursive(schema) {
		return nil, nil, false
	}
	var c schemaCloser
	out = c.close(nil, schema, "")
	if len(c.changes) == 0 {
		out = schema
	}
	return out, c.changes, !c.failed
}

var (
	reference    = regexp.MustCompile(`"\$ref"\s*:\s*"(#[^"]*)"`)
	escapedASCII = regexp.MustCompile(`\\u00[2-7]`)
	definition   = regexp.MustCompile(`^#/(?:\$defs|definitions)/([^/"]+)$`)
)

// recursive tells whether a schema refers to itself, or to anything but its
// definitions, which cannot be followed here.
func recursive(schema json.RawMessage) bool {
	defs := definitions(schema)
	state := map[string]int{} // 1: being followed, 2: done
	var follow func(raw json.RawMessage) bool
	follow = func(raw json.RawMessage) bool {
		if escapedASCII.Match(raw) { // a key may hide in it
			return true
		}
		refs := reference.FindAllSubmatch(raw, -1)
		if len(refs) < bytes.Count(raw, []byte(`"$ref"`)) { // one that is no local address
			return true
		}
		for _, ref := range refs {
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
	rest, _ := schemaMembers(schema)
	for _, m := range rest {
		if m.key != "$defs" && m.key != "definitions" && follow(append([]byte(`"`+m.key+`":`), m.raw...)) {
			return true
		}
	}
	for _, def := range defs {
		if follow(def) {
			return true
		}
	}
	return false
}

// definitions are those of $defs and of definitions.
func definitions(schema json.RawMessage) map[string]json.RawMessage {
	defs := map[string]json.RawMessage{}
	ms, _ := schemaMembers(schema)
	for _, m := range ms {
		if m.key == "$defs" || m.key == "definitions" {
			inner, _ := schemaMembers(m.raw)
			for _, d := range inner {
				defs[d.key] = d.raw
			}
		}
	}
	return defs
}

// maxSchema and maxSchemaDepth bound the size in bytes and the nesting of a schema
// that is rewritten.
const (
	maxSchema      = 256 << 10
	maxSchemaDepth = 100
)

type schemaCloser struct {
	changes []schemaChange
	failed  bool // it is too deep, or cannot be closed
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
		c.failed = c.failed || deep
		return append(b, raw...)
	}
	var kept []schemaMember
	var moved []string
	s := shape{description: -1}
	for _, m := range ms {
		if slices.Contains(unsupported, m.key) || m.key == "minItems" && string(m.raw) != "0" && string(m.raw) != "1" {
			c.change(path+"/"+m.key, schemaKeyword)
			moved = append(moved, m.key+": "+string(m.raw))
			continue
		}
		s.see(&m, len(kept))
		kept = append(kept, m)
	}
	c.failed = c.failed || s.failed || s.object && !s.properties || len(moved) > 0 && s.description >= 0 && text(kept[s.description].raw) == ""
	if s.object && !s.closed {
		c.change(path, schemaClosed)
		kept = append(kept, schemaMember{"additionalProperties", json.RawMessage("false")})
	}
	if len(moved) > 0 {
		kept = describe(kept, s.description, strings.Join(moved, ", "))
	}
	return c.write(b, kept, path)
}

// A shape is what matters of one schema for closing it.
type shape struct {
	object, properties, closed bool
	description                int // the index of the keyword, -1 for none
	failed                     bool
}

// see looks at the i-th keyword.
func (s *shape) see(m *schemaMember, i int) {
	switch m.key {
	case "type":
		if m.raw[0] != '"' { // several types
			s.failed = true
		}
		s.object = s.object || text(m.raw) == "object"
	case "properties":
		s.object, s.properties = true, true
	case "additionalProperties":
		if s.closed = true; string(m.raw) != "false" { // open by intention
			s.failed = true
		}
	case "description":
		s.description = i
	default:
		s.failed = s.failed || !slices.Contains(understood, m.key)
	}
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
	ms, _ := schemaMembers(raw)
	word := ""
	for _, m := range ms {
		if m.key == "type" {
			word = text(m.raw)
		}
	}
	return word
}

// plainTop tells whether a schema has only what Nova takes at its top.
func plainTop(raw json.RawMessage) bool {
	ms, _ := schemaMembers(raw)
	return !slices.ContainsFunc(ms, func(m schemaMember) bool { return !plainKey(m.key) })
}

func plainKey(key string) bool { return key == "type" || key == "properties" || key == "required" }

// hasDefinitions tells whether a schema refers to definitions of its own.
func hasDefinitions(raw json.RawMessage) bool { return reference.Match(raw) }

// inlineDefinitions writes a schema's definitions where they are referred to; false
// where they refer to themselves, or would make the schema very large.
func inlineDefinitions(schema json.RawMessage) (json.RawMessage, bool) {
	if len(schema) > maxSchema || recursive(schema) {
		return nil, false
	}
	i := inliner{defs: definitions(schema)}
	out := i.write(nil, schema, 0)
	return out, !i.failed
}

type inliner struct {
	defs   map[string]json.RawMessage
	failed bool // it became too large, or a definition is missing
}

func (l *inliner) write(b []byte, raw json.RawMessage, depth int) []byte {
	if len(b) > maxSchema || depth > maxSchemaDepth {
		l.failed = true
		return append(b, "{}"...)
	}
	if raw[0] == '[' {
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // it is JSON
		b = append(b, '[')
		for i, v := range list {
			b = l.write(comma(b, i), v, depth+1)
		}
		return append(b, ']')
	}
	ms, ok := schemaMembers(raw)
	if !ok || !reference.Match(raw) && depth > 0 { // nothing in it to change
		return append(b, raw...)
	}
	b = append(b, '{')
	n := 0
	for _, m := range ms {
		name := definition.FindStringSubmatch(text(m.raw))
		switch {
		case depth == 0 && (m.key == "$defs" || m.key == "definitions"):
			continue
		case m.key == "$ref" && name != nil:
			inner, ok := l.inner(l.defs[name[1]], depth)
			if l.failed = l.failed || !ok; len(inner) > 0 {
				b = append(comma(b, n), inner...)
				n++
			}
			continue
		}
		b = append(llm.AppendJSONString(comma(b, n), m.key), ':')
		b = l.write(b, m.raw, depth+1)
		n++
	}
	return append(b, '}')
}

// inner is what stands between the braces of a definition.
func (l *inliner) inner(def json.RawMessage, depth int) ([]byte, bool) {
	if len(def) == 0 || def[0] != '{' {
		return nil, false
	}
	out := l.write(nil, def, depth+1)
	return bytes.TrimSpace(out[1 : len(out)-1]), true
}

// text is the value of a JSON string, "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // anything else is none
	return s
}

// wordsOnly tells whether what Nova does not take at a schema's top only describes
// it.
func wordsOnly(raw json.RawMessage) bool {
	ms, _ := schemaMembers(raw)
	return !slices.ContainsFunc(ms, func(m schemaMember) bool {
		switch m.key {
		case "$schema", "$id", "title", "description":
			return false
		case "additionalProperties":
			return string(m.raw) != "false"
		}
		return !plainKey(m.key)
	})
}

// canBePlain tells whether a schema loses nothing but words on Nova.
func canBePlain(raw json.RawMessage) bool {
	if hasDefinitions(raw) {
		inlined, ok := inlineDefinitions(raw)
		return ok && wordsOnly(inlined)
	}
	return wordsOnly(raw)
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
