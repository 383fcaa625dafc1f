package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

// A spoke is one llm.Client and the simulator of its vendor. Whatever makes a
// new one adds a row to spokes and passes what follows.
type spoke struct {
	kind   sim.Kind
	model  string
	client func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error)
}

var spokes = []spoke{
	{sim.OpenAI, "gpt-4o", func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error) {
		ep.Provider, ep.BaseURL = "openai", root+"/v1"
		return openai.NewClient(ep, "sk-simulated", c)
	}},
	{sim.Bedrock, "us.anthropic.claude-3-5-sonnet-20241022-v2:0", func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error) {
		ep.Provider, ep.BaseURL, ep.Region = "bedrock", root, "us-east-1"
		return bedrock.NewClient(ep, bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "")}, c)
	}},
}

// words say one thing to each wire, in its own word.
type words map[sim.Kind]string

func both(word string) words { return words{sim.OpenAI: word, sim.Bedrock: word} }

// The recorded answers, by question. The text is long enough for many events and
// has characters of two, three and four bytes; the arguments would not survive
// an encoder.
const (
	askText, askCall, askTwo, askBroken, askNothing = "Tell me.", "Weather in Oslo?", "Weather in Oslo and Rome?", "Break it.", "Say nothing."

	whole  = "Four score and seven years ago – naïve ☕, 𝄞 <&>\u2028 our fathers brought forth on this continent, a new nation."
	opened = "Fou" // the first event's piece of it
	oslo   = `{"city":  "Oslo", "n": 1.0, "z": 1e2, "a": null, "a": "\u00e9\/"}`
	rome   = `{ "city" : "Røma <&>" }`
	broken = `{"city": "Os`
)

// recordedAnswers writes the answers file that every simulator here reads.
func recordedAnswers(t *testing.T) string {
	t.Helper()
	type call struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	var b bytes.Buffer
	line := func(question, text string, calls ...call) {
		_ = json.NewEncoder(&b).Encode(map[string]any{
			"model": "*", "match": map[string]string{"last_user": question}, "text": text, "tool_calls": calls,
			"usage": map[string]int{"input_tokens": 30, "output_tokens": 7},
		})
	}
	line(askText, whole)
	line(askNothing, "")
	line(askCall, "", call{"weather", oslo})
	line(askTwo, "So:", call{"weather", oslo}, call{"weather", rome})
	line(askBroken, "", call{"weather", broken})
	path := filepath.Join(t.TempDir(), "answers.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A stage is a client before the simulator of its vendor, on loopback.
type stage struct {
	spoke
	sim    *sim.Server
	client llm.Client
	heard  *recorder
}

// patient is an endpoint whose limits no slow machine reaches.
func patient() llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Timeout, ep.StallTimeout = "cand", time.Minute, 30*time.Second
	return ep
}

// newStage starts both; they end with the test, and a call that the simulator
// still serves then fails it.
func newStage(t *testing.T, sp spoke, ep llm.Endpoint, p sim.Persona, faults ...sim.Fault) *stage {
	t.Helper()
	server := must(sim.New(sim.Config{Kind: sp.kind, AnswersFile: recordedAnswers(t), Faults: faults,
		Personas: map[string]sim.Persona{"*": p}}))(t)
	if err := server.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	heard := &recorder{transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(func() {
		heard.transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("the simulator was not left idle: %v", err)
		}
	})
	ep.Model = sp.model
	client := must(sp.client(ep, server.URL(), &http.Client{Transport: heard}))(t)
	return &stage{sp, server, client, heard}
}

// ask makes one call and sees that it was one on the wire as well.
func (s *stage) ask(ctx context.Context, t *testing.T, req *llm.Request) (resp *llm.Response, err error, streamed bool) {
	t.Helper()
	call := must(s.client.Prepare(req))(t)
	before := s.sim.Stats()[s.model].Calls
	resp, err = s.client.Do(ctx, call)
	if n := s.sim.Stats()[s.model].Calls - before; n > 1 {
		t.Errorf("one Do made %d calls", n)
	}
	return resp, err, call.Streamed
}

// question is a request that may call tools, as the recorded answers do.
func question(text string) *llm.Request {
	schema := json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)
	return &llm.Request{
		Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}}},
		Tools:    []llm.Tool{{Name: "weather", Parameters: schema}},
	}
}

