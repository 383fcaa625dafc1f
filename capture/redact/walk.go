package redact

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep JSON inside of strings is looked into as JSON; what lies deeper is
// looked at as a text.
const maxDepth = 4

// A walk goes once through a JSON text. Its buffers are used again.
type walk struct {
	r      *Redactor
	of     Subject
	counts *Counts
	failed bool

	path  []step // where it is, from the top
	plain [maxDepth + 1][]byte
	spans []span
	run   run
}

// A step is one level of the path: a member's name, or an item's number (name nil).
type step struct {
	name  []byte
	index int
}

func (w *walk) begin(of Subject, c *Counts) {
	w.of, w.counts, w.failed, w.path = of, c, false, w.path[:0]
}

// json gives the edits of a valid JSON text.
func (w *walk) json(b []byte, depth int) []edit {
	p := &parser{w: w, b: b, depth: depth}
	base := len(w.path)
	p.value(false)
	w.path = w.path[:base]
	if len(p.edits) > 0 { // their pieces could be put together again
		p.edits = append(p.edits, p.logprobs...)
		slices.SortFunc(p.edits, func(a, b edit) int { return a.start - b.start })
		p.edits = outermost(p.edits)
	}
	return p.edits
}

// outermost leaves out edits that lie inside of others; they are in order of their starts.
func outermost(edits []edit) []edit {
	out := edits[:1]
	for _, e := range edits[1:] {
		last := &out[len(out)-1]
		switch {
		case e.start >= last.end:
			out = append(out, e)
		case e.start == last.start && e.end > last.end:
			*last = e
		}
	}
	return out
}

// A parser reads JSON that is known to be valid.
type parser struct {
	w     *walk
	b     []byte
	i     int
	depth int
	edits []edit
	// logprobs are the edits that take the single tokens of an answer away.
	logprobs []edit
}

func (p *parser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\n' || p.b[p.i] == '\t' || p.b[p.i] == '\r') {
		p.i++
	}
}

// value reads one value. mute tells that it is replaced as a whole anyway.
func (p *parser) value(mute bool) {
	p.space()
	if p.i >= len(p.b) {
		p.w.failed = true
		return
	}
	start := p.i
	whole := !mute && p.w.r.pointed(p.w.path)
	switch p.b[p.i] {
	case '{':
		p.object(mute || whole)
	case '[':
		p.array(mute || whole)
	case '"':
		raw := p.string()
		if !mute && !whole {
			p.text(raw, start+1, true)
		}
	default:
		p.literal(mute || whole)
	}
	if whole {
		p.w.counts.add(KindPointer)
		p.edits = append(p.edits, edit{start, p.i, p.w.replacementOf(p.b[start:p.i])})
	}
}

func (p *parser) object(mute bool) {
	p.i++ // {
	depth := len(p.w.path)
	for {
		p.space()
		if p.i >= len(p.b) {
			p.w.failed = true
			return
		}
		if p.b[p.i] == '}' {
			p.i++
			return
		}
		if p.b[p.i] == ',' {
			p.i++
			continue
		}
		start := p.i
		name := p.string()
		if !mute {
			p.text(name, start+1, false)
		}
		p.space()
		p.i++ // :
		p.w.path = append(p.w.path, step{name: name})
		p.space()
		at := p.i
		p.value(mute)
		if string(name) == "logprobs" && p.i > at && (p.b[at] == '{' || p.b[at] == '[') {
			p.logprobs = append(p.logprobs, edit{at, p.i, []byte("null")})
		}
		p.w.path = p.w.path[:depth]
		if p.w.failed {
			return
		}
	}
}

func (p *parser) array(mute bool) {
	p.i++ // [
	depth := len(p.w.path)
	for n := 0; ; {
		p.space()
		if p.i >= len(p.b) {
			p.w.failed = true
			return
		}
		switch p.b[p.i] {
		case ']':
			p.i++
			return
		case ',':
			p.i++
			continue
		}
		p.w.path = append(p.w.path, step{index: n})
		p.value(mute)
		p.w.path = p.w.path[:depth]
		n++
		if p.w.failed {
			return
		}
	}
}

// string reads a string and gives the bytes between its quotes.
func (p *parser) string() []byte {
	p.i++ // "
	start := p.i
	for {
		n := bytes.IndexByte(p.b[p.i:], '"')
		if n < 0 {
			p.w.failed, p.i = true, len(p.b)
			return nil
		}
		p.i += n + 1
		back := 0
		for k := p.i - 2; k >= start && p.b[k] == '\\'; k-- {
			back++
		}
		if back%2 == 0 {
			return p.b[start : p.i-1]
		}
	}
}

// literal reads a number, true, false or null. A number may be one of a card.
func (p *parser) literal(mute bool) {
	start := p.i
	for p.i < len(p.b) && !bytes.ContainsRune([]byte(" \n\t\r,]}"), rune(p.b[p.i])) {
		p.i++
	}
	if n := p.b[start:p.i]; !mute && len(n) >= 9 && isDigits(n) {
		for _, s := range p.w.numberSpans(n) {
			p.edits = append(p.edits, edit{start + s.start, start + s.end, bytes.TrimLeft([]byte(p.w.pseudonym(s, n)), "0")})
			p.w.counts.add(s.kind)
		}
	}
}

