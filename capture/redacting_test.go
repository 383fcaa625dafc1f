package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"understudy/capture/redact"
)

// plant puts secrets into every place of a request and of an answer that people can write
// into.
var plant = struct{ email, phone, card, key, ip string }{"ada.lovelace@mail.example.org", "+44 20 7946 0958", "4111 1111 1111 1111", "sk-proj-Zz9yXx8wVv7uTt6s", "198.18.7.7"}

// secretsIn gives those of the planted secrets that stand in a text.
func plantedIn(text string) (list []string) {
	for _, s := range []string{plant.email, plant.phone, plant.card, plant.key, plant.ip, "hunter2secret", "own-credential-0001"} {
		if strings.Contains(text, s) {
			list = append(list, s)
		}
	}
	return list
}

func redacting(c *Config) { c.Redact = redact.DefaultConfig() }

func TestNothingPlantedIsRecorded(t *testing.T) {
	args, _ := json.Marshal(map[string]any{"to": plant.email, "password": "hunter2secret", "card": plant.card})
	request, _ := json.Marshal(map[string]any{
		"model": "gpt-4-turbo", "user": plant.email, "metadata": map[string]string{"unit": plant.email, "conversation": strings.ReplaceAll(plant.phone, " ", ""), "note": plant.ip},
		"messages": []any{
			map[string]any{"role": "system", "content": "Reply to " + plant.email},
			map[string]any{"role": "user", "content": []any{map[string]any{"type": "text", "text": "my key is " + plant.key + " and own-credential-0001"}}},
			map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{"id": "call_1", "type": "function", "function": map[string]any{"name": "pay", "arguments": string(args)}}}},
			map[string]any{"role": "tool", "tool_call_id": "call_1", "content": "paid with " + plant.card + " from " + plant.ip},
		},
	})
	answer, _ := json.Marshal(map[string]any{"id": "chatcmpl-1", "model": "gpt-4-turbo", "choices": []any{map[string]any{"index": 0, "finish_reason": "stop",
		"message": map[string]any{"role": "assistant", "content": "I called " + plant.phone + " with own-credential-0001.", "tool_calls": []any{map[string]any{"id": "call_2", "type": "function", "function": map[string]any{"name": "mail", "arguments": string(args)}}}}}},
		"usage": map[string]int{"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
	refusal, _ := json.Marshal(map[string]any{"error": map[string]string{"message": "Incorrect API key provided: own-credential-0001, ask " + plant.email, "type": "invalid_request_error"}})
	for name, tc := range map[string]struct {
		status   int
		answer   string
		kept     string // what of the answer is recorded
		response bool
	}{
		"answer":            {200, string(answer), "I called +44 55 50", true},
		"error":             {401, string(refusal), "Incorrect API key provided", true},
		"page of a gateway": {503, "<html>" + plant.email + "</html>", "", false},
		"broken JSON":       {200, `{"choices":[{"message":{"content":"` + plant.email, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			dir := t.TempDir()
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Request-Id", plant.email)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.answer)
			}), rigConfig{cfg: redacting, log: &log, dir: dir})
			_, got := ask(t, r.url+chatPath, string(request), "Authorization", "Bearer own-credential-0001", "User-Agent", "app of "+plant.email)
			if got != tc.answer {
				t.Errorf("the live answer was changed: %s", got)
			}
			e := r.one()
			all, _ := json.Marshal(e)
			if left := plantedIn(string(all) + string(e.Request) + string(e.Response) + log.String()); left != nil {
				t.Errorf("recorded or logged: %q\n%s\n%s\n%s", left, all, e.Request, e.Response)
			}
			if !json.Valid(e.Request) || (len(e.Response) > 0) != tc.response || !strings.Contains(string(e.Response), tc.kept) {
				t.Errorf("request %s\nresponse %s", e.Request, e.Response)
			}
			if e.Unit == "" || e.Conversation == "" || !strings.Contains(string(e.Request), e.Unit) || !strings.Contains(string(e.Request), e.Conversation) {
				t.Errorf("unit %q and conversation %q are other pseudonyms than in the body %s", e.Unit, e.Conversation, e.Request)
			}
			if e.Redactions["email"] == 0 || e.Redactions["credential"] == 0 || e.RequestLength != len(request) {
				t.Errorf("counted %v, length %d", e.Redactions, e.RequestLength)
			}
			r.stop()
			for path, text := range filesIn(t, dir) {
				if left := plantedIn(text); left != nil {
					t.Errorf("%s holds %q", path, left)
				}
			}
			var metrics bytes.Buffer
			r.set.WritePrometheus(&metrics)
			if left := plantedIn(metrics.String()); left != nil || !strings.Contains(metrics.String(), `understudy_capture_redacted_total{kind="email"}`) {
				t.Errorf("metrics hold %q:\n%s", left, metrics.String())
			}
		})
	}
}

