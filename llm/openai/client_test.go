package openai

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/llm"
)

func endpoint(url string) llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.BaseURL = "base", "openai", "new-model", url+"/v1"
	ep.Timeout = 5 * time.Second
	return ep
}

// TestBytesOnTheWire: a recorded body arrives as it was but for the model and
// the stream options, and as the call said it would.
func TestBytesOnTheWire(t *testing.T) {
	var body []byte
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header
		_, _ = io.WriteString(w, events(delta(`{"content":"x"}`), finishChunk, "[DONE]"))
	}))
	defer server.Close()
	raw := `{ "messages":[{"role":"user","content":"<é>"}],"model":"old", "zeta":1.50}`
	req, err := Decode([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(endpoint(server.URL), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	call, err := client.Prepare(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	want := `{ "messages":[{"role":"user","content":"<é>"}],"model":"new-model", "zeta":1.50,"stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":4096}`
	if string(body) != want || string(call.Body) != want {
		t.Errorf("sent\n got %s\nwant %s", body, want)
	}
	if _, ok := header["Authorization"]; ok {
		t.Error("an endpoint without a key sent an Authorization header")
	}
	if !call.Streamed || len(call.Gaps) != 1 || call.Gaps[0].Path != "/max_completion_tokens" || !call.Comparable() {
		t.Errorf("streamed %t, gaps %v", call.Streamed, call.Gaps)
	}
}

func TestBounds(t *testing.T) {
	client, err := NewClient(endpoint("http://127.0.0.1:1"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	image := llm.Part{Kind: llm.PartImage, Image: &llm.Image{URL: "https://x.example/a.png"}}
	cases := []struct {
		name string
		req  llm.Request
		out  int
		more int // input beyond the body
	}{
		{"the endpoint's limit", llm.Request{}, 4096, 0},
		{"the request's limit", llm.Request{MaxTokens: ptr(10)}, 10, 0},
		{"several choices", llm.Request{MaxTokens: ptr(10), Extra: []llm.Field{field("/n", "3")}}, 30, 0},
		{"a prediction", llm.Request{MaxTokens: ptr(10), Extra: []llm.Field{field("/prediction", `{"type":"x"}`)}}, 22, 0},
		{"images", llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{image, image}}}}, 4096, 100_000},
		{"a file", llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartFile, File: &llm.File{ID: "f"}}}}}}, 4096, 1_000_000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			call, err := client.Prepare(&c.req)
			if err != nil {
				t.Fatal(err)
			}
			if call.MaxOutputTokens != c.out || call.MaxInputTokens != len(call.Body)+c.more {
				t.Errorf("got %d out and %d in for %d bytes", call.MaxOutputTokens, call.MaxInputTokens, len(call.Body))
			}
		})
	}
}

