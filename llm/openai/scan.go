package openai

import (
	"bytes"
	"encoding/json"
	"iter"
	"math"
	"strconv"
	"strings"
)

// The functions of this file walk JSON that has been found valid, without
// copying it. encoding/json's own decoder would match keys in any case, forget
// their order and give no positions; a request is sent on byte for byte, so all
// three matter here.

// A span is a place in a document: doc[from:to].
type span struct{ from, to int }

// fields walks the members of the object doc with the places of their values.
// A key that stands twice is given twice. Anything but an object has none.
func fields(doc []byte) iter.Seq2[string, span] {
	return func(yield func(string, span) bool) {
		i := skipSpace(doc, 0)
		if i >= len(doc) || doc[i] != '{' {
			return
		}
		for i = skipSpace(doc, i+1); doc[i] != '}'; i = skipSpace(doc, i+1) {
			end := skipValue(doc, i)
			key := text(doc[i:end])
			from := skipSpace(doc, skipSpace(doc, end)+1)
			to := skipValue(doc, from)
			if !yield(key, span{from, to}) {
				return
			}
			if i = skipSpace(doc, to); doc[i] == '}' {
				return
			}
		}
	}
}

// Fields gives the top-level members of a body that Decode has accepted, byte for
// byte. They refer to body.
func Fields(body []byte) map[string]json.RawMessage {
	top := map[string]json.RawMessage{}
	for key, v := range members(body) {
		top[key] = v
	}
	return top
}

// Member is the member of an object inside a body that Decode has accepted, the last where
// the key stands twice; nil where there is none. It refers to object.
func Member(object json.RawMessage, key string) (v json.RawMessage) {
	for k, m := range members(object) {
		if k == key {
			v = m
		}
	}
	return v
}

// members walks the members of the object doc.
func members(doc []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for key, at := range fields(doc) {
			if !yield(key, doc[at.from:at.to:at.to]) {
				return
			}
		}
	}
}

// elements walks the array doc. Anything but an array has none.
func elements(doc []byte) iter.Seq2[int, json.RawMessage] {
	return func(yield func(int, json.RawMessage) bool) {
		i := skipSpace(doc, 0)
		if i >= len(doc) || doc[i] != '[' {
			return
		}
		i = skipSpace(doc, i+1)
		for n := 0; doc[i] != ']'; n++ {
			end := skipValue(doc, i)
			if !yield(n, doc[i:end:end]) {
				return
			}
			if i = skipSpace(doc, end); doc[i] == ',' {
				i = skipSpace(doc, i+1)
			}
		}
	}
}

func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\t' || doc[i] == '\r') {
		i++
	}
	return i
}

// skipValue gives the end of the value that begins at i.
func skipValue(doc []byte, i int) int {
	switch doc[i] {
	case '"':
		return skipString(doc, i)
	case '{', '[':
		for depth := 0; ; i++ {
			switch doc[i] {
			case '"':
				i = skipString(doc, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(doc) && !strings.ContainsRune(",]} \n\t\r", rune(doc[i])) {
		i++
	}
	return i
}

// skipString gives the end of the string that begins at i: the first quote with
// an even number of backslashes before it.
func skipString(doc []byte, i int) int {
	for {
		i += 1 + bytes.IndexByte(doc[i+1:], '"')
		slashes := 0
		for doc[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// A kind is the type of a JSON value, in the word that an error may say.
type kind string

const (
	isNull   kind = "null"
	isBool   kind = "boolean"
	isNumber kind = "number"
	isString kind = "string"
	isArray  kind = "array"
	isObject kind = "object"
)

func kindOf(v json.RawMessage) kind {
	if len(v) == 0 {
		return isNull
	}
	switch v[0] {
	case 'n':
		return isNull
	case 't', 'f':
		return isBool
	case '"':
		return isString
	case '[':
		return isArray
	case '{':
		return isObject
	}
	return isNumber
}

// integer is the value of a JSON number without a fraction, at most 32 bits.
func integer(v json.RawMessage) (int, bool) {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, false
	}
	return int(f), true
}
