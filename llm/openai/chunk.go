package openai

import (
	"bytes"
	"encoding/json"

	"understudy/llm"
)

// event takes the data of one event.
func (a *Assembler) event(data []byte) {
	if a.done || a.err != nil {
		return
	}
	if bytes.Equal(bytes.TrimSpace(data), doneData) {
		a.done = true
		a.emitEnd()
		return
	}
	var c completion
	if err := json.Unmarshal(data, &c); err != nil {
		a.fail(malformed("read stream: %w", err))
		return
	}
	if isSet(c.Error) {
		a.fail(streamError(data))
		return
	}
	a.identify(&c)
	for i := range c.Choices {
		if a.choices == nil {
			a.choices = map[int]bool{}
		}
		if len(a.choices) < 128 { // the most that OpenAI gives
			a.choices[c.Choices[i].Index] = true
		}
		if c.Choices[i].Index == 0 {
			a.choice(&c.Choices[i])
		}
	}
	if isSet(c.Usage) {
		a.counted = a.Finished()
	}
}

// identify keeps what every chunk repeats: of each the first that is not empty.
func (a *Assembler) identify(c *completion) {
	if a.head.ID == "" {
		a.head.ID = c.ID
	}
	if a.head.Created == 0 {
		a.head.Created = c.Created
	}
	if a.head.Model == "" {
		a.head.Model = c.Model
	}
	if a.head.SystemFingerprint == "" {
		a.head.SystemFingerprint = c.SystemFingerprint
	}
	if c.ServiceTier != "" {
		a.head.ServiceTier = c.ServiceTier
	}
	if isSet(c.Usage) { // the last counts: some providers send running sums
		a.usage = c.Usage
	}
}

func (a *Assembler) choice(c *choice) {
	if c.FinishReason != "" {
		a.finish = c.FinishReason
	}
	d := c.Delta
	if d == nil {
		return
	}
	if d.Content != nil && *d.Content != "" && a.grow(len(*d.Content)) {
		a.begun = true
		a.text = append(a.text, *d.Content...)
		a.emit(llm.Event{Kind: llm.EventText, Text: *d.Content})
	}
	if d.Refusal != nil && *d.Refusal != "" && a.grow(len(*d.Refusal)) {
		a.begun = true
		a.refusal = append(a.refusal, *d.Refusal...)
		a.emit(llm.Event{Kind: llm.EventRefusal, Text: *d.Refusal})
	}
	for i := range d.ToolCalls {
		a.call(&d.ToolCalls[i])
	}
	if d.FunctionCall != nil {
		a.legacy = true
		a.call(&toolCall{Index: new(int), Function: d.FunctionCall})
	}
	if isSet(d.Audio) && !a.hasAudio {
		a.hasAudio = true
		a.gaps = append(a.gaps, audioGap())
	}
}

// maxCalls bounds the calls of one answer; OpenAI gives at most 128.
const maxCalls = 1024

// call adds a piece to the call with the same index. A piece without an index
// begins a new call where it brings an id, and else goes on with the last.
func (a *Assembler) call(d *toolCall) {
	c := a.callAt(d)
	if c == nil {
		return
	}
	a.begun = true
	if c.id == "" {
		c.id = d.ID
	}
	if isSet(d.Custom) {
		c.custom = true
	}
	if f := d.Function; f != nil && a.grow(len(f.Arguments)) {
		if c.name == "" {
			c.name = f.Name
		}
		c.arguments = append(c.arguments, f.Arguments...)
		a.emitCall(c, f.Arguments)
	}
}

func (a *Assembler) callAt(d *toolCall) *assembledCall {
	last := len(a.calls) - 1
	switch {
	case d.Index != nil:
		for _, c := range a.calls {
			if c.index == *d.Index {
				return c
			}
		}
	case d.ID == "" && last >= 0:
		return a.calls[last]
	}
	if len(a.calls) == maxCalls {
		a.fail(malformed("read stream: more than %d tool calls", maxCalls))
		return nil
	}
	c := &assembledCall{}
	switch {
	case d.Index != nil:
		c.index = *d.Index
	case last >= 0:
		c.index = a.calls[last].index + 1
	}
	a.calls = append(a.calls, c)
	return c
}

// streamError is the error that an event in a stream states. What the envelope
// does not make clear is a broken stream.
func streamError(data []byte) *llm.Error {
	e := DecodeError(0, nil, data)
	if e.Class == llm.ClassMalformed {
		e.Class = llm.ClassStream
	}
	return e
}
