package tokens

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
)

// A value is a JSON value whose objects keep their order.
type value struct {
	// text is a string's; literal is any other scalar, or a string as it is written.
	text, literal string
	kind          byte // '{', '[', '"', or 0 for other scalars
	fields        []field
	items         []*value
}

type field struct {
	name  string
	value *value
}

// maxDepth bounds the nesting of a schema; the service allows far less.
const maxDepth = 64

// parse reads a schema. Nil and empty text are an empty object; ok is false for
// what is no JSON or nested too deep.
func parse(text []byte) (v *value, ok bool) {
	if len(text) == 0 {
		return &value{kind: '{'}, true
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v = read(d, 0)
	if v == nil {
		return nil, false
	}
	_, err := d.Token()
	return v, err == io.EOF
}

// read reads the next value, nil where there is none.
func read(d *json.Decoder, depth int) *value {
	t, err := d.Token()
	if err != nil || depth > maxDepth {
		return nil
	}
	switch t := t.(type) {
	case json.Delim:
		return readNested(d, byte(t), depth)
	case string:
		literal, _ := json.Marshal(t)
		return &value{kind: '"', text: t, literal: string(literal)}
	case json.Number:
		return &value{literal: t.String()}
	case bool:
		if t {
			return &value{literal: "true"}
		}
		return &value{literal: "false"}
	}
	return &value{literal: "null"}
}

func readNested(d *json.Decoder, open byte, depth int) *value {
	v := &value{kind: open}
	for d.More() {
		name := ""
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return nil
			}
			name, _ = t.(string)
		}
		inner := read(d, depth+1)
		switch {
		case inner == nil:
			return nil
		case open == '{':
			v.fields = append(v.fields, field{name, inner})
		default:
			v.items = append(v.items, inner)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil
	}
	return v
}

// get gives the value of a key, nil where there is none; a key that stands twice
// has its last value.
func (v *value) get(name string) *value {
	for _, f := range slices.Backward(v.fields) {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// str gives the string of a key, "" where there is none.
func (v *value) str(name string) string {
	if f := v.get(name); f != nil {
		return f.text
	}
	return ""
}

// list gives the items of a key's array.
func (v *value) list(name string) []*value {
	if f := v.get(name); f != nil {
		return f.items
	}
	return nil
}

// object tells whether v describes an object.
func (v *value) object() bool {
	return v.str("type") == "object" || v.get("type") == nil && v.get("properties") != nil
}

// inline writes any JSON value, without spaces.
func (v *value) inline(b []byte) []byte {
	switch v.kind {
	case '{':
		b = append(b, '{')
		for i, f := range v.fields {
			if i > 0 {
				b = append(b, ',')
			}
			name, _ := json.Marshal(f.name)
			b = f.value.inline(append(append(b, name...), ':'))
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.inline(b)
		}
		return append(b, ']')
	}
	return append(b, v.literal...)
}
