// Package llm is the language that every stage of understudy speaks: a neutral
// chat request and response, usage and prices, classified errors, the gaps
// between what was asked and what a model can express, and the Client that
// makes one call of one endpoint.
//
// It is a hub with one spoke for each wire (llm/openai, llm/bedrock), never a
// translator for each pair. Nothing here opens a connection.
//
// A request comes in through openai.Decode, or is built in Go, and goes out through
// a Client, or through bedrock.Translate where only the translation is wanted. An
// answer is a Response; one that streams is a sequence of Events, which
// openai.StreamEncoder writes as OpenAI streams them. Whatever a wire or a model
// cannot express as asked is a Gap, never a silence; docs/translation.md lists all.
package llm

import "context"

// A Client makes calls of one endpoint. It never retries: one Do is one attempt,
// so that the caller decides about budget, pauses and what a retry may cost.
type Client interface {
	// Prepare translates req into the endpoint's own wire without any I/O.
	// What the endpoint cannot express is in Call.Gaps; a request that has no
	// sensible form on that wire at all is an *Error of ClassUntranslatable.
	Prepare(req *Request) (*Call, error)

	// Do sends a prepared call and reads the answer to its end. An answer that
	// ends without the wire's own terminal event is an error of ClassTruncated,
	// never a short success. On error the Response, where not nil, holds what
	// had arrived (usage and timing of a cut stream among it).
	Do(ctx context.Context, call *Call) (*Response, error)
}

// A Call is a request in one endpoint's wire form, ready to be sent and priced.
type Call struct {
	// Body is the JSON body exactly as it goes on the wire.
	Body []byte
	// Gaps lists what the wire cannot express, in an order that is always the same.
	Gaps []Gap
	// Tier tells how a demanded form of answer is asked for, "" for none.
	Tier Tier
	// Streamed tells whether the answer is asked for as a stream; only then
	// does Timing.FirstToken exist.
	Streamed bool
	// Buffered tells that Emit gets nothing before a streamed answer is whole, because
	// only then can it be put into the request's terms.
	Buffered bool
	// MaxInputTokens and MaxOutputTokens bound from above what the call can
	// be billed for. Input: bytes of the body plus an allowance for each image
	// (no tokenizer makes more than one token of a byte). Output: the
	// request's own limit, or the endpoint's.
	MaxInputTokens, MaxOutputTokens int
	// ServiceTier is the tier that the call asks for.
	ServiceTier ServiceTier
	// Emit, where it is set before Do, gets the pieces of the answer as they come; an
	// answer that does not stream comes in one go once it is whole. EventFinish comes
	// once nothing can break the answer any more; when Do fails it has not come. What
	// Emit got is in the request's terms, as the Response is.
	Emit func(Event)
	// Detail is private to the client that made the call.
	Detail any
}

// Comparable tells whether an answer to the call may be compared with the live
// one: no gap is blocking.
func (c *Call) Comparable() bool { return Comparable(c.Gaps) }
