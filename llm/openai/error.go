package openai

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"understudy/llm"
)

// envelope is OpenAI's error body. A code may be a number at other providers. What
// stands in front of AWS's models answers in AWS's own form, without envelope.
type envelope struct {
	Error struct {
		Message string          `json:"message"`
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
	} `json:"error"`
	Message string `json:"message"`
}

// maxMessage is how much of a provider's error text is kept.
const maxMessage = 2000

// DecodeError reads an error answer: its class by the envelope's code and type,
// then by the status (0 for an envelope inside a stream). The provider's text
// becomes the cause, shortened.
func DecodeError(status int, header http.Header, body []byte) *llm.Error {
	var env envelope
	_ = json.Unmarshal(body, &env) // an answer without the form has no code
	code := codeOf(env.Error.Code)
	if code == "" {
		code = env.Error.Type
	}
	if code == "" { // of AWS: its name, which may be followed by an address
		code, _, _ = strings.Cut(header.Get("X-Amzn-Errortype"), ":")
	}
	message := cmp.Or(env.Error.Message, env.Message)
	if message == "" {
		message = "the answer has no error message"
	}
	return &llm.Error{
		Op: "chat completion", Class: classOf(status, code, env.Error.Type, message), Status: status, Code: code,
		RequestID: requestID(header), RetryAfter: llm.RetryAfter(header),
		Err: errors.New(strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")),
	}
}

func codeOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if n, ok := integer(raw); ok && kindOf(raw) == isNumber {
		return strconv.Itoa(n)
	}
	return ""
}

// codes are the words that say more than the status does.
var codes = map[string]llm.Class{
	"context_length_exceeded":       llm.ClassContext,
	"string_above_max_length":       llm.ClassContext,
	"content_filter":                llm.ClassFiltered,
	"content_policy_violation":      llm.ClassFiltered,
	"insufficient_quota":            llm.ClassQuota,
	"rate_limit_exceeded":           llm.ClassThrottled,
	"rate_limit_error":              llm.ClassThrottled,
	"invalid_api_key":               llm.ClassAccess,
	"authentication_error":          llm.ClassAccess,
	"permission_error":              llm.ClassAccess,
	"model_not_found":               llm.ClassNotFound,
	"DeploymentNotFound":            llm.ClassNotFound,
	"server_error":                  llm.ClassOverloaded,
	"internal_error":                llm.ClassOverloaded,
	"overloaded_error":              llm.ClassOverloaded,
	"service_unavailable":           llm.ClassOverloaded,
	"timeout":                       llm.ClassTimeout,
	"unsupported_country_region":    llm.ClassAccess,
	"account_deactivated":           llm.ClassAccess,
	"billing_hard_limit_reached":    llm.ClassQuota,
	"billing_not_active":            llm.ClassAccess,
	"model_not_available_in_region": llm.ClassNotFound,
}

func classOf(status int, code, kind, message string) llm.Class {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if codes[code] == llm.ClassFiltered {
			return llm.ClassFiltered
		}
		return llm.ClassAccess
	case http.StatusNotFound:
		return llm.ClassNotFound
	case http.StatusTooManyRequests:
		if codes[code] == llm.ClassQuota || codes[kind] == llm.ClassQuota {
			return llm.ClassQuota
		}
		return llm.ClassThrottled
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return llm.ClassTimeout
	}
	for _, word := range []string{code, kind} {
		if c, ok := codes[word]; ok && status < 500 {
			return c
		}
	}
	switch {
	case status >= 500:
		return llm.ClassOverloaded
	case strings.Contains(message, "maximum context length"): // compatible servers have no code for it
		return llm.ClassContext
	case status >= 400, kind == "invalid_request_error":
		return llm.ClassInvalid
	case status >= 300:
		return llm.ClassNotFound // a redirect is not followed: the address is wrong
	}
	return llm.ClassMalformed
}

// requestID is the provider's id of the call: OpenAI's header, else Azure's or AWS's.
func requestID(h http.Header) string {
	return cmp.Or(h.Get("X-Request-Id"), h.Get("Apim-Request-Id"), h.Get("X-Amzn-Requestid"))
}
