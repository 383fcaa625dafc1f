package openai

import (
	"errors"

	"understudy/llm"
)

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

// Envelope is what a client of OpenAI would be told of a failed call: message,
// type and code of the envelope. It never quotes a provider.
func Envelope(err error) (message, kind, code string) {
	class := llm.ClassOf(err)
	var e *llm.Error
	if errors.As(err, &e) && class == llm.ClassThrottled && e.Code == "ServiceQuotaExceededException" {
		return "The quota of the model is used up.", "insufficient_quota", "insufficient_quota"
	}
	switch class {
	case llm.ClassThrottled:
		return "The model gets too many requests. Try again later.", "rate_limit_error", "rate_limit_exceeded"
	case llm.ClassInvalid, llm.ClassUntranslatable:
		return "The model does not take the request.", "invalid_request_error", ""
	case llm.ClassContext:
		return "The request is longer than the model's context.", "invalid_request_error", "context_length_exceeded"
	case llm.ClassFiltered:
		return "The request was stopped by a content filter.", "invalid_request_error", "content_filter"
	case llm.ClassNotFound:
		return "The model does not exist.", "invalid_request_error", "model_not_found"
	case llm.ClassTimeout:
		return "The model did not answer in time.", "server_error", "timeout"
	case llm.ClassTruncated:
		return "The model's answer ended before it was whole.", "server_error", "incomplete_stream"
	case llm.ClassMalformed, llm.ClassStream:
		return "The model's answer is broken.", "server_error", "broken_answer"
	}
	return "The model is not available.", "server_error", ""
}
