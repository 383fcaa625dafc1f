package sim

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// canonical is the form of a request whose SHA-256 an answers line may name: the
// JSON body as this wire carries it, without the top-level members model, stream
// and stream_options; members sorted by code point, no white space, numbers as
// they are written, in strings only ", \ and characters below U+0020 escaped
// (the short forms where JSON has them, else \u00xx in lower case). For a body
// with plain numbers it equals Python's
//
//	json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
func canonical(body map[string]any) string {
	var b strings.Builder
	short := maps.Clone(body)
	delete(short, "model")
	delete(short, "stream")
	delete(short, "stream_options")
	canonicalValue(&b, short)
	return b.String()
}

// digest is the SHA-256 of a canonical request in lower-case hex.
func digest(body map[string]any) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(canonical(body))))
}

func canonicalValue(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			canonicalString(b, k)
			b.WriteByte(':')
			canonicalValue(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			canonicalValue(b, e)
		}
		b.WriteByte(']')
	case string:
		canonicalString(b, v)
	case json.Number:
		b.WriteString(v.String())
	case bool:
		fmt.Fprintf(b, "%t", v)
	default:
		b.WriteString("null")
	}
}

func canonicalString(b *strings.Builder, s string) {
	b.WriteByte('"')
	done := 0 // what has been written: texts have long runs without an escape
	for i, r := range s {
		if r >= 0x20 && r != '"' && r != '\\' && r != utf8.RuneError {
			continue
		}
		b.WriteString(s[done:i])
		size := 1
		if r == utf8.RuneError {
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		done = i + size
		escape(b, r)
	}
	b.WriteString(s[done:])
	b.WriteByte('"')
}

func escape(b *strings.Builder, r rune) {
	switch r {
	case '"', '\\':
		b.WriteByte('\\')
		b.WriteRune(r)
	case '\b':
		b.WriteString(`\b`)
	case '\f':
		b.WriteString(`\f`)
	case '\n':
		b.WriteString(`\n`)
	case '\r':
		b.WriteString(`\r`)
	case '\t':
		b.WriteString(`\t`)
	case utf8.RuneError:
		b.WriteRune(r)
	default:
		fmt.Fprintf(b, `\u%04x`, r)
	}
}
