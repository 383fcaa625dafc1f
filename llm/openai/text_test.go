package openai

import (
	"encoding/json"
	"testing"
)

// FuzzText compares the reader of strings with encoding/json's.
func FuzzText(f *testing.F) {
	for _, s := range []string{`""`, `"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u00e9\u20AC\ud83d\ude00"`, `"\ud800"`, `"\ud800\ud800\udc00x"`, `"\ud800\n\udc00"`, "\"bad \xff\xc3 \\u00e9\"", `"\ufffd\ud83d\u0041"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var want string
		if len(raw) == 0 || raw[0] != '"' || raw[len(raw)-1] != '"' || json.Unmarshal([]byte(raw), &want) != nil {
			t.Skip()
		}
		if got := text(json.RawMessage(raw)); got != want {
			t.Fatalf("%s: got %q, want %q", raw, got, want)
		}
	})
}
