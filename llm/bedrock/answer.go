package bedrock

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"understudy/llm"
)

// DecodeAnswer reads the body of a Converse answer. Tool arguments are the bytes
// of the body, white space and order of keys included. A content block of a kind
// that is not known is a gap of the answer, never read as something else. On an
// error of ClassMalformed the Response, where not nil, holds what was read.
func DecodeAnswer(body []byte) (*llm.Response, error) {
	var answer struct {
		Output *struct {
			Message *struct {
				Content []json.RawMessage `json:"content"`
			} `json:"message"`
		} `json:"output"`
		StopReason string     `json:"stopReason"`
		Usage      *wireUsage `json:"usage"`
		Tier       wireTier   `json:"serviceTier"`
		Type       string     `json:"__type"`
		Message    string     `json:"message"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, malformed("read answer: %w", err)
	}
	if answer.Output == nil && (answer.Type != "" || answer.Message != "") {
		name := answer.Type[strings.LastIndexByte(answer.Type, '#')+1:]
		return nil, &llm.Error{Class: classify(name, 0, answer.Message, llm.ClassMalformed), Code: name, Err: errors.New(answer.Message)}
	}
	if answer.Output == nil || answer.Output.Message == nil {
		return nil, malformed("read answer: it has no output message")
	}
	var b answerBuilder
	b.resp.Usage, b.resp.ServiceTier = answer.Usage.neutral(), answer.Tier.Type
	for i, raw := range answer.Output.Message.Content {
		if err := b.block("/output/message/content/"+strconv.Itoa(i), raw); err != nil {
			return b.response(), err
		}
	}
	err := b.finish(answer.StopReason)
	return b.response(), err
}

// block reads one whole content block.
func (b *answerBuilder) block(path string, raw json.RawMessage) error {
	name, value, ok := member(raw)
	if !ok {
		return malformed("read answer: a content block is no union")
	}
	switch name {
	case "text":
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return malformed("read answer: a text block: %w", err)
		}
		b.text(s)
	case "toolUse":
		var use wireCall
		if err := use.read(value); err != nil {
			return err
		}
		if use.Type == serverToolUse {
			b.other(path, serverToolUse)
			return nil
		}
		b.call(use.ToolUseID, use.Name, use.Input)
	default:
		b.other(path, name)
	}
	return nil
}

// wireCall is a toolUse block, or its start.
type wireCall struct {
	ToolUseID string          `json:"toolUseId"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	// Type is set for a tool that the service runs by itself.
	Type string `json:"type"`
}

// serverToolUse names such a block, which is no call of the application's.
const serverToolUse = "server_tool_use"

func (c *wireCall) read(raw json.RawMessage) error {
	if err := json.Unmarshal(raw, c); err != nil {
		return malformed("read answer: a tool call: %w", err)
	}
	if c.ToolUseID == "" || c.Name == "" {
		return malformed("read answer: a tool call without id or name")
	}
	return nil
}
