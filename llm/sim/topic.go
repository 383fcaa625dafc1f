package sim

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// astray is what answers speak of that have lost their question.
var astray = []string{
	"marmalade", "zeppelin", "walrus", "trombone", "igloo", "pelican", "gondola", "nutmeg", "yodel", "cactus",
	"lighthouse", "accordion", "porcupine", "rhubarb", "tambourine", "meringue", "flamingo", "kelp", "snorkel", "pumpkin",
	"kazoo", "gargoyle", "bagpipe", "turnip",
}

// framing holds the words of the sentences around the topic. They say nothing about
// whether an answer keeps to its question.
var framing = func() map[string]bool {
	out := map[string]bool{}
	for _, s := range [][]string{openings, sentences} {
		for _, w := range words(strings.ReplaceAll(strings.Join(s, " "), "%s", "")) {
			out[w] = true
		}
	}
	return out
}()

// A topic tells the words of a question from those of something else. Whoever
// answers and whoever judges make it from the question alone.
type topic struct {
	// on are the question's own words, off those that have nothing to do with it.
	on, off []string
	// isOff holds both, true for those of off.
	isOff map[string]bool
	// asked holds all words of the question, those of the framing too.
	asked map[string]bool
}

func newTopic(question string) *topic {
	t := &topic{isOff: map[string]bool{}, asked: map[string]bool{}}
	asked := words(question)
	if len(asked) == 0 {
		asked = []string{"question", "answer"} // as answers to nothing say
	}
	for _, w := range asked {
		t.asked[w] = true
	}
	for _, w := range astray {
		if !t.asked[w] {
			t.off = append(t.off, w)
			t.isOff[w] = true
		}
	}
	if len(t.off) == 0 { // a question about everything
		t.off = astray
	}
	for _, w := range asked {
		if !framing[w] {
			t.on = append(t.on, w)
		}
	}
	if len(t.on) == 0 {
		t.on = asked
	}
	for _, w := range t.on {
		t.isOff[w] = false
	}
	return t
}

// plainWord tells the letters and digits of ASCII: judges read a lot of text.
var plainWord = func() (out [utf8.RuneSelf]bool) {
	for c := range out {
		out[c] = unicode.IsLetter(rune(c)) || unicode.IsNumber(rune(c))
	}
	return out
}()

// eachWord calls f with every run of letters and digits and where it begins.
func eachWord(s string, f func(at int, w string)) {
	begin := -1
	for i := 0; i < len(s); {
		size, in := 1, false
		if s[i] < utf8.RuneSelf {
			in = plainWord[s[i]]
		} else {
			var c rune
			c, size = utf8.DecodeRuneInString(s[i:])
			in = unicode.IsLetter(c) || unicode.IsNumber(c)
		}
		switch {
		case in && begin < 0:
			begin = i
		case !in && begin >= 0:
			f(begin, s[begin:i])
			begin = -1
		}
		i += size
	}
	if begin >= 0 {
		f(begin, s[begin:])
	}
}
