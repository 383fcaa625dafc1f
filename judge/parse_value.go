package judge

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// finds collects the verdicts of one rung.
type finds struct {
	how    string
	list   []Parsed
	strays bool // a verdict that is none of those allowed
}

// A reading is what a place where a verdict may stand holds.
type reading int

const (
	nothing reading = iota
	stray           // a verdict that is not allowed
	verdict
)

func (f *finds) take(p Parsed, r reading) {
	switch r {
	case verdict:
		f.list = append(f.list, p)
	case stray:
		f.strays = true
	}
}

// result is the one verdict of the rung; a failed one where there are two or one
// that is not allowed; ok is false where the rung has none.
func (f *finds) result() (p Parsed, ok bool) {
	if len(f.list) == 0 && !f.strays {
		return Parsed{}, false
	}
	if f.strays {
		return failedParse(), true
	}
	first := f.list[0]
	for _, p := range f.list[1:] {
		if p.Label != first.Label {
			return failedParse(), true
		}
		if first.Reason == "" {
			first.Reason = p.Reason
		}
	}
	first.Parse = f.how
	return first, true
}

var (
	number   = regexp.MustCompile(`^[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?$`)
	fraction = regexp.MustCompile(`^([+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(?:/|out of)\s*([0-9]{1,15})$`)
)

// value reads a word or number that stands where a verdict should. What is of
// another kind, a number among words or a word on a scale, is nothing; of the same
// kind and not allowed, stray.
func (w *wanted) value(text string) (Parsed, reading) {
	if !w.scale && slices.Contains(w.labels, text) {
		return Parsed{Label: text}, verdict
	}
	text = strings.Trim(text, "\"'*_`.,;:! \t\r\n")
	if w.scale {
		return w.onScale(text)
	}
	if slices.Contains(w.labels, text) {
		return Parsed{Label: text}, verdict
	}
	match, matches := "", 0
	for _, l := range w.labels {
		if strings.EqualFold(l, text) {
			match, matches = l, matches+1
		}
	}
	switch {
	case matches == 1:
		return Parsed{Label: match}, verdict
	case number.MatchString(text) && !slices.ContainsFunc(w.labels, number.MatchString):
		return Parsed{}, nothing
	}
	return Parsed{}, stray
}

// onScale reads a number, or a fraction of the scale's end: 7 or 7/10.
func (w *wanted) onScale(text string) (Parsed, reading) {
	end := ""
	if m := fraction.FindStringSubmatch(text); m != nil {
		text, end = m[1], m[2]
	}
	if !number.MatchString(text) {
		return Parsed{}, nothing
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= w.lo && n <= w.hi) || end != "" && end != strconv.FormatFloat(w.hi, 'f', -1, 64) {
		return Parsed{}, stray
	}
	n += 0 // -0 is 0
	return Parsed{Label: strconv.FormatFloat(n, 'f', -1, 64), Score: &n}, verdict
}

// verdictName are the names under which judges put a verdict; reasonKeys are those of
// their reason.
var (
	verdictName = regexp.MustCompile(`^(?i:(?:final|overall)?[_ -]?(?:` + verdictWords + `))$`)
	reasonKeys  = []string{"reason", "explanation", "reasoning", "rationale", "justification"}
)

const verdictWords = `label|verdict|answer|choice|winner|rating|score|preferred|preference|decision|judge?ment|result`

// maxVerdictDepth bounds how deep inside an object a verdict is looked for.
const maxVerdictDepth = 4

// fromObject reads a JSON object: a verdict under one of the known names, here or in
// an object inside, or a ranking whose first is the verdict.
func (w *wanted) fromObject(v any) (Parsed, reading) {
	var found finds
	w.gather(v, maxVerdictDepth, &found)
	p, ok := found.result()
	switch {
	case !ok:
		return Parsed{}, nothing
	case p.Parse == parseFailed:
		return Parsed{}, stray
	}
	p.Reason = ""
	if m, ok := v.(map[string]any); ok {
		for _, k := range reasonKeys {
			if text, ok := m[k].(string); ok && p.Reason == "" {
				p.Reason = text
			}
		}
	}
	return p, verdict
}

func (w *wanted) gather(v any, depth int, found *finds) {
	m, _ := v.(map[string]any)
	if depth == 0 {
		return
	}
	for k, x := range m {
		named := verdictName.MatchString(k)
		switch x := x.(type) {
		case string:
			if named {
				found.take(w.value(x))
			}
		case json.Number:
			if named {
				found.take(w.value(x.String()))
			}
		case map[string]any:
			w.gather(x, depth-1, found)
		case []any:
			found.take(w.ranked(x))
		default: // null or a truth value: a verdict that was withheld
			if named {
				found.take(Parsed{}, stray)
			}
		}
	}
}

// ranked reads a list such as [{"model": "M", "rank": 1}, …]: the first of rank 1, as
// AlpacaEval reads a shared first place.
func (w *wanted) ranked(list []any) (Parsed, reading) {
	best, found := "", false
	for _, x := range list {
		m, _ := x.(map[string]any)
		name, isName := m["model"].(string)
		rank, isRank := m["rank"].(json.Number)
		if !isName || !isRank {
			return Parsed{}, nothing
		}
		if rank.String() == "1" && !found {
			best, found = name, true
		}
	}
	switch {
	case len(list) == 0:
		return Parsed{}, nothing
	case !found:
		return Parsed{}, stray
	}
	return w.value(best)
}
