package canary

import (
	"encoding/json"
	"time"

	"understudy/canary/stats"
	"understudy/internal/journal"
	"understudy/llm"
)

// bytesPerToken is what a token of a request is taken for where the provider did
// not report its number.
const bytesPerToken = 4

// volume counts the exchanges of a sub-module, to say what a month would save, and
// how complex they are.
type volume struct {
	exchanges int
	// weighted is the number of requests that the exchanges stand for, where
	// only a share of the traffic is captured.
	weighted    float64
	first, last time.Time

	conversations, units map[uint64]struct{}
	failures             map[llm.Class]int
	input                stats.Histogram
	// readable requests, their messages, and those with tools or a JSON format.
	readable, messages, tools, jsonFormat int
}

func newVolume() *volume {
	return &volume{conversations: map[uint64]struct{}{}, units: map[uint64]struct{}{}, failures: map[llm.Class]int{}}
}

func (v *volume) add(x *journal.Exchange, shape *outline) {
	v.exchanges++
	share := x.SampleShare
	if !(share > 0 && share <= 1) {
		share = 1
	}
	v.weighted += 1 / share
	if v.first.IsZero() || x.At.Before(v.first) {
		v.first = x.At
	}
	if x.At.After(v.last) {
		v.last = x.At
	}
	if x.Unit != "" {
		v.units[hash64(x.Unit)] = struct{}{}
	}
	v.conversations[hash64(x.Conversation, map[bool]string{true: x.ID}[x.Conversation == ""])] = struct{}{}
	if x.LiveError() {
		v.failures[x.Class]++
	}
	switch {
	case x.Usage != nil:
		v.input.Add(float64(x.Usage.InputTokens))
	case len(x.Request) > 0:
		v.input.Add(float64(len(x.Request)) / bytesPerToken)
	}
	if shape.readable {
		v.readable++
		v.messages += len(shape.Messages)
		v.tools += int(rate(len(shape.Tools) > 0))
		v.jsonFormat += int(rate(shape.format == "json_object" || shape.format == "json_schema"))
	}
}

func (v *volume) show() Volume {
	return Volume{Exchanges: v.exchanges, Requests: v.weighted, FirstAt: v.first, LastAt: v.last,
		Conversations: len(v.conversations), UnitsSeen: len(v.units),
		Turns: per(float64(v.exchanges), len(v.conversations)), Messages: per(float64(v.messages), v.readable),
		ToolShare: per(float64(v.tools), v.readable), JSONShare: per(float64(v.jsonFormat), v.readable),
		InputTokensP99: Number(v.input.Quantile(0.99)),
	}
}

// An outline is the shape of a request: how many messages and tools, not what
// they say.
type outline struct {
	Messages []skipped       `json:"messages"`
	Tools    []skipped       `json:"tools"`
	Format   json.RawMessage `json:"response_format"`

	readable bool
	format   string
}

// skipped is a value that is not looked at.
type skipped struct{}

// UnmarshalJSON takes any value.
func (*skipped) UnmarshalJSON([]byte) error { return nil }

// outlineOf reads the shape of an exchange's request; one of another form is not
// readable, and counted nowhere.
func outlineOf(x *journal.Exchange) (o outline) {
	if len(x.Request) == 0 || json.Unmarshal(x.Request, &o) != nil || len(o.Messages) == 0 {
		return outline{}
	}
	o.readable = true
	var format struct {
		Type string `json:"type"`
	}
	if len(o.Format) > 0 && json.Unmarshal(o.Format, &format) == nil {
		o.format = format.Type
	}
	o.Format = nil
	return o
}
