package sim

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// A converseAnswer writes one reply in the forms of Converse.
type converseAnswer struct {
	rep  *reply
	ids  []string // of the tool calls
	stop string
}

// newConverseAnswer names the calls; nine demands ids of nine characters.
func newConverseAnswer(rep *reply, nine bool, f *Fault) *converseAnswer {
	a := &converseAnswer{rep: rep, stop: "end_turn"}
	for _, c := range rep.calls {
		if nine {
			a.ids = append(a.ids, randomID("", 9))
		} else {
			a.ids = append(a.ids, randomID("tooluse_", 22))
		}
		a.stop = "tool_use"
		if c.Arguments != "" && !json.Valid([]byte(c.Arguments)) {
			a.stop = "malformed_tool_use"
			break
		}
	}
	for len(a.ids) < len(rep.calls) {
		a.ids = append(a.ids, randomID("tooluse_", 22))
	}
	switch {
	case f.is(FaultFinish):
		a.stop = f.Code
	case rep.finish != "":
		a.stop = rep.finish
	case rep.full:
		a.stop = "model_context_window_exceeded"
	case rep.cut:
		a.stop = "max_tokens"
	}
	return a
}

// words of a refusal are plain text on this wire.
func (a *converseAnswer) text() string { return a.rep.text + a.rep.refusal }

func (a *converseAnswer) usage() string {
	r := a.rep
	return `"usage":{"inputTokens":` + strconv.Itoa(r.input) + `,"outputTokens":` + strconv.Itoa(r.output) +
		`,"totalTokens":` + strconv.Itoa(r.input+r.output) + `},"metrics":{"latencyMs":` + strconv.FormatInt(r.latency.Milliseconds(), 10) + `}`
}

// input is a call's arguments as the input member: the recorded bytes where they
// are JSON (a re-encoding would change them), {} where there are none, and a
// JSON string of the text where they are broken, with the stop reason for that.
func input(arguments string) string {
	switch {
	case arguments == "":
		return "{}"
	case json.Valid([]byte(arguments)):
		return arguments
	}
	return quote(arguments)
}

// body is the whole answer of Converse, assembled by hand so that arguments keep
// their bytes. An answer without text and calls has no content blocks.
func (a *converseAnswer) body() []byte {
	var blocks []string
	if t := a.text(); t != "" {
		blocks = append(blocks, `{"text":`+quote(t)+`}`)
	}
	for i, c := range a.rep.calls {
		blocks = append(blocks, `{"toolUse":{"input":`+input(c.Arguments)+`,"name":`+quote(c.Name)+`,"toolUseId":`+quote(a.ids[i])+`}}`)
	}
	return []byte(`{"output":{"message":{"content":[` + strings.Join(blocks, ",") + `],"role":"assistant"}},"stopReason":` + quote(a.stop) + `,` + a.usage() + `}`)
}

// hollow is a 200 without output.
func (a *converseAnswer) hollow() []byte { return []byte(`{` + a.usage() + `}`) }

const padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// event encodes one frame of the stream; payload is the members of the event.
func event(name, payload string) []byte {
	// The service pads its frames to a random length under the key "p".
	payload = "{" + payload + `,"p":"` + padding[:1+rand.IntN(len(padding))] + `"}`
	return encodeFrame([]byte(payload), eventstream.Headers{
		{Name: ":event-type", Value: eventstream.StringValue(name)},
		{Name: ":content-type", Value: eventstream.StringValue("application/json")},
		{Name: ":message-type", Value: eventstream.StringValue("event")},
	})
}

func exceptionEvent(name string) []byte {
	body := map[string]any{"message": awsException(name).message}
	if name == "" {
		name = "modelStreamErrorException"
	}
	if name == "modelStreamErrorException" {
		body["originalStatusCode"], body["originalMessage"] = 500, "Internal server error"
	}
	return encodeFrame(encode(body), eventstream.Headers{
		{Name: ":exception-type", Value: eventstream.StringValue(name)},
		{Name: ":content-type", Value: eventstream.StringValue("application/json")},
		{Name: ":message-type", Value: eventstream.StringValue("exception")},
	})
}

func encodeFrame(payload []byte, headers eventstream.Headers) []byte {
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, eventstream.Message{Headers: headers, Payload: payload}); err != nil {
		panic("sim: encode event: " + err.Error()) // only a payload above 16 MB
	}
	return b.Bytes()
}

// script is the whole stream: messageStart, the blocks (a start event for
// toolUse only), messageStop, metadata.
func (a *converseAnswer) script() script {
	f := []frame{{opening, event("messageStart", `"role":"assistant"`)}}
	index := 0
	delta := func(d string) {
		f = append(f, frame{content, event("contentBlockDelta", `"contentBlockIndex":`+strconv.Itoa(index)+`,"delta":`+d)})
	}
	stop := func() {
		f = append(f, frame{content, event("contentBlockStop", `"contentBlockIndex":`+strconv.Itoa(index))})
		index++
	}
	if t := a.text(); t != "" {
		for _, piece := range fragments(t) {
			delta(`{"text":` + quote(piece) + `}`)
		}
		stop()
	}
	for i, c := range a.rep.calls {
		f = append(f, frame{content, event("contentBlockStart", `"contentBlockIndex":`+strconv.Itoa(index)+
			`,"start":{"toolUse":{"name":`+quote(c.Name)+`,"toolUseId":`+quote(a.ids[i])+`}}`)})
		for _, piece := range fragments(c.Arguments) {
			delta(`{"toolUse":{"input":` + quote(piece) + `}}`)
		}
		stop()
	}
	f = append(f,
		frame{finish, event("messageStop", `"stopReason":`+quote(a.stop))},
		frame{tail, event("metadata", a.usage())})
	return script{
		contentType: "application/vnd.amazon.eventstream",
		frames:      f,
		corrupt: func(b []byte) []byte {
			b = bytes.Clone(b)
			b[len(b)-1] ^= 0xff // the checksum over the message
			return b
		},
		exception: exceptionEvent,
		unknown:   event("contentBlockDelta", `"contentBlockIndex":99,"delta":{"hologram":{"depth":3}}`),
	}
}
