package openai

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var ordinaryAnswers = []string{
	`{"id":"chatcmpl-1","object":"chat.completion","created":1764201600,"model":"gpt-4-turbo","choices":[{"index":0,"message":{"role":"assistant","content":"a \"b\"\n\u00e9 \ud800","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1, "completion_tokens":2},"service_tier":"default","system_fingerprint":null}`,
	` {"choices":[],"error":null,"usage":null} `,
	`{"choices":[{"index":1,"message":null,"delta":null},{"message":{"refusal":"no","audio":{"id":"x"},"tool_calls":null}}]}`,
	`{"choices":null,"created":null}`,
}

var otherAnswers = []string{
	``, `{`, `[]`, `null`, `"x"`, `{"id":1}`, `{"id":"a","id":"b"}`, `{"ID":"a"}`, `{"created":1.5}`, `{"created":"1"}`, `{"choices":{}}`, `{"choices":[null]}`, "{\"id\":\"\xff\"}",
	`{"choices":[{"index":1e2}]}`, `{"choices":[{"message":{"content":["x"]}}]}`, `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}`,
	`{"choices":[{"delta":{"content":"x"}}]}`, `{"u` + "\u017f" + `age":{}}`, `{"choices":[{"index":99999999999999999999}]}`,
}

// sameAsJSON fails where the two readers of an answer do not agree.
func sameAsJSON(t *testing.T, body []byte) (fast bool) {
	t.Helper()
	got, ok := ordinary(body)
	if !ok {
		return false
	}
	var want completion
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatalf("taken for ordinary: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-encoding/json +ordinary):\n%s", diff)
	}
	return true
}

func TestOrdinaryAnswersAreReadAsByEncodingJSON(t *testing.T) {
	for _, body := range ordinaryAnswers {
		if !sameAsJSON(t, []byte(body)) {
			t.Errorf("not ordinary: %s", body)
		}
	}
	for _, body := range otherAnswers {
		if sameAsJSON(t, []byte(body)) {
			t.Errorf("ordinary: %s", body)
		}
	}
}

func FuzzOrdinary(f *testing.F) {
	for _, body := range append(ordinaryAnswers, otherAnswers...) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { sameAsJSON(t, body) })
}

func BenchmarkDecodeResponse(b *testing.B) {
	body := []byte(ordinaryAnswers[0])
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := DecodeResponse(body); err != nil {
			b.Fatal(err)
		}
	}
}