// A secret that comes in pieces is found, wherever the pieces are cut: the answer is put
// together first.
func TestSecretsSplitOverFramesAreFound(t *testing.T) {
	text := "write to " + plant.email + " now"
	args := `{"to": "` + plant.email + `", "card": "` + plant.card + `"}`
	for cut := 0; cut <= len(text); cut++ {
		piece := func(field string) string {
			return fmt.Sprintf(`data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4-turbo","choices":[{"index":0,"delta":%s,"finish_reason":null}]}`+"\n\n", field)
		}
		quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
		at := min(cut, len(args))
		stream := piece(`{"role":"assistant","content":`+quoted(text[:cut])+`}`) + piece(`{"content":`+quoted(text[cut:])+`}`) +
			piece(`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":`+quoted(args[:at])+`}}]}`) +
			piece(`{"tool_calls":[{"index":0,"function":{"arguments":`+quoted(args[at:])+`}}]}`) +
			`data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4-turbo","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
		r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; i < len(stream); i += 1 + cut { // frames of the wire are cut, too
				_, _ = io.WriteString(w, stream[i:min(len(stream), i+1+cut)])
				_ = http.NewResponseController(w).Flush()
			}
		}), rigConfig{cfg: redacting})
		if _, got := ask(t, r.url+chatPath, strings.Replace(question, "{", `{"stream":true,`, 1)); got != stream {
			t.Fatalf("the live stream was changed: %s", got)
		}
		e := r.one()
		if left := plantedIn(string(e.Response)); left != nil || !strings.Contains(string(e.Response), "@example.invalid") {
			t.Fatalf("cut at %d: recorded %q: %s", cut, left, e.Response)
		}
		r.stop()
	}
}

func TestTenantsHavePseudonymsOfTheirOwn(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{cfg: func(c *Config) {
		redacting(c)
		c.TenantHeader, c.TenantPointers = "x-tenant", []string{"/metadata/tenant"}
		c.Exclude.Tenants = []string{"secret"}
	}})
	body := func(tenant string) string {
		return fmt.Sprintf(`{"model":"m","metadata":{"tenant":%q},"messages":[{"role":"user","content":"ada@example.com"}]}`, tenant)
	}
	ask(t, r.url+chatPath, body("a"))
	ask(t, r.url+chatPath, body("b"))
	ask(t, r.url+chatPath, body("b"), "X-Tenant", "a")
	ask(t, r.url+chatPath, body("secret"))
	if a := r.settled(4); a.Captured != 3 || a.Excluded != 1 {
		t.Errorf("accounts %+v", a)
	}
	mail := map[string]int{}
	for _, e := range r.shelf.records() {
		var q struct{ Messages []struct{ Content string } }
		if err := json.Unmarshal(e.Request, &q); err != nil {
			t.Fatal(err)
		}
		mail[q.Messages[0].Content]++
	}
	if len(mail) != 2 {
		t.Errorf("three requests of two tenants have %v", mail)
	}
}

func TestDroppedMediaIsSaid(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{cfg: redacting})
	ask(t, r.url+chatPath, `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="}}]}]}`)
	if e := r.one(); e.MediaDropped != 1 || strings.Contains(string(e.Request), "iVBOR") {
		t.Errorf("%d dropped: %s", e.MediaDropped, e.Request)
	}
}

// A fault of the redactor costs the record, never the answer; nothing of it is written.
func TestPanicOfTheRedactorDropsTheRecord(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{cfg: redacting, adjust: func(c *Capture) {
		c.settings.Load().redactor = &redact.Redactor{} // it has no buffers: every use of it panics
	}})
	if _, got := ask(t, r.url+chatPath, question); got != completion {
		t.Errorf("client got %q", got)
	}
	if a := r.settled(1); a.Dropped[reasonPanic] != 1 || len(r.shelf.records()) != 0 {
		t.Errorf("accounts %+v", a)
	}
}
