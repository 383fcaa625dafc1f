package redact

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const prose = "The interviewer asked how the team would split a large service in 2019, and which 3 measures she took first. “We began with the queue,” she said, since it had failed twice; the rest followed over 14 months. "

// naive are the expressions that one would write first.
var naive = []*regexp.Regexp{
	regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`),
	regexp.MustCompile(`\+?\d[\d ().-]{7,}\d`),
	regexp.MustCompile(`\b(?:\d[ -]?){13,19}\b`),
	regexp.MustCompile(`\b[A-Z]{2}\d{2}[A-Z0-9 ]{11,30}\b`),
	regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`),
	regexp.MustCompile(`\b(?:sk-|AKIA|ghp_|xox)[A-Za-z0-9_-]{10,}`),
}

func benchBody(kind string, size int) []byte {
	text := strings.Repeat(prose, size/len(prose)+1)[:size]
	var messages []map[string]any
	for at := 0; at < len(text); at += 2000 {
		m := map[string]any{"role": "user", "content": strings.ToValidUTF8(text[at:min(at+2000, len(text))], "")}
		if kind == "tools" {
			args, _ := json.Marshal(map[string]any{"city": "Ulm", "text": m["content"], "n": at})
			m = map[string]any{"role": "assistant", "tool_calls": []any{map[string]any{"id": "call_abcDEF123456789", "type": "function", "function": map[string]any{"name": "f", "arguments": string(args)}}}}
		}
		if kind == "found" {
			m["content"] = m["content"].(string) + " Write to ada@example.com or call +49 151 23456789."
		}
		messages = append(messages, m)
	}
	b, _ := json.Marshal(map[string]any{"model": "gpt-4-turbo", "messages": messages})
	return b
}

// The redactor beside regular expressions over the same bytes, and beside the least that
// must be done, to see that they are JSON.
func BenchmarkJSON(b *testing.B) {
	r := redactor(b, nil)
	for _, kind := range []string{"prose", "tools", "found"} {
		for _, size := range []int{1 << 10, 120 << 10, 1 << 20} {
			body := benchBody(kind, size)
			for name, work := range map[string]func(){
				"ours":    func() { _, _ = r.JSON(body, Subject{}, &Counts{}) },
				"regexps": func() { naiveRedact(body) },
				"valid":   func() { json.Valid(body) },
			} {
				b.Run(fmt.Sprintf("%s/%dk/%s", kind, size>>10, name), func(b *testing.B) {
					b.SetBytes(int64(len(body)))
					b.ReportAllocs()
					for b.Loop() {
						work()
					}
				})
			}
		}
	}
}

func naiveRedact(body []byte) []byte {
	for _, re := range naive {
		body = re.ReplaceAll(body, []byte("x"))
	}
	return body
}
