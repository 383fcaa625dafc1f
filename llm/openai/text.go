package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text is the value of the JSON string v, copied once; lone surrogates and invalid
// UTF-8 become U+FFFD, as every JSON reader of Go makes them. encoding/json would
// check the string a second time: most of a request is strings.
func text(v json.RawMessage) string {
	v = v[1 : len(v)-1]
	if bytes.IndexByte(v, '\\') < 0 {
		return validText(string(v))
	}
	var b strings.Builder
	b.Grow(len(v)) // no escape says more than it is long
	var one [utf8.UTFMax]byte
	for {
		i := bytes.IndexByte(v, '\\')
		if i < 0 {
			b.Write(v)
			return validText(b.String())
		}
		b.Write(v[:i])
		var piece []byte
		piece, v = unescape(one[:0], v[i+1:])
		b.Write(piece)
	}
}

// validText is strings.ToValidUTF8 with a U+FFFD for each byte that is invalid.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // ranging gives U+FFFD for each
		b.WriteRune(r)
	}
	return b.String()
}

// unescape appends what the escape says that v begins with, after its
// backslash, and gives the rest of v.
func unescape(b, v []byte) (value, rest []byte) {
	switch v[0] {
	case 'b':
		return append(b, '\b'), v[1:]
	case 'f':
		return append(b, '\f'), v[1:]
	case 'n':
		return append(b, '\n'), v[1:]
	case 'r':
		return append(b, '\r'), v[1:]
	case 't':
		return append(b, '\t'), v[1:]
	case 'u':
	default:
		return append(b, v[0]), v[1:]
	}
	r := hex4(v[1:])
	v = v[5:]
	if utf16.IsSurrogate(r) {
		low := rune(utf8.RuneError)
		if len(v) >= 6 && v[0] == '\\' && v[1] == 'u' {
			low = hex4(v[2:])
		}
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			v = v[6:]
		}
	}
	return utf8.AppendRune(b, r), v
}

func hex4(v []byte) rune {
	var r rune
	for _, c := range v[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
