package tokens_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tiktoken-go/tokenizer"

	"understudy/llm"
	"understudy/llm/openai"
	"understudy/llm/openai/tokens"
)

// BenchmarkEstimate counts a conversation of 120 kB with a tool, and the same text
// with the plain tokenizer; ratio is Estimate's time over the tokenizer's in the
// same run.
func BenchmarkEstimate(b *testing.B) {
	req, err := openai.Decode([]byte(weather))
	if err != nil {
		b.Fatal(err)
	}
	prose := strings.Repeat("The candidate explained how the two systems differ, and gave 3 examples of each. ", 1500)
	req.Messages = append(req.Messages, llm.Message{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: prose}}})
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		b.Fatal(err)
	}
	tokens.Estimate("gpt-4o", req, &llm.Response{})
	var ours, plain float64
	b.SetBytes(int64(len(prose)))
	b.ReportAllocs()
	for b.Loop() {
		ours += seconds(func() { tokens.Estimate("gpt-4o", req, &llm.Response{Text: "ok"}) })
		b.StopTimer()
		plain += seconds(func() { _, _ = codec.Count(prose) })
		b.StartTimer()
	}
	b.ReportMetric(ours/plain, "ratio")
}

// BenchmarkTools counts the cookbook's short request with a tool, the usual case.
func BenchmarkTools(b *testing.B) {
	req, err := openai.Decode([]byte(weather))
	if err != nil {
		b.Fatal(err)
	}
	tokens.Estimate("gpt-4o", req, &llm.Response{})
	b.ReportAllocs()
	for b.Loop() {
		tokens.Estimate("gpt-4o", req, &llm.Response{Text: "ok"})
	}
}

// BenchmarkLoad is the first call with each vocabulary in a process: its time and
// the memory that stays. Only the first iteration of a process loads.
func BenchmarkLoad(b *testing.B) {
	for _, model := range []string{"gpt-4", "gpt-4o"} {
		b.Run(model, func(b *testing.B) {
			before := heap()
			spent := seconds(func() { tokens.Estimate(model, &llm.Request{}, &llm.Response{Text: "x"}) })
			grown := float64(heap()) - float64(before)
			for b.Loop() {
			}
			b.ReportMetric(1000*spent, "ms")
			b.ReportMetric(grown/(1<<20), "MiB")
		})
	}
}

func seconds(do func()) float64 {
	start := time.Now()
	do()
	return time.Since(start).Seconds()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
