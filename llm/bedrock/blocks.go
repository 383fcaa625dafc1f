package bedrock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"understudy/llm"
)

// An answerBuilder collects the content of an answer from either form of the
// wire, block by block in the order of their index.
type answerBuilder struct {
	resp llm.Response
	said []byte
}

// text adds a text block. Blocks are joined without a separator: where one ends
// is the service's affair, not the model's.
func (b *answerBuilder) text(s string) { b.said = append(b.said, s...) }

// response is what has been collected.
func (b *answerBuilder) response() *llm.Response {
	b.resp.Text = string(b.said)
	return &b.resp
}

// call adds a tool call. arguments are the bytes as received; none, or null,
// means that the call has no argument, which OpenAI writes as {}.
func (b *answerBuilder) call(id, name string, arguments []byte) {
	if len(arguments) == 0 || string(arguments) == "null" {
		arguments = []byte("{}")
	}
	b.resp.ToolCalls = append(b.resp.ToolCalls, llm.ToolCall{ID: id, Name: name, Arguments: string(arguments)})
}

// other reports a block that is neither text nor call, or an event, by its name
// on the wire.
func (b *answerBuilder) other(path, name string) {
	switch name {
	case "reasoningContent":
		b.gap(path, reasoningLeftOut)
	case serverToolUse:
		b.gap(path, serverTool)
	case "image", "video", "audio", "document":
		b.gap(path, mediaAnswer)
	case "citationsContent", "citation":
		b.gap(path, citationsLeftOut)
	default:
		b.gap(path, unknownBlock)
	}
}

// gap adds a gap unless the answer has the same already.
func (b *answerBuilder) gap(path string, k *gapKind) {
	g := k.at(path)
	if !slices.Contains(b.resp.Gaps, g) && len(b.resp.Gaps) < maxAnswerGaps {
		b.resp.Gaps = append(b.resp.Gaps, g)
	}
}

// maxAnswerGaps bounds the gaps of one answer.
const maxAnswerGaps = 64

// finish sets why the answer ended.
func (b *answerBuilder) finish(stopReason string) (err error) {
	b.resp.NativeFinish = stopReason
	switch stopReason {
	case "", "end_turn", "tool_use", "stop_sequence", "max_tokens", "model_context_window_exceeded", "content_filtered",
		"guardrail_intervened", "malformed_model_output", "malformed_tool_use":
	default:
		b.gap("/stopReason", unknownStop)
	}
	b.resp.Finish, err = finishOf(stopReason, len(b.resp.ToolCalls))
	return err
}

// finishOf is OpenAI's word for a stop reason. Calls make it tool_calls whatever
// the service says, unless the answer was cut off or filtered; what the model
// wrote wrongly is an error of ClassMalformed.
func finishOf(stopReason string, calls int) (llm.FinishReason, error) {
	switch stopReason {
	case "":
		return "", malformed("read answer: it has no stop reason")
	case "malformed_model_output", "malformed_tool_use":
		return "", &llm.Error{Class: llm.ClassMalformed, Code: stopReason, Err: errors.New("read answer: the model's output is malformed")}
	case "max_tokens", "model_context_window_exceeded":
		return llm.FinishLength, nil
	case "content_filtered", "guardrail_intervened":
		return llm.FinishContentFilter, nil
	}
	if calls > 0 {
		return llm.FinishToolCalls, nil
	}
	return llm.FinishStop, nil
}

func malformed(format string, a ...any) error {
	return &llm.Error{Class: llm.ClassMalformed, Err: fmt.Errorf(format, a...)}
}

// wireUsage is Converse's count, where cached input stands beside inputTokens.
// cacheDetails, where they are there, tell for how long the written input is kept.
type wireUsage struct {
	in, out, read, write, hour count
	known                      bool
	raw                        json.RawMessage
}

// wireTier is the service tier that an answer states.
type wireTier struct {
	Type string `json:"type"`
}

// A count is a number of tokens. What is no such number makes the usage unknown,
// never the answer wrong.
type count struct {
	n     int
	valid bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *count) UnmarshalJSON(raw []byte) error {
	f, err := strconv.ParseFloat(string(raw), 64)
	c.valid = err == nil && f >= 0 && f <= math.MaxInt32 && f == math.Trunc(f)
	if c.valid {
		c.n = int(f)
	}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (u *wireUsage) UnmarshalJSON(raw []byte) error {
	var w struct {
		In    *count `json:"inputTokens"`
		Out   *count `json:"outputTokens"`
		Read  *count `json:"cacheReadInputTokens"`
		Write *count `json:"cacheWriteInputTokens"`
		Parts []struct {
			TTL string `json:"ttl"`
			N   count  `json:"inputTokens"`
		} `json:"cacheDetails"`
	}
	if json.Unmarshal(raw, &w) != nil || w.In == nil || w.Out == nil {
		return nil // half a count is none
	}
	u.known = true
	for from, to := range map[*count]*count{w.In: &u.in, w.Out: &u.out, w.Read: &u.read, w.Write: &u.write} {
		if from != nil {
			*to = *from
			u.known = u.known && from.valid
		}
	}
	for _, part := range w.Parts {
		u.known = u.known && part.N.valid
		if part.TTL == "1h" {
			u.hour.n += part.N.n
		}
	}
	u.raw = bytes.Clone(raw)
	return nil
}

func (u *wireUsage) neutral() *llm.Usage {
	if u == nil || !u.known {
		return nil
	}
	n := &llm.Usage{
		InputTokens:        u.in.n + u.read.n + u.write.n,
		OutputTokens:       u.out.n,
		CachedInputTokens:  u.read.n,
		CacheWriteTokens:   u.write.n,
		CacheWrite1hTokens: u.hour.n,
		Raw:                u.raw,
	}
	if n.Validate() != nil {
		return nil // it contradicts itself; the bill is not known
	}
	return n
}

// A union is what Converse writes as an object with one key; the key "p" is padding.
type union map[string]json.RawMessage

// member gives the one member of the union that raw holds. ok is false for anything
// else.
func member(raw json.RawMessage) (name string, value json.RawMessage, ok bool) {
	var u union
	if json.Unmarshal(raw, &u) != nil {
		return "", nil, false
	}
	return u.member()
}

func (u union) member() (name string, value json.RawMessage, ok bool) {
	for key, v := range u {
		if key == "p" || string(v) == "null" {
			continue
		}
		if ok {
			return "", nil, false
		}
		name, value, ok = key, v, true
	}
	return name, value, ok
}
