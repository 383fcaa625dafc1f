package bedrock

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/smithy-go/auth/bearer"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"understudy/llm"
)

const (
	// mediaTokens and toolTokens are allowances, for each image or piece of speech
	// and for the hidden prompt by which a model learns of its tools.
	mediaTokens = 2000
	toolTokens  = 1000
	// documentTokens is one for each document whose bytes are compressed, or hold
	// pictures of its pages: no model takes more than a million tokens.
	documentTokens = 1_000_000

	idleTimeout      = 90 * time.Second
	handshakeTimeout = 10 * time.Second
)

// A Client calls one model on Bedrock through the AWS SDK, which signs and
// addresses the call. The body that goes out is Call.Body byte for byte, the
// answer is read from its own bytes, and the SDK never retries.
type Client struct {
	endpoint llm.Endpoint
	family   Family
	runtime  *bedrockruntime.Client
	policy   *RegionPolicy
}

var _ llm.Client = (*Client)(nil)

// NewClient makes a client for ep, whose family must be declared or plain from
// its model id. With a nil httpClient it has connections of its own, enough of
// them kept open for the endpoint's concurrency. No I/O happens before Do.
func NewClient(ep llm.Endpoint, who Credentials, httpClient *http.Client) (*Client, error) {
	family, ok := FamilyOf(ep.Family, ep.Model)
	if !ok {
		return nil, fmt.Errorf("endpoint %s: %w", ep.Name, NoFamily(ep.Family, ep.Model))
	}
	if who.Provider == nil && who.APIKey == "" {
		return nil, fmt.Errorf("endpoint %s: no AWS credentials; configure the AWS chain or api_key_env", ep.Name)
	}
	if ep.BaseURL != "" {
		if err := llm.ValidBaseURL(ep.BaseURL); err != nil {
			return nil, fmt.Errorf("endpoint %s: base_url %w", ep.Name, err)
		}
	}
	options := bedrockruntime.Options{
		Region: region(ep), Credentials: who.untraced(), HTTPClient: tap{oneHop(httpClient, ep.Concurrency)}, Retryer: aws.NopRetryer{},
	}
	if ep.BaseURL != "" {
		options.BaseEndpoint = aws.String(ep.BaseURL)
	}
	return &Client{
		endpoint: ep, family: family.WithCapabilities(ep.Capabilities),
		runtime: bedrockruntime.New(options, who.apply),
	}, nil
}

// Restrict makes every later call ask p first whether the regions that may process
// it are allowed; what is refused is not sent. A nil p allows all. It must not run
// beside a call.
func (c *Client) Restrict(p *RegionPolicy) { c.policy = p }

// apply decides the way to sign. It runs after the SDK has looked at the
// environment, where a bearer token would otherwise win over credentials.
func (who Credentials) apply(o *bedrockruntime.Options) {
	if who.APIKey == "" {
		o.BearerAuthTokenProvider = nil
		o.AuthSchemePreference = []string{"sigv4"}
		return
	}
	o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: who.APIKey}}
	o.BearerAuthSigner = keySigner{}
	o.AuthSchemePreference = []string{"httpBearerAuth"}
}

func transport(concurrency int) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableCompression: true}
	t.MaxIdleConnsPerHost = max(concurrency, http.DefaultMaxIdleConnsPerHost)
	t.IdleConnTimeout = idleTimeout
	t.TLSHandshakeTimeout = handshakeTimeout
	return t
}

