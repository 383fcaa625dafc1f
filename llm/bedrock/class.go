package bedrock

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"understudy/llm"
)

// classes sorts the service's errors by name, in lower case and without
// "exception": an answer writes ThrottlingException, a frame throttlingException.
var classes = map[string]llm.Class{
	"accessdenied":               llm.ClassAccess,
	"expiredtoken":               llm.ClassAccess,
	"unrecognizedclient":         llm.ClassAccess,
	"invalidsignature":           llm.ClassAccess,
	"signaturedoesnotmatch":      llm.ClassAccess,
	"incompletesignature":        llm.ClassAccess,
	"missingauthenticationtoken": llm.ClassAccess,
	"invalidclienttokenid":       llm.ClassAccess,
	"optinrequired":              llm.ClassAccess,
	"notauthorized":              llm.ClassAccess,
	"resourcenotfound":           llm.ClassNotFound,
	"unknownoperation":           llm.ClassNotFound,
	"throttling":                 llm.ClassThrottled,
	"toomanyrequests":            llm.ClassThrottled,
	"requestlimitexceeded":       llm.ClassThrottled,
	"servicequotaexceeded":       llm.ClassQuota,
	"modelnotready":              llm.ClassOverloaded,
	"serviceunavailable":         llm.ClassOverloaded,
	"internalserver":             llm.ClassOverloaded,
	"internalservererror":        llm.ClassOverloaded,
	"internalfailure":            llm.ClassOverloaded,
	"modelerror":                 llm.ClassOverloaded,
	"modeltimeout":               llm.ClassTimeout,
	"requesttimeout":             llm.ClassTimeout,
	"modelstreamerror":           llm.ClassStream,
	"validation":                 llm.ClassInvalid,
	"conflict":                   llm.ClassInvalid,
}

// tooLong are the words by which models refuse a prompt that does not fit.
var tooLong = []string{
	"too long", "too many input tokens", "too many tokens", "context window", "context length", "maximum tokens",
	"exceeds the maximum number of", "input length", "prompt length", "longer than the maximum",
}

// classify gives the class of an error by its name, then by its status (0 inside
// a stream), where otherwise says what an error without either is.
func classify(name string, status int, message string, otherwise llm.Class) llm.Class {
	class, ok := classes[strings.TrimSuffix(strings.ToLower(name), "exception")]
	if !ok {
		class = byStatus(status, otherwise)
	}
	if class == llm.ClassInvalid && fitsNot(message) {
		return llm.ClassContext
	}
	return class
}

func fitsNot(message string) bool {
	message = strings.ToLower(message)
	for _, words := range tooLong {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

func byStatus(status int, otherwise llm.Class) llm.Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return llm.ClassAccess
	case status == http.StatusNotFound:
		return llm.ClassNotFound
	case status == http.StatusTooManyRequests:
		return llm.ClassThrottled
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return llm.ClassTimeout
	case status >= 500, status == http.StatusFailedDependency:
		return llm.ClassOverloaded
	case status >= 400:
		return llm.ClassInvalid
	}
	return otherwise
}

// byOriginal gives the class of a ModelErrorException, or of its kind in a stream, by
// the status with which the model itself failed; otherwise says what it is with one
// that says nothing.
func byOriginal(status int, otherwise llm.Class) llm.Class {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return llm.ClassInvalid
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return llm.ClassTimeout
	case http.StatusTooManyRequests:
		return llm.ClassThrottled
	}
	if status >= 500 {
		return llm.ClassOverloaded
	}
	return otherwise
}

// streamFault is the error that an exception or error frame states.
func streamFault(fr frame) error {
	var said struct {
		Message  string `json:"message"`
		Original int    `json:"originalStatusCode"`
	}
	_ = json.Unmarshal(fr.payload, &said) // without a message the name has to do
	if said.Message == "" {
		said.Message = "the stream ended with an exception"
	}
	// A frame writes throttlingException where an answer writes ThrottlingException.
	code := strings.ToUpper(fr.name[:min(1, len(fr.name))]) + fr.name[min(1, len(fr.name)):]
	class := classify(fr.name, 0, said.Message, llm.ClassStream)
	if said.Original < 500 { // of one above, the exception's own name says more
		class = byOriginal(said.Original, class)
	}
	return &llm.Error{Class: class, Code: code, Err: errors.New(said.Message)}
}
