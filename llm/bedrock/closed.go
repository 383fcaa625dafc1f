package bedrock

import (
	"bytes"
	"encoding/json"
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
	"type", "properties", "required", "additionalProperties", "items", "minItems", "enum", "const", "anyOf", "$ref", "$defs", "definitions",
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
	return out, c.changes, !c.failed && c.optional <= maxOptional && c.unions <= maxUnions
}

// The vendor's limits of one request's schemas: optional parameters, and those with
// anyOf or several types.
const (
	maxOptional = 24
	maxUnions   = 16
)

type schemaCloser struct {
	changes []schemaChange
	failed  bool // it is too deep, or cannot be closed
	// optional and unions count what the service bounds.
	optional, unions int
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
	c.optional += max(0, s.names-s.required)
	if s.union {
		c.unions++
	}
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
	names, required            int
	union                      bool
	description                int // the index of the keyword, -1 for none
	failed                     bool
}

// see looks at the i-th keyword.
func (s *shape) see(m *schemaMember, i int) {
	switch m.key {
	case "type":
		s.seeType(m.raw)
	case "properties":
		ms, ok := schemaMembers(m.raw)
		s.object, s.properties, s.names = true, true, len(ms)
		s.failed = s.failed || !ok
	case "required":
		var names []string
		s.failed = s.failed || json.Unmarshal(m.raw, &names) != nil
		s.required = len(names)
	case "additionalProperties":
		if s.closed = true; string(m.raw) != "false" { // open by intention
			s.failed = true
		}
	case "description":
		s.description = i
	case "items":
		s.failed = s.failed || m.raw[0] != '{'
	case "anyOf":
		s.union = true
		s.failed = s.failed || m.raw[0] != '['
	case "enum":
		s.failed = s.failed || m.raw[0] != '[' || bytes.ContainsAny(m.raw[1:], "[{") // only scalars; a bracket in a string is given up as well
	case "pattern": // neither looking around nor back
		s.failed = s.failed || bytes.Contains(m.raw, []byte("(?"))
	default:
		s.failed = s.failed || !slices.Contains(understood, m.key)
	}
}

func (s *shape) seeType(raw json.RawMessage) {
	if raw[0] == '"' {
		s.object = s.object || text(raw) == "object"
		return
	}
	var types []string
	s.union = true
	s.failed = s.failed || json.Unmarshal(raw, &types) != nil
	s.object = s.object || slices.Contains(types, "object")
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
		at := path + "/" + llm.EscapePointer(m.key)
		switch m.key {
		case "properties", "$defs", "definitions":
			b = appendNamed(b, m.raw, func(b []byte, n schemaMember) []byte { return c.close(b, n.raw, at+"/"+llm.EscapePointer(n.key)) })
		case "items":
			b = c.close(b, m.raw, at)
		case "anyOf":
			b = c.list(b, m.raw, at)
		default:
			b = append(b, m.raw...)
		}
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
