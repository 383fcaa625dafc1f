package judge

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
)

// objectTries bounds the search for JSON in texts full of braces.
const objectTries = 200

var jsonFence = regexp.MustCompile("^```[a-zA-Z]*\\s*")

// inJSON looks for JSON objects that hold a verdict, anywhere in the reply. prose is
// what stands outside of objects: a lower rung must not read a verdict out of a
// reason that an object holds. For the same reason a reply that begins as an object
// and cannot be read as one holds no verdict.
func (w *wanted) inJSON(reply string) (p Parsed, prose string, ok bool) {
	found := finds{how: parseJSON}
	broken := false
	var outside strings.Builder
	rest := jsonFence.ReplaceAllString(reply, "")
	whole := strings.HasPrefix(rest, "{")
	for range objectTries {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			break
		}
		outside.WriteString(rest[:i])
		rest = rest[i:]
		d := json.NewDecoder(strings.NewReader(rest))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			broken = broken || whole
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break // no object can end later
			}
			outside.WriteByte('{')
			rest = rest[1:]
		} else {
			found.take(w.fromObject(v))
			rest = rest[d.InputOffset():]
		}
		whole = false
	}
	outside.WriteString(rest)
	if p, ok = found.result(); ok || !broken {
		return p, outside.String(), ok
	}
	return failedParse(), "", true
}

var (
	bracketed = regexp.MustCompile(`\[\[([^\[\]\n]{1,80})\]\]`)
	tagged    = regexp.MustCompile(`(?s)<([A-Za-z][A-Za-z0-9_-]{0,40})>\s*([^<]{1,80}?)\s*</([A-Za-z][A-Za-z0-9_-]{0,40})>`)
	// noVerdict are tags that hold something else: formatting, and what leads to a
	// verdict.
	noVerdict = regexp.MustCompile(`^(?i:[abipqu]|em|strong|code|pre|li|t[dhr]|span|div|h[1-6]|su[bp]|blockquote|quote|request|input|example|step|think|thinking|reason|reasoning|rationale|explanation|justification|analysis)$`)
)

// inTag looks for [[X]] and <answer>X</answer>, and where there is neither for any
// other tag around a label alone. All must say the same.
func (w *wanted) inTag(reply string) (Parsed, bool) {
	known, other := finds{how: parseTag}, finds{how: parseTag}
	if strings.Contains(reply, "[[") {
		for _, m := range bracketed.FindAllStringSubmatch(reply, -1) {
			known.take(w.value(m[1]))
		}
	}
	if strings.Contains(reply, "</") {
		for _, m := range tagged.FindAllStringSubmatch(reply, -1) {
			if !strings.EqualFold(m[1], m[3]) {
				continue
			}
			p, r := w.value(m[2])
			if verdictName.MatchString(m[1]) {
				known.take(p, r)
			} else if r == verdict && !w.scale && !noVerdict.MatchString(m[1]) {
				other.take(p, r)
			}
		}
	}
	if p, ok := known.result(); ok {
		return p, true
	}
	return other.result()
}
