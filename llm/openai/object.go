package openai

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"understudy/llm"
)

// A reader reads one member of an object. read tells whether it knows the key;
// path is the member's.
type reader func(key, path string, v json.RawMessage) (known bool, err error)

// object walks the members of v, which must be an object without a key that
// stands twice: which of the two counts is nowhere agreed. Members that are null
// count as absent; those that read does not know go to Extra.
func (d *decoder) object(path string, v json.RawMessage, read reader) error {
	if kindOf(v) != isObject {
		return wrongType(path, isObject, v)
	}
	var keys keySet
	for key, v := range members(v) {
		at := path + "/" + llm.EscapePointer(key)
		if keys.seen(key) {
			return untranslatable(at, "read request: the key stands twice")
		}
		if kindOf(v) == isNull {
			continue
		}
		known, err := read(key, at, v)
		if err != nil {
			return err
		}
		if !known {
			d.extra(at, v)
		}
	}
	return nil
}

// array walks the elements of v, which must be an array.
func (d *decoder) array(path string, v json.RawMessage, read func(path string, v json.RawMessage) error) error {
	if kindOf(v) != isArray {
		return wrongType(path, isArray, v)
	}
	for i, v := range elements(v) {
		if err := read(path+"/"+strconv.Itoa(i), v); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) extra(path string, v json.RawMessage) {
	d.req.Extra = append(d.req.Extra, llm.Field{Path: path, Raw: v})
}

// A keySet finds keys that come twice. Objects of a request are small; one that
// is not gets a map.
type keySet struct {
	few  [16]string
	n    int
	many map[string]bool
}

func (s *keySet) seen(key string) bool {
	if s.many != nil {
		if s.many[key] {
			return true
		}
		s.many[key] = true
		return false
	}
	for _, k := range s.few[:s.n] {
		if k == key {
			return true
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = key
		s.n++
		return false
	}
	s.many = make(map[string]bool, 2*len(s.few))
	for _, k := range s.few {
		s.many[k] = true
	}
	s.many[key] = true
	return false
}

// typeOf is the value of the member "type" of v, "" where it has none.
func typeOf(v json.RawMessage) string {
	for key, v := range members(v) {
		if key == "type" && kindOf(v) == isString {
			return text(v)
		}
	}
	return ""
}

// faultIn finds where a body stops being JSON in UTF-8: the JSON Pointer of the
// value at the fault, and what the fault is. It is slow; it runs for what is
// refused.
func faultIn(body []byte) (path, what string) {
	var fault locator
	fault.rest = body
	fault.value("", 0)
	if fault.what == "" {
		fault.what = "something follows the end of the object"
	}
	return fault.path, fault.what + " (byte " + strconv.Itoa(len(body)-len(fault.rest)) + ")"
}

// maxDepth is the deepest nesting that is read, that of encoding/json.
const maxDepth = 10_000

// A locator walks JSON that may be broken, up to the first fault.
type locator struct {
	rest       []byte
	path, what string
}

func (l *locator) fail(path, what string) bool {
	l.path, l.what = path, what
	return false
}

// join extends a path, unless it is so long already that more says nothing.
func join(path, token string) string {
	const longest = 256
	if len(path) > longest {
		return path
	}
	return path + "/" + token
}

func (l *locator) space() { l.rest = l.rest[skipSpace(l.rest, 0):] }

func (l *locator) take(c byte) bool {
	l.space()
	if len(l.rest) == 0 || l.rest[0] != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

func (l *locator) value(path string, depth int) bool {
	l.space()
	switch {
	case len(l.rest) == 0:
		return l.fail(path, "the body ends where a value is expected")
	case depth > maxDepth:
		return l.fail(path, "the nesting is too deep")
	case l.rest[0] == '"':
		_, ok := l.text(path)
		return ok
	case l.rest[0] == '{':
		return l.members(path, depth)
	case l.rest[0] == '[':
		return l.elements(path, depth)
	}
	n := 0
	for n < len(l.rest) && l.rest[n] > ' ' && l.rest[n] != ',' && l.rest[n] != '}' && l.rest[n] != ']' && l.rest[n] != ':' {
		n++
	}
	if !json.Valid(l.rest[:n]) {
		return l.fail(path, "the value is not JSON")
	}
	l.rest = l.rest[n:]
	return true
}

func (l *locator) members(path string, depth int) bool {
	l.rest = l.rest[1:]
	if l.take('}') {
		return true
	}
	for {
		l.space()
		if len(l.rest) == 0 || l.rest[0] != '"' {
			return l.fail(path, "a key is expected in the object")
		}
		key, ok := l.text(path)
		if !ok {
			return false
		}
		if !l.take(':') {
			return l.fail(path, "a colon is expected after a key")
		}
		if !l.value(join(path, llm.EscapePointer(key)), depth+1) {
			return false
		}
		if l.take('}') {
			return true
		}
		if !l.take(',') {
			return l.fail(path, "the object does not end")
		}
	}
}

func (l *locator) elements(path string, depth int) bool {
	l.rest = l.rest[1:]
	if l.take(']') {
		return true
	}
	for i := 0; ; i++ {
		if !l.value(join(path, strconv.Itoa(i)), depth+1) {
			return false
		}
		if l.take(']') {
			return true
		}
		if !l.take(',') {
			return l.fail(path, "the array does not end")
		}
	}
}

func (l *locator) text(path string) (string, bool) {
	end := 1
	for end < len(l.rest) && l.rest[end] != '"' {
		if l.rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(l.rest) {
		return "", l.fail(path, "the string does not end")
	}
	s := l.rest[:end+1]
	switch {
	case !json.Valid(s):
		return "", l.fail(path, "the string is not JSON")
	case !utf8.Valid(s):
		return "", l.fail(path, "the string is not UTF-8")
	}
	l.rest = l.rest[end+1:]
	return text(s), true
}