// A recorder passes requests on and keeps what came back, as far as the client
// read it.
type recorder struct {
	transport *http.Transport
	mu        sync.Mutex
	body      []byte
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.transport.RoundTrip(req)
	if err == nil {
		resp.Body = recordedBody{resp.Body, r}
	}
	return resp, err
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.body)
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body = nil
}

type recordedBody struct {
	io.ReadCloser
	r *recorder
}

func (b recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.r.body = append(b.r.body, p[:n]...)
	return n, err
}

// A situation is something that a vendor or the network does to a call.
type situation struct {
	name  string
	ask   string
	fault sim.Fault
	code  words // the fault's, where it differs
	ep    func(*llm.Endpoint)
	// class is the verdict; of one that is not streamed it is wholeClass where
	// that is set, and perKind where the wires differ by their nature.
	class, wholeClass llm.Class
	perKind           map[sim.Kind]llm.Class
	after             time.Duration
	// want is compared where the class is ok. begun tells that a stream has had
	// some of its text before it failed, all that it has had all of it.
	want       llm.Response
	native     words
	begun, all bool
}

var (
	usage  = &llm.Usage{InputTokens: 30, OutputTokens: 7}
	stop   = words{sim.OpenAI: "stop", sim.Bedrock: "end_turn"}
	calls  = words{sim.OpenAI: "tool_calls", sim.Bedrock: "tool_use"}
	spoken = llm.Response{Text: whole, Finish: llm.FinishStop, Usage: usage}
)

func ended(why llm.FinishReason) llm.Response {
	return llm.Response{Text: whole, Finish: why, Usage: usage}
}

func called(text string, arguments ...string) llm.Response {
	r := llm.Response{Text: text, Finish: llm.FinishToolCalls, Usage: usage}
	for _, a := range arguments {
		r.ToolCalls = append(r.ToolCalls, llm.ToolCall{Name: "weather", Arguments: a})
	}
	return r
}

// impatient bounds silence inside an answer, hurried the whole call.
func impatient(ep *llm.Endpoint) { ep.StallTimeout = time.Second }
func hurried(ep *llm.Endpoint)   { ep.Timeout = 500 * time.Millisecond }

const forever = 60_000 // milliseconds, above every limit here

