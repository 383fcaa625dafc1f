package bedrock

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"

	"understudy/llm"
)

// requestIDHeader is where the service names the call.
const requestIDHeader = "X-Amzn-Requestid"

// pieceSize is how much of a stream one read may bring.
const pieceSize = 4 << 10

// readStream reads an event stream to its end. A connection that breaks is an error
// also after messageStop: usage is missing then, and the next call may do better.
func readStream(x *exchange, emit func(llm.Event)) (*llm.Response, error) {
	s := Stream{Emit: emit}
	var timing llm.Timing
	frames := newFrameReader(bufio.NewReaderSize(x.attempt.Reader(x.body), pieceSize))
	var fault error
	for fault == nil && !s.Complete() {
		var fr frame
		if fr, fault = frames.next(); fault != nil {
			break
		}
		if fr.kind != "event" {
			fault = streamFault(fr)
			break
		}
		fault = s.Event(fr.name, fr.payload)
		if timing.FirstToken == 0 && s.Begun() {
			timing.FirstToken = x.attempt.Elapsed()
		}
	}
	timing.Total = x.attempt.Elapsed()
	resp, verdict := s.Response()
	resp.Timing = timing
	var e *llm.Error
	switch {
	case errors.As(fault, &e):
		return resp, fault
	case fault == nil, errors.Is(fault, io.EOF):
		if verdict == nil {
			s.emitLast()
		}
		return resp, verdict
	}
	return resp, &llm.Error{Class: x.attempt.Class(fault, true), Err: fmt.Errorf("read stream: %w", fault)}
}

// readWhole reads a Converse answer.
func readWhole(x *exchange) (*llm.Response, error) {
	body, err := io.ReadAll(io.LimitReader(x.attempt.Reader(x.body), maxAnswer+1))
	total := x.attempt.Elapsed()
	if err != nil {
		return nil, &llm.Error{Class: x.attempt.Class(err, true), Err: fmt.Errorf("read answer: %w", err)}
	}
	if len(body) > maxAnswer {
		return nil, malformed("read answer: it is longer than %d bytes", maxAnswer)
	}
	resp, err := DecodeAnswer(body)
	if resp != nil {
		resp.Timing.Total = total
	}
	return resp, err
}

// finish adds what only the call knows: ids, the model, and what the translation
// must undo.
func (c *Client) finish(resp *llm.Response, call *llm.Call, x *exchange) {
	resp.RequestID = x.header.Get(requestIDHeader)
	resp.ID = resp.RequestID
	resp.Model = c.endpoint.Model
	if tr, ok := call.Detail.(*Translation); ok {
		tr.Restore(resp)
	}
}

// refusal is the error of a call that got no answer.
func refusal(x *exchange, err error) error {
	e := &llm.Error{Err: err}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Err = api.ErrorCode(), errors.New(api.ErrorMessage())
	}
	var answer *awshttp.ResponseError
	switch {
	case errors.As(err, &answer) && x.header != nil:
		e.Status, e.RetryAfter = answer.HTTPStatusCode(), llm.RetryAfter(x.header)
		e.Class = classify(e.Code, e.Status, e.Err.Error(), llm.ClassMalformed)
		var model *types.ModelErrorException
		if errors.As(err, &model) && model.OriginalStatusCode != nil {
			e.Class = byOriginal(int(*model.OriginalStatusCode), e.Class)
		}
		if e.Status/100 == 3 {
			e.Class = llm.ClassNotFound // a redirect is not followed: the address is wrong
		}
	case x.sent:
		e.Class, e.NotSent = x.attempt.Class(err, x.header != nil), !x.attempt.Sent()
	case x.attempt.Context().Err() != nil:
		e.Class, e.NotSent = x.attempt.Class(err, false), true
	default: // nothing left the machine: no credentials, or none that are valid
		e.Class, e.NotSent = llm.ClassAccess, true
	}
	return e
}

// fault puts what every error of this client says onto err.
func (c *Client) fault(err error, x *exchange) error {
	var e *llm.Error
	if !errors.As(err, &e) {
		e = &llm.Error{Class: llm.ClassMalformed, Err: err}
	}
	if e.Op == "" {
		e.Op = "converse"
	}
	e.Endpoint = c.endpoint.Name
	if e.Class == llm.ClassInvalid && e.Err != nil {
		e.Proposal = c.family.Proposal(e.Err.Error())
	}
	if x != nil && x.header != nil {
		e.RequestID = x.header.Get(requestIDHeader)
	}
	return e
}
