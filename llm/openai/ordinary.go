package openai

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// ordinary reads an answer of the ordinary form, a text without calls, by walking it: the
// proxy reads every answer. It tells false for any other, which encoding/json then reads:
// one that is broken, has a type out of place, a key twice, or a key that encoding/json
// would take for another in other case.
func ordinary(body []byte) (c completion, ok bool) {
	if !valid(body) || !utf8.Valid(body) {
		return c, false
	}
	return c, plainMembers(body[skipSpace(body, 0):], func(key string, v json.RawMessage) bool {
		switch key {
		case "id":
			return plainText(&c.ID, v)
		case "model":
			return plainText(&c.Model, v)
		case "system_fingerprint":
			return plainText(&c.SystemFingerprint, v)
		case "service_tier":
			return plainText(&c.ServiceTier, v)
		case "created":
			return plainNumber(&c.Created, v)
		case "usage":
			c.Usage = v
		case "error":
			c.Error = v
		case "choices":
			return plainChoices(&c.Choices, v)
		}
		return true
	})
}

// plainMembers walks an object whose keys are in lower case and stand there once.
func plainMembers(v json.RawMessage, read func(key string, v json.RawMessage) bool) bool {
	if kindOf(v) != isObject {
		return false
	}
	var keys keySet
	for key, v := range members(v) {
		for i := range len(key) {
			if c := key[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
				return false
			}
		}
		if keys.seen(key) || !read(key, v) {
			return false
		}
	}
	return true
}

func plainText(s *string, v json.RawMessage) bool {
	switch kindOf(v) {
	case isString:
		*s = text(v)
		return true
	case isNull:
		return true
	}
	return false
}

func plainNumber[N int | int64](n *N, v json.RawMessage) bool {
	if kindOf(v) == isNull {
		return true
	}
	i, err := strconv.ParseInt(string(v), 10, 64)
	*n = N(i)
	return err == nil && int64(*n) == i
}

func plainChoices(list *[]choice, v json.RawMessage) bool {
	if kindOf(v) != isArray {
		return kindOf(v) == isNull
	}
	*list = []choice{}
	for _, v := range elements(v) {
		var c choice
		ok := plainMembers(v, func(key string, v json.RawMessage) bool {
			switch key {
			case "index":
				return plainNumber(&c.Index, v)
			case "finish_reason":
				return plainText(&c.FinishReason, v)
			case "message":
				return plainMessage(&c.Message, v)
			case "delta":
				return kindOf(v) == isNull
			}
			return true
		})
		if !ok {
			return false
		}
		*list = append(*list, c)
	}
	return true
}

func plainMessage(m **answer, v json.RawMessage) bool {
	if kindOf(v) == isNull {
		return true
	}
	a := &answer{}
	*m = a
	return plainMembers(v, func(key string, v json.RawMessage) bool {
		switch key {
		case "content":
			return plainOptional(&a.Content, v)
		case "refusal":
			return plainOptional(&a.Refusal, v)
		case "tool_calls", "function_call":
			return kindOf(v) == isNull
		case "audio":
			a.Audio = v
		}
		return true
	})
}

func plainOptional(s **string, v json.RawMessage) bool {
	if kindOf(v) == isNull {
		return true
	}
	*s = new(string)
	return plainText(*s, v)
}
