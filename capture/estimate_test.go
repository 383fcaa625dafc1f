package capture

import (
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

func answeredExchange(at time.Time, usage *llm.Usage) *journal.Exchange {
	return &journal.Exchange{At: at, Submodule: "a/b", Class: llm.ClassOK, Status: 200, Model: "prod", AnsweredModel: "gpt-4-turbo-2024-04-09", Usage: usage}
}

// TestEstimates: what came without usage is counted; what came with it is counted as
// well, a number of times a day, once something of its sub-module had to be estimated.
func TestEstimates(t *testing.T) {
	req := &llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "How are you?"}}}}}
	answer := &llm.Response{Text: "Fine.", Finish: llm.FinishStop}
	reported := llm.Usage{InputTokens: 11, OutputTokens: 2}
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var s estimates
	fill := func(at time.Time, u *llm.Usage) *journal.Exchange {
		e := answeredExchange(at, u)
		s.fill(e, req, answer)
		return e
	}
	if e := fill(noon, &reported); e.Estimate != nil || e.Usage != &reported {
		t.Errorf("nothing was estimated, and a count is checked: %+v", e.Estimate)
	}
	e := fill(noon, nil)
	if e.Usage == nil || !e.Usage.Estimated || e.Usage.InputTokens != 11 || e.Usage.OutputTokens != 3 {
		t.Fatalf("usage %+v", e.Usage)
	}
	checks := 0
	for range 3 * checksADay {
		if e := fill(noon, &reported); e.Estimate != nil {
			checks++
			if !e.Estimate.Estimated || e.Estimate.InputTokens != 11 || e.Usage != &reported {
				t.Fatalf("usage %+v, estimate %+v", e.Usage, e.Estimate)
			}
		}
	}
	if checks != checksADay {
		t.Errorf("%d checks a day, want %d", checks, checksADay)
	}
	if e := fill(noon.Add(24*time.Hour), &reported); e.Estimate == nil {
		t.Error("the next day is not checked")
	}
	other := answeredExchange(noon.Add(24*time.Hour), &reported)
	other.Submodule = "a/c"
	if s.fill(other, req, answer); other.Estimate != nil {
		t.Error("a sub-module without estimates is checked")
	}
}

// TestNoEstimate: what is not known is not made up.
func TestNoEstimate(t *testing.T) {
	req := &llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "How are you?"}}}}}
	for name, change := range map[string]func(*journal.Exchange){
		"a failed answer":             func(e *journal.Exchange) { e.Class = llm.ClassTruncated },
		"a client that left":          func(e *journal.Exchange) { e.Aborted = true },
		"a model without a tokenizer": func(e *journal.Exchange) { e.AnsweredModel = "llama-3.3-70b" },
		"reasoning that is not shown": func(e *journal.Exchange) { e.AnsweredModel = "o3-2025-04-16" },
		"a very long request":         func(e *journal.Exchange) { e.Request = make([]byte, maxEstimated+1) },
	} {
		var s estimates
		e := answeredExchange(time.Now(), nil)
		change(e)
		if s.fill(e, req, &llm.Response{Text: "Fine."}); e.Usage != nil {
			t.Errorf("%s: usage %+v", name, e.Usage)
		}
	}
	var s estimates
	e := answeredExchange(time.Now(), nil)
	if s.fill(e, req, nil); e.Usage != nil {
		t.Errorf("an answer that cannot be read: %+v", e.Usage)
	}
}
