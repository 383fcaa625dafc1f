package llm

import "time"

// A FinishReason says why an answer ended, in OpenAI's words.
type FinishReason string

// The finish reasons.
const (
	FinishStop          FinishReason = "stop"
	FinishLength        FinishReason = "length"
	FinishToolCalls     FinishReason = "tool_calls"
	FinishContentFilter FinishReason = "content_filter"
)

// A Response is one complete answer.
type Response struct {
	// ID is the answer's own id, RequestID the provider's id of the call.
	ID        string
	RequestID string
	// Model is the model that the provider says answered.
	Model             string
	SystemFingerprint string
	// Text is all text of the answer, concatenated without a separator.
	Text      string
	Refusal   string
	ToolCalls []ToolCall
	Finish    FinishReason
	// NativeFinish is the reason in the provider's own word.
	NativeFinish string
	// Usage is nil when the provider did not report it.
	Usage  *Usage
	Timing Timing
	// Gaps are found only in the answer, such as unknown content blocks.
	Gaps []Gap
}

// Timing of one attempt, measured from just before the request is sent.
type Timing struct {
	// FirstToken is the time to the first piece of content; 0 when the answer
	// was not streamed or had no content.
	FirstToken time.Duration
	// Total is the time to the last byte.
	Total time.Duration
}

// Usage counts tokens in one normal form: cached input is a part of
// InputTokens, as OpenAI reports it (Bedrock reports it beside).
type Usage struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
	// CachedInputTokens were read from the provider's cache, CacheWriteTokens
	// written to it; both are inside InputTokens.
	CachedInputTokens int `json:"cached_input_tokens,omitempty"`
	CacheWriteTokens  int `json:"cache_write_tokens,omitempty"`
	// ReasoningTokens are inside OutputTokens, where the provider tells.
	ReasoningTokens int `json:"reasoning_tokens,omitempty"`
}
