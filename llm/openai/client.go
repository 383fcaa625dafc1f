package openai

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"understudy/llm"
)

const (
	// defaultBaseURL is where an endpoint without base_url is.
	defaultBaseURL = "https://api.openai.com/v1"
	// defaultAPIVersion is Azure's first generally available version whose streams
	// report usage.
	defaultAPIVersion = "2024-10-21"
	// imageTokens is an allowance for each image, above what any detail costs
	// (gpt-4o-mini: 2,833 + 5,667 for each of at most eight tiles).
	imageTokens = 50_000
	// unseenTokens is one for a file, or for what a search finds: no model takes
	// more than a million tokens.
	unseenTokens = 1_000_000
	// maxErrorBody bounds how much of an error answer is read.
	maxErrorBody = 1 << 20
	// pieceSize is how much of a stream one read may bring.
	pieceSize = 32 << 10

	idleTimeout      = 90 * time.Second
	handshakeTimeout = 10 * time.Second
)

// A Client calls one endpoint that speaks Chat Completions: OpenAI, Azure OpenAI, or
// anything compatible. It asks for a stream with usage, so that first-token time and cost
// exist whatever the application asked for, unless Request.Whole is set.
type Client struct {
	endpoint llm.Endpoint
	url      string
	who      Authorizer   // nil where nobody asks
	allowed  func() error // nil where nothing is restricted
	http     *http.Client
}

var _ llm.Client = (*Client)(nil)

// NewClient makes a client that calls ep with a key, which goes out as bearer token,
// to Azure as api-key; without one no such header is sent. For the rest see NewClientAs.
func NewClient(ep llm.Endpoint, key string, httpClient *http.Client) (*Client, error) {
	if ep.Auth != "" && ep.Auth != llm.AuthKey {
		return nil, fmt.Errorf("endpoint %s: auth %q is no key", ep.Name, ep.Auth)
	}
	if strings.ContainsAny(key, "\r\n\x00") {
		return nil, fmt.Errorf("endpoint %s: the API key holds a line break; check api_key_env or api_key_file", ep.Name)
	}
	return NewClientAs(ep, keyAuthorizer(ep, key), httpClient)
}

// NewClientAs makes a client for ep whose every request who authorizes; with a nil
// who they say nothing of who calls. With a nil httpClient it has connections of its
// own, enough of them kept open for the endpoint's concurrency. Redirects are
// never followed: where requests go is decided by the configuration alone.
func NewClientAs(ep llm.Endpoint, who Authorizer, httpClient *http.Client) (*Client, error) {
	base := ep.BaseURL
	if base == "" {
		if ep.Auth == llm.AuthSigV4 {
			return nil, fmt.Errorf("endpoint %s: base_url is missing: what AWS signs for does not go to OpenAI", ep.Name)
		}
		base = defaultBaseURL
	}
	if err := llm.ValidBaseURL(base); err != nil {
		return nil, fmt.Errorf("endpoint %s: base_url %w", ep.Name, err)
	}
	own := http.Client{Transport: transport(ep.Concurrency)}
	if httpClient != nil {
		own = *httpClient
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{endpoint: ep, url: strings.TrimRight(base, "/") + "/chat/completions", who: who, http: &own}
	if ep.Provider == "azure" {
		c.url = azureURL(ep)
	}
	return c, nil
}

// Restrict makes every later call ask check first, whose error the call then returns
// as it is; nothing is sent, and nobody is asked for credentials. It must not run
// beside a call.
func (c *Client) Restrict(check func() error) { c.allowed = check }

// azureURL addresses a deployment, or, under a base URL that ends in /openai/v1,
// the surface that takes the deployment from the body.
func azureURL(ep llm.Endpoint) string {
	base := strings.TrimRight(ep.BaseURL, "/")
	if strings.HasSuffix(base, "/openai/v1") {
		return base + "/chat/completions"
	}
	version := ep.APIVersion
	if version == "" {
		version = defaultAPIVersion
	}
	return base + "/openai/deployments/" + url.PathEscape(ep.Model) + "/chat/completions?api-version=" + url.QueryEscape(version)
}

func transport(concurrency int) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableCompression: true}
	t.MaxIdleConnsPerHost = max(concurrency, http.DefaultMaxIdleConnsPerHost)
	t.IdleConnTimeout = idleTimeout
	t.TLSHandshakeTimeout = handshakeTimeout
	return t
}

// Prepare gives the call's body: that of Request.Raw, byte for byte but for the
// model, the stream options and a limit of output tokens where it has none, or
// the encoded request where it was built in Go. This wire has no other gap.
func (c *Client) Prepare(req *llm.Request) (*llm.Call, error) {
	var gaps []llm.Gap
	limit := 0
	if req.MaxTokens == nil || *req.MaxTokens < 1 {
		limit = c.endpoint.Limit(req.UsualTokens)
		gaps = append(gaps, llm.LimitGap(limit))
		own := *req
		own.MaxTokens, req = &limit, &own
	}
	var body []byte
	if req.Raw != nil {
		body = splice(req.Raw, c.endpoint.Model, limit, !req.Whole)
	} else {
		body = EncodeRequest(req, c.endpoint.Model)
	}
	tier := llm.Tier("")
	if f := req.ResponseFormat; f != nil && f.Type != "text" {
		tier = llm.TierNative
	}
	return &llm.Call{
		Body: body, Gaps: gaps, Tier: tier, Streamed: !req.Whole,
		ServiceTier:     llm.ServiceTierOf(req.ServiceTier),
		MaxInputTokens:  len(body) + unseen(req),
		MaxOutputTokens: c.maxOutput(req),
	}, nil
}

