package llm_test

import (
	"encoding/json"
	"testing"

	"understudy/llm"
)

func FuzzAppendJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\r\t\x00\x1f", "<&>\u2028é😀", "bad \xff\xc3 utf-8", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		raw := llm.AppendJSONString([]byte("x"), s)
		if raw[0] != 'x' {
			t.Fatal("what stood before was changed")
		}
		var got, want string
		if err := json.Unmarshal(raw[1:], &got); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		reference, _ := json.Marshal(s)
		_ = json.Unmarshal(reference, &want)
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