// Prepare translates req for the endpoint's model. A limit that the request does
// not have, or that is none, is set to the endpoint's, with a gap: only so is the
// bill bounded.
func (c *Client) Prepare(req *llm.Request) (*llm.Call, error) {
	limited := *req
	var gaps []llm.Gap
	if n := req.MaxTokens; n == nil || *n < 1 {
		limit := c.endpoint.Limit(req.UsualTokens)
		if most := c.family.MaxOutput; most > 0 {
			limit = min(limit, most)
		}
		limited.MaxTokens = &limit
		if n != nil {
			gaps = append(gaps, limitInvalid.at(limitPath(req)))
		}
		gaps = append(gaps, llm.LimitGap(limit))
	}
	tr, err := Translate(&limited, c.family)
	if err != nil {
		return nil, c.fault(err, nil)
	}
	tr.Gaps = append(tr.Gaps, gaps...)
	call := &llm.Call{
		Body: tr.Body, Gaps: tr.Gaps, Tier: tr.Tier, Streamed: tr.Streamed, Detail: tr,
		Buffered:        tr.Streamed && (tr.answerTool != "" || tr.thinking || len(tr.cuts) > 0),
		ServiceTier:     llm.ServiceTierOf(tr.ServiceTier),
		MaxInputTokens:  len(tr.Body) + mediaTokens*tr.Media + documentTokens*tr.Documents,
		MaxOutputTokens: tr.MaxTokens,
	}
	if tr.Tools > 0 {
		call.MaxInputTokens += toolTokens
	}
	return call, nil
}

// Do makes one attempt. See llm.Client.
func (c *Client) Do(ctx context.Context, call *llm.Call) (*llm.Response, error) {
	if err := c.policy.Check(c.endpoint); err != nil {
		return nil, err
	}
	a := llm.StartAttempt(ctx, c.endpoint.Timeout, c.endpoint.StallTimeout)
	defer a.End()
	x := &exchange{attempt: a, send: call.Body}
	err := c.send(x, call)
	defer x.close()
	if err != nil {
		return nil, c.fault(refusal(x, err), x)
	}
	var resp *llm.Response
	emit := eventsOf(call)
	if call.Streamed {
		resp, err = readStream(x, emit)
	} else {
		resp, err = readWhole(x)
	}
	if resp != nil {
		c.finish(resp, call, x)
	}
	if err != nil {
		return resp, c.fault(err, x)
	}
	if emit == nil && call.Emit != nil {
		resp.Emit(call.Emit)
	}
	a.Drain(x.body)
	return resp, nil
}

// eventsOf gives what takes the events of a stream for the call's own Emit, nil where
// the answer must be whole before it can be put into the request's terms.
func eventsOf(call *llm.Call) func(llm.Event) {
	tr, _ := call.Detail.(*Translation)
	if call.Emit == nil || !call.Streamed || call.Buffered {
		return nil
	}
	return func(e llm.Event) {
		if tr != nil && e.Kind == llm.EventCall {
			e.Name = tr.ToolName(e.Name)
		}
		call.Emit(e)
	}
}

// send makes the SDK sign and send the call's body.
func (c *Client) send(x *exchange, call *llm.Call) error {
	model := aws.String(c.endpoint.Model)
	if !call.Streamed {
		_, err := c.runtime.Converse(x.context(), &bedrockruntime.ConverseInput{ModelId: model}, exactBody(call.Body))
		return err
	}
	_, err := c.runtime.ConverseStream(x.context(), &bedrockruntime.ConverseStreamInput{ModelId: model}, exactBody(call.Body), withoutReader)
	return err
}

// withoutReader takes the SDK's own reader of events out of a call: it would have
// nothing to read, and costs two goroutines and 12 kB.
func withoutReader(o *bedrockruntime.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		_, err := stack.Deserialize.Remove("OperationEventStreamDeserializer")
		return err
	})
}

// exactBody puts body into the request before it is signed, in place of what
// the SDK would write.
func exactBody(body []byte) func(*bedrockruntime.Options) {
	replace := middleware.SerializeMiddlewareFunc("ExactBody", func(
		ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler,
	) (middleware.SerializeOutput, middleware.Metadata, error) {
		req, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("set body: unknown transport %T", in.Request)
		}
		req, err := req.SetStream(bytes.NewReader(body))
		if err != nil {
			return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("set body: %w", err)
		}
		in.Request = req
		return next.HandleSerialize(ctx, in)
	})
	return func(o *bedrockruntime.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Serialize.Insert(replace, "OperationSerializer", middleware.After)
		})
	}
}
