package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// A generator makes one value that satisfies a JSON Schema: type, enum, const,
// properties, required, items, lengths, bounds, the common formats, local
// references, allOf, and the first of anyOf or oneOf. pattern and what else a
// schema may say are not looked at.
type generator struct {
	root  map[string]any
	r     *rand.Rand
	topic []string
	// said puts the free strings into a tone; it draws from a source of its own.
	said *wording
}

const (
	// shallow is how deep optional members and more items than due are made.
	shallow = 4
	// generateDepth ends a schema that demands itself; its value is then invalid.
	generateDepth = 24
	// freeLength is the most characters of a string that names no limit.
	freeLength = 1 << 20
)

// generate is a value for the schema, a function of r and the topic's words.
func generate(schema any, r *rand.Rand, topic string, said *wording) any {
	root, ok := schema.(map[string]any)
	if !ok {
		root = map[string]any{"type": "object"}
	}
	g := &generator{root: root, r: r, topic: words(topic), said: said}
	if len(g.topic) == 0 {
		g.topic = []string{"answer"}
	}
	return g.value(root, 0)
}

func (g *generator) value(schema map[string]any, depth int) any {
	schema = g.resolve(schema)
	if v, ok := schema["const"]; ok {
		return v
	}
	if e, ok := schema["enum"].([]any); ok && len(e) > 0 {
		return e[g.r.IntN(len(e))]
	}
	switch kind(schema) {
	case "object":
		return g.object(schema, depth)
	case "array":
		return g.array(schema, depth)
	case "integer":
		lo, hi := bounds(schema, 1)
		lo, hi = math.Ceil(lo), math.Floor(hi)
		return json.Number(fmt.Sprintf("%.0f", lo+float64(g.r.IntN(int(max(hi-lo, 0))+1))))
	case "number":
		lo, hi := bounds(schema, 0.01)
		return json.Number(fmt.Sprintf("%g", math.Min(hi, math.Max(lo, math.Round((lo+(hi-lo)*g.r.Float64())*100)/100))))
	case "boolean":
		return g.r.IntN(2) == 0
	case "null":
		return nil
	}
	return g.text(schema)
}

func (g *generator) object(schema map[string]any, depth int) any {
	out := map[string]any{}
	props, _ := schema["properties"].(map[string]any)
	required := map[string]bool{}
	list, _ := schema["required"].([]any)
	for _, k := range list {
		if s, ok := k.(string); ok {
			required[s] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(props)) {
		m, ok := props[k].(map[string]any)
		if !ok {
			m = map[string]any{"type": "string"}
		}
		if depth < generateDepth && (required[k] || depth < shallow) {
			out[k] = g.value(m, depth+1)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(required)) {
		if _, ok := out[k]; !ok {
			out[k] = strings.Join(g.said.words(g.topic[:1], freeLength), " ")
		}
	}
	return out
}

func (g *generator) array(schema map[string]any, depth int) any {
	lo := limit(schema, "minItems", 0)
	n := max(lo, 2)
	if depth >= shallow {
		n = lo
	}
	n = min(n, limit(schema, "maxItems", n))
	items, ok := schema["items"].(map[string]any)
	if !ok {
		items = map[string]any{"type": "string"}
	}
	out := []any{}
	for i := range n {
		v := g.value(items, depth+1)
		if unique, _ := schema["uniqueItems"].(bool); unique {
			if s, ok := v.(string); ok && slices.Contains(out, any(s)) && items["enum"] == nil {
				v = fmt.Sprintf("%s %d", s, i+1)
			}
		}
		out = append(out, v)
	}
	return out
}

var byFormat = map[string]string{
	"date": "2026-03-14", "date-time": "2026-03-14T09:26:53Z", "time": "09:26:53Z", "email": "someone@example.com",
	"uri": "https://example.com/page", "uuid": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "hostname": "example.com",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "duration": "PT30M",
}

func (g *generator) text(schema map[string]any) string {
	if f, ok := schema["format"].(string); ok && byFormat[f] != "" {
		return byFormat[f]
	}
	topic := make([]string, 1+g.r.IntN(4))
	for i := range topic {
		topic[i] = g.topic[g.r.IntN(len(g.topic))]
	}
	hi := limit(schema, "maxLength", freeLength)
	s := []rune(strings.Join(g.said.words(topic, hi), " "))
	for lo := limit(schema, "minLength", 0); len(s) < lo; {
		s = append(s, []rune(" "+g.said.word(g.topic[0]))...)
	}
	return g.said.aside(string(s[:min(len(s), hi)]), hi)
}

// breakValue makes a value that parses and does not satisfy the schema.
func breakValue(v, schema any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return map[string]any{"value": v}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if s, ok := schema.(map[string]any); ok {
			if req, ok := s["required"].([]any); ok && slices.Contains(req, any(k)) {
				delete(m, k)
				return m
			}
		}
	}
	keys := slices.Sorted(maps.Keys(m))
	if len(keys) == 0 {
		return []any{m}
	}
	if text, ok := m[keys[0]].(string); ok {
		m[keys[0]] = []any{text, json.Number("0")}
	} else {
		m[keys[0]] = "not this"
	}
	return m
}