// text looks at the bytes between a string's quotes, which stand at a place; of a value
// the names before it count as well.
func (p *parser) text(raw []byte, at int, isValue bool) {
	w := p.w
	w.counts.Strings++
	w.counts.Bytes += len(raw)
	if isValue {
		if with, kind := w.wholeValue(raw); kind != "" {
			if kind == kindMedia {
				w.counts.Media++
			} else if kind != kindSkip {
				w.counts.add(kind)
			}
			if kind != kindSkip {
				p.edits = append(p.edits, edit{at, at + len(raw), escape(with)})
			}
			return
		}
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		for _, e := range w.text(raw, p.depth) {
			p.edits = append(p.edits, edit{at + e.start, at + e.end, escape(e.with)})
		}
		return
	}
	plain := unescape(w.plain[p.depth][:0], raw)
	w.plain[p.depth] = plain
	edits := w.text(plain, p.depth)
	if len(edits) == 0 {
		return
	}
	places := offsets(raw)
	for _, e := range edits {
		p.edits = append(p.edits, edit{at + places[e.start], at + places[e.end], escape(e.with)})
	}
}

// text gives the edits of a text, which may be JSON itself.
func (w *walk) text(s []byte, depth int) []edit {
	if depth < maxDepth && len(s) > 1 && (s[0] == '{' || s[0] == '[') && json.Valid(s) {
		return w.json(s, depth+1)
	}
	w.find(s)
	if len(w.spans) == 0 {
		return nil
	}
	edits := make([]edit, len(w.spans))
	for i, sp := range w.spans {
		edits[i] = edit{sp.start, sp.end, []byte(w.pseudonym(sp, s))}
		w.counts.add(sp.kind)
	}
	return edits
}

// pointed tells whether a pointer of the configuration names the place.
func (r *Redactor) pointed(path []step) bool {
	for _, tokens := range r.pointers {
		if len(tokens) != len(path) {
			continue
		}
		same := true
		for i, t := range tokens {
			same = same && (t == "*" || path[i].is(t))
		}
		if same {
			return true
		}
	}
	return false
}

func (s step) is(token string) bool {
	if s.name == nil {
		n := 0
		for _, c := range []byte(token) {
			if c < '0' || c > '9' {
				return false
			}
			n = 10*n + int(c-'0')
		}
		return token != "" && n == s.index
	}
	if bytes.IndexByte(s.name, '\\') < 0 {
		return string(s.name) == token
	}
	return string(unescape(nil, s.name)) == token
}

// replacementOf stands for a whole value, of the same type.
func (w *walk) replacementOf(value []byte) []byte {
	switch value[0] {
	case '"':
		return append(append([]byte(`"`), escape([]byte("redacted-"+w.word(KindPointer, value, 12)))...), '"')
	case '{':
		return []byte("{}")
	case '[':
		return []byte("[]")
	case 't', 'f', 'n':
		return []byte("null")
	}
	return []byte("0")
}

// unescape appends the text of a JSON string to dst.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			n := bytes.IndexByte(raw[i:], '\\')
			if n < 0 {
				n = len(raw) - i
			}
			dst, i = append(dst, raw[i:i+n]...), i+n
			continue
		}
		r, n := escaped(raw[i:])
		dst, i = utf8.AppendRune(dst, r), i+n
	}
	return dst
}

// offsets gives, for each byte of the text of a JSON string and for its end, where in the
// raw bytes it stands.
func offsets(raw []byte) []int {
	places := make([]int, 0, len(raw)+1)
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			places = append(places, i)
			i++
			continue
		}
		r, n := escaped(raw[i:])
		for range utf8.RuneLen(r) {
			places = append(places, i)
		}
		i += n
	}
	return append(places, len(raw))
}

// escaped reads one escape sequence of a JSON string and gives its length.
func escaped(b []byte) (rune, int) {
	if len(b) < 2 {
		return utf8.RuneError, len(b)
	}
	switch b[1] {
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'r':
		return '\r', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		r := hex4(b[2:])
		if utf16.IsSurrogate(r) && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if both := utf16.DecodeRune(r, hex4(b[8:])); both != utf8.RuneError {
				return both, 12
			}
		}
		if utf16.IsSurrogate(r) {
			r = utf8.RuneError
		}
		return r, min(6, len(b))
	}
	return rune(b[1]), 2
}

func hex4(b []byte) (r rune) {
	for _, c := range b[:min(4, len(b))] {
		r <<= 4
		switch {
		case c >= '0' && c <= '9':
			r |= rune(c - '0')
		case c >= 'a' && c <= 'f':
			r |= rune(c - 'a' + 10)
		case c >= 'A' && c <= 'F':
			r |= rune(c - 'A' + 10)
		}
	}
	return r
}

// escape makes the inside of a JSON string.
func escape(s []byte) []byte {
	if bytes.IndexFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) < 0 {
		return s
	}
	b, _ := json.Marshal(string(s)) // a string always can
	return b[1 : len(b)-1]
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
