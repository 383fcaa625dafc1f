package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// An awsError is an error of the Bedrock runtime, as the REST-JSON protocol
// writes it.
type awsError struct {
	status  int
	name    string
	message string
	// extra members of the body, such as originalStatusCode.
	extra map[string]any
}

// invalid is a ValidationException.
func invalid(format string, a ...any) *awsError {
	return &awsError{status: http.StatusBadRequest, name: "ValidationException", message: fmt.Sprintf(format, a...)}
}

func (e *awsError) write(w http.ResponseWriter, retryAfter int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Amzn-ErrorType", e.name+":http://internal.amazon.com/coral/com.amazon.bedrock/")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	body := map[string]any{"message": e.message}
	for k, v := range e.extra {
		body[k] = v
	}
	w.WriteHeader(e.status)
	_, _ = w.Write(encode(body))
}

func awsNoModel() *awsError {
	return &awsError{status: 404, name: "ResourceNotFoundException",
		message: "Could not resolve the foundation model from the provided model identifier."}
}

func awsDenied() *awsError {
	return &awsError{status: 403, name: "AccessDeniedException", message: "You don't have access to the model with the specified model ID."}
}

func awsServerError() *awsError {
	return &awsError{status: 500, name: "InternalServerException",
		message: "The system encountered an unexpected error during processing. Try your request again."}
}

// awsFault is the error that a fault answers with, nil for one that breaks the
// answer itself. An exception does that to a stream only.
func awsFault(f *Fault, stream bool) *awsError {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case FaultThrottle:
		return &awsError{status: 429, name: "ThrottlingException", message: "Too many requests, please wait before trying again."}
	case FaultQuota:
		return &awsError{status: 400, name: "ServiceQuotaExceededException", message: "Your request exceeds the service quota for your account."}
	case FaultServerError:
		return awsServerError()
	case FaultUnavailable:
		return &awsError{status: 503, name: "ServiceUnavailableException", message: "Bedrock is unable to process your request."}
	case FaultTimeout:
		return &awsError{status: 408, name: "ModelTimeoutException", message: "Model has timed out in processing the request. Try your request again."}
	case FaultNotReady:
		return &awsError{status: 429, name: "ModelNotReadyException", message: "Model is not ready for inference. Wait and try your request again."}
	case FaultModelError:
		return &awsError{status: 424, name: "ModelErrorException", message: "The system encountered an unexpected error during processing. Try your request again.",
			extra: map[string]any{"originalStatusCode": 500, "resourceName": "model"}}
	case FaultAccessDenied:
		return awsDenied()
	case FaultNotFound:
		return awsNoModel()
	case FaultException:
		if !stream {
			return awsException(f.Code)
		}
	}
	return nil
}

// awsException is the error that has the name of an exception inside a stream.
// The one of the model's stream, which "" is as well, is the model's error.
func awsException(name string) *awsError {
	if name == "" || strings.EqualFold(name, "ModelStreamErrorException") {
		name = "ModelErrorException"
	}
	for _, kind := range faultKinds {
		if e := awsFault(&Fault{Kind: kind}, true); e != nil && strings.EqualFold(e.name, name) {
			return e
		}
	}
	if strings.EqualFold(name, "ValidationException") {
		return invalid("The model returned the following errors: the request is not valid.")
	}
	e := awsServerError()
	e.name = strings.ToUpper(name[:1]) + name[1:]
	return e
}
