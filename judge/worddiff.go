package judge

import (
	"strings"
	"unicode"

	"understudy/internal/journal"
)

// A Span is a stretch of words that both texts have, or only one of them.
type Span struct {
	// Side is "both", "live" or "trial".
	Side string
	Text string
}

// maxWords bounds what is aligned word by word, on either side: the table has as
// many cells as the product. Longer texts are shown as a whole.
const maxWords = 3000

// DiffWords aligns two texts by words and white space. Joined, the spans of "both"
// and "live" are the live text, those of "both" and "trial" the trial's.
func DiffWords(live, trial string) []Span {
	a, b := splitWords(live), splitWords(trial)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var s spans
	s.add("both", a[:head]...)
	s.align(a[head:len(a)-tail], b[head:len(b)-tail])
	s.add("both", a[len(a)-tail:]...)
	return s
}

type spans []Span

func (s *spans) add(side string, words ...string) {
	text := strings.Join(words, "")
	if text == "" {
		return
	}
	if n := len(*s); n > 0 && (*s)[n-1].Side == side {
		(*s)[n-1].Text += text
		return
	}
	*s = append(*s, Span{Side: side, Text: text})
}

// align follows the longest common subsequence.
func (s *spans) align(a, b []string) {
	if len(a) > maxWords || len(b) > maxWords {
		s.add("live", a...)
		s.add("trial", b...)
		return
	}
	// common[i][j] is the length for a[i:] and b[j:].
	common := make([][]uint16, len(a)+1)
	for i := range common {
		common[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			s.add("both", a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			s.add("live", a[i])
			i++
		default:
			s.add("trial", b[j])
			j++
		}
	}
}

// splitWords cuts a text into words and the runs between them.
func splitWords(s string) []string {
	var out []string
	start, was := 0, -1
	for i, r := range s {
		kind := 0
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			kind = 1
		case unicode.IsSpace(r):
			kind = 2
		}
		if kind != was && i > 0 || kind == 0 && i > 0 {
			out = append(out, s[start:i])
			start = i
		}
		was = kind
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// DiffJSON lists where two JSON texts differ, sorted by path; ok is false where
// either is no JSON object or array, and the words are to be compared instead.
func DiffJSON(live, trial string) (changes []journal.Change, ok bool) {
	l, err := parseValue(live)
	if err != nil {
		return nil, false
	}
	t, err := parseValue(trial)
	if err != nil || !container(l) || !container(t) {
		return nil, false
	}
	return bounded(diffValues("", l, t)), true
}

func container(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}
