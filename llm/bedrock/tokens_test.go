package bedrock

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"understudy/internal/vendorspec"
	"understudy/llm"
)

// TestCountTokens: the members that can be counted go out with the very bytes that
// they have in the call, to the base model, signed.
func TestCountTokens(t *testing.T) {
	s, url := service(t, `{"inputTokens":17}`)
	client, err := NewClient(endpoint(url, "eu."+claude), signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tools := []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{ "type":"object",  "<é>":1.0}`), Path: "/tools/0"}}
	call, err := client.Prepare(&llm.Request{Messages: []llm.Message{hi}, Tools: tools, MaxTokens: ptr(9)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.CountTokens(t.Context(), call)
	if err != nil || got != 17 {
		t.Fatalf("got %d, %v", got, err)
	}
	if want := "/model/" + strings.ReplaceAll(claude, ":", "%3A") + "/count-tokens"; s.path != want || s.fault != "" || s.calls != 1 {
		t.Errorf("%d calls of %s, want %s; %s", s.calls, s.path, want, s.fault)
	}
	if body := string(s.body); !strings.Contains(body, `{ "type":"object",  "<é>":1.0}`) || strings.Contains(body, "inferenceConfig") {
		t.Errorf("sent %s", body)
	}
	for _, fault := range vendorspec.BedrockRuntime(t).Check("CountTokensRequest", s.body) {
		t.Errorf("CountTokensRequest%s", fault)
	}
}

func TestCountedBody(t *testing.T) {
	const call = "{ \"inferenceConfig\":{\"maxTokens\":5},\n\"system\" : [ {\"text\":\"\\u0061<&>\u2028\"} ],\"additionalModelRequestFields\":{\"n\":1.0,\"big\":1e400},\"messages\":[]}"
	const want = "{\"input\":{\"converse\":{\"messages\":[],\"system\":[ {\"text\":\"\\u0061<&>\u2028\"} ],\"additionalModelRequestFields\":{\"n\":1.0,\"big\":1e400}}}}"
	if got, err := countedBody([]byte(call)); err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
	if _, err := countedBody([]byte(`[]`)); llm.ClassOf(err) != llm.ClassUntranslatable {
		t.Errorf("a list: %v", err)
	}
}

func TestCountedModel(t *testing.T) {
	const arn = "arn:aws:bedrock:eu-west-1:123456789012:"
	for _, c := range []struct{ model, family, want string }{
		{claude, "", claude},
		{"us." + claude, "", claude},
		{"global." + claude, "claude", claude},
		{"arn:aws:bedrock:eu-west-1::foundation-model/" + claude, "claude", "arn:aws:bedrock:eu-west-1::foundation-model/" + claude},
		{arn + "inference-profile/eu." + claude, "claude", claude},
		{arn + "application-inference-profile/abc", "eu." + claude, claude},
		{arn + "application-inference-profile/abc", "claude", ""},
	} {
		ep := endpoint("", c.model)
		ep.Family = c.family
		got, err := countedModel(ep)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s of family %q: got %q, %v", c.model, c.family, got, err)
		}
	}
}

// TestCountTokensErrors: a refusal has its class, and no proposal is drawn from it.
func TestCountTokensErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string
		body   string
		class  llm.Class
	}{
		"not for this model": {400, "ValidationException", `{"message":"The provided model doesn't support counting tokens."}`, llm.ClassInvalid},
		"throttled":          {429, "ThrottlingException", `{"message":"slow"}`, llm.ClassThrottled},
		"no access":          {403, "AccessDeniedException", `{"message":"no"}`, llm.ClassAccess},
		"too long":           {400, "ValidationException", `{"message":"Input is too long for requested model."}`, llm.ClassContext},
		"no count":           {200, "", `{}`, llm.ClassMalformed},
		"below zero":         {200, "", `{"inputTokens":-1}`, llm.ClassMalformed},
		"no JSON":            {200, "", `<html>`, llm.ClassMalformed},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.code != "" {
				w.Header().Set("X-Amzn-Errortype", c.code)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		client, err := NewClient(endpoint(server.URL, claude), signed(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.CountTokens(t.Context(), &llm.Call{Body: []byte(`{"messages":[]}`)})
		var e *llm.Error
		if !errors.As(err, &e) || e.Class != c.class || e.Op != "count tokens" || e.Proposal != "" || e.NotSent {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

// TestCountTokensKeepsThePolicy: counting sends the prompt, to the endpoint's own
// region.
func TestCountTokensKeepsThePolicy(t *testing.T) {
	s, url := service(t, `{"inputTokens":1}`)
	client, err := NewClient(endpoint(url, "eu."+claude), signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	call := &llm.Call{Body: []byte(`{"messages":[]}`)}
	client.Restrict(NewRegionPolicy([]string{"eu-central-1"}))
	if _, err := client.CountTokens(t.Context(), call); llm.ClassOf(err) != llm.ClassAccess || s.calls != 0 {
		t.Errorf("%d calls, %v", s.calls, err)
	}
	client.Restrict(NewRegionPolicy([]string{"eu-west-1"}))
	if _, err := client.CountTokens(t.Context(), call); err != nil || s.calls != 1 {
		t.Errorf("%d calls, %v", s.calls, err)
	}
}
