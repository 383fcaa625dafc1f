package canary

import (
	"strings"
	"testing"

	"understudy/internal/journal"
)

// BenchmarkLookTenGates is a look at one cell of ten gates and 2,000 conversations.
func BenchmarkLookTenGates(b *testing.B) {
	s := sixGates()
	for _, check := range []string{"nonempty", "complete", "tool_calls", "refusal"} {
		s[0].Criteria.Gates = append(s[0].Criteria.Gates, Gate{"check." + check, 0.02})
	}
	e := NewEngine(DefaultConfig(), s)
	for _, c := range clustersOf(good().with("bench", func(s *scenario) { s.conversations = 2000 }).observations(1), DefaultConfig()) {
		if err := e.Fold(c); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		e.Look()
	}
}

// BenchmarkFold is one conversation of three pairs into a cell of six gates.
func BenchmarkFold(b *testing.B) {
	clusters := clustersOf(good().with("bench", func(s *scenario) { s.conversations = 2000 }).observations(1), DefaultConfig())
	e := NewEngine(DefaultConfig(), sixGates())
	i := 0
	for b.Loop() {
		if err := e.Fold(clusters[i%len(clusters)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkFoldJudged is one conversation of up to three pairs, one of them judged
// and all with a control, into a cell of nine gates.
func BenchmarkFoldJudged(b *testing.B) {
	s := good().with("bench", func(s *scenario) { s.conversations, s.quality = 2000, fair(nil) })
	clusters := clustersOf(s.observations(1), DefaultConfig())
	e := NewEngine(DefaultConfig(), nineGates())
	i := 0
	for b.Loop() {
		if err := e.Fold(clusters[i%len(clusters)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkOutline reads the shape of a request of 40 kB.
func BenchmarkOutline(b *testing.B) {
	message := `{"role":"user","content":"` + strings.Repeat("word ", 400) + `"},`
	x := &journal.Exchange{Request: []byte(`{"messages":[` + strings.Repeat(message, 19) + `{"role":"user"}],"tools":[{"type":"function"}]}`)}
	b.SetBytes(int64(len(x.Request)))
	for b.Loop() {
		outlineOf(x)
	}
}
