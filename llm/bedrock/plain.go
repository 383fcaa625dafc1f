package bedrock

import (
	"bytes"
	"encoding/json"
	"slices"

	"understudy/llm"
)

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
	// read counts the bytes that were read: definitions of definitions may grow
	// without end.
	read int
}

func (l *inliner) write(b []byte, raw json.RawMessage, depth int) []byte {
	if l.read += len(raw); l.failed || l.read > 4*maxSchema || depth > maxSchemaDepth {
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
