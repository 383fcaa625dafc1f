package openai

import (
	"encoding/json"
	"strconv"

	"understudy/llm"
)

// message is what the two writers of a whole answer have in common.
type message struct {
	id, model, fingerprint string
	created                int64
	text, refusal          string
	calls                  []llm.ToolCall
	// function tells that the call goes out in the old form, function_call.
	function bool
	finish   string
	usage    json.RawMessage
}

// Assembled is the chat.completion body that the same call would have given
// without a stream: the fields that the comparison and the records need, in
// OpenAI's order, deterministic. The usage is as received; it is left out where
// the stream had none, and so is what only other choices said. A finish reason
// that never came is null: nothing is invented.
func (a *Assembler) Assembled() []byte {
	m := message{
		id: a.head.ID, model: a.head.Model, fingerprint: a.head.SystemFingerprint, created: a.head.Created,
		text: string(a.text), refusal: string(a.refusal), finish: a.finish, usage: a.finalUsage(), function: a.legacy,
	}
	for _, c := range a.ordered() {
		if !c.custom {
			m.calls = append(m.calls, llm.ToolCall{ID: c.id, Name: c.name, Arguments: string(c.arguments)})
		}
	}
	return m.append(nil)
}

// EncodeResponse writes resp as a chat.completion body, as OpenAI does. created
// is in seconds since 1970. An empty Finish becomes null; a nil Usage is left out.
func EncodeResponse(resp *llm.Response, created int64) []byte {
	m := message{
		id: resp.ID, model: resp.Model, fingerprint: resp.SystemFingerprint, created: created,
		text: resp.Text, refusal: resp.Refusal, calls: resp.ToolCalls, finish: string(resp.Finish),
	}
	if resp.Usage != nil {
		m.usage = appendUsage(nil, resp.Usage)
	}
	return m.append(nil)
}

func (m *message) append(b []byte) []byte {
	b = appendHead(b, "chat.completion", m.id, m.model, m.fingerprint, m.created)
	b = append(b, `,"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	if m.text == "" && (len(m.calls) > 0 || m.refusal != "") {
		b = append(b, "null"...)
	} else {
		b = llm.AppendJSONString(b, m.text)
	}
	b = append(b, `,"refusal":`...)
	b = appendOptional(b, m.refusal)
	switch {
	case len(m.calls) > 0 && m.function:
		b = append(b, `,"function_call":`...)
		b = appendFunction(b, m.calls[0].Name, m.calls[0].Arguments)
	case len(m.calls) > 0:
		b = append(b, `,"tool_calls":`...)
		b = appendToolCalls(b, m.calls)
	}
	b = append(b, `},"logprobs":null,"finish_reason":`...)
	b = appendOptional(b, m.finish)
	b = append(b, `}]`...)
	if len(m.usage) > 0 {
		b = append(b, `,"usage":`...)
		b = append(b, m.usage...)
	}
	return append(b, '}')
}

// appendHead opens an answer or a chunk; the caller goes on with a comma.
func appendHead(b []byte, object, id, model, fingerprint string, created int64) []byte {
	b = append(b, `{"id":`...)
	b = llm.AppendJSONString(b, id)
	b = append(b, `,"object":"`...)
	b = append(b, object...)
	b = append(b, `","created":`...)
	b = strconv.AppendInt(b, created, 10)
	b = append(b, `,"model":`...)
	b = llm.AppendJSONString(b, model)
	if fingerprint != "" {
		b = append(b, `,"system_fingerprint":`...)
		b = llm.AppendJSONString(b, fingerprint)
	}
	return b
}

// appendOptional writes a string whose absence is null.
func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return llm.AppendJSONString(b, s)
}

func appendToolCalls(b []byte, calls []llm.ToolCall) []byte {
	b = append(b, '[')
	for i, c := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":`...)
		b = llm.AppendJSONString(b, c.ID)
		b = append(b, `,"type":"function","function":`...)
		b = appendFunction(b, c.Name, c.Arguments)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendFunction(b []byte, name, arguments string) []byte {
	b = append(b, `{"name":`...)
	b = llm.AppendJSONString(b, name)
	b = append(b, `,"arguments":`...)
	b = llm.AppendJSONString(b, arguments)
	return append(b, '}')
}

// appendUsage writes the counts as OpenAI does. Reasoning stands there only where it
// was reported.
func appendUsage(b []byte, u *llm.Usage) []byte {
	number := func(key string, n int) {
		b = append(b, key...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	number(`{"prompt_tokens":`, u.InputTokens)
	number(`,"completion_tokens":`, u.OutputTokens)
	number(`,"total_tokens":`, u.InputTokens+u.OutputTokens)
	number(`,"prompt_tokens_details":{"cached_tokens":`, u.CachedInputTokens)
	if u.CacheWriteTokens > 0 {
		number(`,"cache_write_tokens":`, u.CacheWriteTokens)
	}
	if u.ReasoningTokens != nil {
		number(`},"completion_tokens_details":{"reasoning_tokens":`, *u.ReasoningTokens)
	}
	return append(b, `}}`...)
}
