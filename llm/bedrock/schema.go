package bedrock

import (
	"bytes"
	"encoding/json"

	"understudy/llm"
)

// What the two forms of schemas, closed.go and plain.go, have in common.

// maxSchema and maxSchemaDepth bound the size in bytes and the nesting of a schema
// that is rewritten.
const (
	maxSchema      = 256 << 10
	maxSchemaDepth = 100
)

// schemaMember is one key of a schema with its raw value.
type schemaMember struct {
	key string
	raw json.RawMessage
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

// text is the value of a JSON string, "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // anything else is none
	return s
}

// A refReader finds what a schema refers to. Keys are read as JSON reads them; what
// stands in values such as default, or is the name of a property, is no reference.
type refReader struct {
	refs []string
	read int // bytes, for a bound
}

// namesInside are the keywords whose members are names of schemas.
func namesInside(key string) bool {
	switch key {
	case "properties", "$defs", "definitions", "patternProperties", "dependentSchemas":
		return true
	}
	return false
}

// plainValue tells whether a keyword's value is no schema.
func plainValue(key string) bool {
	switch key {
	case "default", "const", "enum", "examples", "example", "required", "description", "title":
		return true
	}
	return false
}

// schema reads one schema, or a list of them; false where it is too much to read.
func (r *refReader) schema(raw json.RawMessage, depth int) bool {
	if r.read += len(raw); r.read > 4*maxSchema || depth > maxSchemaDepth {
		return false
	}
	if len(raw) > 0 && raw[0] == '[' {
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // it is JSON
		for _, v := range list {
			if !r.schema(v, depth+1) {
				return false
			}
		}
		return true
	}
	ms, _ := schemaMembers(raw)
	for _, m := range ms {
		switch {
		case m.key == "$ref":
			r.refs = append(r.refs, text(m.raw))
		case plainValue(m.key):
		case namesInside(m.key):
			named, _ := schemaMembers(m.raw)
			for _, n := range named {
				if !r.schema(n.raw, depth+1) {
					return false
				}
			}
		case !r.schema(m.raw, depth+1):
			return false
		}
	}
	return true
}

// refsOf are the references in a schema; false where it is too much to read.
func refsOf(raw json.RawMessage) ([]string, bool) {
	var r refReader
	ok := r.schema(raw, 0)
	return r.refs, ok
}

// recursive tells whether a schema refers to itself, or to anything but its
// definitions, which cannot be followed here.
func recursive(schema json.RawMessage) bool {
	defs := definitions(schema)
	state := map[string]int{} // 1: being followed, 2: done
	var follow func(raw json.RawMessage) bool
	follow = func(raw json.RawMessage) bool {
		refs, ok := refsOf(raw)
		if !ok {
			return true
		}
		for _, ref := range refs {
			def, ok := defs[ref]
			if !ok || state[ref] == 1 {
				return true
			}
			if state[ref] == 2 {
				continue
			}
			state[ref] = 1
			if follow(def) {
				return true
			}
			state[ref] = 2
		}
		return false
	}
	ms, _ := schemaMembers(schema)
	for _, m := range ms {
		if m.key != "$defs" && m.key != "definitions" && follow(onlyMember(m)) {
			return true
		}
	}
	for ref, def := range defs {
		if state[ref] == 0 && follow(def) {
			return true
		}
	}
	return false
}

func onlyMember(m schemaMember) json.RawMessage {
	b := append(llm.AppendJSONString([]byte("{"), m.key), ':')
	return append(append(b, m.raw...), '}')
}

// definitions are those of $defs and of definitions, by how they are referred to.
func definitions(schema json.RawMessage) map[string]json.RawMessage {
	defs := map[string]json.RawMessage{}
	ms, _ := schemaMembers(schema)
	for _, m := range ms {
		if m.key == "$defs" || m.key == "definitions" {
			inner, _ := schemaMembers(m.raw)
			for _, d := range inner {
				defs["#/"+m.key+"/"+llm.EscapePointer(d.key)] = d.raw
			}
		}
	}
	return defs
}

// appendNamed appends an object of names, each value as write appends it; anything
// but an object goes as it is.
func appendNamed(b []byte, raw json.RawMessage, write func(b []byte, m schemaMember) []byte) []byte {
	ms, ok := schemaMembers(raw)
	if !ok {
		return append(b, raw...)
	}
	b = append(b, '{')
	for i, m := range ms {
		b = write(append(llm.AppendJSONString(comma(b, i), m.key), ':'), m)
	}
	return append(b, '}')
}