var situations = []situation{
	{name: "plain answer", ask: askText, class: llm.ClassOK, want: spoken, native: stop},
	{name: "empty answer", ask: askNothing, class: llm.ClassOK, want: llm.Response{Finish: llm.FinishStop, Usage: usage}, native: stop},
	{name: "a call", ask: askCall, class: llm.ClassOK, want: called("", oslo), native: calls},
	{name: "two calls", ask: askTwo, class: llm.ClassOK, want: called("So:", oslo, rome), native: calls},
	{name: "slow and alive", ask: askText, fault: sim.Fault{Kind: sim.FaultSlow, ForMS: 80}, ep: impatient, class: llm.ClassOK, want: spoken, native: stop},

	{name: "limit of tokens", ask: askText, fault: sim.Fault{Kind: sim.FaultFinish}, code: words{sim.OpenAI: "length", sim.Bedrock: "max_tokens"},
		class: llm.ClassOK, want: ended(llm.FinishLength), native: words{sim.OpenAI: "length", sim.Bedrock: "max_tokens"}},
	{name: "end of the context", ask: askText, fault: sim.Fault{Kind: sim.FaultFinish}, code: words{sim.OpenAI: "length", sim.Bedrock: "model_context_window_exceeded"},
		class: llm.ClassOK, want: ended(llm.FinishLength), native: words{sim.OpenAI: "length", sim.Bedrock: "model_context_window_exceeded"}},
	{name: "guardrail", ask: askText, fault: sim.Fault{Kind: sim.FaultFinish}, code: words{sim.OpenAI: "content_filter", sim.Bedrock: "guardrail_intervened"},
		class: llm.ClassOK, want: ended(llm.FinishContentFilter), native: words{sim.OpenAI: "content_filter", sim.Bedrock: "guardrail_intervened"}},
	{name: "content filter", ask: askText, fault: sim.Fault{Kind: sim.FaultFinish}, code: words{sim.OpenAI: "content_filter", sim.Bedrock: "content_filtered"},
		class: llm.ClassOK, want: ended(llm.FinishContentFilter), native: words{sim.OpenAI: "content_filter", sim.Bedrock: "content_filtered"}},
	{name: "stop sequence", ask: askText, fault: sim.Fault{Kind: sim.FaultFinish}, code: words{sim.OpenAI: "stop", sim.Bedrock: "stop_sequence"},
		class: llm.ClassOK, want: spoken, native: words{sim.OpenAI: "stop", sim.Bedrock: "stop_sequence"}},
	{name: "malformed tool use", ask: askBroken, class: llm.ClassOK, want: called("", broken), native: calls,
		perKind: map[sim.Kind]llm.Class{sim.Bedrock: llm.ClassMalformed}},

	{name: "cut between events", ask: askText, fault: sim.Fault{Kind: sim.FaultCut}, class: llm.ClassTruncated, begun: true},
	{name: "cut inside an event", ask: askText, fault: sim.Fault{Kind: sim.FaultCutInside}, class: llm.ClassTruncated, begun: true},
	{name: "clean end inside an event", ask: askText, fault: sim.Fault{Kind: sim.FaultEndInside}, class: llm.ClassTruncated, wholeClass: llm.ClassMalformed, begun: true},
	{name: "clean end before the finish", ask: askText, fault: sim.Fault{Kind: sim.FaultMissingEnd}, class: llm.ClassTruncated, wholeClass: llm.ClassMalformed, begun: true, all: true},
	{name: "end without the finish", ask: askText, fault: sim.Fault{Kind: sim.FaultNoFinish}, class: llm.ClassTruncated, wholeClass: llm.ClassMalformed, begun: true, all: true},
	{name: "clean end after the finish", ask: askText, fault: sim.Fault{Kind: sim.FaultMissingTail}, class: llm.ClassTruncated, wholeClass: llm.ClassMalformed, begun: true, all: true},
	{name: "reset before a byte", ask: askText, fault: sim.Fault{Kind: sim.FaultReset}, class: llm.ClassNetwork},
	{name: "broken event", ask: askText, fault: sim.Fault{Kind: sim.FaultBadFrame}, class: llm.ClassMalformed, wholeClass: llm.ClassMalformed, begun: true,
		perKind: map[sim.Kind]llm.Class{sim.Bedrock: llm.ClassStream}},

	{name: "throttled", ask: askText, fault: sim.Fault{Kind: sim.FaultThrottle, RetryAfterS: 7}, class: llm.ClassThrottled, after: 7 * time.Second},
	{name: "throttled without a time", ask: askText, fault: sim.Fault{Kind: sim.FaultThrottle}, class: llm.ClassThrottled},
	{name: "quota", ask: askText, fault: sim.Fault{Kind: sim.FaultQuota}, class: llm.ClassThrottled},
	{name: "server error", ask: askText, fault: sim.Fault{Kind: sim.FaultServerError}, class: llm.ClassOverloaded},
	{name: "model error", ask: askText, fault: sim.Fault{Kind: sim.FaultModelError}, class: llm.ClassOverloaded},
	{name: "unavailable", ask: askText, fault: sim.Fault{Kind: sim.FaultUnavailable, RetryAfterS: 2}, class: llm.ClassOverloaded, after: 2 * time.Second},
	{name: "not ready", ask: askText, fault: sim.Fault{Kind: sim.FaultNotReady}, class: llm.ClassOverloaded},
	{name: "model timeout", ask: askText, fault: sim.Fault{Kind: sim.FaultTimeout}, class: llm.ClassTimeout},
	{name: "no access", ask: askText, fault: sim.Fault{Kind: sim.FaultAccessDenied}, class: llm.ClassAccess},
	{name: "no model", ask: askText, fault: sim.Fault{Kind: sim.FaultNotFound}, class: llm.ClassNotFound},

	{name: "exception: throttled", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "rate_limit_exceeded", sim.Bedrock: "throttlingException"},
		class: llm.ClassThrottled, begun: true},
	{name: "exception: server", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "server_error", sim.Bedrock: "internalServerException"},
		class: llm.ClassOverloaded, begun: true},
	{name: "exception: unavailable", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "service_unavailable", sim.Bedrock: "serviceUnavailableException"},
		class: llm.ClassOverloaded, begun: true},
	{name: "exception: timeout", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "timeout", sim.Bedrock: "modelTimeoutException"},
		class: llm.ClassTimeout, begun: true},
	{name: "exception: unknown", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "something_new", sim.Bedrock: "somethingNewException"},
		class: llm.ClassStream, wholeClass: llm.ClassOverloaded, begun: true},

	{name: "silence before the answer", ask: askText, fault: sim.Fault{Kind: sim.FaultStall, ForMS: forever}, ep: hurried, class: llm.ClassTimeout},
	{name: "silence inside the answer", ask: askText, fault: sim.Fault{Kind: sim.FaultStallMid, ForMS: forever}, ep: impatient, class: llm.ClassTimeout, begun: true},
}

