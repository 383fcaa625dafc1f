package sim

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
)

// resolve follows a local reference, takes the first choice and merges allOf.
func (g *generator) resolve(schema map[string]any) map[string]any {
	for range generateDepth {
		next := schema
		if ref, ok := schema["$ref"].(string); ok {
			next = g.lookup(ref)
		} else if c := choices(schema); len(c) > 0 {
			next = merge(schema, c[0])
		} else if all, ok := schema["allOf"].([]any); ok {
			next = maps.Clone(schema)
			delete(next, "allOf")
			for _, s := range all {
				if m, ok := s.(map[string]any); ok {
					next = merge(next, g.resolve(m))
				}
			}
		} else {
			return schema
		}
		schema = next
	}
	return map[string]any{"type": "null"}
}

func choices(schema map[string]any) []map[string]any {
	for _, key := range []string{"anyOf", "oneOf"} {
		list, _ := schema[key].([]any)
		for _, s := range list {
			if m, ok := s.(map[string]any); ok && m["type"] != "null" {
				return []map[string]any{m}
			}
		}
	}
	return nil
}

// merge adds b's members to a without choices; properties and required are united.
func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	delete(out, "anyOf")
	delete(out, "oneOf")
	for k, v := range b {
		switch old := out[k].(type) {
		case map[string]any:
			if m, ok := v.(map[string]any); ok && k == "properties" {
				u := maps.Clone(old)
				maps.Copy(u, m)
				v = u
			}
		case []any:
			if l, ok := v.([]any); ok && k == "required" {
				v = append(slices.Clone(old), l...)
			}
		}
		out[k] = v
	}
	return out
}

func (g *generator) lookup(ref string) map[string]any {
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return map[string]any{}
	}
	at := g.root
	for _, key := range strings.Split(strings.TrimPrefix(rest, "/"), "/") {
		if key == "" {
			continue
		}
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		next, ok := at[key].(map[string]any)
		if !ok {
			return map[string]any{}
		}
		at = next
	}
	return at
}

// kind is the schema's type, guessed from its members where none is given; of
// several the first that is not null.
func kind(schema map[string]any) string {
	switch t := schema["type"].(type) {
	case string:
		return t
	case []any:
		for _, e := range t {
			if s, ok := e.(string); ok && s != "null" {
				return s
			}
		}
		return "null"
	}
	if schema["properties"] != nil {
		return "object"
	}
	if schema["items"] != nil {
		return "array"
	}
	return "string"
}

func limit(schema map[string]any, key string, otherwise int) int {
	if f, ok := numeric(schema[key]); ok && f >= 0 && f < 1e6 {
		return int(f)
	}
	return otherwise
}

// bounds of a number, 0..10 where open; step is what an exclusive bound leaves out.
func bounds(schema map[string]any, step float64) (lo, hi float64) {
	lo, okLo := numeric(schema["minimum"])
	if v, ok := numeric(schema["exclusiveMinimum"]); ok {
		lo, okLo = v+step, true
	}
	hi, okHi := numeric(schema["maximum"])
	if v, ok := numeric(schema["exclusiveMaximum"]); ok {
		hi, okHi = v-step, true
	}
	switch {
	case !okLo && !okHi:
		return 0, 10
	case !okHi:
		hi = lo + 10
	case !okLo:
		lo = math.Min(0, hi-10)
	}
	if hi < lo {
		hi = lo
	}
	return lo, math.Min(hi, lo+1e6)
}

func numeric(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case float64:
		return v, true
	}
	return 0, false
}
