package llm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"pgregory.net/rapid"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// A script is what a fake provider does with a call, told without a wire.
type script struct {
	status    int    // an error answer with this status …
	code      string // … and this code or exception name
	header    http.Header
	text      []string
	calls     []llm.ToolCall
	finish    llm.FinishReason
	usage     *llm.Usage
	silent    time.Duration // before the answer's headers
	stall     bool          // after the text, until the client leaves
	cut       bool          // the connection after the text
	garbage   bool          // a broken event or frame after the text
	exception string        // inside the stream after the text
	noFinish  bool          // a clean end of the body after the text
}

// A wire makes a client against a fake provider that follows the script.
type wire struct {
	name    string
	handler func(t *testing.T, s script) http.HandlerFunc
	client  func(t *testing.T, url string, ep llm.Endpoint) llm.Client
}

var wires = []wire{
	{"openai", openaiHandler, func(t *testing.T, url string, ep llm.Endpoint) llm.Client {
		ep.Provider, ep.Model, ep.BaseURL = "openai", "gpt-4o", url+"/v1"
		return must(openai.NewClient(ep, "sk-test", nil))(t)
	}},
	{"bedrock", bedrockHandler, func(t *testing.T, url string, ep llm.Endpoint) llm.Client {
		ep.Provider, ep.Model, ep.BaseURL = "bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", url
		who := bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKID", "SECRET", "")}
		return must(bedrock.NewClient(ep, who, nil))(t)
	}},
}

func must[T any](v T, err error) func(rapid.TB) T {
	return func(t rapid.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// begin does what comes before an answer on either wire; false: nothing follows.
func (s script) begin(w http.ResponseWriter, r *http.Request, body string) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	if s.silent > 0 {
		select {
		case <-r.Context().Done():
		case <-time.After(s.silent):
		}
		return false
	}
	for k, v := range s.header {
		w.Header()[k] = v
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, body)
		return false
	}
	return true
}

