package judge

import (
	"understudy/internal/journal"
	"understudy/llm"
)

// An Answer is one side of a pair as the checks see it. A call that failed has
// no Answer.
type Answer struct {
	Text string
	// Refusal is what the provider itself marks as a refusal, beside the text.
	Refusal   string
	ToolCalls []llm.ToolCall
	// Finish is why the answer ended; "" where that is not known.
	Finish llm.FinishReason
}

// AnswerOf is the answer of a response.
func AnswerOf(r *llm.Response) *Answer {
	return &Answer{Text: r.Text, Refusal: r.Refusal, ToolCalls: r.ToolCalls, Finish: r.Finish}
}

// trialAnswer is the answer of a trial, nil where the candidate failed.
func trialAnswer(t *journal.Trial) *Answer {
	if trialFailed(t) {
		return nil
	}
	return &Answer{Text: t.Text, Refusal: t.Refusal, ToolCalls: t.ToolCalls, Finish: t.Finish}
}

func trialFailed(t *journal.Trial) bool { return t.Class != llm.ClassOK && t.Class != "" }