// TestClientsAgainstSimulators runs every situation on every spoke, streamed and
// whole, over HTTP on loopback; nothing may be left running.
func TestClientsAgainstSimulators(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		for _, c := range situations {
			for _, mode := range []string{"streamed", "whole"} {
				t.Run(string(sp.kind)+"/"+c.name+"/"+mode, func(t *testing.T) {
					t.Parallel()
					c.run(t, sp, mode == "whole")
				})
			}
		}
	}
}

func (c situation) run(t *testing.T, sp spoke, whole bool) {
	ep := patient()
	if c.ep != nil {
		c.ep(&ep)
	}
	var faults []sim.Fault
	if f := c.fault; f.Kind != "" {
		f.Code = c.code[sp.kind]
		faults = append(faults, f)
	}
	s := newStage(t, sp, ep, sim.Persona{}, faults...)
	req := question(c.ask)
	req.Whole = whole
	resp, err, streamed := s.ask(t.Context(), t, req)
	want := c.classOf(sp.kind, streamed)
	if got := llm.ClassOf(err); got != want {
		t.Fatalf("class: got %s, want %s (%v)", got, want, err)
	}
	if err != nil {
		c.checkError(t, err)
		if streamed {
			checkPartial(t, resp, c.begun, c.all)
		}
		return
	}
	checkAnswer(t, resp, &c.want, streamed)
	if resp.NativeFinish != c.native[sp.kind] {
		t.Errorf("native finish: got %q, want %q", resp.NativeFinish, c.native[sp.kind])
	}
	if resp.Model != sp.model {
		t.Errorf("model: got %q, want %q", resp.Model, sp.model)
	}
}

func (c situation) classOf(kind sim.Kind, streamed bool) llm.Class {
	switch {
	case !streamed && c.wholeClass != "":
		return c.wholeClass
	case c.perKind[kind] != "":
		return c.perKind[kind]
	}
	return c.class
}

// checkError holds what every error says against the situation.
func (c situation) checkError(t *testing.T, err error) {
	t.Helper()
	var e *llm.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *llm.Error: %v", err, err)
	}
	if e.Endpoint != "cand" || e.Op == "" || e.RetryAfter != c.after || e.NotSent {
		t.Errorf("endpoint %q, op %q, retry after %s, not sent %t; want cand, some, %s, false", e.Endpoint, e.Op, e.RetryAfter, e.NotSent, c.after)
	}
	answered := c.fault.Kind != sim.FaultReset && c.fault.Kind != sim.FaultStall
	if (e.RequestID != "") != answered {
		t.Errorf("request id %q though an answer began: %t", e.RequestID, answered)
	}
}

// checkPartial: what arrived before a stream failed is the text so far, each
// byte of it once.
func checkPartial(t *testing.T, resp *llm.Response, begun, all bool) {
	t.Helper()
	text := ""
	if resp != nil {
		text = resp.Text
	}
	if !strings.HasPrefix(whole, text) || (text != "") != begun || (text == whole) != all {
		t.Errorf("text so far: %q", text)
	}
	if resp != nil && begun && (resp.RequestID == "" || resp.Timing.FirstToken <= 0 || resp.Timing.Total < resp.Timing.FirstToken) {
		t.Errorf("request id %q, timing %+v", resp.RequestID, resp.Timing)
	}
}

