package llm_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"understudy/llm"
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

// chat120k is one of about 120 kB: many turns of an interview, and an image.
func chat120k() []byte {
	words := strings.Repeat("Tell me more about it, \\\"step by step\\\": what did you measure – and why? ", 14)
	turn := `{"role":"user","content":"` + words + `"},{"role":"assistant","content":"` + words + `"},`
	return []byte(`{"model":"gpt-4-turbo","max_tokens":500,"messages":[{"role":"system","content":"` + words + `"},` + strings.Repeat(turn, 40) +
		`{"role":"user","content":[{"type":"text","text":"And this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUg` +
		strings.Repeat("AAAA", 7000) + `"}}]}]}`)
}

// BenchmarkTranslate reports what reading a request (decode) and writing it for
// Converse (translate) cost, each as a multiple of json.Unmarshal of the same body
// in the same run, and the memory of both as a multiple of the body.
func BenchmarkTranslate(b *testing.B) {
	for name, body := range map[string][]byte{"4kB": chat4k(), "120kB": chat120k()} {
		b.Run(name, func(b *testing.B) {
			family, _ := bedrock.FamilyOf("claude", "")
			b.ReportAllocs()
			var decode, translate, unmarshal time.Duration
			var memory, before runtime.MemStats
			var bytes uint64
			for b.Loop() {
				runtime.ReadMemStats(&before)
				start := time.Now()
				req, err := openai.Decode(body)
				if err != nil {
					b.Fatal(err)
				}
				decoded := time.Now()
				tr, err := bedrock.Translate(req, family)
				if err != nil || !llm.Comparable(tr.Gaps) {
					b.Fatal(err, tr.Gaps)
				}
				translated := time.Now()
				runtime.ReadMemStats(&memory)
				bytes += memory.TotalAlloc - before.TotalAlloc
				var any map[string]any
				again := time.Now()
				if err := json.Unmarshal(body, &any); err != nil {
					b.Fatal(err)
				}
				decode, translate = decode+decoded.Sub(start), translate+translated.Sub(decoded)
				unmarshal += time.Since(again)
			}
			b.ReportMetric(float64(decode)/float64(unmarshal), "decode/unmarshal")
			b.ReportMetric(float64(translate)/float64(unmarshal), "translate/unmarshal")
			b.ReportMetric(float64(bytes)/float64(b.N)/float64(len(body)), "memory/body")
		})
	}
}

// BenchmarkReencode turns a stream of 500 pieces from Converse's events into what
// an OpenAI client receives, as a multiple of what encoding/json takes to read the
// same events and to write as many chunks.
func BenchmarkReencode(b *testing.B) {
	lines := []string{`{"role":"assistant"}`}
	for range 500 {
		lines = append(lines, `{"contentBlockIndex":0,"delta":{"text":" measured"},"p":"abcdefghijklm"}`)
	}
	type delta struct {
		Content string `json:"content"`
	}
	type choice struct {
		Index        int     `json:"index"`
		Delta        delta   `json:"delta"`
		Logprobs     any     `json:"logprobs"`
		FinishReason *string `json:"finish_reason"`
	}
	type chunk struct {
		ID, Object, Model string
		Created           int
		Choices           []choice
	}
	b.ReportAllocs()
	var ours, plain time.Duration
	out := make([]byte, 0, 256<<10)
	for b.Loop() {
		start := time.Now()
		out = out[:0]
		enc := openai.StreamEncoder{ID: "chatcmpl-123456789012", Model: "gpt-4-turbo", Created: 1700000000}
		s := bedrock.Stream{Emit: func(ev llm.Event) { out = enc.Append(out, ev) }}
		for i, l := range lines {
			name := "contentBlockDelta"
			if i == 0 {
				name = "messageStart"
			}
			if err := s.Event(name, []byte(l)); err != nil {
				b.Fatal(err)
			}
		}
		_ = s.Event("messageStop", []byte(`{"stopReason":"end_turn"}`))
		if err := s.End(); err != nil {
			b.Fatal(err)
		}
		out = enc.AppendDone(out)
		ours += time.Since(start)

		start = time.Now()
		for _, l := range lines {
			var e struct {
				Delta struct{ Text string }
			}
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				b.Fatal(err)
			}
			if _, err := json.Marshal(chunk{ID: "chatcmpl-123456789012", Object: "chat.completion.chunk", Model: "gpt-4-turbo", Created: 1700000000,
				Choices: []choice{{Delta: delta{e.Delta.Text}}}}); err != nil {
				b.Fatal(err)
			}
		}
		plain += time.Since(start)
	}
	b.ReportMetric(float64(ours)/float64(plain), "reencode/json")
}
