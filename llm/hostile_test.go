package llm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// TestHostileRequests reads and translates large requests of shapes that make
// careless code quadratic: ten times the size must not take anything like a hundred
// times as long. Each is read, or refused with its place.
func TestHostileRequests(t *testing.T) {
	const hello = `{"role":"user","content":"x"}`
	list := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			if strings.Contains(format, "%d") {
				fmt.Fprintf(&b, format, i)
			} else {
				b.WriteString(format)
			}
		}
		return b.String()
	}
	messages := func(s string) string { return `{"messages":[` + s + `]}` }
	with := func(s string) string { return `{"messages":[` + hello + `],` + s + `}` }
	shapes := map[string]func(n int) string{
		"unknown fields":         func(n int) string { return with(list(`"f%d":1`, n)) },
		"unknown fields, nested": func(n int) string { return messages(list(`{"role":"user","content":"x","y":1}`, n)) },
		"parts": func(n int) string {
			return messages(`{"role":"user","content":[` + list(`{"type":"text","text":"x"}`, n) + `]}`)
		},
		"unknown parts": func(n int) string { return messages(`{"role":"user","content":[` + list(`{"type":"y"}`, n) + `]}`) },
		"one id for all calls": func(n int) string {
			return messages(hello + `,{"role":"assistant","tool_calls":[` + list(`{"id":"a b","function":{"name":"f","arguments":"{}"}}`, n) + `]}`)
		},
		"calls and results": func(n int) string {
			return messages(hello + `,{"role":"assistant","tool_calls":[` + list(`{"id":"c%d","function":{"name":"f","arguments":"{}"}}`, n) + `]},` + list(`{"role":"tool","tool_call_id":"c%d","content":"x"}`, n))
		},
		"tools": func(n int) string {
			return with(`"tools":[` + list(`{"type":"function","function":{"name":"f.%d"}}`, n) + `]`)
		},
		"one tool's name": func(n int) string {
			return with(`"tools":[` + list(`{"type":"function","function":{"name":"f.x"}}`, n) + `]`)
		},
		"metadata": func(n int) string { return with(`"metadata":{` + list(`"k%d":"v"`, n) + `}`) },
		"deep schema": func(n int) string {
			n = min(n/10, 1500)
			return with(`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + strings.Repeat(`{"type":"object","properties":{"a":`, n) + `{}` + strings.Repeat(`}}`, n) + `}}`)
		},
		"no end":  func(n int) string { return `{"messages":[` + list(hello, n) },
		"nesting": func(n int) string { return with(`"x":` + strings.Repeat("[", n) + strings.Repeat("]", n)) },
	}
	took := func(body string) time.Duration {
		start := time.Now()
		req, err := openai.Decode([]byte(body))
		if err != nil {
			if llm.ClassOf(err) != llm.ClassUntranslatable {
				t.Errorf("class %s: %v", llm.ClassOf(err), err)
			}
			return time.Since(start)
		}
		for _, model := range []string{"anthropic.claude-haiku-4-5-20251001-v1:0", "meta.llama3-3-70b-instruct-v1:0"} {
			family, _ := bedrock.FamilyOf("", model)
			if _, err := bedrock.Translate(req, family); err != nil && llm.ClassOf(err) != llm.ClassUntranslatable {
				t.Error(err)
			}
		}
		return time.Since(start)
	}
	for name, shape := range shapes {
		small, large := took(shape(2_000)), took(shape(20_000))
		if large > time.Second && large > 60*small { // linear is 10
			t.Errorf("%s: %s for 2,000, %s for 20,000", name, small, large)
		}
	}
}
