package llm_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/llm"
)

// TestConformance runs one list of situations over both wires: whoever calls a
// Client must not be able to tell which provider is behind it.
func TestConformance(t *testing.T) {
	usage := &llm.Usage{InputTokens: 30, OutputTokens: 7, CachedInputTokens: 10}
	cases := []struct {
		name   string
		script script
		class  llm.Class
		want   llm.Response // compared where class is ok, and its Text always
		after  time.Duration
	}{
		{"text", script{text: []string{"Hel", "lo", " <&>\u2028"}, finish: "stop", usage: usage}, llm.ClassOK,
			llm.Response{Text: "Hello <&>\u2028", Finish: llm.FinishStop, Usage: usage}, 0},
		{"no usage", script{text: []string{"Hello"}, finish: "stop"}, llm.ClassOK,
			llm.Response{Text: "Hello", Finish: llm.FinishStop}, 0},
		{"empty answer", script{finish: "stop", usage: usage}, llm.ClassOK,
			llm.Response{Finish: llm.FinishStop, Usage: usage}, 0},
		{"length", script{text: []string{"Hel"}, finish: "length", usage: usage}, llm.ClassOK,
			llm.Response{Text: "Hel", Finish: llm.FinishLength, Usage: usage}, 0},
		{"content filter", script{text: []string{"Hel"}, finish: "content_filter", usage: usage}, llm.ClassOK,
			llm.Response{Text: "Hel", Finish: llm.FinishContentFilter, Usage: usage}, 0},
		{"parallel calls, argument bytes exact", script{text: []string{"So:"}, finish: "tool_calls", usage: usage, calls: []llm.ToolCall{
			{ID: "call_a", Name: "get_weather", Arguments: `{ "city" : "Zürich", "b":1.50, "a":1e2 }`},
			{ID: "call_b", Name: "now", Arguments: `{}`}}}, llm.ClassOK,
			llm.Response{Text: "So:", Finish: llm.FinishToolCalls, Usage: usage, ToolCalls: []llm.ToolCall{
				{ID: "call_a", Name: "get_weather", Arguments: `{ "city" : "Zürich", "b":1.50, "a":1e2 }`},
				{ID: "call_b", Name: "now", Arguments: `{}`}}}, 0},
		{"throttled", script{status: 429, code: "throttle", header: http.Header{"Retry-After": {"7"}}}, llm.ClassThrottled, llm.Response{}, 7 * time.Second},
		{"quota", script{status: 400, code: "quota"}, llm.ClassQuota, llm.Response{}, 0},
		{"access", script{status: 403, code: "access"}, llm.ClassAccess, llm.Response{}, 0},
		{"unknown model", script{status: 404, code: "notfound"}, llm.ClassNotFound, llm.Response{}, 0},
		{"invalid", script{status: 400, code: "invalid"}, llm.ClassInvalid, llm.Response{}, 0},
		{"too long", script{status: 400, code: "context"}, llm.ClassContext, llm.Response{}, 0},
		{"server error", script{status: 500, code: "internal"}, llm.ClassOverloaded, llm.Response{}, 0},
		{"unavailable without a body's form", script{status: 503}, llm.ClassOverloaded, llm.Response{}, 0},
		{"gateway timeout", script{status: 504}, llm.ClassTimeout, llm.Response{}, 0},
		{"silence before the answer", script{silent: time.Minute}, llm.ClassTimeout, llm.Response{}, 0},
		{"stalled stream", script{text: []string{"Hel"}, stall: true}, llm.ClassTimeout, llm.Response{Text: "Hel"}, 0},
		{"cut connection", script{text: []string{"Hel"}, cut: true}, llm.ClassTruncated, llm.Response{Text: "Hel"}, 0},
		{"clean end without a finish", script{text: []string{"Hel"}, noFinish: true}, llm.ClassTruncated, llm.Response{Text: "Hel"}, 0},
		{"exception: throttled", script{text: []string{"Hel"}, exception: "throttle"}, llm.ClassThrottled, llm.Response{Text: "Hel"}, 0},
		{"exception: server", script{text: []string{"Hel"}, exception: "internal"}, llm.ClassOverloaded, llm.Response{Text: "Hel"}, 0},
		{"exception: unknown", script{text: []string{"Hel"}, exception: "somethingNew"}, llm.ClassStream, llm.Response{Text: "Hel"}, 0},
		{"redirect is not followed", script{status: 307, header: http.Header{"Location": {"http://127.0.0.1:1/"}}}, llm.ClassNotFound, llm.Response{}, 0},
	}
	for _, w := range wires {
		for _, c := range cases {
			t.Run(w.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				resp, err := run(t, w, c.script, quick())
				if got := llm.ClassOf(err); got != c.class {
					t.Fatalf("class: got %s, want %s (%v)", got, c.class, err)
				}
				if err != nil {
					checkFailure(t, err, c.script, c.after)
					if resp != nil && resp.Text != c.want.Text || resp == nil && c.want.Text != "" {
						t.Errorf("what had arrived: got %+v, want text %q", resp, c.want.Text)
					}
					return
				}
				ignore := cmpopts.IgnoreFields(llm.Response{}, "ID", "RequestID", "Model", "SystemFingerprint", "NativeFinish", "Timing")
				if diff := cmp.Diff(&c.want, resp, ignore, countsAlone); diff != "" {
					t.Errorf("response (-want +got):\n%s", diff)
				}
				if resp.RequestID != "req-1" || resp.Timing.Total <= 0 || (len(c.script.text) > 0) != (resp.Timing.FirstToken > 0) {
					t.Errorf("request id %q, timing %+v", resp.RequestID, resp.Timing)
				}
			})
		}
	}
}

