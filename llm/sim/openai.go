package sim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An oaCall is one call of an OpenAI endpoint on its way through the simulator.
type oaCall struct {
	body   map[string]any
	ask    *ask
	stream bool
	usage  bool
	n      int
	azure  bool
}

// serveOpenAI routes one request of the OpenAI or Azure OpenAI surface, or, where the
// request is signed, of Bedrock's OpenAI-shaped one.
func (s *Server) serveOpenAI(w http.ResponseWriter, r *http.Request, start time.Time) {
	if signed(r) {
		w.Header().Set("X-Amzn-Requestid", uuid())
		if e := checkSignature(r, start, runtimeService, mantleService); e != nil {
			e.write(w, 0)
			return
		}
		s.routeOpenAI(w, r, start, strings.TrimPrefix(r.URL.Path, "/openai"), "", false)
		return
	}
	h := w.Header()
	h.Set("X-Request-Id", "req_"+strings.ReplaceAll(uuid(), "-", ""))
	h.Set("Openai-Version", "2020-10-01")
	h.Set("Openai-Organization", "org-simulated")
	path := r.URL.Path
	azure := strings.HasPrefix(path, "/openai/")
	deployment := ""
	if rest, ok := strings.CutPrefix(path, "/openai/deployments/"); ok {
		deployment, path, _ = strings.Cut(rest, "/")
		path = "/v1/" + path
	} else if azure {
		path = strings.TrimPrefix(path, "/openai")
	}
	if e := oaAuth(r, azure); e != nil {
		e.write(w, 0)
		return
	}
	s.routeOpenAI(w, r, start, path, deployment, azure)
}

// routeOpenAI serves a request whose caller is known, by its path under any prefix.
func (s *Server) routeOpenAI(w http.ResponseWriter, r *http.Request, start time.Time, path, deployment string, azure bool) {
	switch {
	case path == "/v1/chat/completions" && r.Method == http.MethodPost:
		s.serveChat(w, r, start, deployment, azure)
	case path == "/v1/responses" && r.Method == http.MethodPost:
		s.serveResponses(w, r, start)
	case path == "/v1/models" && r.Method == http.MethodGet:
		s.serveModels(w)
	case path == "/v1/chat/completions" || path == "/v1/responses" || path == "/v1/models":
		(&oaError{405, fmt.Sprintf("Not allowed to %s on %s. (HINT: Perhaps you meant to use a different HTTP method?)", r.Method, path),
			"invalid_request_error", "", "method_not_supported"}).write(w, 0)
	default:
		(&oaError{404, fmt.Sprintf("Invalid URL (%s %s)", r.Method, r.URL.Path), "invalid_request_error", "", ""}).write(w, 0)
	}
}

// oaAuth takes any key of the right form: "sk-…", or eight characters and more.
func oaAuth(r *http.Request, azure bool) *oaError {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if azure && r.Header.Get("Api-Key") != "" {
		key, ok = r.Header.Get("Api-Key"), true
	}
	key = strings.TrimSpace(key)
	switch {
	case !ok || key == "":
		return &oaError{401, "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
			"invalid_request_error", "", ""}
	case strings.ContainsAny(key, " \t"), !strings.HasPrefix(key, "sk-") && len(key) < 8:
		return &oaError{401, "Incorrect API key provided: " + key[:1] + "***. You can find your API key at https://platform.openai.com/account/api-keys.",
			"invalid_request_error", "", "invalid_api_key"}
	}
	return nil
}

// oaBody reads the body and the model that the call is for. The deployment of an
// Azure path stands for a model that the body leaves out.
func oaBody(w http.ResponseWriter, r *http.Request, deployment string) (map[string]any, string, *oaError) {
	body, tooLarge, err := readObject(w, r)
	switch {
	case tooLarge:
		return nil, "", &oaError{413, "The request body is too large.", "invalid_request_error", "", "request_too_large"}
	case err != nil:
		return nil, "", badRequest("", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)")
	}
	if deployment != "" {
		return body, deployment, nil
	}
	switch m := body["model"].(type) {
	case string:
		if m != "" {
			return body, m, nil
		}
	case nil:
	default:
		return nil, "", invalidType("model", "a string", m)
	}
	return nil, "", badRequest("", "", "you must provide a model parameter")
}

// serveChat answers one Chat Completions request.
func (s *Server) serveChat(w http.ResponseWriter, r *http.Request, start time.Time, deployment string, azure bool) {
	body, model, e := oaBody(w, r, deployment)
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
	if e := checkChat(body); e != nil {
		e.write(w, 0)
		return
	}
	call := readChat(body, model)
	call.azure = azure
	rep, d := s.prepareOpenAI(w, r, start, call.ask)
	if rep == nil {
		return
	}
	if e := oaFault(d.fault, model, call.stream); e != nil {
		e.write(w, d.fault.RetryAfterS)
		return
	}
	d.tally, t.input, t.output = t, rep.input, rep.output
	a := newChatAnswer(call, rep, d.fault)
	if call.stream {
		d.stream(a.script(), rep.latency, rep.ttft)
	} else {
		d.body(a.body(), a.hollow(), rep.latency)
	}
}

// prepareOpenAI makes the answer and draws the fault; nil when the call has been
// answered with an error.
func (s *Server) prepareOpenAI(w http.ResponseWriter, r *http.Request, start time.Time, a *ask) (*reply, *delivery) {
	if p := s.persona(a.model); p.ContextTokens > 0 && estimateTokens(a.bytes) > p.ContextTokens {
		badRequest("messages", "context_length_exceeded",
			"This model's maximum context length is %d tokens. However, your messages resulted in %d tokens. Please reduce the length of the messages.",
			p.ContextTokens, estimateTokens(a.bytes)).write(w, 0)
		return nil, nil
	}
	rep, found := s.reply(a)
	if !found {
		oaNoAnswer().write(w, 0)
		return nil, nil
	}
	d := &delivery{s: s, w: w, r: r, start: start, fault: s.drawFault(a)}
	if rep.failed {
		d.wait(rep.ttft)
		oaServerError().write(w, 0)
		return nil, nil
	}
	w.Header().Set("Openai-Processing-Ms", strconv.Itoa(int(rep.ttft.Milliseconds())))
	w.Header().Set("X-Ratelimit-Limit-Requests", "10000")
	w.Header().Set("X-Ratelimit-Remaining-Requests", "9999")
	return rep, d
}

// drawFault picks the fault that hits this call, if any.
func (s *Server) drawFault(a *ask) *Fault {
	r := a.draws(s.seed^0x5eed, s.turns.next("fault\x00"+a.model, a.identity()))
	return s.faults.next(r, func(model string) bool {
		return model == a.model || s.kind == Bedrock && plainID(model) == plainID(a.model)
	})
}

// serveModels lists what the configuration and the answers name, but for models
// without access.
func (s *Server) serveModels(w http.ResponseWriter) {
	ids := slices.AppendSeq(slices.Clone(s.answers.models), maps.Keys(s.models.declared))
	ids = slices.DeleteFunc(ids, s.models.denied)
	slices.Sort(ids)
	list := []any{}
	for _, id := range slices.Compact(ids) {
		list = append(list, map[string]any{"id": id, "object": "model", "created": 1712361441, "owned_by": "system"})
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(map[string]any{"object": "list", "data": list}))
}
