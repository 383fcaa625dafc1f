package judge

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// The ways in which a verdict was found, best first.
const (
	parseTool   = "tool"   // the arguments of the verdict tool's call
	parseJSON   = "json"   // a JSON object in the reply's text
	parseTag    = "tag"    // <answer>X</answer>, [[X]]
	parseRegex  = "regex"  // a concluding sentence or line
	parseFailed = "failed" // none: the verdict is missing, never a number
)

// A Parsed is what a judge's reply says.
type Parsed struct {
	// Label is one of the allowed ones, "" where there is none.
	Label string
	// Score is set where a scale was asked for, or token probabilities.
	Score  *float64
	Reason string
	Parse  string
}

func failedParse() Parsed { return Parsed{Parse: parseFailed} }

// maxReply bounds what is read of a reply, by its beginning and its end.
const maxReply = 64 << 10

// ParseCalls reads the verdict from calls of the verdict tool. Several calls must
// say the same.
func ParseCalls(calls []llm.ToolCall, labels []string) Parsed {
	w := wanted{labels: labels}
	found := finds{how: parseTool}
	for _, c := range calls {
		if v, err := parseValue(c.Arguments); err == nil {
			found.take(w.fromObject(v))
			continue
		}
		return failedParse()
	}
	return found.result()
}

// ParseText reads the verdict from a reply in words, by a ladder: a JSON object, a
// tag, a concluding sentence or line. Within a rung two different verdicts are none;
// a rung without one leads to the next. What the reply quotes from between the
// fences of the question is not read.
func ParseText(reply string, labels []string) Parsed {
	return (&wanted{labels: labels}).read(reply)
}

// ParseScale reads a number of the scale [lo, hi] in the same way.
func ParseScale(reply string, lo, hi float64) Parsed {
	return (&wanted{scale: true, lo: lo, hi: hi}).read(reply)
}

// ParseLogprobs weighs the first two labels by the probabilities of a single token:
// the score is P(labels[0]) ÷ (P(labels[0]) + P(labels[1])), the label the likelier.
// Tokens are compared without the spaces around them. Neither among the tokens is
// no verdict.
func ParseLogprobs(tokens map[string]float64, labels []string) Parsed {
	if len(labels) < 2 {
		return failedParse()
	}
	var p [2]float64
	for token, logprob := range tokens {
		for i := range p {
			if strings.TrimSpace(token) == labels[i] {
				p[i] += math.Exp(logprob)
			}
		}
	}
	sum := p[0] + p[1]
	if !(sum > 0) || math.IsInf(sum, 1) {
		return failedParse()
	}
	score := p[0] / sum
	label := labels[0]
	if p[1] > p[0] {
		label = labels[1]
	}
	return Parsed{Label: label, Score: &score, Parse: parseTag}
}

// wanted is what a verdict may be.
type wanted struct {
	labels []string
	scale  bool
	lo, hi float64
}

func (w *wanted) read(reply string) Parsed {
	if len(reply) > maxReply {
		reply = reply[:maxReply/2] + "\n" + reply[len(reply)-maxReply/2:]
	}
	reply = withoutQuotes(strings.ToValidUTF8(reply, "\uFFFD"))
	if strings.TrimSpace(reply) == "" {
		return failedParse()
	}
	for _, rung := range []func(string) Parsed{w.inJSON, w.inTag, w.inWords} {
		if p := rung(reply); p.Parse != "" {
			p.Reason = reasonOf(p.Reason, reply)
			return p
		}
	}
	return failedParse()
}

// reasonOf is what the judge gave as its reason, else the whole reply.
func reasonOf(reason, reply string) string {
	if reason == "" {
		return strings.TrimSpace(reply)
	}
	return reason
}

var fenceTag = regexp.MustCompile(`</?(?:request|answer|answer-A|answer-B)-[0-9a-f]{32}>?`)

