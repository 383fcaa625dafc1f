package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"understudy/internal/vendorspec"
	"understudy/llm"
)

// A call is one request that a fake control plane, or price list, was sent.
type controlCall struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
	fault        string // of its signature
}

// calls serves requests by answer and remembers them.
func serveCalls(t *testing.T, service, region string, answer func(call controlCall, n int) string) (*[]controlCall, string) {
	t.Helper()
	var seen []controlCall
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c := controlCall{r.Method, r.URL.EscapedPath(), r.URL.Query(), r.Header, body, wrongSignature(r, body, service, region)}
		seen = append(seen, c)
		_, _ = io.WriteString(w, answer(c, len(seen)))
	}))
	t.Cleanup(server.Close)
	return &seen, server.URL
}

// wrongSignature signs what arrived again for a service and a region, and compares.
func wrongSignature(r *http.Request, body []byte, service, region string) string {
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
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, again, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		return err.Error()
	}
	if want := again.Header.Get("Authorization"); got != want {
		return "signed\n got " + got + "\nwant " + want
	}
	return ""
}

func controlOf(t *testing.T, address string, who Credentials) *Control {
	t.Helper()
	ep := endpoint("", claude)
	ep.ControlURL = address
	c, err := NewControl(ep, who, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const modelsAnswer = `{"modelSummaries":[
 {"modelArn":"arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0","modelId":"anthropic.claude-3-haiku-20240307-v1:0",
  "modelName":"Claude 3 Haiku","providerName":"Anthropic","inputModalities":["TEXT","IMAGE"],"outputModalities":["TEXT"],
  "responseStreamingSupported":true,"customizationsSupported":[],"inferenceTypesSupported":["ON_DEMAND"],
  "modelLifecycle":{"status":"LEGACY","startOfLifeTime":"2024-03-13T00:00:00Z","legacyTime":"2026-03-10T00:00:00Z","endOfLifeTime":"2026-09-10T07:00:00Z"}},
 {"modelArn":"arn:aws:bedrock:eu-west-1::foundation-model/cohere.embed-v4:0","modelId":"cohere.embed-v4:0"}]}`

const profilesAnswer = `{"inferenceProfileSummaries":[
 {"inferenceProfileName":"EU Haiku","description":"Routes requests","createdAt":"2024-08-26T00:00:00Z","updatedAt":"2024-09-26T00:00:00.5Z",
  "inferenceProfileArn":"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0",
  "inferenceProfileId":"eu.anthropic.claude-3-haiku-20240307-v1:0","status":"ACTIVE","type":"SYSTEM_DEFINED",
  "models":[{"modelArn":"arn:aws:bedrock:eu-west-3::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"},
            {"modelArn":"arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"},
            {"modelArn":"arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"}]},
 {"inferenceProfileName":"Global Sonnet","inferenceProfileArn":"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/global.anthropic.claude-sonnet-4-6",
  "inferenceProfileId":"global.anthropic.claude-sonnet-4-6","status":"ACTIVE","type":"SYSTEM_DEFINED",
  "models":[{"modelArn":"arn:aws:bedrock:::foundation-model/anthropic.claude-sonnet-4-6"},
            {"modelArn":"arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-sonnet-4-6"}]}],"nextToken":"page 2"}`

const applicationAnswer = `{"inferenceProfileName":"team a","inferenceProfileArn":"arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123def456",
 "inferenceProfileId":"abc123def456","status":"ACTIVE","type":"APPLICATION",
 "models":[{"modelArn":"arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-pro-v1:0"}]}`

// TestControlFakesKeepTheDefinition: what the fakes answer is what the service's own
// definition allows. It says of ARNs of models that a region is named; those of
// global profiles name none, and are left out here.
func TestControlFakesKeepTheDefinition(t *testing.T) {
	spec := vendorspec.Bedrock(t)
	for shape, text := range map[string]string{
		"ListFoundationModelsResponse":  modelsAnswer,
		"ListInferenceProfilesResponse": strings.ReplaceAll(strings.ReplaceAll(profilesAnswer, "bedrock:::", "bedrock:us-east-1::"), "page 2", "page-2"),
		"GetInferenceProfileResponse":   applicationAnswer,
	} {
		for _, fault := range spec.Check(shape, []byte(text)) {
			t.Errorf("%s%s", shape, fault)
		}
	}
}

// TestControlModels: one signed GET, at the address of control_url whatever the
// environment says.
func TestControlModels(t *testing.T) {
	t.Setenv("AWS_BEARER_TOKEN_BEDROCK", "must-not-be-used")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL_BEDROCK", "http://127.0.0.1:1")
	seen, address := serveCalls(t, "bedrock", "eu-west-1", func(controlCall, int) string { return modelsAnswer })
	got, err := controlOf(t, address, signed()).Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Model{{
		ID: "anthropic.claude-3-haiku-20240307-v1:0", Provider: "Anthropic", Status: "LEGACY", Streaming: true,
		Legacy: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC), EndOfLife: time.Date(2026, 9, 10, 7, 0, 0, 0, time.UTC),
		InferenceTypes: []string{"ON_DEMAND"}, InputModalities: []string{"TEXT", "IMAGE"},
	}, {ID: "cohere.embed-v4:0"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := (*seen)[0]; len(*seen) != 1 || c.method != "GET" || c.path != "/foundation-models" || len(c.query) != 0 || c.fault != "" {
		t.Errorf("asked %d times, %+v", len(*seen), c)
	}
}

// TestControlProfiles: all pages of both types, each type asked for by name, since
// the service lists only its own profiles otherwise.
func TestControlProfiles(t *testing.T) {
	seen, address := serveCalls(t, "bedrock", "eu-west-1", func(c controlCall, n int) string {
		switch {
		case c.query.Get("type") == "APPLICATION":
			return `{"inferenceProfileSummaries":[` + applicationAnswer + `]}`
		case c.query.Get("nextToken") == "":
			return profilesAnswer
		}
		return `{"inferenceProfileSummaries":[]}`
	})
	got, err := controlOf(t, address, signed()).Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:bedrock:eu-west-1:123456789012:"
	want := []Profile{
		{ID: "eu.anthropic.claude-3-haiku-20240307-v1:0", ARN: arn + "inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0", Type: "SYSTEM_DEFINED",
			Status: "ACTIVE", Models: []string{"anthropic.claude-3-haiku-20240307-v1:0"}, Destinations: []string{"eu-central-1", "eu-west-3"}},
		{ID: "global.anthropic.claude-sonnet-4-6", ARN: arn + "inference-profile/global.anthropic.claude-sonnet-4-6", Type: "SYSTEM_DEFINED", Status: "ACTIVE",
			Models: []string{"anthropic.claude-sonnet-4-6"}, Destinations: []string{"eu-west-1"}, Anywhere: true},
		{ID: "abc123def456", ARN: arn + "application-inference-profile/abc123def456", Type: "APPLICATION", Status: "ACTIVE",
			Models: []string{"amazon.nova-pro-v1:0"}, Destinations: []string{"eu-west-1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var asked []string
	for _, c := range *seen {
		asked = append(asked, c.method+" "+c.path+"?"+c.query.Encode()+c.fault)
	}
	wantAsked := []string{
		"GET /inference-profiles?maxResults=1000&type=SYSTEM_DEFINED",
		"GET /inference-profiles?maxResults=1000&nextToken=page+2&type=SYSTEM_DEFINED",
		"GET /inference-profiles?maxResults=1000&type=APPLICATION",
	}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestControlProfile: an ARN is one segment of the path, and an endpoint's API key
// goes as a bearer token.
func TestControlProfile(t *testing.T) {
	seen, address := serveCalls(t, "bedrock", "eu-west-1", func(controlCall, int) string { return applicationAnswer })
	const arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123def456"
	got, err := controlOf(t, address, Credentials{APIKey: "bedrock-key"}).Profile(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "abc123def456" || got.ARN != arn || !cmp.Equal(got.Destinations, []string{"eu-west-1"}) {
		t.Errorf("got %+v", got)
	}
	c := (*seen)[0]
	if want := "/inference-profiles/" + strings.NewReplacer(":", "%3A", "/", "%2F").Replace(arn); c.path != want || c.header.Get("Authorization") != "Bearer bedrock-key" {
		t.Errorf("path %s, want %s; authorization %q", c.path, want, c.header.Get("Authorization"))
	}
}

// TestControlAddress: without control_url the SDK's own address of the region is
// asked, whatever the environment says.
func TestControlAddress(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	var host string
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		host = r.URL.Scheme + "://" + r.URL.Host
		return nil, errors.New("no network")
	})}
	c, err := NewControl(endpoint("", claude), signed(), client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Models(t.Context()); llm.ClassOf(err) != llm.ClassNetwork || host != "https://bedrock.eu-west-1.amazonaws.com" {
		t.Errorf("asked %q: %v", host, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestControlErrors: every refusal has its class, after one attempt.
func TestControlErrors(t *testing.T) {
	fails := func(status int, name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amzn-Errortype", name+":http://internal.amazon.com/")
			w.Header().Set("X-Amzn-Requestid", "req-9")
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"message":"because"}`)
		}
	}
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) }
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		class llm.Class
		text  string
	}{
		"access":     {fails(403, "AccessDeniedException"), llm.ClassAccess, "get inference profile: access (HTTP 403 AccessDeniedException): because"},
		"validation": {fails(400, "ValidationException"), llm.ClassInvalid, "because"},
		"not found":  {fails(404, "ResourceNotFoundException"), llm.ClassNotFound, "because"},
		"throttled":  {fails(429, "ThrottlingException"), llm.ClassThrottled, "because"},
		"server":     {fails(500, "InternalServerException"), llm.ClassOverloaded, "because"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
			llm.ClassNotFound, "HTTP 302"},
		"no JSON":    {says("<html>"), llm.ClassMalformed, ""},
		"no id":      {says(`{"models":[]}`), llm.ClassMalformed, "without an id"},
		"no ARN":     {says(`{"inferenceProfileId":"p","models":[{"modelArn":"x"}]}`), llm.ClassMalformed, `"x" is no model ARN`},
		"too long":   {says(`{"x":"` + strings.Repeat("x", maxQuestionAnswer) + `"}`), llm.ClassMalformed, "longer than"},
		"cut answer": {cutAfter(`{"inferenceProfileId":`), llm.ClassTruncated, ""},
		"silence": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"inferenceProfileId":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, llm.ClassTimeout, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				c.serve(w, r)
			}))
			defer server.Close()
			control := controlOf(t, server.URL, signed())
			control.endpoint.StallTimeout = 200 * time.Millisecond
			_, err := control.Profile(t.Context(), "eu.x")
			var e *llm.Error
			if !errors.As(err, &e) || e.Class != c.class || e.Op != "get inference profile" || e.Endpoint != "cand" || e.NotSent {
				t.Fatalf("got %v, want class %s", err, c.class)
			}
			if !strings.Contains(err.Error(), c.text) || calls.Load() != 1 {
				t.Errorf("%d calls, %v, want %q", calls.Load(), err, c.text)
			}
			if strings.Contains(c.text, "because") && (e.RetryAfter != 3*time.Second || e.RequestID != "req-9") {
				t.Errorf("retry after %s, request %q", e.RetryAfter, e.RequestID)
			}
		})
	}
}

// cutAfter promises more than it sends.
func cutAfter(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)+100))
		_, _ = io.WriteString(w, text)
	}
}

// TestControlNothingSent: what fails before anything left says so.
func TestControlNothingSent(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	for name, c := range map[string]struct {
		ctx   context.Context
		class llm.Class
	}{"nobody listens": {t.Context(), llm.ClassNetwork}, "cancelled": {cancelled, llm.ClassCancelled}} {
		_, err := controlOf(t, address, signed()).Models(c.ctx)
		var e *llm.Error
		if !errors.As(err, &e) || e.Class != c.class || !e.NotSent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestControlListEnds: a list whose pages never end is given up.
func TestControlListEnds(t *testing.T) {
	seen, address := serveCalls(t, "bedrock", "eu-west-1", func(controlCall, int) string {
		return `{"inferenceProfileSummaries":[],"nextToken":"again"}`
	})
	_, err := controlOf(t, address, signed()).Profiles(t.Context())
	if llm.ClassOf(err) != llm.ClassMalformed || !strings.Contains(err.Error(), "does not end") || len(*seen) != maxPages {
		t.Errorf("%d pages, %v", len(*seen), err)
	}
}

func TestNewControlRefuses(t *testing.T) {
	far := endpoint("", claude)
	far.ControlURL = "http://example.com"
	nowhere := endpoint("", claude)
	nowhere.Region = ""
	for name, c := range map[string]struct {
		ep   llm.Endpoint
		who  Credentials
		want string
	}{
		"no credentials": {endpoint("", claude), Credentials{}, "no AWS credentials"},
		"plain http":     {far, signed(), "control_url \"http://example.com\" uses plain http"},
		"no region":      {nowhere, signed(), "set region"},
	} {
		if _, err := NewControl(c.ep, c.who, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
