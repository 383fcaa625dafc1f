package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"understudy/llm"
)

var keys = aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "TOKEN"}

func signed() Credentials {
	return Credentials{Provider: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)}
}

func endpoint(url, model string) llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.BaseURL, ep.Region = "cand", "bedrock", model, url, "eu-west-1"
	ep.Timeout = 5 * time.Second
	return ep
}

// A seen is what a fake service was sent.
type seen struct {
	calls  int
	path   string
	body   []byte
	header http.Header
	fault  string
}

// service answers every call with answer and remembers the last.
func service(t *testing.T, answer string) (*seen, string) {
	t.Helper()
	s := &seen{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls++
		s.body, _ = io.ReadAll(r.Body)
		s.path, s.header, s.fault = r.RequestURI, r.Header, signatureFault(r, s.body)
		w.Header().Set("X-Amzn-Requestid", "req-7")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return s, server.URL
}

// signatureFault signs what arrived again, as the service does, and compares.
func signatureFault(r *http.Request, body []byte) string {
	got := r.Header.Get("Authorization")
	_, rest, _ := strings.Cut(got, "SignedHeaders=")
	names, _, _ := strings.Cut(rest, ",")
	again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.RequestURI, nil)
	again.ContentLength = int64(len(body))
	for _, name := range strings.Split(names, ";") {
		if name != "host" && name != "content-length" {
			again.Header.Set(name, r.Header.Get(name))
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, again, hex.EncodeToString(sum[:]), "bedrock", "eu-west-1", at); err != nil {
		return err.Error()
	}
	if want := again.Header.Get("Authorization"); got != want {
		return "signed\n got " + got + "\nwant " + want
	}
	return ""
}

const whole = `{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"a_b","input":{ "x":1.0 }}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2}}`

// TestWholeAnswer: a family that does not stream with tools is asked by
// Converse; the body on the wire is the call's, the signature is of that body,
// and the answer's bytes and names come back as the request knows them.
func TestWholeAnswer(t *testing.T) {
	t.Setenv("AWS_BEARER_TOKEN_BEDROCK", "must-not-be-used")
	s, url := service(t, whole)
	client, err := NewClient(endpoint(url, "us."+llama), signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tools := []llm.Tool{{Name: "a.b", Parameters: json.RawMessage(`{ "type":"object",  "<é>":1.0}`), Path: "/tools/0"}}
	call, err := client.Prepare(&llm.Request{Messages: []llm.Message{hi}, Tools: tools, MaxTokens: ptr(9)})
	if err != nil {
		t.Fatal(err)
	}
	wire := call.Detail.(*Translation).names.wire("a.b")
	got, err := client.Do(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if string(s.body) != string(call.Body) || !strings.Contains(string(s.body), `{ "type":"object",  "<é>":1.0}`) {
		t.Errorf("sent\n got %s\nwant %s", s.body, call.Body)
	}
	if s.fault != "" || s.calls != 1 || s.path != "/model/us."+strings.ReplaceAll(llama, ":", "%3A")+"/converse" {
		t.Errorf("%d calls of %s: %s", s.calls, s.path, s.fault)
	}
	if wire != "a_b" {
		t.Fatalf("the tool went out as %q", wire)
	}
	if got.Timing.Total <= 0 || got.Timing.FirstToken != 0 || call.Streamed {
		t.Errorf("timing %+v, streamed %t", got.Timing, call.Streamed)
	}
	got.Timing = llm.Timing{}
	want := &llm.Response{ID: "req-7", RequestID: "req-7", Model: "us." + llama, Finish: "tool_calls", NativeFinish: "tool_use",
		Usage: &llm.Usage{InputTokens: 1, OutputTokens: 2}, ToolCalls: []llm.ToolCall{{ID: "t", Name: "a.b", Arguments: `{ "x":1.0 }`}}}
	if diff := cmp.Diff(want, got, noRaw); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if call.MaxOutputTokens != 9 || call.MaxInputTokens != len(call.Body)+toolTokens || strings.Contains(string(call.Body), "4096") {
		t.Errorf("bounds %d, %d", call.MaxInputTokens, call.MaxOutputTokens)
	}
}

// TestAnyBodyIsSentAsItIs: the SDK's own idea of the body never shows.
func TestAnyBodyIsSentAsItIs(t *testing.T) {
	s, url := service(t, `{"output":{"message":{"content":[]}},"stopReason":"end_turn"}`)
	arn := "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc"
	ep := endpoint(url, arn)
	ep.Family = "claude"
	client, err := NewClient(ep, signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := "{ \"brand\\u006eew\" : [1.0, 1e400 ] ,\n \"x\":\"<\u2028>\"}"
	if _, err := client.Do(t.Context(), &llm.Call{Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	if string(s.body) != body || s.fault != "" {
		t.Errorf("sent %s; %s", s.body, s.fault)
	}
	if want := "/model/" + strings.NewReplacer(":", "%3A", "/", "%2F").Replace(arn) + "/converse"; s.path != want {
		t.Errorf("path %s, want %s", s.path, want)
	}
}

func TestAPIKey(t *testing.T) {
	s, url := service(t, whole)
	client, err := NewClient(endpoint(url, claude), Credentials{APIKey: "bedrock-key"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if got := s.header.Get("Authorization"); got != "Bearer bedrock-key" {
		t.Errorf("authorization %q", got)
	}
}

// TestNoRetry: one Do is one attempt, also where the SDK would try again.
func TestNoRetry(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("X-Amz-Retry-After", "1500")
		w.Header().Set("X-Amzn-Errortype", "ServiceUnavailableException:http://internal.amazon.com/")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	client, err := NewClient(endpoint(server.URL, claude), signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Do(t.Context(), &llm.Call{Body: []byte(`{}`), Streamed: true})
	var e *llm.Error
	if !errors.As(err, &e) || e.Class != llm.ClassOverloaded || e.RetryAfter != 1500*time.Millisecond || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// TestNoCredentials: what fails before anything is sent is our fault, not the
// model's.
func TestNoCredentials(t *testing.T) {
	s, url := service(t, whole)
	failing := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("the role cannot be assumed")
	})
	client, err := NewClient(endpoint(url, claude), Credentials{Provider: failing}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)})
	if got := llm.ClassOf(err); got != llm.ClassAccess || s.calls != 0 {
		t.Errorf("%d calls, %v", s.calls, err)
	}
}

func TestNewClientRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		ep   llm.Endpoint
		who  Credentials
		want string
	}{
		"an ARN without family": {endpoint("", "arn:aws:bedrock:x"), signed(), "says no family"},
		"no credentials":        {endpoint("", claude), Credentials{}, "no AWS credentials"},
		"plain http":            {endpoint("http://example.com", claude), signed(), "plain http"},
	} {
		if _, err := NewClient(c.ep, c.who, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLoadCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AK")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SK")
	t.Setenv("MY_BEDROCK_KEY", "k")
	ep := endpoint("", claude)
	who, err := LoadCredentials(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := who.Provider.Retrieve(t.Context()); err != nil || got.AccessKeyID != "AK" || who.APIKey != "" {
		t.Errorf("got %v, %v", got.AccessKeyID, err)
	}
	ep.APIKeyEnv = "MY_BEDROCK_KEY"
	if who, err = LoadCredentials(t.Context(), ep); err != nil || who.APIKey != "k" {
		t.Errorf("got %+v, %v", who, err)
	}
}

// TestUnwantedCallIsReported: where "none" cannot be enforced, an answer that
// calls a tool says so.
func TestUnwantedCallIsReported(t *testing.T) {
	_, url := service(t, whole)
	client, err := NewClient(endpoint(url, llama), signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	call, err := client.Prepare(&llm.Request{Tools: []llm.Tool{fTool}, ToolChoice: llm.ToolChoice{Mode: "none"},
		Messages: []llm.Message{hi, calling(llm.ToolCall{ID: "c1", Name: "f"}), answering("c1", "x")}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"semantic approximated /tool_choice tool_choice_none_violated"}; !cmp.Equal(brief(resp.Gaps), want) {
		t.Errorf("gaps %v", brief(resp.Gaps))
	}
}
