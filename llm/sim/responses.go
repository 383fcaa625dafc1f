package sim

import (
	"net/http"
	"time"
)

// serveResponses answers POST /v1/responses: text and function calls, plain or
// streamed, without state (previous_response_id is accepted and not looked up).
func (s *Server) serveResponses(w http.ResponseWriter, r *http.Request, start time.Time) {
	body, model, e := oaBody(w, r, "")
	if e != nil {
		e.write(w, 0)
		return
	}
	t := s.stats.arrive(model)
	defer t.settle(false)
	if s.models.denied(model) {
		oaNoModel(model).write(w, 0)
		return
	}
	a, e := readResponses(body, model)
	if e == nil {
		e = checkScalars(body)
	}
	if e != nil {
		e.write(w, 0)
		return
	}
	rep, d := s.prepareOpenAI(w, r, start, a)
	if rep == nil {
		return
	}
	stream := body["stream"] == true
	if e := oaFault(d.fault, model, stream); e != nil {
		e.write(w, d.fault.RetryAfterS)
		return
	}
	d.tally, t.input, t.output = t, rep.input, rep.output
	answer := newResponsesAnswer(a, rep)
	if stream {
		d.stream(answer.script(), rep.latency, rep.ttft)
	} else {
		d.body(encode(answer.response("completed", true)), encode(answer.response("completed", false)), rep.latency)
	}
}

// readResponses takes from a Responses body what the answer needs.
func readResponses(body map[string]any, model string) (*ask, *oaError) {
	a := &ask{model: model, choice: "auto", digest: digest(body)}
	if s, ok := body["instructions"].(string); ok {
		a.system, a.bytes = s+"\n", len(s)
	}
	a.maxTokens, _ = whole64(body["max_output_tokens"])
	switch in := body["input"].(type) {
	case nil:
		return nil, badRequest("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	case string:
		a.user = []string{in}
		a.bytes += len(in)
	case []any:
		if e := a.readItems(in); e != nil {
			return nil, e
		}
	default:
		return nil, invalidType("input", "one of a string or an array of input items", in)
	}
	tools, _ := body["tools"].([]any)
	for _, v := range tools {
		t, _ := v.(map[string]any)
		if t["type"] != "function" {
			continue
		}
		if e := checkName("tools.name", t["name"]); e != nil {
			return nil, e
		}
		description, _ := t["description"].(string)
		a.tools = append(a.tools, askTool{t["name"].(string), description, t["parameters"]})
	}
	switch c := body["tool_choice"].(type) {
	case string:
		a.choice = map[string]string{"none": "none", "required": "any"}[c]
	case map[string]any:
		a.choice = "tool"
		a.named, _ = c["name"].(string)
	}
	if text, ok := body["text"].(map[string]any); ok {
		f, _ := text["format"].(map[string]any)
		a.schema = f["schema"]
		a.wantJSON = f["type"] == "json_object" || f["type"] == "json_schema"
	}
	a.form()
	return a, nil
}

func (a *ask) readItems(items []any) *oaError {
	for _, v := range items {
		item, ok := v.(map[string]any)
		if !ok {
			return invalidType("input[]", "an object", v)
		}
		a.afterTool = item["type"] == "function_call_output"
		var blocks []string
		switch c := item["content"].(type) {
		case string:
			blocks = []string{c}
		case []any:
			for _, p := range c {
				if m, ok := p.(map[string]any); ok {
					if s, ok := m["text"].(string); ok {
						blocks = append(blocks, s)
					}
				}
			}
		}
		for _, b := range blocks {
			a.bytes += len(b)
		}
		switch item["role"] {
		case "system", "developer":
			for _, b := range blocks {
				a.system += b + "\n"
			}
		case "user":
			a.heard(blocks)
		}
	}
	return nil
}
