package sim

import (
	"fmt"
	"net/http"
	"strconv"
)

// An oaError is OpenAI's error envelope with its status.
type oaError struct {
	status  int
	message string
	typ     string
	param   string
	code    string
}

// badRequest is a 400 about one parameter.
func badRequest(param, code, format string, a ...any) *oaError {
	return &oaError{http.StatusBadRequest, fmt.Sprintf(format, a...), "invalid_request_error", param, code}
}

func (e *oaError) envelope() []byte {
	return encode(map[string]any{"error": map[string]any{
		"message": e.message, "type": e.typ, "param": orNull(e.param), "code": orNull(e.code),
	}})
}

// write sends the error. retryAfter is in seconds, 0 for none.
func (e *oaError) write(w http.ResponseWriter, retryAfter int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
		h.Set("Retry-After-Ms", strconv.Itoa(retryAfter*1000))
	}
	w.WriteHeader(e.status)
	_, _ = w.Write(append(e.envelope(), '\n'))
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// oaFault is the error that a fault answers with, nil for one that breaks the
// answer itself. An exception does that to a stream only.
func oaFault(f *Fault, model string, stream bool) *oaError {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case FaultThrottle:
		return &oaError{429, "Rate limit reached for " + model + " on requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again later.",
			"requests", "", "rate_limit_exceeded"}
	case FaultQuota:
		return &oaError{429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "", "insufficient_quota"}
	case FaultServerError, FaultModelError:
		return oaServerError()
	case FaultUnavailable, FaultNotReady:
		return &oaError{503, "The server is currently overloaded. Please try again later.", "server_error", "", "service_unavailable"}
	case FaultTimeout:
		return &oaError{504, "The request timed out.", "server_error", "", "timeout"}
	case FaultAccessDenied:
		return &oaError{403, "Project does not have access to model `" + model + "`.", "invalid_request_error", "", "model_not_found"}
	case FaultNotFound:
		return oaNoModel(model)
	case FaultException:
		if !stream {
			return oaException(f.Code, model)
		}
	}
	return nil
}

// oaException is the error of a code, or of a type, that a stream states; "" is
// server_error.
func oaException(name, model string) *oaError {
	for _, kind := range faultKinds {
		if e := oaFault(&Fault{Kind: kind}, model, true); e != nil && e.code == name && name != "" {
			return e
		}
	}
	if name == "invalid_request_error" {
		return badRequest("", "", "The request is not valid.")
	}
	e := oaServerError()
	if name != "" {
		e.typ = name
	}
	return e
}

func oaServerError() *oaError {
	return &oaError{500, "The server had an error while processing your request. Sorry about that!", "server_error", "", ""}
}

func oaNoModel(model string) *oaError {
	return &oaError{404, "The model `" + model + "` does not exist or you do not have access to it.", "invalid_request_error", "", "model_not_found"}
}

func oaNoAnswer() *oaError {
	return &oaError{404, "The simulator has no recorded answer for this request.", "invalid_request_error", "messages", "no_recorded_answer"}
}
