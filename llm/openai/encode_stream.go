package openai

import (
	"strconv"

	"understudy/llm"
)

// A StreamEncoder writes an answer as OpenAI streams it, each piece as one event,
// "data: …" and the blank line. The role goes out before the first piece, id and
// name of a call in its first chunk alone, the usage chunk only where it was asked
// for. Not for concurrent use.
type StreamEncoder struct {
	// ID, Model, Fingerprint and Created stand in every chunk; Created is in
	// seconds since 1970.
	ID, Model, Fingerprint string
	Created                int64
	// IncludeUsage says that the caller asked for usage: every chunk but the
	// usage chunk then carries "usage":null.
	IncludeUsage bool

	role bool
	head []byte // what every chunk begins with
}

// Append adds the event's chunk to b, after the role where it is the first, and
// nothing for usage that was not asked for.
func (e *StreamEncoder) Append(b []byte, ev llm.Event) []byte {
	if e.head == nil {
		e.head = appendHead([]byte("data: "), "chat.completion.chunk", e.ID, e.Model, e.Fingerprint, e.Created)
	}
	if ev.Kind == llm.EventUsage {
		return e.appendUsage(b, &ev.Usage)
	}
	if !e.role {
		e.role = true
		role := `{"role":"assistant","content":"","refusal":null}`
		if ev.Kind == llm.EventCall {
			role = `{"role":"assistant","content":null}`
		}
		b = e.end(append(e.begin(b), role...), "")
	}
	b = e.begin(b)
	switch ev.Kind {
	case llm.EventText:
		b = append(llm.AppendJSONString(append(b, `{"content":`...), ev.Text), '}')
	case llm.EventRefusal:
		b = append(llm.AppendJSONString(append(b, `{"refusal":`...), ev.Text), '}')
	case llm.EventCall:
		b = llm.AppendJSONString(append(appendCallHead(b, ev.Index), `,"id":`...), ev.ID)
		b = appendFunction(append(b, `,"type":"function","function":`...), ev.Name, "")
		b = append(b, `}]}`...)
	case llm.EventArguments:
		b = llm.AppendJSONString(append(appendCallHead(b, ev.Index), `,"function":{"arguments":`...), ev.Text)
		b = append(b, `}}]}`...)
	default: // the finish
		b = append(b, `{}`...)
	}
	return e.end(b, string(ev.Finish))
}

func appendCallHead(b []byte, index int) []byte {
	return strconv.AppendInt(append(b, `{"tool_calls":[{"index":`...), int64(index), 10)
}

// begin opens a chunk up to its delta, end closes it.
func (e *StreamEncoder) begin(b []byte) []byte {
	return append(append(b, e.head...), `,"choices":[{"index":0,"delta":`...)
}

func (e *StreamEncoder) end(b []byte, finish string) []byte {
	b = appendOptional(append(b, `,"logprobs":null,"finish_reason":`...), finish)
	b = append(b, `}]`...)
	if e.IncludeUsage {
		b = append(b, `,"usage":null`...)
	}
	return append(b, "}\n\n"...)
}

// appendUsage adds the chunk without a choice that has the counts.
func (e *StreamEncoder) appendUsage(b []byte, u *llm.Usage) []byte {
	if !e.IncludeUsage {
		return b
	}
	b = appendUsage(append(append(b, e.head...), `,"choices":[],"usage":`...), u)
	return append(b, "}\n\n"...)
}

// AppendDone adds the terminal event. It belongs after a whole answer alone.
func (e *StreamEncoder) AppendDone(b []byte) []byte { return append(b, "data: [DONE]\n\n"...) }

// AppendError adds an event with the error envelope of err, which ends a stream in
// place of the terminal event.
func (e *StreamEncoder) AppendError(b []byte, err error) []byte {
	b = append(append(b, "data: "...), RefusalOf(err).Envelope()...)
	return append(b, "\n\n"...)
}
