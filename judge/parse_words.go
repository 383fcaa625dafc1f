package judge

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// inWords looks for what a judge concludes with: an announced verdict ("Answer: X"),
// a number out of the scale's end, a last sentence that names one label as the
// better, or a label on a line of its own.
func (w *wanted) inWords(reply string) (Parsed, bool) {
	steps := []func(string) (Parsed, bool){w.announced, w.concluded, w.alone}
	if w.scale {
		steps = []func(string) (Parsed, bool){w.announced, w.outOf, w.alone}
	}
	for _, step := range steps {
		if p, ok := step(reply); ok {
			return p, true
		}
	}
	return Parsed{}, false
}

var (
	// announcement is "Answer: X" to the end of the line, at its beginning or after
	// a sentence ("Explanation: …, Answer: X").
	announcement = regexp.MustCompile(`(?im)(?:^[\s*_#-]*|[.,;!?]["*_]*\s+[*_]*)(?:(?:the|my|final|overall|so|therefore|thus|hence),?\s+)*(?:` + verdictWords + `)["*_]*\s*(?:\bis\b|:|=)\s*(.{1,200})$`)
	sentenceEnd  = regexp.MustCompile(`[.;!?]["*_]*\s|\s+(?:because|since|as)\s|\s\(`)
)

func (w *wanted) announced(reply string) (Parsed, bool) {
	found := finds{how: parseRegex}
	for _, m := range announcement.FindAllStringSubmatch(reply, -1) {
		p, r := w.value(m[1])
		if at := sentenceEnd.FindStringIndex(m[1]); r != verdict && at != nil {
			p, r = w.value(m[1][:at[0]])
		}
		if r == verdict || w.scale { // "The answer is long" announces no label
			found.take(p, r)
		}
	}
	return found.result()
}

// outOf reads "7/10" and "7 out of 10" in a sentence, where 10 is the scale's end.
func (w *wanted) outOf(reply string) (Parsed, bool) {
	end := regexp.QuoteMeta(strconv.FormatFloat(w.hi, 'f', -1, 64))
	form, err := regexp.Compile(`(?:^|[^0-9./])([0-9]{1,9}(?:\.[0-9]{1,9})?(?:\s*/\s*|\s+out of\s+)` + end + `)(?:[^0-9/.]|\.\D|\.?$)`)
	if err != nil {
		return Parsed{}, false
	}
	found := finds{how: parseRegex}
	for _, m := range form.FindAllStringSubmatch(reply, -1) {
		found.take(w.onScale(m[1]))
	}
	return found.result()
}

// alone looks for lines that hold a label and nothing else. On a scale only the last
// line counts, since numbers also count paragraphs.
func (w *wanted) alone(reply string) (Parsed, bool) {
	found := finds{how: parseRegex}
	for _, line := range slices.Backward(strings.Split(reply, "\n")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) <= 100 {
			if p, r := w.value(line); r == verdict {
				found.take(p, r)
			}
		}
		if w.scale {
			break
		}
	}
	return found.result()
}

var sentence = regexp.MustCompile(`[^.!?\n]+(?:[.!?]+|\n|$)`)

// better are the ways in which a sentence prefers what it names, plain ones before
// those that may only praise a side of it. "%" is the label.
var better = [][]string{
	{"% is better", "% is the better", "% is a better", "% is slightly better", "% is preferred", "% is preferable", "% is superior", "% would be better", "% would be the better",
		"% wins", "% is the winner", "% is the best", "% is best", "prefer %", "choose %", "select %", "% should be preferred", "% is considered better", "% can be considered better",
		"% seems to be better", "% appears to be better", "% performs better", "% is the output that"},
	{"% is more ", "% is the more", "% is a more ", "% better ", "% does a better", "% provides a better", "% executes the instruction better"},
}

// shortNames are what a label of one or two letters follows in a sentence: "answer A".
var shortNames = []string{"output ", "answer ", "response ", "assistant ", "option ", "model ", "candidate "}

// concluded is the label that the last sentence that prefers one prefers. Two in one
// sentence are none.
func (w *wanted) concluded(reply string) (Parsed, bool) {
	reply = strings.ToLower(reply)
	names := w.names(reply)
	if len(names) == 0 {
		return Parsed{}, false
	}
	sentences := sentence.FindAllString(reply, -1)
	for _, patterns := range better {
		for _, s := range slices.Backward(sentences) {
			label, several := preferred(s, names, patterns)
			switch {
			case several:
				return failedParse(), true
			case label != "":
				return Parsed{Label: label, Parse: parseRegex}, true
			}
		}
	}
	return Parsed{}, false
}

// A labelName is a label as a sentence may call it, in lower case.
type labelName struct{ label, name string }

// names are those that occur in a reply. Labels that differ by case alone have none.
func (w *wanted) names(reply string) []labelName {
	var list []labelName
	seen := map[string]bool{}
	for _, l := range w.labels {
		low := strings.ToLower(strings.TrimSpace(l))
		if seen[low] || low == "" {
			return nil
		}
		seen[low] = true
		before := []string{""}
		if len(low) < 3 {
			before = shortNames
		}
		for _, b := range before {
			if strings.Contains(reply, b+low) {
				list = append(list, labelName{l, b + low})
			}
		}
	}
	return list
}

func preferred(s string, names []labelName, patterns []string) (label string, several bool) {
	if strings.Contains(s, "neither") || strings.Contains(s, "equally") {
		return "", false
	}
	for _, n := range names {
		if n.label == label || !strings.Contains(s, n.name) {
			continue
		}
		if !slices.ContainsFunc(patterns, func(p string) bool { return says(s, p, n.name) }) {
			continue
		}
		if label != "" {
			return "", true
		}
		label = n.label
	}
	return label, false
}

// doubted ends what denies or only supposes what follows: "I don't think that …".
var doubted = regexp.MustCompile(`(?:\b(?:not|nor|never|cannot|whether|if|unless|hard|difficult)|n['’]t)\s+(?:\w+\s+){0,3}$`)

// says tells that the sentence has the pattern of this name, as words of their own
// and neither denied nor supposed.
func says(s, pattern, name string) bool {
	before, after, _ := strings.Cut(pattern, "%")
	form := before + name + after
	for from := 0; ; {
		i := strings.Index(s[from:], form)
		if i < 0 {
			return false
		}
		at, end := from+i, from+i+len(form)
		from = at + 1
		if at > 0 && wordByte(s[at-1]) || end < len(s) && wordByte(s[end-1]) && wordByte(s[end]) {
			continue
		}
		if !doubted.MatchString(s[:at]) && !strings.HasPrefix(strings.TrimLeft(s[end:], " "), "if ") {
			return true
		}
	}
}

func wordByte(c byte) bool { return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
