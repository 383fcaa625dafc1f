package bedrock

import (
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

// hasDefinitions tells whether a schema refers to anything.
func hasDefinitions(raw json.RawMessage) bool {
	refs, ok := refsOf(raw)
	return len(refs) > 0 || !ok
}

// inlineDefinitions writes a schema's definitions where they are referred to; what
// stands beside a reference goes before what it refers to. False where they refer to
// themselves or elsewhere, or would make the schema very large.
func inlineDefinitions(schema json.RawMessage) (json.RawMessage, bool) {
	if len(schema) > maxSchema || recursive(schema) {
		return nil, false
	}
	i := inliner{defs: definitions(schema)}
	out := i.schema(nil, schema, 0)
	return out, !i.failed
}

type inliner struct {
	defs   map[string]json.RawMessage
	failed bool // it became too large, or a definition is no object
	// read counts the bytes that were read: definitions of definitions may grow
	// without end.
	read int
}

// schema appends a schema, or a list of them.
func (l *inliner) schema(b []byte, raw json.RawMessage, depth int) []byte {
	if l.read += len(raw); l.failed || l.read > 4*maxSchema || depth > maxSchemaDepth {
		l.failed = true
		return append(b, "{}"...)
	}
	if raw[0] == '[' {
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // it is JSON
		b = append(b, '[')
		for i, v := range list {
			b = l.schema(comma(b, i), v, depth+1)
		}
		return append(b, ']')
	}
	if refs, _ := refsOf(raw); len(refs) == 0 && depth > 0 { // nothing in it to change
		return append(b, raw...)
	}
	ms := l.expanded(raw, depth)
	b = append(b, '{')
	n := 0
	for _, m := range ms {
		if depth == 0 && (m.key == "$defs" || m.key == "definitions") {
			continue
		}
		b = append(llm.AppendJSONString(comma(b, n), m.key), ':')
		switch {
		case plainValue(m.key) || raw[0] != '{':
			b = append(b, m.raw...)
		case namesInside(m.key):
			b = appendNamed(b, m.raw, func(b []byte, n schemaMember) []byte { return l.schema(b, n.raw, depth+2) })
		default:
			b = l.schema(b, m.raw, depth+1)
		}
		n++
	}
	return append(b, '}')
}

// expanded are the members of a schema with those of the definition that it refers
// to, each key once.
func (l *inliner) expanded(raw json.RawMessage, depth int) []schemaMember {
	ms, _ := schemaMembers(raw)
	own := map[string]bool{}
	ref := ""
	for _, m := range ms {
		own[m.key] = true
		if m.key == "$ref" {
			ref = text(m.raw)
		}
	}
	if !own["$ref"] {
		return ms
	}
	ms = slices.DeleteFunc(ms, func(m schemaMember) bool { return m.key == "$ref" })
	def := l.defs[ref]
	if len(def) == 0 || def[0] != '{' || depth > maxSchemaDepth {
		l.failed = true
		return ms
	}
	l.read += len(def)
	for _, m := range l.expanded(def, depth+1) {
		if !own[m.key] {
			ms = append(ms, m)
		}
	}
	return ms
}
