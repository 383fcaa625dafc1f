package vendorspec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"unicode/utf8"
)

// A Service is the definition of an AWS service.
type Service struct {
	// Shapes are those of the definition, by name.
	Shapes   map[string]Shape
	patterns map[string]*regexp.Regexp
}

// A Shape is one type of the definition.
type Shape struct {
	Type               string
	Union, Document    bool
	Required           []string
	Members            map[string]Member
	Member, Key, Value Member
	Enum               []string
	Min, Max           *float64
	Pattern            string
}

// A Member says of what shape a member is, and whether it stands in the body ("") or
// elsewhere.
type Member struct{ Shape, Location string }

// BedrockRuntime reads the definition of Converse, or skips the test.
func BedrockRuntime(t testing.TB) *Service {
	t.Helper()
	s := Service{patterns: map[string]*regexp.Regexp{}}
	read(t, "bedrock-runtime.service-2.json.gz", &s)
	return &s
}

// Check holds a body against a shape of the definition: required and unknown
// members, types, enums, patterns, lengths, unions of one. It gives a sentence for
// each fault.
func (s *Service) Check(name string, body []byte) []string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return []string{"no JSON: " + err.Error()}
	}
	c := checker{service: s}
	c.value("", name, v)
	return c.faults
}

type checker struct {
	service *Service
	faults  []string
}

func (c *checker) bad(path, format string, a ...any) {
	c.faults = append(c.faults, path+": "+fmt.Sprintf(format, a...))
}

func (c *checker) value(path, name string, v any) {
	s, ok := c.service.Shapes[name]
	if !ok {
		c.bad(path, "the definition has no shape %s", name)
		return
	}
	switch s.Type {
	case "structure":
		c.structure(path, s, v)
	case "list":
		list, ok := v.([]any)
		if !ok {
			c.bad(path, "%T where a list is expected", v)
			return
		}
		c.length(path, s, len(list))
		for i, e := range list {
			c.value(path+"/"+strconv.Itoa(i), s.Member.Shape, e)
		}
	case "map":
		m, ok := v.(map[string]any)
		if !ok {
			c.bad(path, "%T where a map is expected", v)
			return
		}
		c.length(path, s, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			c.value(path+"/"+k, s.Key.Shape, k)
			c.value(path+"/"+k, s.Value.Shape, m[k])
		}
	default:
		c.scalar(path, s, v)
	}
}

func (c *checker) structure(path string, s Shape, v any) {
	if s.Document {
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		c.bad(path, "%T where an object is expected", v)
		return
	}
	if s.Union && len(m) != 1 {
		c.bad(path, "a union with %d members", len(m))
	}
	for _, r := range s.Required {
		if _, ok := m[r]; !ok && s.Members[r].Location == "" {
			c.bad(path, "%s is missing", r)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if f, ok := s.Members[k]; ok {
			c.value(path+"/"+k, f.Shape, m[k])
		} else {
			c.bad(path, "%s is no member", k)
		}
	}
}

func (c *checker) scalar(path string, s Shape, v any) {
	switch s.Type {
	case "string":
		text, ok := v.(string)
		if !ok {
			c.bad(path, "%T where a string is expected", v)
			return
		}
		c.length(path, s, utf8.RuneCountInString(text))
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			c.bad(path, "%q is none of %v", text, s.Enum)
		}
		if s.Pattern != "" && !c.pattern(s.Pattern).MatchString(text) {
			c.bad(path, "%q does not match %s", text, s.Pattern)
		}
	case "blob":
		text, _ := v.(string)
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			c.bad(path, "no base64")
		}
		c.length(path, s, len(data))
	case "integer", "long", "float", "double":
		n, ok := v.(json.Number)
		if !ok {
			c.bad(path, "%T where a number is expected", v)
			return
		}
		f, err := n.Float64()
		if err != nil || s.Min != nil && f < *s.Min || s.Max != nil && f > *s.Max {
			c.bad(path, "%s is out of range", n)
		}
		if _, err := n.Int64(); err != nil && (s.Type == "integer" || s.Type == "long") {
			c.bad(path, "%s is not whole", n)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			c.bad(path, "%T where a truth value is expected", v)
		}
	default:
		c.bad(path, "a shape of type %s is not known", s.Type)
	}
}

func (c *checker) length(path string, s Shape, n int) {
	if s.Min != nil && float64(n) < *s.Min || s.Max != nil && float64(n) > *s.Max {
		c.bad(path, "a length of %d", n)
	}
}

func (c *checker) pattern(p string) *regexp.Regexp {
	r, ok := c.service.patterns[p]
	if !ok {
		r = regexp.MustCompile("^(?:" + p + ")$")
		c.service.patterns[p] = r
	}
	return r
}
