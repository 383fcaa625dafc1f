package judge

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
)

// objectTries bounds the search for JSON in texts full of braces.
const objectTries = 200

// inJSON looks for JSON objects that hold a verdict, anywhere in the reply.
func (w *wanted) inJSON(reply string) Parsed {
	found := finds{how: parseJSON}
	for range objectTries {
		i := strings.IndexByte(reply, '{')
		if i < 0 {
			break
		}
		reply = reply[i:]
		d := json.NewDecoder(strings.NewReader(reply))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			reply = reply[1:]
			continue
		}
		found.take(w.fromObject(v))
		reply = reply[d.InputOffset():]
	}
	return found.result()
}

var (
	bracketed = regexp.MustCompile(`\[\[([^\[\]\n]{1,80})\]\]`)
	tagged    = regexp.MustCompile(`(?is)<(answer|verdict|label|choice|rating|score|winner|result)>\s*([^<]{1,80}?)\s*</(answer|verdict|label|choice|rating|score|winner|result)>`)
)

// inTag looks for [[X]] and <answer>X</answer>. Judges that explain themselves may
// write several; all must say the same.
func (w *wanted) inTag(reply string) Parsed {
	found := finds{how: parseTag}
	for _, m := range bracketed.FindAllStringSubmatch(reply, -1) {
		found.take(w.value(m[1]), true)
	}
	for _, m := range tagged.FindAllStringSubmatch(reply, -1) {
		if strings.EqualFold(m[1], m[3]) {
			found.take(w.value(m[2]), true)
		}
	}
	return found.result()
}

var (
	announced = regexp.MustCompile(`(?im)^[\s>*_#-]*(?:the |my |final |overall )*(?:answer|verdict|label|choice|rating|score|winner|decision)[*_]*\s*(?:is|:|=)\s*(.{1,80}?)\s*$`)
	outOf     = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*(?:/|out of)\s*[0-9]+`)
)

// inWords looks for what a judge concludes with: an announced verdict ("Answer: X"),
// a last sentence that names one label as the better, or a label on a line of its own.
func (w *wanted) inWords(reply string) Parsed {
	found := finds{how: parseRegex}
	for _, m := range announced.FindAllStringSubmatch(reply, -1) {
		text := m[1]
		if n := outOf.FindStringSubmatch(strings.Trim(text, "*_ ")); w.scale && n != nil {
			text = n[1]
		}
		if p := w.value(text); p.Parse != parseFailed {
			found.take(p, true)
		}
	}
	if p := found.result(); p.Parse != "" {
		return p
	}
	if !w.scale {
		if label := w.concluded(reply); label != "" {
			return Parsed{Label: label, Parse: parseRegex}
		}
	}
	lines := strings.Split(reply, "\n")
	for _, line := range slices.Backward(lines) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if p := w.value(line); p.Parse != parseFailed {
			p.Parse = parseRegex
			return p
		}
		break // what follows a label takes it back or explains it
	}
	return Parsed{}
}

var sentence = regexp.MustCompile(`[^.!?\n]+(?:[.!?]+|\n|$)`)

// better are the ways in which a sentence prefers what it names, plain ones before
// those that may only praise a side of it. "%" is the label.
var better = [][]string{
	{"% is better", "% is the better", "% is a better", "% is slightly better", "% is preferred", "% is preferable", "% is superior", "% would be better", "% would be the better",
		"% wins", "% is the best", "% is best", "prefer %", "choose %", "select %", "% should be preferred", "% is considered better", "% can be considered better",
		"% seems to be better", "% appears to be better", "% performs better", "% is the output that"},
	{"% is more ", "% is the more", "% is a more ", "% better ", "% does a better", "% provides a better", "% executes the instruction better"},
}

// concluded is the label that the last sentence that prefers one prefers. A label
// that is a single letter is not looked for in sentences.
func (w *wanted) concluded(reply string) string {
	if slices.ContainsFunc(w.labels, func(l string) bool { return len(l) < 3 }) {
		return ""
	}
	sentences := sentence.FindAllString(strings.ToLower(reply), -1)
	for _, patterns := range better {
		for _, s := range slices.Backward(sentences) {
			var named []string
			for _, l := range w.labels {
				if prefers(s, strings.ToLower(l), patterns) {
					named = append(named, l)
				}
			}
			if len(named) == 1 {
				return named[0]
			}
			if len(named) > 1 {
				return ""
			}
		}
	}
	return ""
}

func prefers(s, label string, patterns []string) bool {
	if !strings.Contains(s, label) || strings.Contains(s, "neither") || strings.Contains(s, "equally") {
		return false
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return strings.Contains(s, strings.ReplaceAll(pattern, "%", label))
	})
}