func checkFailure(t *testing.T, err error, s script, after time.Duration) {
	t.Helper()
	e := err.(*llm.Error)
	if e.Endpoint != "cand" || e.Status != s.status || e.RetryAfter != after {
		t.Errorf("endpoint %q, status %d, retry after %s; want cand, %d, %s", e.Endpoint, e.Status, e.RetryAfter, s.status, after)
	}
	if s.silent == 0 && e.RequestID != "req-1" {
		t.Errorf("request id: got %q", e.RequestID)
	}
	if strings.Contains(e.Summary(), "secret prompt") {
		t.Errorf("summary quotes the provider's text: %s", e.Summary())
	}
}

// TestBrokenEvent is apart: the wires name the fault differently.
func TestBrokenEvent(t *testing.T) {
	for _, w := range wires {
		resp, err := run(t, w, script{text: []string{"Hel"}, garbage: true}, quick())
		want := map[string]llm.Class{"openai": llm.ClassMalformed, "bedrock": llm.ClassStream}[w.name]
		if got := llm.ClassOf(err); got != want || resp == nil || resp.Text != "Hel" {
			t.Errorf("%s: got %s %+v, want %s and the text so far", w.name, got, resp, want)
		}
	}
}

func TestCancelledAndRefusedConnection(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			server := httptest.NewServer(w.handler(t, script{silent: time.Minute}))
			defer server.Close()
			client := w.client(t, server.URL, quick())
			call := must(client.Prepare(request()))(t)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			_, err := client.Do(ctx, call)
			if got := llm.ClassOf(err); got != llm.ClassCancelled || err.(*llm.Error).NotSent {
				t.Errorf("cancelled: got %s (%v)", got, err)
			}
			_, err = client.Do(ctx, call)
			if got := llm.ClassOf(err); got != llm.ClassCancelled || !err.(*llm.Error).NotSent {
				t.Errorf("cancelled before: got %s (%v)", got, err)
			}
			closed := httptest.NewServer(nil)
			closed.Close()
			_, err = w.client(t, closed.URL, quick()).Do(t.Context(), call)
			if got := llm.ClassOf(err); got != llm.ClassNetwork || !err.(*llm.Error).NotSent {
				t.Errorf("refused: got %s (%v)", got, err)
			}
		})
	}
}

// TestConnectionIsKept proves that a complete answer leaves its connection for
// the next call: a handshake in each would be measured as the model's latency.
func TestConnectionIsKept(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			var opened atomic.Int32
			server := httptest.NewUnstartedServer(w.handler(t, script{text: []string{"Hello"}, finish: "stop"}))
			server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					opened.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			client := w.client(t, server.URL, quick())
			call := must(client.Prepare(request()))(t)
			for range 5 {
				must(client.Do(t.Context(), call))(t)
			}
			if n := opened.Load(); n != 1 {
				t.Errorf("5 calls opened %d connections, want 1", n)
			}
		})
	}
}

func quick() llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Timeout, ep.StallTimeout = "cand", 2*time.Second, 300*time.Millisecond
	return ep
}

func request() *llm.Request {
	return &llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "Say hello."}}}}}
}

func run(t *testing.T, w wire, s script, ep llm.Endpoint) (*llm.Response, error) {
	t.Helper()
	server := httptest.NewServer(w.handler(t, s))
	t.Cleanup(server.Close)
	client := w.client(t, server.URL, ep)
	call := must(client.Prepare(request()))(t)
	return client.Do(t.Context(), call)
}
