package openai

import (
	"encoding/json"
	"strconv"

	"understudy/llm"
)

// DecodeResponse reads a chat.completion as a call without a stream gives it:
// the choice with index 0. Usage is nil where the body has none, Finish empty
// where the provider left it out. A body without the wire's form is an
// *llm.Error of ClassMalformed, an error envelope the error that it states.
func DecodeResponse(body []byte) (*llm.Response, error) {
	c, ok := ordinary(body)
	if !ok {
		c = completion{}
		if err := json.Unmarshal(body, &c); err != nil {
			return nil, malformed("read answer: %w", err)
		}
	}
	if isSet(c.Error) {
		return nil, DecodeError(0, nil, body)
	}
	for _, ch := range c.Choices {
		if ch.Index == 0 && ch.Message != nil {
			resp := ch.Message.response()
			resp.ID, resp.Model, resp.SystemFingerprint = c.ID, c.Model, c.SystemFingerprint
			resp.Finish, resp.NativeFinish = finishOf(ch.FinishReason, len(resp.ToolCalls)), ch.FinishReason
			resp.Usage, resp.ServiceTier = neutralUsage(c.Usage), c.ServiceTier
			return resp, nil
		}
	}
	return nil, malformed("read answer: no choice with index 0 and a message")
}

// response is the neutral form of the message alone.
func (m *answer) response() *llm.Response {
	r := &llm.Response{}
	if m.Content != nil {
		r.Text = *m.Content
	}
	if m.Refusal != nil {
		r.Refusal = *m.Refusal
	}
	for i, c := range m.ToolCalls {
		if c.Function == nil {
			r.Gaps = append(r.Gaps, customCallGap(i))
			continue
		}
		r.ToolCalls = append(r.ToolCalls, llm.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	if f := m.FunctionCall; f != nil {
		r.ToolCalls = append(r.ToolCalls, llm.ToolCall{Name: f.Name, Arguments: f.Arguments})
	}
	if isSet(m.Audio) {
		r.Gaps = append(r.Gaps, audioGap())
	}
	return r
}

func customCallGap(i int) llm.Gap {
	return llm.Gap{Path: "/choices/0/message/tool_calls/" + strconv.Itoa(i), Severity: llm.Blocking, Action: llm.Dropped,
		Reason: "custom_tool_call: a call of a tool that is no function cannot be compared"}
}

func audioGap() llm.Gap {
	return llm.Gap{Path: "/choices/0/message/audio", Severity: llm.Blocking, Action: llm.Dropped,
		Reason: "audio: a spoken answer cannot be compared"}
}

// isSet tells whether an optional value is there and not null.
func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
