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
	Usage *Usage
	// ServiceTier is the provider's word for the tier that served the call, "" where
	// it does not say.
	ServiceTier string
	// Endpoint names the endpoint that answered, where a Chain had the choice, and Tries
	// are those that it had asked before, each of which may be billed as well.
	Endpoint string
	Tries    []Try
	Timing   Timing
	// Gaps are found only in the answer, such as unknown content blocks.
	Gaps []Gap
}

// A Try is a call of an endpoint that another one had to answer.
type Try struct {
	Endpoint string
	// Usage and ServiceTier are as reported; a nil Usage says that the bill is not known,
	// unless Err is an answer of the provider's with a status of 400 or above.
	Usage       *Usage
	ServiceTier string
	Err         error
}

// Timing of one attempt, measured from just before the request is sent.
type Timing struct {
	// FirstToken is the time to the first piece of content; 0 when the answer
	// was not streamed or had no content.
	FirstToken time.Duration
	// Total is the time to the last byte.
	Total time.Duration
}
