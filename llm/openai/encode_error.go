package openai

import (
	"errors"
	"net/http"
	"time"

	"understudy/llm"
)

// A Refusal is what a client of OpenAI is told of a call that failed: the status and
// the members of the envelope. It never quotes a provider.
type Refusal struct {
	// Status is the HTTP status; 0 tells that nobody is there to be told.
	Status              int
	Message, Type, Code string
	// RetryAfter is how long the client should wait, 0 where nothing is known.
	RetryAfter time.Duration
}

// Envelope is OpenAI's error body for the refusal.
func (r Refusal) Envelope() []byte { return EncodeError(r.Message, r.Type, "", r.Code) }

// refusals are what the classes become. live is what a user's application is told when
// no endpoint could answer it, where that differs: faults and quotas of our own are
// never shown as if they were the caller's.
var refusals = map[llm.Class]struct{ plain, live Refusal }{
	llm.ClassOverloaded: {plain: unavailable},
	llm.ClassNetwork:    {plain: unavailable},
	llm.ClassTimeout:    {plain: late(http.StatusRequestTimeout), live: late(http.StatusGatewayTimeout)},
	llm.ClassTruncated:  {plain: broken("The model's answer ended before it was whole.", "incomplete_stream")},
	llm.ClassStream:     {plain: broken("The model's answer is broken.", "broken_answer")},
	llm.ClassMalformed:  {plain: broken("The model's answer is broken.", "broken_answer")},
	llm.ClassInvalid:    {plain: invalid("The model does not take the request.", "")},
	llm.ClassContext:    {plain: invalid("The request is longer than the model's context.", "context_length_exceeded")},
	llm.ClassFiltered:   {plain: invalid("The request was stopped by a content filter.", "content_filter")},
	llm.ClassThrottled: {plain: Refusal{Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded",
		Message: "The model gets too many requests. Try again later."}},
	llm.ClassQuota: {live: unavailable, plain: Refusal{Status: http.StatusTooManyRequests, Type: "insufficient_quota", Code: "insufficient_quota",
		Message: "The quota of the model is used up."}},
	llm.ClassAccess: {live: unavailable, plain: Refusal{Status: http.StatusForbidden, Type: "invalid_request_error", Code: "access_denied",
		Message: "The model may not be used with these credentials."}},
	llm.ClassNotFound: {live: unavailable, plain: Refusal{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "model_not_found",
		Message: "The model does not exist."}},
	llm.ClassUntranslatable: {plain: invalid("The model does not take the request.", "")},
	llm.ClassCancelled:      {plain: Refusal{Type: "server_error", Code: "cancelled", Message: "The request was cancelled."}},
}

var unavailable = Refusal{Status: http.StatusServiceUnavailable, Message: "The model is not available.", Type: "server_error"}

func late(status int) Refusal {
	return Refusal{Status: status, Message: "The model did not answer in time.", Type: "server_error", Code: "timeout"}
}

func broken(message, code string) Refusal {
	return Refusal{Status: http.StatusBadGateway, Message: message, Type: "server_error", Code: code}
}

func invalid(message, code string) Refusal {
	return Refusal{Status: http.StatusBadRequest, Message: message, Type: "invalid_request_error", Code: code}
}

// RefusalOf is what err means in OpenAI's terms, for a reader who should know it: in
// shadow, and in a translation. A provider's own status of the 500s, or its 401, stays.
func RefusalOf(err error) Refusal {
	r := refusals[llm.ClassOf(err)].plain
	var e *llm.Error
	if errors.As(err, &e) {
		r.RetryAfter = e.RetryAfter
		if e.Class == llm.ClassOverloaded && e.Status >= 500 || e.Class == llm.ClassAccess && e.Status == http.StatusUnauthorized {
			r.Status = e.Status
		}
	}
	return r
}

// LiveRefusalOf is what a user's application is told of err when nobody could answer it
// instead. Our own credentials, configuration and quotas are no fault of the caller's:
// for those the service is not available.
func LiveRefusalOf(err error) Refusal {
	row := refusals[llm.ClassOf(err)]
	r := row.live
	if r == (Refusal{}) {
		r = row.plain
	}
	var e *llm.Error
	if errors.As(err, &e) {
		r.RetryAfter = e.RetryAfter
	}
	return r
}

// EncodeError writes OpenAI's error envelope. An empty param or code is null,
// as OpenAI writes them.
func EncodeError(message, kind, param, code string) []byte {
	b := llm.AppendJSONString([]byte(`{"error":{"message":`), message)
	b = append(b, `,"type":`...)
	b = llm.AppendJSONString(b, kind)
	b = append(b, `,"param":`...)
	b = appendOptional(b, param)
	b = append(b, `,"code":`...)
	b = appendOptional(b, code)
	return append(b, `}}`...)
}
