package sim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A shape is one row of the service definition, as far as a request needs it.
type shape struct {
	kind     string // structure union list map string integer float boolean blob document
	members  map[string]string
	required []string
	member   string // of a list or map
	// min and max bound a number's value, the length of all others; a zero max
	// of a length is open.
	min, max float64
	bounded  bool // the number has bounds
	pattern  *regexp.Regexp
	enum     []string
}

// checkShape holds a body against the service definition. Members that the
// definition lacks are refused: the real service ignores some of them, and a
// translation that relies on that is wrong.
func checkShape(body map[string]any) *awsError {
	c := &shapeCheck{}
	c.value("", "ConverseRequest", body)
	switch len(c.faults) {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: %s", c.faults[0])
	}
	return invalid("%d validation errors detected: %s", len(c.faults), strings.Join(c.faults, "; "))
}

type shapeCheck struct{ faults []string }

// faultsMost bounds what one answer lists.
const faultsMost = 10

func (c *shapeCheck) bad(at, format string, a ...any) {
	if len(c.faults) < faultsMost {
		c.faults = append(c.faults, fmt.Sprintf("Value at '%s' failed to satisfy constraint: ", at)+fmt.Sprintf(format, a...))
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func (c *shapeCheck) value(at, name string, v any) {
	s := shapes[name]
	switch s.kind {
	case "structure", "union":
		if m, ok := v.(map[string]any); ok {
			c.structure(at, s, m)
			return
		}
	case "list":
		if l, ok := v.([]any); ok {
			c.length(at, s, len(l))
			for i, e := range l {
				c.value(fmt.Sprintf("%s.%d", at, i), s.member, e)
			}
			return
		}
	case "map":
		if m, ok := v.(map[string]any); ok {
			c.length(at, s, len(m))
			for k, e := range m {
				c.value(at+".key", s.member, k)
				c.value(join(at, k), s.member, e)
			}
			return
		}
	case "string", "blob":
		if t, ok := v.(string); ok {
			c.text(at, s, t)
			return
		}
	case "integer", "float":
		if n, ok := v.(json.Number); ok {
			c.number(at, s, n)
			return
		}
	case "boolean":
		if _, ok := v.(bool); ok {
			return
		}
	case "document":
		return
	}
	c.bad(at, "Member must be of type %s, not %s", s.kind, jsonType(v))
}

func (c *shapeCheck) structure(at string, s shape, m map[string]any) {
	present := 0
	for _, k := range slices.Sorted(maps.Keys(m)) {
		member, ok := s.members[k]
		if !ok {
			c.bad(join(at, k), "extraneous key [%s] is not permitted", k)
			continue
		}
		if m[k] == nil && shapes[member].kind != "document" {
			delete(m, k) // the protocol reads null as absent
			continue
		}
		present++
		c.value(join(at, k), member, m[k])
	}
	for _, k := range s.required {
		if m[k] == nil && (shapes[s.members[k]].kind != "document" || !has(m, k)) {
			c.bad(join(at, k), "Member must not be null")
		}
	}
	if s.kind == "union" && present != 1 {
		c.bad(at, "Member must have exactly one of %v, not %d", slices.Sorted(maps.Keys(s.members)), present)
	}
}

func has(m map[string]any, k string) bool { _, ok := m[k]; return ok }

func (c *shapeCheck) length(at string, s shape, n int) {
	if float64(n) < s.min {
		c.bad(at, "Member must have length greater than or equal to %g", s.min)
	}
	if s.max > 0 && float64(n) > s.max {
		c.bad(at, "Member must have length less than or equal to %g", s.max)
	}
}

func (c *shapeCheck) text(at string, s shape, t string) {
	if s.kind == "blob" {
		b, err := base64.StdEncoding.DecodeString(t)
		if err != nil {
			c.bad(at, "Member must be base64")
			return
		}
		c.length(at, s, len(b))
		return
	}
	c.length(at, s, utf8.RuneCountInString(t))
	if s.pattern != nil && !s.pattern.MatchString(t) {
		c.bad(at, "Member must satisfy regular expression pattern: %s", strings.TrimSuffix(strings.TrimPrefix(s.pattern.String(), "^(?:"), ")$"))
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, t) {
		c.bad(at, "Member must satisfy enum value set: [%s]", strings.Join(s.enum, ", "))
	}
}

func (c *shapeCheck) number(at string, s shape, n json.Number) {
	if s.kind == "integer" {
		if _, err := n.Int64(); err != nil {
			c.bad(at, "Member must be of type integer, not %s", n)
			return
		}
	}
	f, err := n.Float64()
	if err != nil {
		c.bad(at, "Member must be a finite number")
		return
	}
	if s.bounded && f < s.min {
		c.bad(at, "Member must have value greater than or equal to %g", s.min)
	}
	if s.bounded && s.max > 0 && f > s.max {
		c.bad(at, "Member must have value less than or equal to %g", s.max)
	}
}