// checkAnswer compares an answer but for what differs from call to call.
func checkAnswer(t *testing.T, got, want *llm.Response, streamed bool) {
	t.Helper()
	ids := map[string]bool{}
	for _, c := range got.ToolCalls {
		ids[c.ID] = c.ID != ""
	}
	if len(ids) != len(got.ToolCalls) || ids[""] {
		t.Errorf("the calls' ids are not distinct: %+v", got.ToolCalls)
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(llm.Response{}, "ID", "RequestID", "Model", "SystemFingerprint", "NativeFinish", "Timing"),
		cmpopts.IgnoreFields(llm.ToolCall{}, "ID")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	content := got.Text != "" || len(got.ToolCalls) > 0
	if got.ID == "" || got.RequestID == "" || got.Timing.Total < got.Timing.FirstToken || (got.Timing.FirstToken > 0) != (streamed && content) {
		t.Errorf("id %q, request id %q, timing %+v", got.ID, got.RequestID, got.Timing)
	}
}

// TestContextOverflow: a request that is longer than the model's context, and an
// answer that the end of the context ends.
func TestContextOverflow(t *testing.T) {
	leakless(t)
	native := words{sim.OpenAI: "length", sim.Bedrock: "model_context_window_exceeded"}
	for _, sp := range spokes {
		for _, whole := range []bool{false, true} {
			s := newStage(t, sp, patient(), sim.Persona{ContextTokens: 300, OutputTokens: 1000})
			req := question(strings.Repeat("long ", 1000))
			req.Tools, req.Whole = nil, whole
			if resp, err, _ := s.ask(t.Context(), t, req); llm.ClassOf(err) != llm.ClassContext || resp != nil {
				t.Errorf("%s, whole %t: too long a request: %+v, %v", sp.kind, whole, resp, err)
			}
			req.Messages[0].Parts[0].Text = strings.Repeat("long ", 160)
			resp, err, _ := s.ask(t.Context(), t, req)
			if err != nil || resp.Finish != llm.FinishLength || resp.NativeFinish != native[sp.kind] || len(resp.Text) != 400 || resp.Usage.OutputTokens != 100 {
				t.Errorf("%s, whole %t: too long an answer: %+v, %v", sp.kind, whole, resp, err)
			}
		}
	}
}

// TestMalformedToolUse: an answer that the provider calls malformed is a failure
// that names itself, and has been paid for. OpenAI passes such arguments on as
// they are.
func TestMalformedToolUse(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		for _, whole := range []bool{false, true} {
			s := newStage(t, sp, patient(), sim.Persona{})
			req := question(askBroken)
			req.Whole = whole
			resp, err, _ := s.ask(t.Context(), t, req)
			if resp == nil || resp.Usage == nil || *resp.Usage != *usage {
				t.Errorf("%s, whole %t: what was paid for is not known: %+v, %v", sp.kind, whole, resp, err)
			}
			var e *llm.Error
			if sp.kind == sim.OpenAI {
				if err != nil || len(resp.ToolCalls) != 1 || resp.ToolCalls[0].Arguments != broken {
					t.Errorf("openai, whole %t: %+v, %v", whole, resp, err)
				}
			} else if !errors.As(err, &e) || e.Class != llm.ClassMalformed || e.Code != "malformed_tool_use" || resp.NativeFinish != e.Code || resp.Finish != "" {
				t.Errorf("bedrock, whole %t: %+v, %v", whole, resp, err)
			}
		}
	}
}

// cuts are the ways in which an answer ends too early.
var cuts = []string{sim.FaultCutInside, sim.FaultEndInside}

// TestCutAtAnyByte ends a stream, by a reset and cleanly, after any number of
// bytes. What arrived says what the client owes: all pieces of whole events, and
// success only when nothing is missing. An answer with text and two calls has
// every kind of event.
func TestCutAtAnyByte(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		for _, how := range cuts {
			t.Run(string(sp.kind)+"/"+how, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, sp, patient(), sim.Persona{}, cutsEvery(7, how)...)
				for !s.cutNext(t) {
				}
			})
		}
	}
}

