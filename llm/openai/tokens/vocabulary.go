package tokens

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
)

// A vocabulary is one of OpenAI's, loaded at the first text that it counts and
// kept for the life of the process.
type vocabulary struct{ codec func() tokenizer.Codec }

var (
	cl100k = load(tokenizer.Cl100kBase)
	o200k  = load(tokenizer.O200kBase)
)

func load(name tokenizer.Encoding) *vocabulary {
	return &vocabulary{sync.OnceValue(func() tokenizer.Codec {
		codec, err := tokenizer.Get(name)
		if err != nil {
			panic(err) // the vocabularies are part of the program
		}
		return codec
	})}
}

// chunk is how much text goes to the tokenizer at once, in bytes; it holds
// several times as much while it works.
const chunk = 32 << 10

// count counts the tokens of a text, specials taken as plain text. It works
// through a long one in chunks, so that memory stays small and a run of letters
// without an end costs no more than a chunk's. A chunk ends before a space that
// follows something else than white space, where both vocabularies' patterns
// always begin a new piece: the sum is the text's own count. Only where a chunk
// has no such place, and in a long run of white space, is it cut anywhere, which
// adds a token or two.
func (v *vocabulary) count(text string) int {
	n := 0
	for len(text) > 0 {
		end := len(text)
		if end > chunk {
			end = cut(text[:chunk])
		}
		end = shortRun(text[:end])
		k, err := v.codec().Count(text[:end])
		if err != nil { // the pattern's time ran out; it has no limit
			k = end
		}
		n += k
		text = text[end:]
	}
	return n
}

// cut finds where a chunk can end.
func cut(text string) int {
	for end := len(text); ; {
		i := strings.LastIndexByte(text[:end], ' ')
		if i <= 0 {
			break
		}
		if r, _ := utf8.DecodeLastRuneInString(text[:i]); !white(r) {
			return i
		}
		end = i
	}
	end := len(text)
	for end > len(text)-utf8.UTFMax && !utf8.RuneStart(text[end-1]) {
		end--
	}
	return max(end-1, 1)
}

// longestRun is the longest run of white space that goes to the tokenizer in one
// piece: its time grows with the square of one that has lines in it.
const longestRun = 512

// shortRun is where a run of white space gets too long, the text's end if none does.
func shortRun(text string) int {
	start := -1
	for i, r := range text {
		switch {
		case !white(r):
			start = -1
		case start < 0:
			start = i
		case i-start >= longestRun:
			return i
		}
	}
	return len(text)
}

// white is generous: what it takes for white space is only no place to cut.
func white(r rune) bool {
	return r <= ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 || r >= 0x2000 && r <= 0x200a ||
		r == 0x2028 || r == 0x2029 || r == 0x202f || r == 0x205f || r == 0x3000
}
