package capture

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/internal/journal"
	"understudy/llm"
)

func TestWholeAnswerIsRecorded(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	before := time.Now()
	_, got := ask(t, r.url+chatPath+"?api-version=1", question,
		"Authorization", "Bearer sk-secret-of-the-caller", "X-Understudy-Submodule", "interview/follow-up",
		"X-Understudy-Conversation", "c-1", "X-Understudy-Unit", "u-1",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if got != completion {
		t.Errorf("client got %q", got)
	}
	e := r.one()
	want := &journal.Exchange{
		Schema: journal.SchemaVersion, Source: "capture", Instance: r.Instance(), Submodule: "interview/follow-up",
		Conversation: "c-1", ConversationSource: "header", Unit: "u-1",
		Upstream: "openai", Method: "POST", Path: chatPath, Model: "gpt-4-turbo",
		AnsweredModel: "gpt-4-turbo-2024-04-09", SystemFingerprint: "fp_1", Status: 200, Class: llm.ClassOK,
		Usage: &llm.Usage{InputTokens: 12, OutputTokens: 3}, Finish: llm.FinishStop,
		Headers:           map[string]string{"content-type": "application/json", "x-request-id": "req_1", "user-agent": "Go-http-client/1.1"},
		ProviderRequestID: "req_1", AnswerID: "chatcmpl-1", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		SampleShare: 1, RequestLength: len(question), ResponseLength: len(completion),
		Request: []byte(question), Response: []byte(completion),
	}
	if d := cmp.Diff(want, e, cmpopts.IgnoreFields(journal.Exchange{}, "ID", "At", "LatencyMS", "RequestHMAC", "ResponseHMAC")); d != "" {
		t.Error(d)
	}
	if e.At.Before(before) || e.LatencyMS <= 0 || len(e.ID) != 26 || len(e.RequestHMAC) != 64 || len(e.ResponseHMAC) != 64 || e.RequestHMAC == e.ResponseHMAC {
		t.Errorf("id %q at %v, %v ms, hashes %q %q", e.ID, e.At, e.LatencyMS, e.RequestHMAC, e.ResponseHMAC)
	}
	if a := r.settled(1); a.Captured != 1 {
		t.Errorf("accounts %+v", a)
	}
}

func TestStreamIsRecordedWithItsTimes(t *testing.T) {
	const pause = 60 * time.Millisecond
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for i, ev := range events() {
			if i == 1 || i == 2 {
				<-time.After(pause)
			}
			_, _ = io.WriteString(w, ev)
			w.(http.Flusher).Flush()
		}
	})
	r := start(t, up, rigConfig{})
	_, got := ask(t, r.url+chatPath, strings.Replace(question, `{`, `{"stream":true,`, 1))
	if got != strings.Join(events(), "") {
		t.Errorf("client got %q", got)
	}
	e := r.one()
	if e.Class != llm.ClassOK || !e.Stream || e.Usage == nil || !e.Usage.Estimated || e.Usage.OutputTokens != 3 || e.Finish != llm.FinishStop || e.AnsweredModel == "" {
		t.Errorf("record %+v", e)
	}
	wantBody := `{"id":"chatcmpl-2","object":"chat.completion","created":1700000000,"model":"gpt-4-turbo-2024-04-09","choices":[{"index":0,"message":{"role":"assistant","content":"Fine.","refusal":null},"logprobs":null,"finish_reason":"stop"}]}`
	if d := cmp.Diff(wantBody, string(e.Response)); d != "" {
		t.Error(d)
	}
	n := 0
	for i, f := range e.Frames {
		n += f.Bytes
		if i > 0 && f.AtMS < e.Frames[i-1].AtMS {
			t.Errorf("frames run backwards: %v", e.Frames)
		}
	}
	if n != len(got) || len(e.Frames) < 3 {
		t.Errorf("frames %v hold %d bytes of %d", e.Frames, n, len(got))
	}
	// The empty first delta is no content: the first token came after one pause
	// and before the other.
	p := float64(pause.Milliseconds())
	if e.TTFTMS == nil || *e.TTFTMS < p || *e.TTFTMS > e.LatencyMS-p/2 || e.LatencyMS < 2*p {
		t.Errorf("first token %v ms, total %v ms, with pauses of %v", e.TTFTMS, e.LatencyMS, pause)
	}
}

