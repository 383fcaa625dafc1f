package llm_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/llm"
	"understudy/llm/sim"
)

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
	spoken = llm.Response{Text: speech, Finish: llm.FinishStop, Usage: usage}
)

func ended(why llm.FinishReason) llm.Response {
	return llm.Response{Text: speech, Finish: why, Usage: usage}
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
	{name: "reset before a byte", ask: askText, fault: sim.Fault{Kind: sim.FaultReset}, class: llm.ClassNetwork},
	{name: "broken event", ask: askText, fault: sim.Fault{Kind: sim.FaultBadFrame}, class: llm.ClassMalformed, wholeClass: llm.ClassMalformed, begun: true,
		perKind: map[sim.Kind]llm.Class{sim.Bedrock: llm.ClassStream}},

	{name: "throttled", ask: askText, fault: sim.Fault{Kind: sim.FaultThrottle, RetryAfterS: 7}, class: llm.ClassThrottled, after: 7 * time.Second},
	{name: "throttled without a time", ask: askText, fault: sim.Fault{Kind: sim.FaultThrottle}, class: llm.ClassThrottled},
	{name: "quota", ask: askText, fault: sim.Fault{Kind: sim.FaultQuota}, class: llm.ClassQuota},
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
	{name: "exception: invalid", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "invalid_request_error", sim.Bedrock: "validationException"},
		class: llm.ClassInvalid, begun: true},
	{name: "exception: unknown", ask: askText, fault: sim.Fault{Kind: sim.FaultException}, code: words{sim.OpenAI: "something_new", sim.Bedrock: "somethingNewException"},
		class: llm.ClassStream, wholeClass: llm.ClassOverloaded, begun: true},

	{name: "silence before the answer", ask: askText, fault: sim.Fault{Kind: sim.FaultStall, ForMS: forever}, ep: hurried, class: llm.ClassTimeout},
	{name: "silence inside the answer", ask: askText, fault: sim.Fault{Kind: sim.FaultStallMid, ForMS: forever}, ep: impatient, class: llm.ClassTimeout, begun: true},
}

// TestEndAfterTheFinish: [DONE] is a part of OpenAI's answer; Bedrock's is whole
// with messageStop, and only its usage is missing.
func TestEndAfterTheFinish(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		s := newStage(t, sp, patient(), sim.Persona{}, sim.Fault{Kind: sim.FaultMissingTail})
		resp, err, _ := s.ask(t.Context(), t, question(askText))
		want := map[sim.Kind]llm.Class{sim.OpenAI: llm.ClassTruncated, sim.Bedrock: llm.ClassOK}[sp.kind]
		if got := llm.ClassOf(err); got != want || resp == nil || resp.Text != spoken.Text || resp.Usage != nil && sp.kind == sim.Bedrock {
			t.Errorf("%s: %s, %+v", sp.kind, got, resp)
		}
	}
}

// TestClientsAgainstSimulators runs every situation on every spoke, streamed and
// whole, over HTTP on loopback; nothing may be left running.
func TestClientsAgainstSimulators(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		for _, c := range situations {
			for _, mode := range []string{"streamed", "whole"} {
				t.Run(sp.name+"/"+c.name+"/"+mode, func(t *testing.T) {
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
	if !strings.HasPrefix(speech, text) || (text != "") != begun || (text == speech) != all {
		t.Errorf("text so far: %q", text)
	}
	if resp != nil && begun && (resp.RequestID == "" || resp.Timing.FirstToken <= 0 || resp.Timing.Total < resp.Timing.FirstToken) {
		t.Errorf("request id %q, timing %+v", resp.RequestID, resp.Timing)
	}
}

// countsAlone compares usage without what only one wire tells.
var countsAlone = cmpopts.IgnoreFields(llm.Usage{}, "Raw", "ReasoningTokens")

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
	ignore := cmp.Options{cmpopts.IgnoreFields(llm.Response{}, "ID", "RequestID", "Model", "SystemFingerprint", "NativeFinish", "Timing", "ServiceTier"),
		cmpopts.IgnoreFields(llm.ToolCall{}, "ID"), countsAlone}
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
			if resp == nil || resp.Usage == nil || !cmp.Equal(resp.Usage, usage, countsAlone) {
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
			t.Run(sp.name+"/"+how, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, sp, patient(), sim.Persona{}, cutsEvery(7, how)...)
				for !s.cutNext(t, how) {
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
func (s *stage) cutNext(t *testing.T, how string) bool {
	t.Helper()
	s.heard.forget()
	resp, err, streamed := s.ask(t.Context(), t, question(askTwo))
	if !streamed || resp == nil {
		t.Fatalf("no stream: %+v, %v", resp, err)
	}
	body := s.heard.bytes()
	want, class, reset := owed[s.kind](t, body)
	if how == sim.FaultCutInside {
		class = reset
	}
	if got := said(resp); got != want {
		t.Errorf("after %d bytes: got %q, want %q", len(body), got, want)
	}
	if got := llm.ClassOf(err); got != class {
		t.Fatalf("after %d bytes: class: got %s, want %s (%v)", len(body), got, class, err)
	}
	return class == llm.ClassOK && resp.Usage != nil
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
			t.Run(sp.name+"/"+mode, func(t *testing.T) {
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

func cancelInside(t *testing.T, sp spoke, whole bool) {
	s := newStage(t, sp, patient(), sim.Persona{}, sim.Fault{Kind: sim.FaultStallMid, ForMS: forever})
	ctx, at := cancelWhen(t, func() bool { return bytes.Contains(s.heard.bytes(), []byte(`"`+opened)) })
	resp := s.checkGone(ctx, t, whole, llm.ClassCancelled, at)
	if call := must(s.client.Prepare(&llm.Request{Messages: question(askText).Messages, Whole: whole}))(t); call.Streamed {
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
