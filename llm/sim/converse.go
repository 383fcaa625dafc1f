package sim

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

var modelForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9:/._-]*$`)

// serveBedrock routes one request of the Bedrock runtime, or of its control plane.
func (s *Server) serveBedrock(w http.ResponseWriter, r *http.Request, start time.Time) {
	w.Header().Set("X-Amzn-Requestid", uuid())
	if e := checkSignature(r, start, runtimeService); e != nil {
		e.write(w, 0)
		return
	}
	if s.serveControl(w, r) {
		return
	}
	// The escaped path: an ARN's own slashes are written as %2F.
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/model/")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 1 {
		unknownOperation().write(w, 0)
		return
	}
	model, err := url.PathUnescape(rest[:i])
	operation := rest[i+1:]
	switch {
	case operation != "converse" && operation != "converse-stream" && operation != "count-tokens":
		unknownOperation().write(w, 0)
	case r.Method != http.MethodPost:
		unknownOperation().write(w, 0)
	case err != nil || len(model) > 2048 || !modelForm.MatchString(model):
		invalid("The provided model identifier is invalid.").write(w, 0)
	case operation == "count-tokens":
		s.serveCount(w, r, model)
	default:
		s.serveConverse(w, r, start, model, operation == "converse-stream")
	}
}

func unknownOperation() *awsError {
	return &awsError{status: 404, name: "UnknownOperationException", message: "Unknown operation"}
}

// serveConverse answers one Converse or ConverseStream request.
func (s *Server) serveConverse(w http.ResponseWriter, r *http.Request, start time.Time, model string, stream bool) {
	t := s.stats.arrive(model)
	defer t.settle(false)
	call, e := s.readConverse(w, r, model, stream)
	if e != nil {
		e.write(w, 0)
		return
	}
	a := call.ask
	if p := s.persona(model); p.ContextTokens > 0 && estimateTokens(a.bytes) > p.ContextTokens {
		invalid("Input is too long for requested model.").write(w, 0)
		return
	}
	rep, found := s.reply(a)
	if !found {
		(&awsError{status: 404, name: "ResourceNotFoundException", message: "The simulator has no recorded answer for this request."}).write(w, 0)
		return
	}
	d := &delivery{s: s, w: w, r: r, start: start, fault: s.drawFault(a), tally: t}
	if e := awsFault(d.fault, stream); e != nil {
		e.write(w, d.fault.RetryAfterS)
		return
	}
	if rep.failed {
		d.wait(rep.ttft)
		awsServerError().write(w, 0)
		return
	}
	t.input, t.output = rep.input, rep.output
	answer := newConverseAnswer(rep, call.family.ToolID9, d.fault)
	if stream {
		d.stream(answer.script(), rep.latency, rep.ttft)
	} else {
		d.body(answer.body(), answer.hollow(), rep.latency)
	}
}

// readConverse reads and checks a request as the service does: the model, the
// shape of the body, the conversation, what the model's family can do.
func (s *Server) readConverse(w http.ResponseWriter, r *http.Request, model string, stream bool) (*cvCall, *awsError) {
	body, tooLarge, err := readObject(w, r)
	if s.models.denied(model) {
		return nil, awsDenied()
	}
	family, known := s.models.family(model, s.answers.names(model))
	switch {
	case !known:
		return nil, awsNoModel()
	case tooLarge:
		return nil, invalid("The request body is too large.")
	case err != nil:
		return nil, &awsError{status: 400, name: "SerializationException", message: "The request body is not a JSON object."}
	}
	if e := checkShape(body); e != nil {
		return nil, e
	}
	call, err := decodeConverse(body, model)
	if err != nil {
		return nil, &awsError{status: 400, name: "SerializationException", message: "The request body does not have the form of a Converse request."}
	}
	call.family, call.stream = family, stream
	for _, check := range []func() *awsError{call.checkSystem, call.checkTurns, call.checkBlocks, call.checkPairs, call.checkTools, call.checkFamily} {
		if e := check(); e != nil {
			return nil, e
		}
	}
	return call, nil
}