func TestFailedCallsAreRecordedWithTheirClass(t *testing.T) {
	cut := func(w http.ResponseWriter) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter)
		status int
		class  llm.Class
		broken bool
	}{
		"throttled": {func(w http.ResponseWriter) {
			w.WriteHeader(429)
			_, _ = io.WriteString(w, `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`)
		}, 429, llm.ClassThrottled, false},
		"overloaded": {func(w http.ResponseWriter) { w.WriteHeader(503) }, 503, llm.ClassOverloaded, false},
		"too long": {func(w http.ResponseWriter) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}`)
		}, 400, llm.ClassContext, false},
		"no JSON": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }, 200, llm.ClassMalformed, false},
		"no choices": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[]}`)
		}, 200, llm.ClassMalformed, false},
		"cut answer": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, completion[:20])
			cut(w)
		}, 200, llm.ClassTruncated, true},
		"cut stream": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, events()[0]+events()[1])
			cut(w)
		}, 200, llm.ClassTruncated, true},
		"stream without its end": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, strings.Join(events()[:4], ""))
		}, 200, llm.ClassTruncated, false},
		"error in the stream": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, events()[0]+"data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}\n\n")
		}, 200, llm.ClassOverloaded, false},
		"no answer": {func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, 502, llm.ClassNetwork, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				tc.answer(w)
			}), rigConfig{})
			res, err := client(t).Post(r.url+chatPath, "application/json", strings.NewReader(question))
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
			if broken := err != nil; broken != tc.broken || res.StatusCode != tc.status {
				t.Errorf("client got status %d, error %v", res.StatusCode, err)
			}
			e := r.one()
			if e.Class != tc.class || e.Status != tc.status || e.Aborted || !e.LiveError() {
				t.Errorf("recorded class %q, status %d, aborted %v", e.Class, e.Status, e.Aborted)
			}
			if string(e.Request) != question {
				t.Errorf("request %q", e.Request)
			}
			r.settled(1)
		})
	}
}

func TestUnreachableUpstreamIsAClearErrorAndRecorded(t *testing.T) {
	gone := unreachable(t)
	for name, body := range map[string]string{"short": question, "2 MB": long(2 << 20)} {
		t.Run(name, func(t *testing.T) {
			r := start(t, gone, rigConfig{})
			want := `{"error":{"message":"understudy: the upstream \"openai\" gave no answer: connection refused","type":"proxy_error","param":null,"code":"upstream_unreachable"}}`
			n := int64(0)
			for n == 0 || n < 10 && r.settled(n).Captured == 0 { // this client stops sending 50 ms after its answer, and may not be through by then
				res, got := ask(t, r.url+chatPath, body)
				if res.StatusCode != 502 || got != want {
					t.Errorf("client got %d %s", res.StatusCode, got)
				}
				n++
			}
			e := r.one()
			if e.Class != llm.ClassNetwork || e.Status != 502 || string(e.Request) != body || string(e.Response) != want {
				t.Errorf("record: class %q, status %d, %d bytes of request, response %s", e.Class, e.Status, len(e.Request), e.Response)
			}
		})
	}
}

func TestUpstreamThatStallsIsATimeout(t *testing.T) {
	hold := make(chan struct{})
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hold
	})
	defer close(hold)
	r := start(t, up, rigConfig{cfg: func(c *Config) { c.AnswerTimeout = 50 * time.Millisecond }})
	res, got := ask(t, r.url+chatPath, question)
	if res.StatusCode != 504 || !strings.Contains(got, "upstream_timeout") {
		t.Errorf("client got %d %s", res.StatusCode, got)
	}
	if e := r.one(); e.Class != llm.ClassTimeout || e.Status != 504 || e.LatencyMS < 50 {
		t.Errorf("record: class %q, status %d, %v ms", e.Class, e.Status, e.LatencyMS)
	}
}

// long is a chat request of n bytes.
func long(n int) string {
	const head, tail = `{"model":"gpt-4-turbo","messages":[{"role":"user","content":"`, `"}]}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}
