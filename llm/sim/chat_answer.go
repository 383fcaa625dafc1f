package sim

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// A chatAnswer writes one reply in the forms of Chat Completions.
type chatAnswer struct {
	call   *oaCall
	rep    *reply
	id     string
	unix   int64
	ids    []string // of the tool calls
	finish string
}

func newChatAnswer(call *oaCall, rep *reply, f *Fault) *chatAnswer {
	a := &chatAnswer{call: call, rep: rep, id: randomID("chatcmpl-", 29), unix: time.Now().Unix(), finish: "stop"}
	for range rep.calls {
		a.ids = append(a.ids, randomID("call_", 24))
	}
	switch {
	case f.is(FaultFinish):
		a.finish = f.Code
	case rep.finish != "":
		a.finish = rep.finish
	case rep.cut:
		a.finish = "length"
	case len(rep.calls) > 0 && call.ask.choice != "tool":
		// With a named function the vendor's own answer says "stop".
		a.finish = "tool_calls"
	}
	return a
}

// fingerprint stays the same for a model, as the vendor's does between releases.
func fingerprint(model string) string {
	return fmt.Sprintf("fp_%x", sha256.Sum256([]byte(model)))[:13]
}

type object = map[string]any

func (a *chatAnswer) usageObject() object {
	return object{
		"prompt_tokens": a.rep.input, "completion_tokens": a.rep.output, "total_tokens": a.rep.input + a.rep.output,
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
	}
}

// frameOf is what a body and a chunk have in common.
func (a *chatAnswer) frameOf(kind string, choices []any) object {
	return object{
		"id": a.id, "object": kind, "created": a.unix, "model": a.call.ask.model,
		"service_tier": "default", "system_fingerprint": fingerprint(a.call.ask.model), "choices": choices,
	}
}

// azureFilter is what Azure adds to choices and prompts.
func azureFilter() object {
	out := object{}
	for _, k := range []string{"hate", "self_harm", "sexual", "violence"} {
		out[k] = object{"filtered": false, "severity": "safe"}
	}
	return out
}

// body is the whole answer of a call that is not streamed.
func (a *chatAnswer) body() []byte {
	message := object{"role": "assistant", "content": a.rep.text, "refusal": orNull(a.rep.refusal), "annotations": []any{}}
	if a.rep.text == "" && (len(a.rep.calls) > 0 || a.rep.refusal != "") {
		message["content"] = nil
	}
	if len(a.rep.calls) > 0 {
		var calls []any
		for i, c := range a.rep.calls {
			calls = append(calls, object{"id": a.ids[i], "type": "function", "function": object{"name": c.Name, "arguments": c.Arguments}})
		}
		message["tool_calls"] = calls
	}
	var choices []any
	for i := range a.call.n {
		choice := object{"index": i, "message": message, "logprobs": nil, "finish_reason": a.finish}
		if a.call.azure {
			choice["content_filter_results"] = azureFilter()
		}
		choices = append(choices, choice)
	}
	out := a.frameOf("chat.completion", choices)
	out["usage"] = a.usageObject()
	if a.call.azure {
		out["prompt_filter_results"] = []any{object{"prompt_index": 0, "content_filter_results": azureFilter()}}
	}
	return encode(out)
}

// hollow is a 200 without an answer in it.
func (a *chatAnswer) hollow() []byte { return encode(a.frameOf("chat.completion", []any{})) }

// chunk is one event of the stream.
func (a *chatAnswer) chunk(choices []any) []byte {
	out := a.frameOf("chat.completion.chunk", choices)
	if a.call.usage {
		out["usage"] = nil
	}
	return sse(encode(out))
}

func (a *chatAnswer) delta(choice int, delta object) []byte {
	return a.chunk([]any{object{"index": choice, "delta": delta, "logprobs": nil, "finish_reason": nil}})
}

func sse(data []byte) []byte {
	return append(append([]byte("data: "), data...), "\n\n"...)
}

// script is the whole stream: the role, deltas, the finish of each choice, the
// usage when it was asked for, [DONE].
func (a *chatAnswer) script() script {
	var f []frame
	if a.call.azure {
		f = append(f, frame{opening, sse(encode(object{"id": "", "object": "", "created": 0, "model": "", "choices": []any{},
			"prompt_filter_results": []any{object{"prompt_index": 0, "content_filter_results": azureFilter()}}}))})
	}
	for choice := range a.call.n {
		f = append(f, a.choiceFrames(choice)...)
	}
	for choice := range a.call.n {
		f = append(f, frame{finish, a.chunk([]any{object{"index": choice, "delta": object{}, "logprobs": nil, "finish_reason": a.finish}})})
	}
	if a.call.usage {
		out := a.frameOf("chat.completion.chunk", []any{})
		out["usage"] = a.usageObject()
		f = append(f, frame{tail, sse(encode(out))})
	}
	f = append(f, frame{tail, []byte("data: [DONE]\n\n")})
	return script{
		contentType: "text/event-stream; charset=utf-8",
		frames:      f,
		corrupt:     func(b []byte) []byte { return append(append([]byte{}, b[:len(b)/2]...), "\n\n"...) },
		exception:   func(name string) []byte { return sse(oaException(name, a.call.ask.model).envelope()) },
	}
}

func (a *chatAnswer) choiceFrames(choice int) []frame {
	first := object{"role": "assistant", "content": "", "refusal": nil}
	if len(a.rep.calls) > 0 && a.rep.text == "" {
		first["content"] = nil
	}
	f := []frame{{opening, a.delta(choice, first)}}
	for _, t := range fragments(a.rep.text) {
		f = append(f, frame{content, a.delta(choice, object{"content": t})})
	}
	for _, t := range fragments(a.rep.refusal) {
		f = append(f, frame{content, a.delta(choice, object{"refusal": t})})
	}
	for i, c := range a.rep.calls {
		// Id, type and name stand in the first event of a call only.
		f = append(f, frame{content, a.delta(choice, object{"tool_calls": []any{object{"index": i, "id": a.ids[i], "type": "function",
			"function": object{"name": c.Name, "arguments": ""}}}})})
		for _, t := range fragments(c.Arguments) {
			f = append(f, frame{content, a.delta(choice, object{"tool_calls": []any{object{"index": i, "function": object{"arguments": t}}}})})
		}
	}
	return f
}
