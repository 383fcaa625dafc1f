package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"understudy/llm/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gpt    = "gpt-4-turbo"
	claude = "anthropic.claude-3-5-sonnet-20240620-v1:0"
	llama  = "us.meta.llama3-3-70b-instruct-v1:0"
)

// quick is a persona that costs no time.
func quick() sim.Persona { return sim.Persona{TTFTShare: 0.5} }

func fixture() string { return filepath.Join("testdata", "answers.jsonl") }

// start serves a simulator until the test ends. Without personas of its own it
// gets one that does not wait.
func start(t *testing.T, cfg sim.Config) *sim.Server {
	t.Helper()
	if cfg.Personas == nil {
		cfg.Personas = map[string]sim.Persona{"*": quick()}
	}
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// transport is an HTTP client whose connections end with the test.
func transport(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// wholeBody sends a request with a body that nobody can close early. The SDK
// closes the body as soon as an answer begins; when that meets the transport's
// last look for more of it, the connection is closed under a stream that has
// just begun. Only a server as quick as this one shows it.
type wholeBody struct{ http *http.Client }

func (w wholeBody) Do(req *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	own := *req
	own.Body = io.NopCloser(bytes.NewReader(b))
	return w.http.Do(&own)
}

func bedrockClient(t *testing.T, s *sim.Server) *bedrockruntime.Client {
	t.Helper()
	return bedrockruntime.New(bedrockruntime.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), HTTPClient: wholeBody{transport(t)}, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", ""),
	})
}

func openaiClient(t *testing.T, s *sim.Server) openai.Client {
	t.Helper()
	return openai.NewClient(option.WithBaseURL(s.URL()+"/v1"), option.WithAPIKey("sk-simulated"), option.WithMaxRetries(0),
		option.WithHTTPClient(transport(t)))
}

// answer is what a raw call got.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // while reading the body
}

// object is the body as JSON.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return m
}

// post sends a raw body with a bearer key, which both kinds take.
func post(t *testing.T, s *sim.Server, path, body string) answer {
	t.Helper()
	return send(t, transport(t), s, http.MethodPost, path, body)
}

func send(t *testing.T, c *http.Client, s *sim.Server, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-simulated")
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b, err}
}

// eventually polls until ok or two seconds have gone.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