// TestProviderThatDoesNotStream: a whole answer is read as one, without a
// first-token time.
func TestProviderThatDoesNotStream(t *testing.T) {
	cases := []struct {
		name, body string
		class      llm.Class
		want       *llm.Response
	}{
		{"answer", string(EncodeResponse(&llm.Response{ID: "i", Model: "m", Text: "x", Finish: "stop"}, 1)), llm.ClassOK,
			&llm.Response{ID: "i", Model: "m", Text: "x", Finish: "stop", NativeFinish: "stop"}},
		{"error with status 200", string(EncodeError("m", "server_error", "", "")), llm.ClassOverloaded, nil},
		{"no choice", `{"id":"x","choices":[]}`, llm.ClassMalformed, nil},
		{"no JSON", `<html>`, llm.ClassMalformed, nil},
		{"half of it", `{"id":"x","choi`, llm.ClassMalformed, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			client, err := NewClient(endpoint(server.URL), "k", nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`), Streamed: true})
			if llm.ClassOf(err) != c.class {
				t.Fatalf("got %v, want class %s", err, c.class)
			}
			if got != nil {
				if got.Timing.FirstToken != 0 || got.Timing.Total == 0 {
					t.Errorf("timing %+v", got.Timing)
				}
				got.Timing = llm.Timing{}
			}
			if diff := cmp.Diff(c.want, got, noRaw); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewClientRefuses(t *testing.T) {
	signed := endpoint("http://127.0.0.1:1")
	signed.Auth, signed.BaseURL = llm.AuthSigV4, ""
	if _, err := NewClientAs(signed, func(context.Context, *http.Request, []byte) error { return nil }, nil); err == nil || !strings.Contains(err.Error(), "base_url is missing") {
		t.Errorf("a signed request to OpenAI: %v", err)
	}
	for name, change := range map[string]func(*llm.Endpoint) string{
		"a key where another way is set": func(ep *llm.Endpoint) string { ep.Auth = llm.AuthSigV4; return "k" },
		"plain http":                     func(ep *llm.Endpoint) string { ep.BaseURL = "http://example.com/v1"; return "" },
		"a key with a newline":           func(*llm.Endpoint) string { return "k\ny" },
	} {
		ep := endpoint("http://127.0.0.1:1")
		key := change(&ep)
		if _, err := NewClient(ep, key, nil); err == nil || !strings.HasPrefix(err.Error(), "endpoint base: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestDecodeError(t *testing.T) {
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	cases := []struct {
		name   string
		status int
		header http.Header
		body   string
		class  llm.Class
		code   string
		after  [2]time.Duration
	}{
		{"key", 401, nil, string(EncodeError("m", "invalid_request_error", "", "invalid_api_key")), llm.ClassAccess, "invalid_api_key", [2]time.Duration{}},
		{"forbidden", 403, nil, ``, llm.ClassAccess, "", [2]time.Duration{}},
		{"model", 404, nil, string(EncodeError("m", "invalid_request_error", "", "model_not_found")), llm.ClassNotFound, "model_not_found", [2]time.Duration{}},
		{"rate", 429, http.Header{"Retry-After": {"3"}}, string(EncodeError("m", "tokens", "", "rate_limit_exceeded")), llm.ClassThrottled, "rate_limit_exceeded", [2]time.Duration{3 * time.Second, 3 * time.Second}},
		{"rate in milliseconds", 429, http.Header{"Retry-After": {"3"}, "Retry-After-Ms": {"250"}}, ``, llm.ClassThrottled, "", [2]time.Duration{250 * time.Millisecond, 250 * time.Millisecond}},
		{"rate by date", 429, http.Header{"Retry-After": {date}}, ``, llm.ClassThrottled, "", [2]time.Duration{80 * time.Second, 91 * time.Second}},
		{"an absurd wait", 429, http.Header{"Retry-After": {"1e300"}}, ``, llm.ClassThrottled, "", [2]time.Duration{24 * time.Hour, 24 * time.Hour}},
		{"quota", 429, nil, string(EncodeError("m", "insufficient_quota", "", "insufficient_quota")), llm.ClassQuota, "insufficient_quota", [2]time.Duration{}},
		{"context", 400, nil, string(EncodeError("m", "invalid_request_error", "messages", "context_length_exceeded")), llm.ClassContext, "context_length_exceeded", [2]time.Duration{}},
		{"context in words", 400, nil, `{"error":{"message":"This model's maximum context length is 8 tokens","type":"BadRequestError","code":400}}`, llm.ClassContext, "400", [2]time.Duration{}},
		{"filter", 400, nil, `{"error":{"message":"m","type":null,"param":"prompt","code":"content_filter","status":400}}`, llm.ClassFiltered, "content_filter", [2]time.Duration{}},
		{"other", 422, nil, string(EncodeError("m", "invalid_request_error", "n", "")), llm.ClassInvalid, "invalid_request_error", [2]time.Duration{}},
		{"timeout", 408, nil, ``, llm.ClassTimeout, "", [2]time.Duration{}},
		{"server", 500, nil, string(EncodeError("m", "server_error", "", "")), llm.ClassOverloaded, "server_error", [2]time.Duration{}},
		{"AWS in front of the model", 403, http.Header{"X-Amzn-Errortype": {"AccessDeniedException:http://internal.amazon.com/"}}, `{"message":"m"}`, llm.ClassAccess, "AccessDeniedException", [2]time.Duration{}},
		{"overloaded, not ours", 529, nil, `not JSON`, llm.ClassOverloaded, "", [2]time.Duration{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := DecodeError(c.status, c.header, []byte(c.body))
			if e.Class != c.class || e.Code != c.code || e.Status != c.status || e.RetryAfter < c.after[0] || e.RetryAfter > c.after[1] {
				t.Errorf("got %v with wait %s", e, e.RetryAfter)
			}
		})
	}
}

func TestEncodeRequest(t *testing.T) {
	req := &llm.Request{
		Messages: []llm.Message{
			{Role: llm.RoleSystem, Parts: []llm.Part{{Kind: llm.PartText, Text: "Be <brief>."}}},
			{Role: llm.RoleUser, Name: "ann", Parts: []llm.Part{{Kind: llm.PartText, Text: "see"}, {Kind: llm.PartImage, Image: &llm.Image{MediaType: "image/png", Data: []byte("\x89PNG\r\n"), Detail: "low"}}}},
			{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "c1", Name: "f", Arguments: `{ "a":1.0}`}}},
			{Role: llm.RoleTool, ToolCallID: "c1", Parts: []llm.Part{{Kind: llm.PartText, Text: "ok"}}},
		},
		Tools:          []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{ "type":"object"}`), Strict: ptr(true)}},
		ToolChoice:     llm.ToolChoice{Mode: "tool", Name: "f"},
		ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Name: "n", Schema: json.RawMessage(`{"z":1}`)},
		MaxTokens:      ptr(5), Temperature: ptr(0.7), TopP: ptr(1.0), Stop: []string{"a", "b"}, ParallelToolCalls: ptr(true),
		Effort: "low", User: "u", ServiceTier: "flex", Metadata: map[string]string{"b": "2", "a": "1"},
		Extra: []llm.Field{field("/logprobs", "true"), field("/messages/0/x", "1"), field("/stream_options/y", "0"), field("/top_logprobs", "5")},
	}
	want := `{"model":"m","messages":[{"role":"system","content":"Be <brief>.","x":1},{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0K","detail":"low"}}],"name":"ann"},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{ \"a\":1.0}"}}]},{"role":"tool","content":"ok","tool_call_id":"c1"}],` +
		`"tools":[{"type":"function","function":{"name":"f","parameters":{ "type":"object"},"strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":true,` +
		`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"z":1}}},"max_completion_tokens":5,"temperature":0.7,"top_p":1,"stop":["a","b"],"reasoning_effort":"low","user":"u","service_tier":"flex","metadata":{"a":"1","b":"2"},` +
		`"stream":true,"stream_options":{"include_usage":true,"y":0},"logprobs":true,"top_logprobs":5}`
	got := EncodeRequest(req, "m")
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back, err := Decode(got)
	if err != nil {
		t.Fatal(err)
	}
	if again := EncodeRequest(back, "m"); string(again) != want {
		t.Errorf("read and written again: %s", again)
	}
}

