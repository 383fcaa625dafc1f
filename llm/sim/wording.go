package sim

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A wording puts a tone into words: a partially correct answer speaks by turns
// of the question and of something else, an incorrect one of something else
// alone. Only free text changes, and whoever reads it can tell. A nil wording
// leaves everything as it is.
type wording struct {
	tone
	topic *topic
	// strayed tells that the last word of a partially correct answer was astray.
	strayed bool
}

func newWording(question string, t tone) *wording {
	if t.correct == 1 && len(t.asides) == 0 {
		return nil
	}
	return &wording{tone: t, topic: newTopic(question)}
}

func (w *wording) drifts() bool { return w != nil && w.correct < 1 }

func (w *wording) stray() string { return w.topic.off[w.r.IntN(len(w.topic.off))] }

// keep is the word itself where a reader sees that it is the question's.
func (w *wording) keep(word string) string {
	if slices.Contains(w.topic.on, word) {
		return word
	}
	return w.topic.on[w.r.IntN(len(w.topic.on))]
}

// word is what stands in the place of one word of the topic.
func (w *wording) word(word string) string {
	switch {
	case !w.drifts():
		return word
	case w.correct == 0:
		return w.stray()
	}
	w.strayed = !w.strayed
	if w.strayed {
		return w.stray()
	}
	return w.keep(word)
}

// words are what stands in the place of a free string's words, in at most that
// many characters where it can be done. A partially correct string has words of
// both kinds.
func (w *wording) words(in []string, most int) []string {
	if !w.drifts() {
		return in
	}
	var out []string
	for _, word := range in {
		out = append(out, w.word(word))
	}
	if w.correct > 0 && len(in) == 1 {
		out = []string{w.keep(in[0]), w.stray()}
	}
	if utf8.RuneCountInString(strings.Join(out, " ")) > most {
		out = []string{shortest(w.topic.off)}
		if w.correct > 0 {
			out = []string{shortest(w.topic.on), out[0]}
		}
	}
	return out
}

func shortest(list []string) string {
	return slices.MinFunc(list, func(a, b string) int { return utf8.RuneCountInString(a) - utf8.RuneCountInString(b) })
}

// aside adds to a free string, of at most that many characters, what fits of the
// asides that have not been said.
func (w *wording) aside(s string, most int) string {
	if w == nil {
		return s
	}
	w.asides = slices.DeleteFunc(w.asides, func(phrase string) bool {
		longer := s + " " + phrase
		if utf8.RuneCountInString(longer) > most {
			return false
		}
		s = longer
		return true
	})
	return s
}

// prose rewrites a whole text in the tone.
func (w *wording) prose(text string) string {
	if w == nil {
		return text
	}
	if w.drifts() {
		text = w.drift(text)
	}
	return strings.Join(append(w.asides, text), " ")
}

func (w *wording) drift(text string) string {
	var b strings.Builder
	done, hits := 0, 0
	eachWord(text, func(at int, word string) {
		if !w.topic.asked[word] {
			return
		}
		b.WriteString(text[done:at])
		if w.correct > 0 && hits == 0 {
			// Both at once, so that even the shortest text shows what it is.
			b.WriteString(w.keep(word) + " and " + w.stray())
		} else {
			b.WriteString(w.word(word))
		}
		done = at + len(word)
		hits++
	})
	b.WriteString(text[done:])
	switch {
	case hits == 0 && w.correct > 0:
		b.WriteString(" It touches on " + w.keep("") + " and " + w.stray() + ".")
	case hits == 0:
		b.WriteString(" It is all about the " + w.stray() + ".")
	}
	return b.String()
}
