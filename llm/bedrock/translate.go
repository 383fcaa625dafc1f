package bedrock

import (
	"errors"
	"strings"

	"understudy/llm"
)

// A Translation is a neutral request in Converse's form.
type Translation struct {
	// Body is the JSON body exactly as it goes on the wire. The same request
	// always gives the same bytes.
	Body []byte
	// Gaps lists what the wire or the family cannot express: first of the
	// messages in their order, then of tools, format and options. With a
	// blocking gap the body is for the eye only, and the service may refuse it.
	Gaps []llm.Gap
	// Streamed tells whether the answer is to be asked for as a stream.
	Streamed bool
	// Images counts the pictures in the body, Tools the tools.
	Images, Tools int

	names names
	// noCalls tells that the request forbade tool calls and the wire could not.
	noCalls bool
}

// Translate writes req for a model of family f. It does no I/O and never changes
// what a message says in silence: whatever cannot go out as asked is in Gaps. A
// request of which nothing remains to be sent is an *llm.Error of
// ClassUntranslatable.
func Translate(req *llm.Request, f Family) (*Translation, error) {
	t := &translator{req: req, family: f, ids: map[string]bool{}}
	t.names.noDash = f.ToolNameNoDash
	t.names.reserve(req.Tools)
	t.messages()
	if len(t.turns) == 0 && len(t.system) == 0 {
		return nil, &llm.Error{Op: "translate", Class: llm.ClassUntranslatable, Path: "/messages",
			Err: errors.New("translate request: no message has anything to send")}
	}
	t.tools()
	t.format()
	t.options()
	t.extra()
	t.assemble()
	tr := &Translation{
		Streamed: !req.Whole && (len(t.out.tools) == 0 || f.StreamWithTools),
		Images:   t.images, Tools: len(t.out.tools), names: t.names, noCalls: t.noCalls,
	}
	if !tr.Streamed && !req.Whole {
		t.gap("/stream", llm.Cosmetic, llm.Emulated, "streaming_emulated: the model does not stream with tools, so there is no first-token time")
	}
	tr.Body, tr.Gaps = t.out.append(make([]byte, 0, len(req.Raw)+len(req.Raw)/8)), t.gaps
	return tr, nil
}

// A translator writes one request.
type translator struct {
	req    *llm.Request
	family Family
	gaps   []llm.Gap
	out    wireRequest

	turns []*turn
	// system is the text of the system messages, systemPath where the first
	// that said something stands.
	system     []string
	systemPath string
	names      names
	ids        map[string]bool
	images     int
	noCalls    bool
}

func (t *translator) gap(path string, s llm.Severity, a llm.Action, reason string) {
	t.gaps = append(t.gaps, llm.Gap{Path: path, Severity: s, Action: a, Reason: reason})
}

// blank tells whether a text is one that Converse refuses as empty.
func blank(s string) bool { return strings.TrimSpace(s) == "" }

// options translates sampling, limit and stop sequences.
func (t *translator) options() {
	in := &t.out.inference
	if n := t.req.MaxTokens; n != nil {
		if *n >= 1 {
			in.maxTokens = n
		} else {
			t.gap("/max_tokens", llm.Semantic, llm.Dropped, "max_tokens: a limit below 1 is not accepted")
		}
	}
	in.temperature = t.clamp("temperature", t.req.Temperature)
	in.topP = t.clamp("top_p", t.req.TopP)
	for _, s := range t.req.Stop {
		switch {
		case !t.family.StopSequences:
			t.gap("/stop", llm.Semantic, llm.Dropped, "stop: the model takes no stop sequences")
			return
		case blank(s):
			t.gap("/stop", llm.Semantic, llm.Dropped, "stop_blank: a stop sequence of white space is not accepted")
		default:
			in.stop = append(in.stop, s)
		}
	}
}

// clamp brings a sampling parameter into Converse's range, 0 to 1.
func (t *translator) clamp(key string, v *float64) *float64 {
	if v == nil || *v >= 0 && *v <= 1 {
		return v
	}
	t.gap("/"+key, llm.Semantic, llm.Approximated, key+": clamped to the range 0 to 1 that Converse accepts")
	f := min(max(*v, 0), 1)
	return &f
}

const (
	jsonObjectInstruction = "Answer with one JSON object and nothing else: no words before or after it, no code fence."
	jsonSchemaInstruction = "Answer with one JSON value and nothing else: no words before or after it, no code fence. " +
		"It must be valid against this JSON Schema:\n"
)

// format asks for JSON by an instruction, the only tier that every model has.
func (t *translator) format() {
	f := t.req.ResponseFormat
	if f == nil {
		return
	}
	switch {
	case f.Type == "json_object", f.Type == "json_schema" && f.Schema == nil:
		t.system = append(t.system, jsonObjectInstruction)
	case f.Type == "json_schema":
		s := jsonSchemaInstruction + string(f.Schema)
		if !blank(f.Description) {
			s += "\n" + f.Description
		}
		t.system = append(t.system, s)
	default:
		return
	}
	t.gap("/response_format", llm.Semantic, llm.Emulated, f.Type+": asked for by an instruction, not enforced")
}
