package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"understudy/llm"
	"understudy/llm/openai"
)

// A pointer is a parsed JSON Pointer (RFC 6901): its tokens, unescaped.
type pointer []string

func parsePointer(s string) (pointer, error) {
	if !strings.HasPrefix(s, "/") {
		return nil, fmt.Errorf("%q is not a JSON Pointer: it begins with / (for example /metadata/unit)", s)
	}
	tokens := strings.Split(s[1:], "/")
	for i, t := range tokens {
		tokens[i] = llm.UnescapePointer(t)
	}
	return tokens, nil
}

func compilePointers(key string, list []string) ([]pointer, error) {
	var out []pointer
	var errs []error
	for _, s := range list {
		p, err := parsePointer(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
			continue
		}
		out = append(out, p)
	}
	return out, errors.Join(errs...)
}

// A document is a request body that openai.Decode has accepted, with what rules
// and keys look for in it.
type document struct {
	body  []byte
	req   *llm.Request
	model string

	top    map[string]json.RawMessage // by need
	system *string
}

// systemPrompt is the text of all system messages, joined by line ends.
func (d *document) systemPrompt() string {
	if d.system == nil {
		var parts []string
		for i := range d.req.Messages {
			if m := &d.req.Messages[i]; m.Role == llm.RoleSystem {
				parts = append(parts, m.Text())
			}
		}
		d.system = new(string)
		*d.system = strings.Join(parts, "\n")
	}
	return *d.system
}

// at is the JSON that p points at.
func (d *document) at(p pointer) (json.RawMessage, bool) {
	v, ok := d.field(p[0])
	for _, token := range p[1:] {
		if !ok {
			return nil, false
		}
		v, ok = step(v, token)
	}
	v = bytes.TrimSpace(v)
	return v, ok && len(v) > 0
}

// scalar is the string, number or truth value that p points at, as text. Null,
// arrays and objects are none.
func (d *document) scalar(p pointer) (string, bool) {
	v, ok := d.at(p)
	if !ok {
		return "", false
	}
	switch v[0] {
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err == nil
	case 'n', '{', '[':
		return "", false
	}
	return string(v), true
}

// value is what p points at; scalar tells that it is a string, number or truth value,
// there that it is anything but null.
func (d *document) value(p pointer) (v string, scalar, there bool) {
	if v, scalar = d.scalar(p); scalar {
		return v, true, true
	}
	raw, ok := d.at(p)
	return "", false, ok && raw[0] != 'n'
}

// field is a top-level member.
func (d *document) field(name string) (json.RawMessage, bool) {
	if d.top == nil {
		d.top = openai.Fields(d.body)
	}
	v, ok := d.top[name]
	return v, ok
}

func step(v json.RawMessage, token string) (json.RawMessage, bool) {
	v = bytes.TrimSpace(v)
	if len(v) == 0 {
		return nil, false
	}
	switch v[0] {
	case '{':
		next := openai.Member(v, token)
		return next, next != nil
	case '[':
		var list []json.RawMessage
		i, err := strconv.Atoi(token)
		if err != nil || json.Unmarshal(v, &list) != nil || i < 0 || i >= len(list) {
			return nil, false
		}
		return list[i], true
	}
	return nil, false
}
