package openai

import (
	"encoding/json"
	"strings"
	"testing"
)

// documents are JSON and what is nearly JSON.
var documents = []string{
	``, ` `, `{}`, `[]`, ` { } `, "[\t\n\r ]", `{"a":1}`, `{"a":[{"b":{}},[]],"c":null}`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`,
	`{"a":1 "b":2}`, `{"a":1]`, `[1}`, `[`, `{`, `]`, `}`, `{"a":1}}`, `1 1`, `"a""b"`, `{1:2}`, `[1:2]`, `{"a",1}`, `[{"a":[`, `{"a":{"b"`,
	`true`, `false`, `null`, `tru`, `truex`, `nul`, `falsey`, `True`, `nullnull`,
	`0`, `-0`, `-`, `+1`, `01`, `00`, `1.`, `.1`, `1.5`, `1e`, `1e+`, `1e5`, `1E-05`, `1.e1`, `-1.25e+10`, `1e1.5`, `0x1`, `1a`, `--1`, `NaN`, `Infinity`,
	`"a"`, `"`, `"a`, `"\"`, `"\\"`, `"\""`, `"\n\r\t\b\f\/"`, `"\a"`, `"\'"`, `"\u00e9"`, `"\uD83d\ude00"`, `"\u00e"`, `"\u00eg"`, `"\u"`, `"\u12`, `"\`, `"\ud83d"`, "\"\x00\"", "\"\n\"", "\"\x1f\"", "\"\x7f\"", "\"\xff\"", `"é–😀"`,
	"\ufeff{}", "\x00", "{}\x00", `/**/{}`, `'a'`, "\u00a0{}", "\v1", `[[[[]]]]`, `{"":{"":""}}`,
}

func TestValid(t *testing.T) {
	deep := func(n int, open, shut string) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	all := append(documents, deep(maxDepth, "[", "]"), deep(maxDepth+1, "[", "]"), deep(maxDepth, `{"a":`, "}"),
		strings.Repeat(`{"a":`, maxDepth)+"1"+strings.Repeat("}", maxDepth), strings.Repeat(`{"a":`, maxDepth+1)+"1"+strings.Repeat("}", maxDepth+1), deep(maxDepth-1, "[", "]")+",")
	for _, doc := range all {
		if got, want := valid([]byte(doc)), json.Valid([]byte(doc)); got != want {
			t.Errorf("%.60q: got %v, want %v", doc, got, want)
		}
	}
}

// FuzzValid: the same verdict as encoding/json.
func FuzzValid(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if got, want := valid(doc), json.Valid(doc); got != want {
			t.Fatalf("%q: got %v, want %v", doc, got, want)
		}
	})
}

// BenchmarkValid reports how much faster a request of 4 kB is checked than by encoding/json.
func BenchmarkValid(b *testing.B) {
	words := strings.Repeat("A candidate should describe a project \\\"end to end\\\", with figures. ", 14)
	body := []byte(`{"model":"gpt-4-turbo","temperature":0.2,"messages":[{"role":"system","content":"` + words + `"},{"role":"user","content":"` + words + words + `"}],"stream":true}`)
	for name, check := range map[string]func([]byte) bool{"ours": valid, "json": json.Valid} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if !check(body) {
					b.Fatal("no JSON")
				}
			}
		})
	}
}
