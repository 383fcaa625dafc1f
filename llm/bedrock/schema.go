package bedrock

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
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

func escapeToken(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
