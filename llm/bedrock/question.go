package bedrock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"understudy/llm"
)

// maxQuestionAnswer bounds the answer of a service that lists things. The list of
// all models of a region is below a megabyte, a page of the price list as well.
const maxQuestionAnswer = 16 << 20

var errAnswerTooLong = fmt.Errorf("the answer is longer than %d bytes", maxQuestionAnswer)

// oneHop is httpClient, or one with connections of its own where it is nil, which
// follows no redirect: a request that is signed, or has a key, goes where it was
// addressed.
func oneHop(httpClient *http.Client, concurrency int) *http.Client {
	own := http.Client{Transport: transport(concurrency)}
	if httpClient != nil {
		own = *httpClient
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// A question is one exchange whose answer is read whole.
type question struct {
	exchange
	// broken is why an answer that had begun could not be read.
	broken error
}

type questionKey struct{}

// A wholeTap reads an answer whole before the SDK sees it, so that a connection
// that stalls or breaks is told apart from an answer that is not understood.
type wholeTap struct {
	http bedrockruntime.HTTPClient
}

// Do implements the SDK's HTTPClient.
func (t wholeTap) Do(req *http.Request) (*http.Response, error) {
	x := req.Context().Value(questionKey{}).(*question) // only ask sends through it
	x.attempt.Restart()
	x.sent = true
	resp, err := t.http.Do(req)
	if err != nil {
		return nil, err
	}
	x.attempt.Heard()
	x.header = resp.Header
	body, err := io.ReadAll(io.LimitReader(x.attempt.Reader(resp.Body), maxQuestionAnswer+1))
	_ = resp.Body.Close()
	if err == nil && len(body) > maxQuestionAnswer {
		err = errAnswerTooLong
	}
	if err != nil {
		x.broken = fmt.Errorf("read answer: %w", err)
		return nil, x.broken
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// ask makes one attempt of op through a client whose HTTPClient is a wholeTap.
func ask[T any](ctx context.Context, ep llm.Endpoint, op string, call func(context.Context) (T, error)) (T, error) {
	a := llm.StartAttempt(ctx, ep.Timeout, ep.StallTimeout)
	defer a.End()
	x := &question{exchange: exchange{attempt: a}}
	out, err := call(context.WithValue(a.Context(), questionKey{}, x))
	var none T
	switch {
	case err == nil:
		return out, nil
	case errors.Is(x.broken, errAnswerTooLong):
		err = &llm.Error{Class: llm.ClassMalformed, Err: x.broken}
	case x.broken != nil:
		err = &llm.Error{Class: a.Class(x.broken, true), Err: x.broken}
	default:
		err = refusal(&x.exchange, err)
	}
	return none, asked(ep, op, err, x.header)
}

// asked puts what was asked, and of whom, onto the error of an attempt.
func asked(ep llm.Endpoint, op string, err error, header http.Header) error {
	var e *llm.Error
	if !errors.As(err, &e) {
		e = &llm.Error{Class: llm.ClassMalformed, Err: err}
	}
	e.Op, e.Endpoint = op, ep.Name
	if header != nil {
		e.RequestID = header.Get(requestIDHeader)
	}
	return e
}

func malformedAnswer(ep llm.Endpoint, op, what string) error {
	return asked(ep, op, malformed("read answer: %s", what), nil)
}
