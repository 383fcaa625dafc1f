package tokens

import (
	"slices"
	"strings"
)

// A writer renders schemas as types in the manner of TypeScript. The basic form is
// openai-chat-tokens'; what is written about later models was measured, or is
// harmony's. Nothing is indented for later models; early ones indent nested
// objects by two.
type writer struct {
	strings.Builder
	early bool
}

// bounds are the keywords that are written as comments of their own (measured for
// maximum; minItems stands so in public prompts).
var bounds = []string{"minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"}

// properties writes the properties of an object, a line each. One that is an
// object without properties is left out (measured: 4 of 4).
func (w *writer) properties(object *value, indent int) {
	all := object.get("properties")
	if all == nil {
		return
	}
	required := map[string]bool{}
	for _, r := range object.list("required") {
		required[r.text] = true
	}
	for _, p := range all.fields {
		if p.value.object() && len(p.value.fieldsOf("properties")) == 0 {
			continue
		}
		w.property(p, required[p.name], indent)
	}
}

func (v *value) fieldsOf(name string) []field {
	if f := v.get(name); f != nil {
		return f.fields
	}
	return nil
}

func (w *writer) property(p field, required bool, indent int) {
	v := p.value
	if title := v.str("title"); title != "" && !w.early {
		w.comment(title, indent)
		w.line("//", indent)
	}
	if !w.early || indent == 0 {
		w.comment(v.str("description"), indent)
	}
	for _, key := range bounds {
		if b := v.get(key); b != nil && !w.early {
			w.line("// "+key+": "+b.literal, indent)
		}
	}
	mark := "?: "
	if required {
		mark = ": "
	}
	w.indent(indent)
	w.WriteString(p.name + mark + w.typeOf(v, indent) + ",")
	if d := v.get("default"); d != nil {
		w.WriteString(" // default: " + w.defaultOf(d))
	}
	w.WriteByte('\n')
}

// defaultOf writes a default; early models write a string without its quotes
// (measured for gpt-4-0613).
func (w *writer) defaultOf(d *value) string {
	if w.early && d.kind == '"' {
		return d.text
	}
	return string(d.inline(nil))
}

// comment writes a description; each of its lines is marked, the white space
// around it is not written (measured).
func (w *writer) comment(text string, indent int) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		w.line(strings.TrimRight("// "+line, " \r"), indent)
	}
}

func (w *writer) line(text string, indent int) {
	w.indent(indent)
	w.WriteString(text)
	w.WriteByte('\n')
}

func (w *writer) indent(n int) {
	if w.early {
		w.WriteString(strings.Repeat(" ", min(n, 16))) // a run of spaces is one token
	}
}

// typeOf is the type that a schema stands for; what it does not say is any.
func (w *writer) typeOf(v *value, indent int) string {
	if c := v.get("const"); c != nil {
		return string(c.inline(nil))
	}
	if enum := v.list("enum"); len(enum) > 0 {
		return union(enum, func(e *value) string { return string(e.inline(nil)) })
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if variants := v.list(key); len(variants) > 0 {
			return union(variants, func(e *value) string { return w.typeOf(e, indent) })
		}
	}
	if kinds := distinct(v.list("type")); len(kinds) > 0 {
		return union(kinds, func(kind *value) string { return w.named(kind.text, v, indent) })
	}
	if v.object() {
		return w.named("object", v, indent)
	}
	return w.named(v.str("type"), v, indent)
}

// distinct leaves out what a list names again, so that nothing is written twice.
func distinct(list []*value) []*value {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(v *value) bool {
		again := seen[v.text]
		seen[v.text] = true
		return again
	})
}

func union(list []*value, of func(*value) string) string {
	types := make([]string, len(list))
	for i, v := range list {
		types[i] = of(v)
	}
	return strings.Join(types, " | ")
}

func (w *writer) named(kind string, v *value, indent int) string {
	switch kind {
	case "integer":
		return "number"
	case "string", "number", "boolean", "null":
		return kind
	case "array":
		return w.array(v.get("items"), indent)
	case "object":
		inner := writer{early: w.early}
		inner.properties(v, indent+2)
		if inner.Len() == 0 {
			return "object"
		}
		return "{\n" + inner.String() + "}"
	}
	return "any"
}

// array writes a list: with brackets, or as Array<…> where the items are a union
// or carry comments (measured, later models only; a list of objects without comments
// comes out a token too long).
func (w *writer) array(items *value, indent int) string {
	if items == nil {
		return "any[]"
	}
	t := w.typeOf(items, indent)
	if w.early {
		return t + "[]"
	}
	var note writer
	note.comment(items.str("description"), indent)
	t = note.String() + t
	switch {
	case !strings.Contains(t, "//") && !strings.Contains(t, " | "):
		return t + "[]"
	case strings.Contains(t, "\n"):
		return "Array<\n" + t + "\n>"
	}
	return "Array<" + t + ">"
}
