package bedrock

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"understudy/llm"
)

// TestModelErrorByItsOriginalStatus: what the model itself failed with decides, in an
// answer and inside a stream.
func TestModelErrorByItsOriginalStatus(t *testing.T) {
	for status, want := range map[int][2]llm.Class{
		0: {llm.ClassOverloaded, llm.ClassStream}, 400: {llm.ClassInvalid, llm.ClassInvalid}, 413: {llm.ClassInvalid, llm.ClassInvalid},
		429: {llm.ClassThrottled, llm.ClassThrottled}, 408: {llm.ClassTimeout, llm.ClassTimeout}, 403: {llm.ClassOverloaded, llm.ClassStream},
		500: {llm.ClassOverloaded, llm.ClassStream}, 503: {llm.ClassOverloaded, llm.ClassStream},
	} {
		body := fmt.Sprintf(`{"message":"the model failed","originalStatusCode":%d}`, status)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", "ModelErrorException")
			w.WriteHeader(http.StatusFailedDependency)
			_, _ = w.Write([]byte(body))
		}))
		client, err := NewClient(endpoint(server.URL, "us."+llama), signed(), nil)
		if err != nil {
			t.Fatal(err)
		}
		call, err := client.Prepare(&llm.Request{Messages: []llm.Message{hi}, MaxTokens: ptr(9)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(t.Context(), call); llm.ClassOf(err) != want[0] {
			t.Errorf("%d in an answer is %s, want %s", status, llm.ClassOf(err), want[0])
		}
		server.Close()
		err = streamFault(frame{kind: "exception", name: "modelStreamErrorException", payload: []byte(body)})
		if llm.ClassOf(err) != want[1] {
			t.Errorf("%d in a stream is %s, want %s", status, llm.ClassOf(err), want[1])
		}
	}
}
