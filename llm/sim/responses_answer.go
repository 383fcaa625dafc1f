package sim

import "time"

// A responsesAnswer writes one reply in the forms of the Responses API.
type responsesAnswer struct {
	ask    *ask
	rep    *reply
	id     string
	msg    string
	unix   int64
	ids    []string // items of the calls
	calls  []string // call ids
	events []frame
}

func newResponsesAnswer(a *ask, rep *reply) *responsesAnswer {
	r := &responsesAnswer{ask: a, rep: rep, id: randomID("resp_", 48), msg: randomID("msg_", 48), unix: time.Now().Unix()}
	for range rep.calls {
		r.ids = append(r.ids, randomID("fc_", 48))
		r.calls = append(r.calls, randomID("call_", 24))
	}
	return r
}

func (r *responsesAnswer) part() object {
	return object{"type": "output_text", "text": r.rep.text, "annotations": []any{}, "logprobs": []any{}}
}

// output lists the items of the answer.
func (r *responsesAnswer) output() []any {
	out := []any{}
	if r.rep.text != "" || len(r.rep.calls) == 0 {
		out = append(out, object{"id": r.msg, "type": "message", "status": "completed", "role": "assistant", "content": []any{r.part()}})
	}
	for i, c := range r.rep.calls {
		out = append(out, r.callItem(i, c, "completed", c.Arguments))
	}
	return out
}

func (r *responsesAnswer) callItem(i int, c recordedCall, status, arguments string) object {
	return object{"id": r.ids[i], "type": "function_call", "status": status, "call_id": r.calls[i], "name": c.Name, "arguments": arguments}
}

// response is the response object; without output it is the one of the stream's
// first events.
func (r *responsesAnswer) response(status string, withOutput bool) object {
	out := object{
		"id": r.id, "object": "response", "created_at": r.unix, "status": status, "error": nil, "incomplete_details": nil,
		"instructions": nil, "max_output_tokens": nil, "model": r.ask.model, "output": []any{}, "parallel_tool_calls": true,
		"previous_response_id": nil, "reasoning": object{"effort": nil, "summary": nil}, "service_tier": "default", "store": true,
		"temperature": 1.0, "text": object{"format": object{"type": "text"}}, "tool_choice": "auto", "tools": []any{}, "top_p": 1.0,
		"truncation": "disabled", "usage": nil, "user": nil, "metadata": object{},
	}
	if !withOutput {
		return out
	}
	out["output"] = r.output()
	out["usage"] = object{
		"input_tokens": r.rep.input, "input_tokens_details": object{"cached_tokens": 0},
		"output_tokens": r.rep.output, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": r.rep.input + r.rep.output,
	}
	if r.rep.cut && status == "completed" {
		out["status"] = "incomplete"
		out["incomplete_details"] = object{"reason": "max_output_tokens"}
	}
	return out
}

func (r *responsesAnswer) emit(p phase, name string, event object) {
	event["type"], event["sequence_number"] = name, len(r.events)
	r.events = append(r.events, frame{p, append([]byte("event: "+name+"\n"), sse(encode(event))...)})
}

// script is the stream of typed events; its last says how the answer ended.
func (r *responsesAnswer) script() script {
	r.emit(opening, "response.created", object{"response": r.response("in_progress", false)})
	r.emit(opening, "response.in_progress", object{"response": r.response("in_progress", false)})
	index := 0
	if r.rep.text != "" || len(r.rep.calls) == 0 {
		r.message(index)
		index++
	}
	for i, c := range r.rep.calls {
		r.emit(content, "response.output_item.added", object{"output_index": index, "item": r.callItem(i, c, "in_progress", "")})
		for _, t := range fragments(c.Arguments) {
			r.emit(content, "response.function_call_arguments.delta", object{"item_id": r.ids[i], "output_index": index, "delta": t})
		}
		r.emit(content, "response.function_call_arguments.done", object{"item_id": r.ids[i], "output_index": index, "arguments": c.Arguments})
		r.emit(content, "response.output_item.done", object{"output_index": index, "item": r.callItem(i, c, "completed", c.Arguments)})
		index++
	}
	last := "response.completed"
	if r.rep.cut {
		last = "response.incomplete"
	}
	r.emit(finish, last, object{"response": r.response("completed", true)})
	return script{
		contentType: "text/event-stream; charset=utf-8",
		frames:      r.events,
		corrupt:     func(b []byte) []byte { return append(append([]byte{}, b[:len(b)/2]...), "\n\n"...) },
		exception: func(name string) []byte {
			if name == "" {
				name = "server_error"
			}
			return append([]byte("event: error\n"), sse(encode(object{"type": "error", "code": name, "param": nil, "sequence_number": len(r.events),
				"message": "The server had an error while processing your request. Sorry about that!"}))...)
		},
	}
}

func (r *responsesAnswer) message(index int) {
	at := func(o object) object {
		o["item_id"], o["output_index"], o["content_index"] = r.msg, index, 0
		return o
	}
	item := object{"id": r.msg, "type": "message", "status": "in_progress", "role": "assistant", "content": []any{}}
	r.emit(opening, "response.output_item.added", object{"output_index": index, "item": item})
	r.emit(opening, "response.content_part.added", at(object{"part": object{"type": "output_text", "text": "", "annotations": []any{}, "logprobs": []any{}}}))
	for _, t := range fragments(r.rep.text) {
		r.emit(content, "response.output_text.delta", at(object{"delta": t, "logprobs": []any{}}))
	}
	r.emit(finish, "response.output_text.done", at(object{"text": r.rep.text, "logprobs": []any{}}))
	r.emit(finish, "response.content_part.done", at(object{"part": r.part()}))
	done := object{"id": r.msg, "type": "message", "status": "completed", "role": "assistant", "content": []any{r.part()}}
	r.emit(finish, "response.output_item.done", object{"output_index": index, "item": done})
}