func openaiHandler(t *testing.T, s script) http.HandlerFunc {
	codes := map[string]string{"throttle": "rate_limit_exceeded", "quota": "insufficient_quota", "access": "x", "notfound": "model_not_found",
		"invalid": "", "context": "context_length_exceeded", "internal": "server_error", "somethingNew": "something_new"}
	envelope := func(code string) []byte {
		if code == "" {
			return []byte("<html>no form</html>")
		}
		return openai.EncodeError("secret prompt", "some_error", "", codes[code])
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sk-test" || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("path %s, authorization %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		w.Header().Set("X-Request-Id", "req-1")
		if !s.begin(w, r, string(envelope(s.code))) {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		e := &openai.StreamEncoder{ID: "chatcmpl-1", Model: "gpt-4o", Created: 1, IncludeUsage: true}
		send := sender(w)
		write := func(ev llm.Event) { send(e.Append(nil, ev)) }
		write(llm.Event{Kind: llm.EventText})
		for _, p := range s.text {
			write(llm.Event{Kind: llm.EventText, Text: p})
		}
		if s.broken(r, func(code string) { send([]byte("data: "), envelope(code), []byte("\n\n")) },
			func() { send([]byte("data: {\"choices\": nonsense}\n\n")) }) {
			return
		}
		for i, c := range s.calls {
			write(llm.Event{Kind: llm.EventCall, Index: i, ID: c.ID, Name: c.Name})
			for _, piece := range halves(c.Arguments) {
				write(llm.Event{Kind: llm.EventArguments, Index: i, Text: piece})
			}
		}
		write(llm.Event{Kind: llm.EventFinish, Finish: s.finish})
		if s.usage != nil {
			write(llm.Event{Kind: llm.EventUsage, Usage: *s.usage})
		}
		send(e.AppendDone(nil))
	}
}

func bedrockHandler(t *testing.T, s script) http.HandlerFunc {
	names := map[string]string{"throttle": "ThrottlingException", "quota": "ServiceQuotaExceededException", "access": "AccessDeniedException",
		"notfound": "ResourceNotFoundException", "invalid": "ValidationException", "context": "ValidationException",
		"internal": "InternalServerException", "somethingNew": "SomethingNewException"}
	message := func(code string) string {
		if code == "context" {
			return `{"message":"Input is too long for requested model. secret prompt"}`
		}
		return `{"message":"secret prompt"}`
	}
	stops := map[llm.FinishReason]string{"stop": "end_turn", "length": "max_tokens", "content_filter": "guardrail_intervened", "tool_calls": "end_turn"}
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "/us-east-1/bedrock/aws4_request") || !strings.HasSuffix(r.URL.Path, "-v2:0/converse-stream") {
			t.Errorf("path %s, authorization %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		w.Header().Set("X-Amzn-Requestid", "req-1")
		body := message(s.code)
		if s.code != "" {
			w.Header().Set("X-Amzn-Errortype", names[s.code])
		} else if s.status != 0 {
			body = `{}`
		}
		if !s.begin(w, r, body) {
			return
		}
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		send := sender(w)
		event := func(name, payload string, a ...any) {
			send(frameBytes(t, "event", name, fmt.Sprintf(payload, a...)))
		}
		event("messageStart", `{"role":"assistant","p":"abc"}`)
		for _, p := range s.text {
			event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":%s},"p":"abcd"}`, quote(p))
		}
		if s.broken(r, func(code string) {
			name := strings.ToLower(names[code][:1]) + names[code][1:]
			send(frameBytes(t, "exception", name, message(code)))
		}, func() {
			bad := frameBytes(t, "event", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"x"}}`)
			bad[len(bad)-6] ^= 1
			send(bad)
		}) {
			return
		}
		event("contentBlockStop", `{"contentBlockIndex":0}`)
		for i, c := range s.calls {
			event("contentBlockStart", `{"contentBlockIndex":%d,"start":{"toolUse":{"toolUseId":%s,"name":%s}}}`, i+1, quote(c.ID), quote(c.Name))
			if c.Arguments != "{}" { // a call without arguments has no fragment
				for _, piece := range halves(c.Arguments) {
					event("contentBlockDelta", `{"contentBlockIndex":%d,"delta":{"toolUse":{"input":%s}}}`, i+1, quote(piece))
				}
			}
			event("contentBlockStop", `{"contentBlockIndex":%d}`, i+1)
		}
		event("messageStop", `{"stopReason":%s}`, quote(stops[s.finish]))
		if u := s.usage; u != nil {
			event("metadata", `{"usage":{"inputTokens":%d,"outputTokens":%d,"cacheReadInputTokens":%d},"metrics":{"latencyMs":1}}`,
				u.InputTokens-u.CachedInputTokens, u.OutputTokens, u.CachedInputTokens)
		} else {
			event("metadata", `{"metrics":{"latencyMs":1}}`)
		}
	}
}

// broken does what goes wrong after the text; true: nothing follows.
func (s script) broken(r *http.Request, exception func(string), garbage func()) bool {
	switch {
	case s.stall:
		<-r.Context().Done()
	case s.cut:
		panic(http.ErrAbortHandler)
	case s.exception != "":
		exception(s.exception)
	case s.garbage:
		garbage()
	case s.noFinish:
	default:
		return false
	}
	return true
}

func sender(w http.ResponseWriter) func(...[]byte) {
	return func(pieces ...[]byte) {
		_, _ = w.Write(bytes.Join(pieces, nil))
		w.(http.Flusher).Flush()
	}
}

func halves(s string) []string { return []string{"", s[:len(s)/2], s[len(s)/2:]} }

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func frameBytes(t *testing.T, kind, name, payload string) []byte {
	t.Helper()
	msg := eventstream.Message{Payload: []byte(payload)}
	msg.Headers.Set(":message-type", eventstream.StringValue(kind))
	msg.Headers.Set(":"+kind+"-type", eventstream.StringValue(name))
	msg.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, msg); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
