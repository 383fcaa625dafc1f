package llm_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"understudy/llm"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

// A failure is what a provider does to a call, and all that follows from it: the
// class, what shadow does (s: stands as a failed trial, r: the same after retries, p:
// no trial, the endpoint pauses), what live does (f: falls over, F: another region
// first; c: counts in the breaker; -: neither), and what a client of OpenAI is told,
// in general and live.
type failure struct {
	name   string
	kind   sim.Kind
	fault  sim.Fault
	mode   string // "streamed", "whole", "" both
	class  llm.Class
	shadow string
	live   string
	plain  string // status and code
	served string // the same live, "" as plain
}

var failures = []failure{
	// Errors in place of an answer: Bedrock's by name, with the service's own status.
	{"ThrottlingException 429", sim.Bedrock, sim.Fault{Kind: sim.FaultThrottle}, "", llm.ClassThrottled, "p", "Fc", "429 rate_limit_exceeded", ""},
	{"ServiceQuotaExceededException 400", sim.Bedrock, sim.Fault{Kind: sim.FaultQuota}, "", llm.ClassQuota, "p", "Fc", "429 insufficient_quota", "503 "},
	{"InternalServerException 500", sim.Bedrock, sim.Fault{Kind: sim.FaultServerError}, "", llm.ClassOverloaded, "r", "Fc", "500 ", "503 "},
	{"ServiceUnavailableException 503", sim.Bedrock, sim.Fault{Kind: sim.FaultUnavailable}, "", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"ModelTimeoutException 408", sim.Bedrock, sim.Fault{Kind: sim.FaultTimeout}, "", llm.ClassTimeout, "r", "fc", "408 timeout", "504 timeout"},
	{"ModelNotReadyException 429", sim.Bedrock, sim.Fault{Kind: sim.FaultNotReady}, "", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"ModelErrorException 424, the model said 500", sim.Bedrock, sim.Fault{Kind: sim.FaultModelError}, "", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"AccessDeniedException 403", sim.Bedrock, sim.Fault{Kind: sim.FaultAccessDenied}, "", llm.ClassAccess, "p", "Fc", "403 access_denied", "503 "},
	{"ResourceNotFoundException 404", sim.Bedrock, sim.Fault{Kind: sim.FaultNotFound}, "", llm.ClassNotFound, "p", "Fc", "404 model_not_found", "503 "},
	{"ValidationException 400", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "validationException"}, "whole", llm.ClassInvalid, "s", "f", "400 ", ""},
	// OpenAI's by code.
	{"429 rate_limit_exceeded", sim.OpenAI, sim.Fault{Kind: sim.FaultThrottle}, "", llm.ClassThrottled, "p", "Fc", "429 rate_limit_exceeded", ""},
	{"429 insufficient_quota", sim.OpenAI, sim.Fault{Kind: sim.FaultQuota}, "", llm.ClassQuota, "p", "Fc", "429 insufficient_quota", "503 "},
	{"500 server_error", sim.OpenAI, sim.Fault{Kind: sim.FaultServerError}, "", llm.ClassOverloaded, "r", "Fc", "500 ", "503 "},
	{"503", sim.OpenAI, sim.Fault{Kind: sim.FaultUnavailable}, "", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"504 timeout", sim.OpenAI, sim.Fault{Kind: sim.FaultTimeout}, "", llm.ClassTimeout, "r", "fc", "408 timeout", "504 timeout"},
	{"403", sim.OpenAI, sim.Fault{Kind: sim.FaultAccessDenied}, "", llm.ClassAccess, "p", "Fc", "403 access_denied", "503 "},
	{"404 model_not_found", sim.OpenAI, sim.Fault{Kind: sim.FaultNotFound}, "", llm.ClassNotFound, "p", "Fc", "404 model_not_found", "503 "},
	{"400 invalid_request_error", sim.OpenAI, sim.Fault{Kind: sim.FaultException, Code: "invalid_request_error"}, "whole", llm.ClassInvalid, "s", "f", "400 ", ""},
	// Inside a stream.
	{"throttlingException", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "throttlingException"}, "streamed", llm.ClassThrottled, "p", "Fc", "429 rate_limit_exceeded", ""},
	{"internalServerException", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "internalServerException"}, "streamed", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"serviceUnavailableException", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "serviceUnavailableException"}, "streamed", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"modelStreamErrorException", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "modelStreamErrorException"}, "streamed", llm.ClassStream, "r", "fc", "502 broken_answer", ""},
	{"validationException", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "validationException"}, "streamed", llm.ClassInvalid, "s", "f", "400 ", ""},
	{"an exception of tomorrow", sim.Bedrock, sim.Fault{Kind: sim.FaultException, Code: "somethingNewException"}, "streamed", llm.ClassStream, "r", "fc", "502 broken_answer", ""},
	{"an event with server_error", sim.OpenAI, sim.Fault{Kind: sim.FaultException, Code: "server_error"}, "streamed", llm.ClassOverloaded, "r", "Fc", "503 ", ""},
	{"an event with rate_limit_exceeded", sim.OpenAI, sim.Fault{Kind: sim.FaultException, Code: "rate_limit_exceeded"}, "streamed", llm.ClassThrottled, "p", "Fc", "429 rate_limit_exceeded", ""},
	// Cuts and broken bytes.
	{"a cut between events", sim.Bedrock, sim.Fault{Kind: sim.FaultCut}, "streamed", llm.ClassTruncated, "r", "fc", "502 incomplete_stream", ""},
	{"a cut inside an event", sim.Bedrock, sim.Fault{Kind: sim.FaultCutInside}, "streamed", llm.ClassTruncated, "r", "fc", "502 incomplete_stream", ""},
	{"an end before messageStop", sim.Bedrock, sim.Fault{Kind: sim.FaultMissingEnd}, "streamed", llm.ClassTruncated, "r", "fc", "502 incomplete_stream", ""},
	{"a wrong checksum", sim.Bedrock, sim.Fault{Kind: sim.FaultBadFrame}, "streamed", llm.ClassStream, "r", "fc", "502 broken_answer", ""},
	{"a cut", sim.OpenAI, sim.Fault{Kind: sim.FaultCut}, "streamed", llm.ClassTruncated, "r", "fc", "502 incomplete_stream", ""},
	{"no [DONE]", sim.OpenAI, sim.Fault{Kind: sim.FaultMissingTail}, "streamed", llm.ClassTruncated, "r", "fc", "502 incomplete_stream", ""},
	{"an event that is no JSON", sim.OpenAI, sim.Fault{Kind: sim.FaultBadFrame}, "streamed", llm.ClassMalformed, "r", "fc", "502 broken_answer", ""},
	{"a reset before a byte", sim.Bedrock, sim.Fault{Kind: sim.FaultReset}, "", llm.ClassNetwork, "r", "Fc", "503 ", ""},
	{"a reset before a byte", sim.OpenAI, sim.Fault{Kind: sim.FaultReset}, "", llm.ClassNetwork, "r", "Fc", "503 ", ""},
}

