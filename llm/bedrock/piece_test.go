package bedrock

import (
	"encoding/json"
	"testing"
)

func TestTextPiece(t *testing.T) {
	cases := []struct {
		payload string
		index   int
		text    string
		ok      bool
	}{
		{`{"contentBlockIndex":0,"delta":{"text":"So "},"p":"abc"}`, 0, "So ", true},
		{`{"delta":{"text":"So "},"contentBlockIndex":12}`, 12, "So ", true},
		{`{"p":"a","contentBlockIndex":0,"delta":{"text":"\"x\" é – \u00e9 \\"}}`, 0, `"x" é – é \`, true},
		{`{"contentBlockIndex":0,"delta":{"text":""}}`, 0, "", true},
		{`{"contentBlockIndex":0,"delta":{"text":"a","p":"b"}}`, 0, "", false},
		{`{"contentBlockIndex":0,"delta":{"text":"a"},"new":1}`, 0, "", false},
		{`{"contentBlockIndex":0,"delta":{"toolUse":{"input":"a"}}}`, 0, "", false},
		{`{"contentBlockIndex":0,"contentBlockIndex":1,"delta":{"text":"a"}}`, 0, "", false},
		{`{"contentBlockIndex":-1,"delta":{"text":"a"}}`, 0, "", false},
		{`{"contentBlockIndex":01,"delta":{"text":"a"}}`, 0, "", false},
		{`{"contentBlockIndex":1e3,"delta":{"text":"a"}}`, 0, "", false},
		{`{"contentBlockIndex":10000,"delta":{"text":"a"}}`, 0, "", false},
		{`{"contentBlockIndex": 0,"delta":{"text":"a"}}`, 0, "", false},
		{`{"contentBlockIndex":0,"delta":{"text":"a"}}x`, 0, "", false},
		{`{"contentBlockIndex":0,"delta":{"text":"a"`, 0, "", false},
		{`{"contentBlockIndex":0,"delta":{"text":"a\"}}`, 0, "", false},
		{"{\"contentBlockIndex\":0,\"delta\":{\"text\":\"a\n\"}}", 0, "", false},
		{`{"contentBlockIndex":0,"delta":{"text":"\x"}}`, 0, "", false},
		{`{"contentBlockIndex":0}`, 0, "", false},
		{`{"delta":{"text":"a"}}`, 0, "", false},
		{`{}`, 0, "", false},
		{``, 0, "", false},
	}
	for _, c := range cases {
		index, text, ok := textPiece([]byte(c.payload))
		if ok != c.ok || ok && (index != c.index || text != c.text) {
			t.Errorf("%s gives %d, %q, %v", c.payload, index, text, ok)
		}
	}
}

// FuzzTextPiece: what it reads, encoding/json reads as the same.
func FuzzTextPiece(f *testing.F) {
	f.Add([]byte(`{"contentBlockIndex":0,"delta":{"text":"So \"it\" is: \ud83d\ude00 é"},"p":"abc"}`))
	f.Add([]byte(`{"p":"abc","delta":{"text":"a"},"contentBlockIndex":9999}`))
	f.Add([]byte("{\"contentBlockIndex\":1,\"delta\":{\"text\":\"a\xff\"}}"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		index, text, ok := textPiece(payload)
		if !ok {
			return
		}
		var e streamEvent
		var want string
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Fatalf("%q is no JSON: %v", payload, err)
		}
		kind, value, one := e.Delta.member()
		if err := json.Unmarshal(value, &want); err != nil || !one || kind != "text" || want != text || e.Index != index {
			t.Fatalf("%q gives %d, %q; encoding/json %d, %q, %q", payload, index, text, e.Index, kind, want)
		}
	})
}
