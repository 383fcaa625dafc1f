package bedrock

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"understudy/llm"
	"understudy/llm/openai"
)

// A canned transport answers every request with the same bytes, and counts the bodies
// that were not closed.
type canned struct {
	status int
	body   func() io.Reader
	open   int
}

func (c *canned) RoundTrip(req *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, req.Body)
	c.open++
	return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: &counted{c.body(), c}, Request: req}, nil
}

type counted struct {
	io.Reader
	c *canned
}

func (b *counted) Close() error {
	if b.c != nil {
		b.c.open--
	}
	b.c = nil
	return nil
}

// prepared is a client over a canned answer, and a call.
func prepared(t testing.TB, c *canned, body string) (*Client, *llm.Call) {
	t.Helper()
	client, err := NewClient(endpoint("http://127.0.0.1:1", "meta.llama3-3-70b-instruct-v1:0"), signed(), &http.Client{Transport: c})
	if err != nil {
		t.Fatal(err)
	}
	req, err := openai.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	call, err := client.Prepare(req)
	if err != nil {
		t.Fatal(err)
	}
	return client, call
}

const hello = `{"model":"gpt","messages":[{"role":"user","content":"Hello."}]}`

// TestBodiesAreClosed: an answer's body is closed however the call ends, else its
// connection would be lost.
func TestBodiesAreClosed(t *testing.T) {
	whole := string(bytes.Join(stream(t), nil))
	cases := map[string]canned{
		"answer":              {status: 200, body: func() io.Reader { return strings.NewReader(whole) }},
		"cut answer":          {status: 200, body: func() io.Reader { return strings.NewReader(whole[:50]) }},
		"refusal":             {status: 400, body: func() io.Reader { return strings.NewReader(`{"message":"no"}`) }},
		"refusal that breaks": {status: 400, body: func() io.Reader { return iotest.ErrReader(errors.New("reset")) }},
		"endless refusal":     {status: 500, body: func() io.Reader { return iotest.DataErrReader(strings.NewReader(strings.Repeat("x", 2<<20))) }},
		"redirect":            {status: 307, body: func() io.Reader { return strings.NewReader("") }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, call := prepared(t, &c, hello)
			_, streamed := client.Do(t.Context(), call)
			call.Streamed = false
			_, atOnce := client.Do(t.Context(), call)
			if (streamed == nil) != (name == "answer") || atOnce == nil || c.open != 0 {
				t.Errorf("%d bodies are open; %v, %v", c.open, streamed, atOnce)
			}
		})
	}
}

// BenchmarkCall makes a call whose answer costs nothing to bring.
func BenchmarkCall(b *testing.B) {
	whole := bytes.Join(stream(b), nil)
	client, call := prepared(b, &canned{status: 200, body: func() io.Reader { return bytes.NewReader(whole) }}, hello)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Do(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}