// unseen bounds the input tokens that do not stand in the body as text.
func unseen(req *llm.Request) int {
	n := 0
	for _, path := range []string{"/web_search_options", "/data_sources"} {
		if req.Field(path) != nil {
			n += unseenTokens
		}
	}
	for i := range req.Messages {
		for _, p := range req.Messages[i].Parts {
			switch p.Kind {
			case llm.PartImage:
				n += imageTokens
			case llm.PartFile, llm.PartAudio, llm.PartOther:
				n += unseenTokens
			}
		}
	}
	return n
}

// maxOutput bounds the billed output: the limit for each of n choices, and a
// prediction, whose rejected tokens are billed beside the answer.
func (c *Client) maxOutput(req *llm.Request) int {
	limit := c.endpoint.MaxOutputTokens
	if req.MaxTokens != nil {
		limit = max(*req.MaxTokens, 0)
	}
	if older, ok := integer(req.Field("/max_tokens")); ok { // which of both counts is the server's affair
		limit = max(limit, older)
	}
	if n, ok := integer(req.Field("/n")); ok && n > 1 {
		limit *= n
	}
	return limit + len(req.Field("/prediction"))
}

// Do makes one attempt. See llm.Client.
func (c *Client) Do(ctx context.Context, call *llm.Call) (*llm.Response, error) {
	if c.allowed != nil {
		if err := c.allowed(); err != nil {
			return nil, err
		}
	}
	a := llm.StartAttempt(ctx, c.endpoint.Timeout, c.endpoint.StallTimeout)
	defer a.End()
	req, err := c.request(a, call.Body)
	if err != nil {
		return nil, c.fault(err, nil)
	}
	a.Restart()
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, c.fault(&llm.Error{Class: a.Class(err, false), NotSent: !a.Sent(), Err: fmt.Errorf("send request: %w", err)}, nil)
	}
	defer answer.Body.Close()
	a.Heard()
	body := a.Reader(answer.Body)
	switch {
	case answer.StatusCode != http.StatusOK:
		return nil, c.refusal(answer, a, body)
	case strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json"):
		resp, err := c.whole(answer, a, body)
		if err == nil && call.Emit != nil {
			resp.Emit(call.Emit)
		}
		return resp, err
	}
	return c.stream(answer, a, body, call.Emit)
}

// request is the call on the wire, up to who calls.
func (c *Client) request(a *llm.Attempt, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(a.Context(), http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, &llm.Error{Class: llm.ClassInvalid, Err: fmt.Errorf("make request: %w", err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream, application/json")
	req.Header.Set("User-Agent", "understudy")
	return req, c.authorize(a, req, body)
}

// refusal reads an answer that is an error.
func (c *Client) refusal(answer *http.Response, a *llm.Attempt, body io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err != nil && len(text) == 0 {
		return c.fault(&llm.Error{Class: a.Class(err, true), Status: answer.StatusCode, Err: fmt.Errorf("read error answer: %w", err)}, answer)
	}
	return c.fault(DecodeError(answer.StatusCode, answer.Header, text), answer)
}

// whole reads the answer of a provider that did not stream.
func (c *Client) whole(answer *http.Response, a *llm.Attempt, body io.Reader) (*llm.Response, error) {
	text, err := io.ReadAll(io.LimitReader(body, DefaultLimit+1))
	total := a.Elapsed()
	if err != nil {
		return nil, c.fault(&llm.Error{Class: a.Class(err, true), Err: fmt.Errorf("read answer: %w", err)}, answer)
	}
	if len(text) > DefaultLimit {
		return nil, c.fault(malformed("read answer: it is longer than %d bytes", DefaultLimit), answer)
	}
	resp, err := DecodeResponse(text)
	if err != nil {
		return nil, c.fault(err, answer)
	}
	resp.RequestID, resp.Timing.Total = requestID(answer.Header), total
	return resp, nil
}

// stream reads the answer's events to the terminal one.
func (c *Client) stream(answer *http.Response, a *llm.Attempt, body io.Reader, emit func(llm.Event)) (*llm.Response, error) {
	asm := Assembler{Emit: emit}
	var timing llm.Timing
	var broken error
	piece := make([]byte, pieceSize)
	for !asm.Done() && asm.Err() == nil {
		n, err := body.Read(piece)
		_, _ = asm.Write(piece[:n]) // never fails: what is wrong comes with Close
		if n > 0 && timing.FirstToken == 0 && asm.Begun() {
			timing.FirstToken = a.Elapsed()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				broken = err
			}
			break
		}
	}
	timing.Total = a.Elapsed()
	verdict := asm.Close()
	resp := asm.Response()
	resp.RequestID, resp.Timing = requestID(answer.Header), timing
	switch {
	case verdict != nil && broken != nil && asm.Err() == nil:
		return resp, c.fault(&llm.Error{Class: a.Class(broken, true), Err: fmt.Errorf("read stream: %w", broken)}, answer)
	case verdict != nil:
		return resp, c.fault(verdict, answer)
	}
	a.Drain(answer.Body)
	return resp, nil
}

// fault puts what every error of this client says onto err.
func (c *Client) fault(err error, answer *http.Response) error {
	var e *llm.Error
	if !errors.As(err, &e) {
		e = malformed("%w", err)
	}
	e.Op, e.Endpoint = "chat completion", c.endpoint.Name
	if answer != nil {
		e.RequestID = requestID(answer.Header)
	}
	return e
}
