package bedrock

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// textPiece reads the event of which an answer has most, a contentBlockDelta of text, in
// the one form in which the service writes it: no white space, and no member but the
// index, the delta and the padding "p". ok is false for any other form, also for what is
// no JSON; encoding/json then reads it, and says what is wrong. It exists because reading
// these events was a tenth of what a trial cost.
func textPiece(payload []byte) (index int, text string, ok bool) {
	b, hasIndex, hasText, hasPadding := payload, false, false, false
	for open := byte('{'); ; open = ',' {
		if len(b) == 0 || b[0] != open {
			return 0, "", false
		}
		b = b[1:]
		var rest []byte
		switch {
		case !hasIndex && after(b, `"contentBlockIndex":`, &rest):
			hasIndex = true
			index, b, ok = smallNumber(rest)
		case !hasText && after(b, `"delta":{"text":`, &rest):
			hasText = true
			text, b, ok = plainString(rest)
			ok = ok && after(b, "}", &b)
		case !hasPadding && after(b, `"p":`, &rest):
			hasPadding = true
			_, b, ok = plainString(rest)
		default:
			ok = false
		}
		if !ok {
			return 0, "", false
		}
		if len(b) == 1 && b[0] == '}' {
			return index, text, hasIndex && hasText
		}
	}
}

// after tells whether b begins with prefix, and gives what follows.
func after(b []byte, prefix string, rest *[]byte) bool {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return false
	}
	*rest = b[len(prefix):]
	return true
}

// smallNumber reads a whole number of at most four digits.
func smallNumber(b []byte) (n int, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		n = 10*n + int(b[i]-'0')
		if i == 4 {
			return 0, nil, false
		}
	}
	return n, b[i:], i == 1 || i > 1 && b[0] != '0'
}

// plainString reads a string.
func plainString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, false
	}
	end := bytes.IndexByte(b[1:], '"') + 1
	plain := end > 0
	for i := 1; plain && i < end; i++ {
		plain = b[i] >= ' ' && b[i] != '\\' && b[i] < utf8.RuneSelf
	}
	if plain {
		return string(b[1:end]), b[end+1:], true
	}
	return escapedString(b)
}

// escapedString reads a string that is not of plain characters alone.
func escapedString(b []byte) (s string, rest []byte, ok bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			err := json.Unmarshal(b[:i+1], &s)
			return s, b[i+1:], err == nil
		}
	}
	return "", nil, false
}
