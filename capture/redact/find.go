package redact

import (
	"bytes"
	"slices"
)

// A span is a piece of a text that was found, from start to end.
type span struct {
	start, end int
	kind       string
	// keep is how much of its beginning stays: the prefix of a key, say.
	keep int
}

// What a byte can be the sign of.
const (
	signAt    = 1 << iota // of an address
	signDigit             // of a number
	signColon             // of an IP address, or of a name before a secret
	signEqual             // of a name before a secret
	signDash              // of the armour of a private key
	wordByte              // part of a word that may be a key
	oddByte               // and no lower-case letter: words of people have at most one
)

var signs = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			t[c] = signDigit | wordByte | oddByte
		case c >= 'A' && c <= 'Z', c == '_', c == '/', c == '+', c == '.':
			t[c] = wordByte | oddByte
		case c >= 'a' && c <= 'z':
			t[c] = wordByte
		}
	}
	t['@'] = signAt
	t[':'], t['='], t['-'] = signColon, signEqual|wordByte|oddByte, signDash|wordByte|oddByte
	return t
}()

// find fills w.spans with what stands in a text, in order and apart from each other.
//
// One pass over the bytes says which detectors can find anything: for most texts none.
func (w *walk) find(s []byte) {
	w.spans = w.spans[:0]
	seen, keyLike := scan(s)
	on := w.r.on
	if on[KindAPIKey] {
		if keyLike {
			w.tokens(s)
		}
		if seen&(signColon|signEqual) != 0 {
			w.namedSecrets(s)
		}
		if seen&signDash != 0 {
			w.armour(s)
		}
	}
	if on[KindEmail] && seen&signAt != 0 {
		w.emails(s)
	}
	if seen&signDigit != 0 {
		w.numbers(s)
	}
	if on[KindIP] && seen&signColon != 0 {
		w.ipv6(s)
	}
	for _, n := range w.r.national {
		if n.lettered {
			w.lettered(s, n)
		}
	}
	w.custom(s)
	if len(w.spans) > 1 {
		w.untangle()
	}
}

// scan gives the signs of all bytes together, and tells whether a word is long enough for
// a key and not of lower-case letters alone.
func scan(s []byte) (seen byte, keyLike bool) {
	start, odd := 0, byte(0) // of the word that may be under way
	for i, c := range s {
		t := signs[c]
		seen |= t
		if t&wordByte != 0 {
			odd |= t
			continue
		}
		keyLike = keyLike || odd&oddByte != 0 && i-start >= minToken
		start, odd = i+1, 0
	}
	return seen, keyLike || odd&oddByte != 0 && len(s)-start >= minToken
}

func (w *walk) found(start, end int, kind string, keep int) {
	w.spans = append(w.spans, span{start, end, kind, keep})
}

// untangle leaves of spans that overlap the one that begins first, or is longer.
func (w *walk) untangle() {
	slices.SortStableFunc(w.spans, func(a, b span) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	out := w.spans[:1]
	for _, s := range w.spans[1:] {
		last := &out[len(out)-1]
		if s.start >= last.end {
			out = append(out, s)
		} else if s.end > last.end { // what stands out at the end must not stay
			last.end = s.end
		}
	}
	w.spans = out
}

// custom looks for the caller's credentials and for the patterns of the configuration.
func (w *walk) custom(s []byte) {
	for _, secret := range w.of.Secrets {
		for at := 0; ; {
			n := bytes.Index(s[at:], []byte(secret))
			if n < 0 {
				break
			}
			w.found(at+n, at+n+len(secret), KindCredential, 0)
			at += n + len(secret)
		}
	}
	for _, p := range w.r.patterns {
		for _, m := range p.re.FindAllIndex(s, -1) {
			if m[1] > m[0] {
				w.found(m[0], m[1], p.name, 0)
			}
		}
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isAlnum(c byte) bool { return isDigit(c) || isLetter(c) }

// before and at give a byte of a text, 0 beyond its ends.
func at(s []byte, i int) byte {
	if i < 0 || i >= len(s) {
		return 0
	}
	return s[i]
}
