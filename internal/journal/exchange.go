// Package journal is what the stages share: the records that pass between them,
// the NATS streams, buckets and consumers that carry the records, and the
// embedded server for sites without a NATS of their own.
//
// Stages never import each other; what passes between two of them is a record.
package journal

import (
	"time"

	"understudy/llm"
)

// SchemaVersion is written into every record. Readers accept it and the one
// before; fields are only ever added. With 2 the texts came to be sealed.
const SchemaVersion = 2

// SourceCapture marks an exchange that this product's own proxy recorded. Any
// other source is the name of a foreign publisher.
const SourceCapture = "capture"

// An Exchange is one real request and the answer that the user got.
//
// On the stream it is a JSON object (everything but the two bodies) followed by
// the bodies' bytes; see docs/records.md.
type Exchange struct {
	Schema int       `json:"schema"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	// Source is SourceCapture or the name of a foreign publisher, Instance the
	// proxy that recorded it.
	Source   string `json:"source"`
	Instance string `json:"instance,omitempty"`

	Submodule string `json:"submodule"`
	// Conversation is the statistical cluster, ConversationSource how it was
	// found: "header", "metadata", "history" (the request goes on with an answer that
	// this caller got before, or is a first turn, which opens one by its own id), or
	// "none" (then it is empty, and the exchange is a cluster of its own).
	Conversation       string `json:"conversation"`
	ConversationSource string `json:"conversation_source,omitempty"`
	Unit               string `json:"unit,omitempty"`

	// Upstream is the name of the [[upstream]] that answered; Method and Path
	// are the request's own.
	Upstream string `json:"upstream,omitempty"`
	Method   string `json:"method,omitempty"`
	Path     string `json:"path,omitempty"`
	// Model is what the request asked for, AnsweredModel what answered.
	Model             string `json:"model,omitempty"`
	AnsweredModel     string `json:"answered_model,omitempty"`
	SystemFingerprint string `json:"system_fingerprint,omitempty"`

	// Stream tells that the answer came as server-sent events.
	Stream bool `json:"stream"`
	// Status is the HTTP status that the client got.
	Status int `json:"status"`
	// Class is llm.ClassOK, or how the live call failed.
	Class llm.Class `json:"class"`
	// Aborted tells that the client left before the answer's end.
	Aborted bool `json:"aborted,omitempty"`
	// ClientSlow tells that a good part of the time went by waiting for the client: the
	// times below then say little about the upstream.
	ClientSlow bool `json:"client_slow,omitempty"`
	// LatencyMS is the time to the upstream's last byte, TTFTMS to the first
	// piece of content of a stream (null otherwise), both from just before the
	// request went upstream.
	LatencyMS float64  `json:"latency_ms"`
	TTFTMS    *float64 `json:"ttft_ms"`
	// Frames of a stream: when bytes arrived, never what they were.
	Frames []Frame `json:"frames,omitempty"`
	// Usage is null where the provider did not report it and it cannot be estimated.
	Usage *llm.Usage `json:"usage"`
	// Estimate is our own count beside a reported usage, to know how good it is.
	Estimate *llm.Usage `json:"usage_estimate,omitempty"`
	// ServiceTier is the provider's word for the tier that served the call.
	ServiceTier string           `json:"service_tier,omitempty"`
	Finish      llm.FinishReason `json:"finish,omitempty"`

	// Headers are the few of an allow-list.
	Headers           map[string]string `json:"headers,omitempty"`
	ProviderRequestID string            `json:"provider_request_id,omitempty"`
	AnswerID          string            `json:"answer_id,omitempty"`
	Traceparent       string            `json:"traceparent,omitempty"`
	// SampleShare is the share of traffic that was captured at the time.
	SampleShare float64 `json:"sample_share"`

	// Lengths and keyed HMAC-SHA256 (hex) of the bodies before redaction.
	RequestLength  int    `json:"request_length"`
	RequestHMAC    string `json:"request_hmac,omitempty"`
	ResponseLength int    `json:"response_length"`
	ResponseHMAC   string `json:"response_hmac,omitempty"`

	// Redactions counts by kind what was replaced in both; MediaDropped are images, pieces
	// of audio and files that were taken out of them, without which nobody sees what live
	// saw.
	Redactions   map[string]int `json:"redactions,omitempty"`
	MediaDropped int            `json:"media_dropped,omitempty"`
	// Sealed are the sequences of the secrets that the bodies are sealed with; none where
	// they are plain: another program published them, an earlier version stored them, or
	// they were opened (Journal.Unseal).
	Sealed []uint64 `json:"sealed,omitempty"`
	// Opened are Sealed's, once the bodies were opened.
	Opened []uint64 `json:"-"`
	// Forgotten tells that the bodies are gone for good.
	Forgotten bool `json:"forgotten,omitempty"`

	// Request is the body as the client sent it; Response the answer's body,
	// for a stream the chat completion assembled from it; both after redaction.
	Request  []byte `json:"-"`
	Response []byte `json:"-"`
}

// PerTokenMS is how long the stream took for each output token behind the first, in
// milliseconds; false where that cannot be said.
func (e *Exchange) PerTokenMS() (float64, bool) {
	if e.TTFTMS == nil || e.Usage == nil || e.Usage.OutputTokens < 2 || e.Aborted {
		return 0, false
	}
	return (e.LatencyMS - *e.TTFTMS) / float64(e.Usage.OutputTokens-1), true
}

// A Frame is one read from the upstream: milliseconds since the request was
// sent, and how many bytes came.
type Frame struct {
	AtMS  float64 `json:"t"`
	Bytes int     `json:"n"`
}

// Cost is what the live answer cost at rates, in USD; nil where usage or price is
// unknown.
func (e *Exchange) Cost(rates *llm.Rates) *float64 { return e.cost(rates, e.Usage) }

// EstimatedCost is what it would have cost by our own count, where that stands beside
// a reported one.
func (e *Exchange) EstimatedCost(rates *llm.Rates) *float64 { return e.cost(rates, e.Estimate) }

func (e *Exchange) cost(rates *llm.Rates, u *llm.Usage) *float64 {
	if u == nil {
		return nil
	}
	usd, ok := rates.Cost(*u, llm.ServiceTierOf(e.ServiceTier))
	if !ok {
		return nil
	}
	return &usd
}

// LiveError tells that the live call counts as failed in a comparison: the
// provider failed or cut its answer.
func (e *Exchange) LiveError() bool { return e.Class != llm.ClassOK && e.Class != "" }