// withoutQuotes cuts what stands between copies of the fences. A fence that is
// opened and not closed cuts the rest.
func withoutQuotes(s string) string {
	marks := fenceTag.FindAllStringIndex(s, -1)
	if marks == nil {
		return s
	}
	var b strings.Builder
	depth, from := 0, 0
	for _, m := range marks {
		if depth == 0 {
			b.WriteString(s[from:m[0]])
		}
		if strings.HasPrefix(s[m[0]:], "</") {
			depth = max(0, depth-1)
		} else {
			depth++
		}
		from = m[1]
	}
	if depth == 0 {
		b.WriteString(s[from:])
	}
	return b.String()
}

// finds collects the verdicts of one rung.
type finds struct {
	how    string
	list   []Parsed
	strays bool // a verdict that is none of those allowed
}

func (f *finds) take(p Parsed, verdict bool) {
	switch {
	case verdict && p.Parse != parseFailed:
		f.list = append(f.list, p)
	case verdict:
		f.strays = true
	}
}

// result is the one verdict; failed where there are two or only a stray one; no
// Parse at all where the rung has nothing.
func (f *finds) result() Parsed {
	if len(f.list) == 0 {
		if f.strays || f.how == parseTool {
			return failedParse()
		}
		return Parsed{}
	}
	first := f.list[0]
	for _, p := range f.list[1:] {
		if p.Label != first.Label || (p.Score == nil) != (first.Score == nil) || p.Score != nil && *p.Score != *first.Score {
			return failedParse()
		}
	}
	if f.strays {
		return failedParse()
	}
	first.Parse = f.how
	return first
}

// value makes a verdict of a word or number that stands where one should be.
func (w *wanted) value(text string) Parsed {
	text = strings.Trim(strings.TrimSpace(text), "\"'*_`.,;:! ")
	if w.scale {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= w.lo && n <= w.hi) {
			return failedParse()
		}
		return Parsed{Label: text, Score: &n}
	}
	if slices.Contains(w.labels, text) {
		return Parsed{Label: text}
	}
	match := ""
	for _, l := range w.labels {
		if strings.EqualFold(l, text) {
			if match != "" {
				return failedParse()
			}
			match = l
		}
	}
	if match == "" {
		return failedParse()
	}
	return Parsed{Label: match}
}

// verdictKeys are the names under which judges put a verdict, and reasonKeys their reason.
var (
	verdictKeys = []string{"label", "verdict", "answer", "choice", "winner", "rating", "score", "preferred", "preference", "decision"}
	reasonKeys  = []string{"reason", "explanation", "reasoning", "rationale", "justification"}
)

// fromObject reads a JSON object: a verdict under one of the known names, or a
// ranking whose first is the verdict. verdict tells that there was something.
func (w *wanted) fromObject(v any) (p Parsed, verdict bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return Parsed{}, false
	}
	var found []Parsed
	for k, x := range m {
		switch {
		case slices.Contains(verdictKeys, strings.ToLower(k)):
			if text, ok := scalar(x); ok {
				found = append(found, w.value(text))
			}
		default:
			if best, ok := first(x); ok {
				found = append(found, w.value(best))
			}
		}
	}
	if len(found) == 0 {
		return Parsed{}, false
	}
	p = found[0]
	for _, o := range found[1:] {
		if o.Label != p.Label {
			return failedParse(), true
		}
	}
	for _, k := range reasonKeys {
		if text, ok := m[k].(string); ok {
			p.Reason = text
		}
	}
	return p, true
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// first is the first model of rank 1 in a list such as [{"model": "M", "rank": 1}, …].
func first(v any) (string, bool) {
	list, _ := v.([]any)
	best := ""
	for _, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			return "", false
		}
		name, isName := m["model"].(string)
		rank, isRank := m["rank"].(json.Number)
		if !isName || !isRank {
			return "", false
		}
		if rank.String() == "1" && best == "" {
			best = name
		}
	}
	return best, len(list) > 0
}
