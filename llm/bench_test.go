package llm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// chat4k is a Chat Completions request of about 4 kB: a system message, turns
// with a tool call, a tool with its schema.
func chat4k() []byte {
	words := strings.Repeat("A candidate should describe a project \\\"end to end\\\", with figures. ", 9)
	return []byte(`{"model":"gpt-4-turbo","temperature":0.2,"max_tokens":500,"messages":[{"role":"system","content":"` + words + words + `"},` +
		`{"role":"user","content":"` + words + `"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"next_question","arguments":"{\"topic\": \"figures\"}"}}]},` +
		`{"role":"tool","tool_call_id":"call_1","content":"` + words + `"},{"role":"user","content":"` + words + `"}],` +
		`"tools":[{"type":"function","function":{"name":"next_question","description":"` + words + `","parameters":{"type":"object","properties":{"topic":{"type":"string","enum":["figures","people"]},"level":{"type":"integer"}},"required":["topic"]}}}],"tool_choice":"auto"}`)
}

// BenchmarkTranslate reports what reading a 4 kB request (decode) and writing it
// for Converse (translate) cost, each as a multiple of json.Unmarshal of the
// same body in the same run: figures that hold on any machine.
func BenchmarkTranslate(b *testing.B) {
	body := chat4k()
	family, _ := bedrock.FamilyOf("claude", "")
	b.ReportAllocs()
	var decode, translate, unmarshal time.Duration
	for b.Loop() {
		start := time.Now()
		req, err := openai.Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		decoded := time.Now()
		if _, err := bedrock.Translate(req, family); err != nil {
			b.Fatal(err)
		}
		translated := time.Now()
		var any map[string]any
		if err := json.Unmarshal(body, &any); err != nil {
			b.Fatal(err)
		}
		decode, translate = decode+decoded.Sub(start), translate+translated.Sub(decoded)
		unmarshal += time.Since(translated)
	}
	b.ReportMetric(float64(decode)/float64(unmarshal), "decode/unmarshal")
	b.ReportMetric(float64(translate)/float64(unmarshal), "translate/unmarshal")
}
