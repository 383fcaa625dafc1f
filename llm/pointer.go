package llm

import "strings"

var (
	pointerEscapes   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescapes = strings.NewReplacer("~1", "/", "~0", "~")
)

// EscapePointer writes a key as a token of a JSON Pointer (RFC 6901).
func EscapePointer(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return pointerEscapes.Replace(key)
}

// UnescapePointer reads a token of a JSON Pointer as the key that it stands for.
func UnescapePointer(token string) string { return pointerUnescapes.Replace(token) }