// TestAzure shows where a call of a deployment goes, and who it says is calling.
func TestAzure(t *testing.T) {
	for name, c := range map[string]struct{ base, version, want string }{
		"a deployment":      {"", "", "/openai/deployments/gpt%2F4%20t/chat/completions?api-version=2024-10-21"},
		"another version":   {"/", "2025-01-01-preview", "/openai/deployments/gpt%2F4%20t/chat/completions?api-version=2025-01-01-preview"},
		"the newer surface": {"/openai/v1/", "", "/openai/v1/chat/completions"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.RequestURI != c.want || r.Header.Get("Api-Key") != "key" || r.Header.Get("Authorization") != "" {
					t.Errorf("%s, %v", r.RequestURI, r.Header)
				}
				w.Header().Set("Content-Type", "application/json")
				// Azure adds what its filters found to the answer, and a choice may have more.
				_, _ = w.Write([]byte(`{"id":"c","model":"gpt-4-turbo","prompt_filter_results":[{}],"choices":[{"index":0,"content_filter_results":{"hate":{"filtered":false}},"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`))
			}))
			defer server.Close()
			ep := llm.DefaultEndpoint()
			ep.Name, ep.Provider, ep.Model, ep.BaseURL, ep.APIVersion = "live", "azure", "gpt/4 t", server.URL+c.base, c.version
			if err := ep.Validate(); err != nil {
				t.Fatal(err)
			}
			client, err := NewClient(ep, "key", nil)
			if err != nil {
				t.Fatal(err)
			}
			call, err := client.Prepare(&llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: text1("", "Hi")}}})
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := client.Do(t.Context(), call); err != nil || resp.Text != "Hi" {
				t.Errorf("%+v, %v", resp, err)
			}
		})
	}
}

// TestBearer: a Bedrock API key at Bedrock's OpenAI-shaped addresses is a key like any
// other.
func TestBearer(t *testing.T) {
	t.Setenv("BEDROCK_KEY", "bedrock-api-key-1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/openai/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer bedrock-api-key-1" || r.Header.Get("X-Amz-Date") != "" {
			t.Errorf("%s, %v", r.RequestURI, r.Header)
		}
		_, _ = io.WriteString(w, events(delta(`{"content":"x"}`), finishChunk, "[DONE]"))
	}))
	defer server.Close()
	ep := endpoint(server.URL)
	ep.BaseURL, ep.Region, ep.APIKeyEnv = server.URL+"/openai/v1", "us-east-1", "BEDROCK_KEY"
	if err := ep.Validate(); err != nil {
		t.Fatal(err)
	}
	key, err := ep.Key()
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(ep, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`), Streamed: true}); err != nil || resp.Text != "x" {
		t.Errorf("%+v, %v", resp, err)
	}
}

// TestRestrict: what is refused is neither sent nor authorized, and the refusal is the
// policy's own.
func TestRestrict(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }))
	defer server.Close()
	client, err := NewClientAs(endpoint(server.URL), func(context.Context, *http.Request, []byte) error { t.Error("somebody was asked"); return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := &llm.Error{Op: "region policy", Class: llm.ClassAccess, NotSent: true}
	client.Restrict(func() error { return refused })
	if resp, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)}); err != refused || resp != nil {
		t.Errorf("%+v, %v", resp, err)
	}
}

// TestCredentialsAreNoCall: a connection to whoever gives out credentials is none of the
// call's, which ends when the caller leaves all the same.
func TestCredentialsAreNoCall(t *testing.T) {
	keeper := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer keeper.Close()
	who := func(ctx context.Context, _ *http.Request, _ []byte) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, keeper.URL, nil)
		if err != nil {
			return err
		}
		resp, err := keeper.Client().Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	client, err := NewClientAs(endpoint("http://127.0.0.1:1"), who, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, want := range []llm.Class{llm.ClassNetwork, llm.ClassCancelled} {
		_, err = client.Do(ctx, &llm.Call{Body: []byte(`{}`)})
		var e *llm.Error
		if !errors.As(err, &e) || e.Class != want || !e.NotSent {
			t.Errorf("%v, want %s", err, want)
		}
		cancel()
	}
}