// TestFailures is the one table of both policies, through the real clients.
func TestFailures(t *testing.T) {
	leakless(t)
	for _, f := range failures {
		for _, mode := range []string{"streamed", "whole"} {
			if f.mode != "" && f.mode != mode {
				continue
			}
			t.Run(string(f.kind)+"/"+f.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				sp := spokes[0]
				if f.kind == sim.Bedrock {
					sp = spokes[2]
				}
				s := newStage(t, sp, patient(), sim.Persona{}, f.fault)
				req := question(askText)
				req.Whole = mode == "whole"
				_, err, _ := s.ask(t.Context(), t, req)
				f.check(t, err)
			})
		}
	}
}

func (f failure) check(t *testing.T, err error) {
	t.Helper()
	class := llm.ClassOf(err)
	if class != f.class {
		t.Fatalf("class %s, want %s: %v", class, f.class, err)
	}
	if got := shadowOf(class); got != f.shadow {
		t.Errorf("shadow %q, want %q", got, f.shadow)
	}
	if got := liveOf(class); got != f.live {
		t.Errorf("live %q, want %q", got, f.live)
	}
	told := func(r openai.Refusal) string { return fmt.Sprintf("%d %s", r.Status, r.Code) }
	if f.served == "" {
		f.served = f.plain
	}
	if plain, live := told(openai.RefusalOf(err)), told(openai.LiveRefusalOf(err)); plain != f.plain || live != f.served {
		t.Errorf("told %q and live %q, want %q and %q", plain, live, f.plain, f.served)
	}
	var e *llm.Error
	if !errors.As(err, &e) || e.Err == nil || strings.Contains(e.Summary(), e.Err.Error()) {
		t.Errorf("the provider's text is in %q", e.Summary())
	}
	if r := openai.LiveRefusalOf(err); strings.Contains(string(r.Envelope()), e.Err.Error()) || r.Type == "" || r.Message == "" {
		t.Errorf("envelope %s", r.Envelope())
	}
}

func shadowOf(c llm.Class) string {
	switch {
	case c.OurFault():
		return "p"
	case c.Retryable():
		return "r"
	}
	return "s"
}

func liveOf(c llm.Class) string {
	out := ""
	switch {
	case c.FallsOver() && c.OtherRegion():
		out = "F"
	case c.FallsOver():
		out = "f"
	}
	if c.CountsAgainst() {
		out += "c"
	}
	if out == "" {
		return "-"
	}
	return out
}

// TestEveryStatus: whatever status a provider answers with and whatever it writes
// below it, there is a class, never a success; and live nobody is told 401, 403 or 404
// for what is not his.
func TestEveryStatus(t *testing.T) {
	leakless(t)
	for _, sp := range spokes {
		for status := 300; status < 600; status++ {
			ep := patient()
			ep.Model = sp.model
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte("secret prompt"))
			}))
			client := must(sp.client(ep, server.URL, server.Client()))(t)
			call := must(client.Prepare(question(askText)))(t)
			_, err := client.Do(t.Context(), call)
			class := llm.ClassOf(err)
			if class == llm.ClassOK || class == llm.ClassCancelled || !known(class) {
				t.Errorf("%s: %d is %s", sp.name, status, class)
			}
			if live := openai.LiveRefusalOf(err); live.Status == 401 || live.Status == 403 || live.Status == 404 || live.Status < 400 {
				t.Errorf("%s: a client is told %d for %d", sp.name, live.Status, status)
			}
			server.CloseClientConnections()
			server.Close()
		}
	}
}

func known(c llm.Class) bool {
	for _, k := range llm.Classes() {
		if k == c {
			return true
		}
	}
	return false
}

// TestEveryClassHasItsDecisions: what is our own fault is never a trial that is tried
// again at once, and every class is told in OpenAI's terms.
func TestEveryClassHasItsDecisions(t *testing.T) {
	for _, c := range llm.Classes() {
		err := &llm.Error{Class: c}
		if r := openai.RefusalOf(err); r.Message == "" || r.Type == "" || (r.Status == 0) != (c == llm.ClassCancelled) {
			t.Errorf("%s: %+v", c, r)
		}
		if c.OtherRegion() && !c.FallsOver() {
			t.Errorf("%s: another region is asked, and no other endpoint", c)
		}
	}
	if c := llm.ClassCancelled; c.FallsOver() || c.CountsAgainst() || c.Retryable() || c.OurFault() {
		t.Error("a caller who goes away is no failure")
	}
}