// cutsEvery gives one fault for each so many bytes, to be used one after another.
func cutsEvery(step int, how string) []sim.Fault {
	var faults []sim.Fault
	for at := 1; at < 8000; at += step {
		faults = append(faults, sim.Fault{Kind: how, AtByte: at, Count: 1})
	}
	return faults
}

// cutNext makes a call whose answer ends too early, and tells whether it was
// whole nevertheless.
func (s *stage) cutNext(t *testing.T) bool {
	t.Helper()
	s.heard.forget()
	resp, err, streamed := s.ask(t.Context(), t, question(askTwo))
	if !streamed || resp == nil {
		t.Fatalf("no stream: %+v, %v", resp, err)
	}
	body := s.heard.bytes()
	want, complete := owed[s.kind](t, body)
	if got := said(resp); got != want {
		t.Errorf("after %d bytes: got %q, want %q", len(body), got, want)
	}
	class := llm.ClassTruncated
	if complete {
		class = llm.ClassOK
	}
	if got := llm.ClassOf(err); got != class {
		t.Fatalf("after %d bytes: class: got %s, want %s (%v)", len(body), got, class, err)
	}
	return complete
}

// said is all that a model wrote, in one line.
func said(r *llm.Response) string {
	s := r.Text
	for _, c := range r.ToolCalls {
		s += "|" + c.Name + " " + c.Arguments
	}
	return s
}

// owed reads what arrived of an answer without the clients' code: what whole
// events said, and whether the last one of the stream is there.
var owed = map[sim.Kind]func(*testing.T, []byte) (string, bool){sim.OpenAI: owedEvents, sim.Bedrock: owedFrames}

