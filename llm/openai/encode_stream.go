package openai

import (
	"strconv"

	"understudy/llm"
)

// A StreamEncoder writes an answer as OpenAI streams it: each method gives one
// whole event, "data: …" and the blank line. The order of the calls is Role,
// then Text, Refusal, Call and Arguments as the answer goes, then Finish, Usage
// where it was asked for, and Done.
type StreamEncoder struct {
	// ID, Model, Fingerprint and Created stand in every chunk; Created is in
	// seconds since 1970.
	ID, Model, Fingerprint string
	Created                int64
	// IncludeUsage says that the caller asked for usage: every chunk but the
	// usage chunk then carries "usage":null.
	IncludeUsage bool
}

// Role is the first event: the role, with empty content, or null content where
// the answer begins with a call.
func (e *StreamEncoder) Role(callsFirst bool) []byte {
	if callsFirst {
		return e.delta(`{"role":"assistant","content":null}`, "")
	}
	return e.delta(`{"role":"assistant","content":"","refusal":null}`, "")
}

// Text is a piece of text.
func (e *StreamEncoder) Text(s string) []byte {
	return e.delta(string(append(llm.AppendJSONString([]byte(`{"content":`), s), '}')), "")
}

// Refusal is a piece of a refusal.
func (e *StreamEncoder) Refusal(s string) []byte {
	return e.delta(string(append(llm.AppendJSONString([]byte(`{"refusal":`), s), '}')), "")
}

// Call opens the call with the given index; only here do id and name stand.
func (e *StreamEncoder) Call(index int, id, name string) []byte {
	b := callHead(index)
	b = append(b, `,"id":`...)
	b = llm.AppendJSONString(b, id)
	b = append(b, `,"type":"function","function":`...)
	b = appendFunction(b, name, "")
	return e.delta(string(append(b, `}]}`...)), "")
}

// Arguments is a piece of the argument text of the call with the given index.
func (e *StreamEncoder) Arguments(index int, piece string) []byte {
	b := callHead(index)
	b = append(b, `,"function":{"arguments":`...)
	b = llm.AppendJSONString(b, piece)
	return e.delta(string(append(b, `}}]}`...)), "")
}

func callHead(index int) []byte {
	return strconv.AppendInt([]byte(`{"tool_calls":[{"index":`), int64(index), 10)
}

// Finish is the chunk that says why the answer ended.
func (e *StreamEncoder) Finish(reason llm.FinishReason) []byte { return e.delta(`{}`, string(reason)) }

// Usage is the chunk that OpenAI sends only when it was asked for: no choice,
// and the counts.
func (e *StreamEncoder) Usage(u llm.Usage) []byte {
	b := appendHead([]byte("data: "), "chat.completion.chunk", e.ID, e.Model, e.Fingerprint, e.Created)
	b = append(b, `,"choices":[],"usage":`...)
	b = appendUsage(b, &u)
	return append(b, "}\n\n"...)
}

// Done is the terminal event.
func (e *StreamEncoder) Done() []byte { return []byte("data: [DONE]\n\n") }

// Error is an event with an error envelope; a stream that has one has no Done.
func (e *StreamEncoder) Error(message, kind, param, code string) []byte {
	b := append([]byte("data: "), EncodeError(message, kind, param, code)...)
	return append(b, "\n\n"...)
}

func (e *StreamEncoder) delta(delta, finish string) []byte {
	b := appendHead([]byte("data: "), "chat.completion.chunk", e.ID, e.Model, e.Fingerprint, e.Created)
	b = append(b, `,"choices":[{"index":0,"delta":`...)
	b = append(b, delta...)
	b = append(b, `,"logprobs":null,"finish_reason":`...)
	b = appendOptional(b, finish)
	b = append(b, `}]`...)
	if e.IncludeUsage {
		b = append(b, `,"usage":null`...)
	}
	return append(b, "}\n\n"...)
}
