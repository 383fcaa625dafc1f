package sim_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/bedrock"
	"github.com/openai/openai-go/v3/option"

	"understudy/llm/sim"
)

// TestOpenAIsClientForBedrock: what OpenAI's own client signs is taken at both of
// Bedrock's addresses, whole and streamed, and so is its list of models.
func TestOpenAIsClientForBedrock(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true, NoAccess: []string{"hidden"},
		Personas: map[string]sim.Persona{"*": quick(), "openai.gpt-oss-20b-1:0": quick(), "hidden": quick()}})
	for name, at := range map[string]struct {
		endpoint bedrock.Endpoint
		path     string
	}{
		"runtime": {bedrock.EndpointRuntime, "/openai/v1"}, "mantle": {bedrock.EndpointMantle, "/v1"}, "mantle, the other path": {bedrock.EndpointMantle, "/openai/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := bedrock.NewClient(t.Context(), bedrock.Config{Endpoint: at.endpoint, AWSRegion: "us-east-1", BaseURL: s.URL() + at.path,
				AWSCredentialsProvider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "SESSION")},
				option.WithHTTPClient(transport(t)), option.WithMaxRetries(0))
			if err != nil {
				t.Fatal(err)
			}
			var p openai.ChatCompletionNewParams
			if err := p.UnmarshalJSON([]byte(chatBody("Weather in Oslo and Rome?", weatherFunction))); err != nil {
				t.Fatal(err)
			}
			calls := []string{`weather {"city":  "Oslo", "n": 1.0, "z": 1e2, "a": null}`, `weather {"city": "Røma <&>"}`}
			got, err := c.Chat.Completions.New(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			checkCompletion(t, got, "", calls, "tool_calls")
			if strings.Contains(got.RawJSON(), "content_filter_results") {
				t.Error("Azure's filters answer for AWS")
			}
			checkStream(t, c.Chat.Completions.NewStreaming(t.Context(), p), calls)
			models, err := c.Models.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, m := range models.Data {
				ids = append(ids, m.ID)
			}
			if !slices.IsSorted(ids) || !slices.Contains(ids, gpt) || !slices.Contains(ids, "openai.gpt-oss-20b-1:0") || slices.Contains(ids, "hidden") {
				t.Errorf("models %v", ids)
			}
		})
	}
}

type chunks interface {
	Next() bool
	Current() openai.ChatCompletionChunk
	Err() error
	Close() error
}

func checkStream(t *testing.T, stream chunks, calls []string) {
	t.Helper()
	defer func() { _ = stream.Close() }()
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatal("a chunk does not belong")
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	checkCompletion(t, &acc.ChatCompletion, "", calls, "tool_calls")
}

// TestWhoCallsOpenAI: who is let in on which path, and who is told what.
func TestWhoCallsOpenAI(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	now := time.Now().UTC()
	sign := func(service string) map[string]string {
		return map[string]string{"X-Amz-Date": now.Format("20060102T150405Z"),
			"Authorization": "AWS4-HMAC-SHA256 Credential=AKID/" + now.Format("20060102") + "/us-east-1/" + service + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("a", 64)}
	}
	old := sign("bedrock")
	old["X-Amz-Date"] = now.Add(-time.Hour).Format("20060102T150405Z")
	const azure = "/openai/deployments/" + gpt + "/chat/completions?api-version=2024-10-21"
	bearer := map[string]string{"Authorization": "Bearer eyJ0eXAiOiJKV1QifQ.e30.c2ln"}
	for name, c := range map[string]struct {
		path   string
		header map[string]string
		status int
		says   string
	}{
		"runtime":                     {"/openai/v1/chat/completions", sign("bedrock"), 200, ""},
		"mantle":                      {"/v1/chat/completions", sign("bedrock-mantle"), 200, ""},
		"another service":             {"/openai/v1/chat/completions", sign("execute-api"), 403, "IncompleteSignatureException"},
		"an old signature":            {"/openai/v1/chat/completions", old, 403, "InvalidSignatureException"},
		"no signature in it":          {"/openai/v1/chat/completions", map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, 403, "IncompleteSignatureException"},
		"Azure, a token":              {azure, bearer, 200, ""},
		"Azure, the newer path":       {"/openai/v1/chat/completions", bearer, 200, ""},
		"Azure, a key":                {azure, map[string]string{"Api-Key": "0123456789abcdef"}, 200, ""},
		"Azure, an empty token":       {azure, map[string]string{"Authorization": "Bearer "}, 401, ""},
		"Azure, nothing":              {azure, nil, 401, ""},
		"Azure's path, signed":        {azure, sign("bedrock"), 404, ""},
		"OpenAI with Azure's api-key": {"/v1/chat/completions", map[string]string{"Api-Key": "0123456789abcdef"}, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+c.path, strings.NewReader(chatBody("What is two and two?", "")))
			for k, v := range c.header {
				req.Header.Set(k, v)
			}
			resp, err := transport(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			says, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
			if resp.StatusCode != c.status || says != c.says {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, says, c.status, c.says)
			}
		})
	}
	for _, header := range []string{"", "Bearer sk-simulated"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/v1/models", nil)
		req.Header.Set("Authorization", header)
		resp, err := transport(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if want := map[bool]int{true: 401, false: 200}[header == ""]; resp.StatusCode != want {
			t.Errorf("models with %q: %d, want %d", header, resp.StatusCode, want)
		}
	}
}