func owedEvents(t *testing.T, b []byte) (string, bool) {
	t.Helper()
	var r llm.Response
	// The end of a stream ends the line of its last word as well.
	if text := strings.TrimRight(string(b), "\n"); strings.HasSuffix(text, "data: [DONE]") {
		b = []byte(text + "\n\n")
	}
	events := strings.Split(string(b), "\n\n")
	for _, e := range events[:len(events)-1] {
		if e == "data: [DONE]" {
			return said(&r), true
		}
		var c struct {
			Choices []struct {
				Delta struct {
					Content   string
					ToolCalls []struct {
						Index    int
						Function llm.ToolCall
					} `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(e, "data: ")), &c); err != nil {
			t.Fatalf("event %q: %v", e, err)
		}
		for _, choice := range c.Choices {
			r.Text += choice.Delta.Content
			for _, d := range choice.Delta.ToolCalls {
				r.ToolCalls = grown(r.ToolCalls, d.Index, d.Function)
			}
		}
	}
	return said(&r), false
}

func owedFrames(t *testing.T, b []byte) (string, bool) {
	t.Helper()
	var r llm.Response
	first := -1 // the block of the first call
	in, decoder := bytes.NewReader(b), eventstream.NewDecoder()
	for {
		msg, err := decoder.Decode(in, nil)
		if err != nil {
			break
		}
		var e struct {
			Index int `json:"contentBlockIndex"`
			Start struct{ ToolUse *struct{ Name string } }
			Delta struct {
				Text    string
				ToolUse *struct{ Input string }
			}
		}
		if err := json.Unmarshal(msg.Payload, &e); err != nil {
			t.Fatalf("frame %q: %v", msg.Payload, err)
		}
		r.Text += e.Delta.Text
		if u := e.Start.ToolUse; u != nil {
			if first < 0 {
				first = e.Index
			}
			r.ToolCalls = grown(r.ToolCalls, e.Index-first, llm.ToolCall{Name: u.Name})
		}
		if u := e.Delta.ToolUse; u != nil {
			r.ToolCalls = grown(r.ToolCalls, e.Index-first, llm.ToolCall{Arguments: u.Input})
		}
		if msg.Headers.Get(":event-type").String() == "metadata" {
			return said(&r), true
		}
	}
	for i := range r.ToolCalls {
		if r.ToolCalls[i].Arguments == "" { // Converse writes no arguments as none
			r.ToolCalls[i].Arguments = "{}"
		}
	}
	return said(&r), false
}

// grown adds a piece to the call with that index.
func grown(calls []llm.ToolCall, index int, piece llm.ToolCall) []llm.ToolCall {
	if index == len(calls) {
		calls = append(calls, llm.ToolCall{})
	}
	calls[index].Name += piece.Name
	calls[index].Arguments += piece.Arguments
	return calls
}

// prompt is a generous bound for what should take no time at all: the silence
// that is interrupted lasts a minute.
const prompt = 10 * time.Second

// TestCancel: the caller goes away before the call, before the first byte and in
// mid-stream. The call ends at once, and so does all that served it.
func TestCancel(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		for _, mode := range []string{"streamed", "whole"} {
			t.Run(string(sp.kind)+"/"+mode, func(t *testing.T) {
				t.Parallel()
				cancelBefore(t, sp, mode == "whole")
				cancelInSilence(t, sp, mode == "whole")
				cancelInside(t, sp, mode == "whole")
				deadline(t, sp, mode == "whole")
			})
		}
	}
}

func cancelBefore(t *testing.T, sp spoke, whole bool) {
	s := newStage(t, sp, patient(), sim.Persona{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.checkGone(ctx, t, whole, llm.ClassCancelled, time.Now)
	if n := s.sim.Stats()[sp.model].Calls; n != 0 {
		t.Errorf("cancelled before: %d calls arrived", n)
	}
}

func cancelInSilence(t *testing.T, sp spoke, whole bool) {
	s := newStage(t, sp, patient(), sim.Persona{}, sim.Fault{Kind: sim.FaultStall, ForMS: forever})
	ctx, at := cancelWhen(t, func() bool { return s.sim.Stats()[sp.model].Calls == 1 })
	if resp := s.checkGone(ctx, t, whole, llm.ClassCancelled, at); resp != nil {
		t.Errorf("before the first byte: got %+v", resp)
	}
	s.checkFreed(t)
}

func cancelInside(t *testing.T, sp spoke, wholeAnswer bool) {
	s := newStage(t, sp, patient(), sim.Persona{}, sim.Fault{Kind: sim.FaultStallMid, ForMS: forever})
	ctx, at := cancelWhen(t, func() bool { return bytes.Contains(s.heard.bytes(), []byte(`"`+opened)) })
	resp := s.checkGone(ctx, t, wholeAnswer, llm.ClassCancelled, at)
	if call := must(s.client.Prepare(&llm.Request{Messages: question(askText).Messages, Whole: wholeAnswer}))(t); call.Streamed {
		checkPartial(t, resp, true, false)
	}
	s.checkFreed(t)
}

// deadline: a caller whose own time ran out has not cancelled.
func deadline(t *testing.T, sp spoke, whole bool) {
	s := newStage(t, sp, patient(), sim.Persona{}, sim.Fault{Kind: sim.FaultStall, ForMS: forever})
	end := time.Now().Add(100 * time.Millisecond)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	s.checkGone(ctx, t, whole, llm.ClassTimeout, func() time.Time { return end })
}

// cancelWhen gives a context that is cancelled once a condition holds, and when
// that was.
func cancelWhen(t *testing.T, holds func() bool) (context.Context, func() time.Time) {
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for end := time.Now().Add(prompt); !holds(); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the call never came to the point where it is cancelled")
				break
			}
		}
		at = time.Now()
	})
	return ctx, func() time.Time { wg.Wait(); return at }
}

// checkGone makes a call whose context ends at a time, and sees that the call
// ends with it.
func (s *stage) checkGone(ctx context.Context, t *testing.T, whole bool, class llm.Class, at func() time.Time) *llm.Response {
	t.Helper()
	req := question(askText)
	req.Whole = whole
	resp, err, _ := s.ask(ctx, t, req)
	if got := llm.ClassOf(err); got != class {
		t.Errorf("class: got %s, want %s (%v)", got, class, err)
	}
	if late := time.Since(at()); late > prompt {
		t.Errorf("the call ended %s after its context", late)
	}
	return resp
}

// checkFreed waits until the simulator has noticed that its caller is gone.
func (s *stage) checkFreed(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(prompt); s.sim.Stats()[s.model].Error != 1; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the simulator still serves a caller who is gone: %+v", s.sim.Stats())
		}
	}
}

// leakless fails the test when, after its subtests, a goroutine runs that did
// not run before.
func leakless(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
