package judge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"understudy/llm"
)

// text2kB is a pair of 2 kB of prose; reserved2kB has words in its opening at
// which the refusal heuristic looks closer.
func text2kB() (*llm.Request, *Answer, *Answer) {
	prose := strings.Repeat("The interviewer would ask how the team came to agree, and why it took so long. ", 13)
	return request(nil), text("Good question. " + prose), text("In short: " + prose)
}

func reserved2kB() (*llm.Request, *Answer, *Answer) {
	prose := strings.Repeat("The interviewer would ask why the team could not agree, and I can see why. ", 13)
	return request(nil), text("Good question. " + prose), text("In short: " + prose)
}

// pair2kB is a pair of 2 kB: JSON by a schema.
func pair2kB() (*llm.Request, *Answer, *Answer) {
	req := request(&llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"type":"object","properties":{"items":{"type":"array",` +
		`"items":{"type":"object","properties":{"question":{"type":"string"},"score":{"type":"number","minimum":0}},"required":["question","score"]}}}}`)})
	side := func(word string) *Answer {
		var items []string
		for i := range 13 {
			items = append(items, fmt.Sprintf(`{"question":"%s %d?","score":%d.5}`, strings.Repeat(word+" ", 8), i, i))
		}
		return &Answer{Text: `{"items":[` + strings.Join(items, ",") + `]}`, Finish: llm.FinishStop}
	}
	return req, side("alpha"), side("bravo")
}

// calls2kB is a pair of 2 kB whose tool calls differ in one argument.
func calls2kB() (*llm.Request, *Answer, *Answer) {
	req := request(nil, weather)
	side := func(last string) *Answer {
		var lines []string
		for i := range 6 {
			lines = append(lines, fmt.Sprintf(`weather {"city":"%s %d","days":%d}`, strings.Repeat("Bern ", 26), i, i))
		}
		return calling(append(lines, `weather {"city":"`+last+`"}`)...)
	}
	return req, side("Basel"), side("Zug")
}

func pairs2kB() map[string]func() (*llm.Request, *Answer, *Answer) {
	return map[string]func() (*llm.Request, *Answer, *Answer){"text": text2kB, "reserved": reserved2kB, "schema": pair2kB, "calls": calls2kB}
}

func BenchmarkCheck(b *testing.B) {
	for name, pair := range pairs2kB() {
		b.Run(name, func(b *testing.B) {
			req, live, trial := pair()
			checker := NewChecker()
			for b.Loop() {
				checker.Check(req, live, trial)
			}
		})
	}
}

// A verdict must not cost more than its storing does.
func TestCheckIsFast(t *testing.T) {
	for name, pair := range pairs2kB() {
		req, live, trial := pair()
		checker := NewChecker()
		times := make([]time.Duration, 51)
		for i := range times {
			start := time.Now()
			checker.Check(req, live, trial)
			times[i] = time.Since(start)
		}
		slices.Sort(times)
		median := times[len(times)/2]
		t.Logf("%s: median %s for a pair of 2 kB", name, median)
		// A hundred times the goal of 200 µs, as the race detector alone costs
		// forty: a busy machine is no failure, a quadratic check is one.
		if median > 20*time.Millisecond {
			t.Errorf("%s: median %s", name, median)
		}
	}
}
