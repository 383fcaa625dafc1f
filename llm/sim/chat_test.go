package sim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"understudy/llm/sim"
)

const weatherFunction = `"tools":[{"type":"function","function":{"name":"weather","description":"tells the weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`

// chatBody asks one question of the live model; more are further members.
func chatBody(question, more string) string {
	return chatTurns(`{"role":"user","content":`+quoted(question)+`}`, more)
}

func chatTurns(turns, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"model":"` + gpt + `","messages":[` + turns + `]` + more + `}`
}

const chatPath = "/v1/chat/completions"

func TestChatOfRecordedAnswers(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	c := openaiClient(t, s)
	text := "Four, as ever: 2 + 2 = 4. <ok> & \"fine\" – naïve ☕"
	calls := []string{`weather {"city":  "Oslo", "n": 1.0, "z": 1e2, "a": null}`, `weather {"city": "Røma <&>"}`}
	tests := map[string]struct {
		question string
		more     string
		text     string
		calls    []string
		finish   string
		in, out  int64
	}{
		"text":       {question: "What is two and two?", text: text, finish: "stop", in: 11, out: 7},
		"empty text": {question: "Say nothing.", finish: "stop", in: 3},
		"calls":      {question: "Weather in Oslo and Rome?", more: weatherFunction, calls: calls, finish: "tool_calls"},
		"any model":  {question: "Anyone?", text: "anyone", finish: "stop"},
	}
	for name, tt := range tests {
		var p openai.ChatCompletionNewParams
		if err := p.UnmarshalJSON([]byte(chatBody(tt.question, tt.more))); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			got, err := c.Chat.Completions.New(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			checkCompletion(t, got, tt.text, tt.calls, tt.finish)
			if tt.out > 0 && (got.Usage.PromptTokens != tt.in || got.Usage.CompletionTokens != tt.out) {
				t.Errorf("usage %d, %d", got.Usage.PromptTokens, got.Usage.CompletionTokens)
			}
		})
		t.Run(name+" streamed", func(t *testing.T) {
			stream := c.Chat.Completions.NewStreaming(t.Context(), p)
			defer func() { _ = stream.Close() }()
			var acc openai.ChatCompletionAccumulator
			for stream.Next() {
				if !acc.AddChunk(stream.Current()) {
					t.Fatal("a chunk does not belong")
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			checkCompletion(t, &acc.ChatCompletion, tt.text, tt.calls, tt.finish)
		})
	}
}

func checkCompletion(t *testing.T, got *openai.ChatCompletion, text string, calls []string, finish string) {
	t.Helper()
	m := got.Choices[0].Message
	var made []string
	for _, c := range m.ToolCalls {
		made = append(made, c.Function.Name+" "+c.Function.Arguments)
		if !strings.HasPrefix(c.ID, "call_") {
			t.Errorf("call id %q", c.ID)
		}
	}
	if d := cmp.Diff(text, m.Content) + cmp.Diff(calls, made) + cmp.Diff(finish, got.Choices[0].FinishReason); d != "" {
		t.Error(d)
	}
	//lint:ignore SA1019 deprecated, but still sent and still read
	fingerprint := got.SystemFingerprint
	if !strings.HasPrefix(got.ID, "chatcmpl-") || got.Model != gpt || !strings.HasPrefix(fingerprint, "fp_") {
		t.Errorf("id %q model %q fingerprint %q", got.ID, got.Model, fingerprint)
	}
}

// TestStreamShape holds the events against OpenAI's own order.
func TestStreamShape(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	a := post(t, s, chatPath, chatBody("Weather in Oslo and Rome?", weatherFunction+`,"stream":true,"stream_options":{"include_usage":true}`))
	lines := strings.Split(strings.TrimSuffix(string(a.body), "\n\n"), "\n\n")
	if ct := a.header.Get("Content-Type"); ct != "text/event-stream; charset=utf-8" {
		t.Errorf("content type %q", ct)
	}
	last := len(lines) - 1
	for want, at := range map[string]int{`"delta":{"content":null,"refusal":null,"role":"assistant"}`: 0, `"finish_reason":"tool_calls"`: last - 2, `"choices":[]`: last - 1, "data: [DONE]": last} {
		if !strings.Contains(lines[at], want) {
			t.Errorf("event %d is %s, want %s", at, lines[at], want)
		}
	}
	if n := strings.Count(string(a.body), `"id":"call_`); n != 2 {
		t.Errorf("%d events name a call, want 2", n)
	}
	if n := strings.Count(string(a.body), `"usage":null`); n != last-1 {
		t.Errorf("%d events of %d have usage null", n, last+1)
	}
	b := post(t, s, chatPath, chatBody("What is two and two?", `"stream":true`))
	if contains(b.body, `"usage"`) || !contains(b.body, "data: [DONE]\n\n") || !contains(b.body, "☕") {
		t.Errorf("stream without usage: %s", b.body)
	}
}

func TestChatPartsAndHistory(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	tests := map[string]string{
		"parts are joined":    chatTurns(`{"role":"user","content":[{"type":"text","text":"first part, "},{"type":"text","text":"second part"}]}`, ""),
		"after a tool result": chatTurns(`{"role":"user","content":"first part, second part"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"rain"}`, weatherFunction),
		"the last question":   chatTurns(`{"role":"user","content":"Anyone?"},{"role":"assistant","content":"yes"},{"role":"user","content":"first part, second part"}`, ""),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if a := post(t, s, chatPath, body); !contains(a.body, `"both parts"`) {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

func TestAzureAndModels(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	body := `{"messages":[{"role":"user","content":"What is two and two?"}]}`
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/openai/deployments/"+gpt+"/chat/completions?api-version=2024-10-21", strings.NewReader(body))
	req.Header.Set("Api-Key", "0123456789abcdef")
	resp, err := transport(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || s.Stats()[gpt].OK != 1 {
		t.Errorf("%d %v", resp.StatusCode, s.Stats())
	}
	if a := send(t, transport(t), s, http.MethodGet, "/v1/models", ""); a.status != 200 || !contains(a.body, `"id":"gpt-4-turbo"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestChatErrors(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true, NoAccess: []string{"gpt-5"}})
	tests := map[string]struct {
		key, body string
		status    int
		code      string
	}{
		"no key":     {"", chatBody("Anyone?", ""), 401, ""},
		"short key":  {"Bearer abc", chatBody("Anyone?", ""), 401, "invalid_api_key"},
		"no access":  {"Bearer sk-1", strings.Replace(chatBody("Anyone?", ""), gpt, "gpt-5", 1), 404, "model_not_found"},
		"no answer":  {"Bearer sk-1", chatBody("What?", ""), 404, "no_recorded_answer"},
		"other path": {"Bearer sk-1", "", 404, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := chatPath
			if name == "other path" {
				path = "/v1/embeddings"
			}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, strings.NewReader(tt.body))
			if tt.key != "" {
				req.Header.Set("Authorization", tt.key)
			}
			resp, err := transport(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != tt.status || resp.Header.Get("X-Request-Id") == "" {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
		})
	}
	c := openaiClient(t, s)
	_, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: gpt, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What?")}})
	var api *openai.Error
	if !errors.As(err, &api) || api.Code != "no_recorded_answer" || api.StatusCode != 404 {
		t.Errorf("error %v", err)
	}
	want := map[string]sim.ModelStats{gpt: {Calls: 2, Error: 2}, "gpt-5": {Calls: 1, Error: 1}}
	if d := cmp.Diff(want, s.Stats()); d != "" {
		t.Errorf("calls without a key must not count: %s", d)
	}
}

func TestChatRefuses(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI})
	const call = `{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{}"}}]}`
	const ask = `{"role":"user","content":"Hi"}`
	tests := map[string]struct{ body, want string }{
		"malformed JSON":          {`{"model":`, "could not parse"},
		"no model":                {`{"messages":[]}`, "must provide a model"},
		"model is a number":       {`{"model":1,"messages":[]}`, "Invalid type for 'model'"},
		"no messages":             {`{"model":"m"}`, "Missing required parameter: 'messages'"},
		"empty messages":          {`{"model":"m","messages":[]}`, "empty array"},
		"unknown role":            {chatTurns(`{"role":"human","content":"Hi"}`, ""), "Invalid value: 'human'"},
		"no role":                 {chatTurns(`{"content":"Hi"}`, ""), "messages[0].role"},
		"null content":            {chatTurns(`{"role":"user","content":null}`, ""), "got null"},
		"content is a number":     {chatTurns(`{"role":"user","content":1}`, ""), "Invalid type"},
		"unknown part":            {chatTurns(`{"role":"user","content":[{"type":"toolUse"}]}`, ""), "Invalid value: 'toolUse'"},
		"image by the assistant":  {chatTurns(ask+`,{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}`, ""), "only allowed for messages with role 'user'"},
		"tool turn without id":    {chatTurns(ask+","+call+`,{"role":"tool","content":"x"}`, weatherFunction), "tool_call_id"},
		"tool turn without call":  {chatTurns(ask+`,{"role":"tool","tool_call_id":"c1","content":"x"}`, weatherFunction), "must be a response"},
		"call without tool turn":  {chatTurns(ask+","+call+","+ask, weatherFunction), "did not have response messages: c1"},
		"temperature":             {chatBody("Hi", `"temperature":2.1`), "above maximum value"},
		"temperature is a word":   {chatBody("Hi", `"temperature":"hot"`), "Invalid type for 'temperature'"},
		"top_p":                   {chatBody("Hi", `"top_p":-0.1`), "below minimum value"},
		"max tokens":              {chatBody("Hi", `"max_tokens":0`), "below minimum value"},
		"max tokens not integer":  {chatBody("Hi", `"max_tokens":1.5`), "expected an integer"},
		"five stops":              {chatBody("Hi", `"stop":["a","b","c","d","e"]`), "array too long"},
		"stream options alone":    {chatBody("Hi", `"stream_options":{"include_usage":true}`), "only allowed when 'stream'"},
		"empty tools":             {chatBody("Hi", `"tools":[]`), "Invalid 'tools': empty array"},
		"tool with a dot":         {chatBody("Hi", strings.Replace(weatherFunction, `"name":"weather"`, `"name":"a.b"`, 1)), "does not match pattern"},
		"tool without name":       {chatBody("Hi", strings.Replace(weatherFunction, `"name":"weather",`, ``, 1)), "tools[0].function.name"},
		"schema of an array":      {chatBody("Hi", strings.Replace(weatherFunction, `"type":"object"`, `"type":"array"`, 1)), "Invalid schema for function"},
		"choice without tools":    {chatBody("Hi", `"tool_choice":"auto"`), "only allowed when 'tools'"},
		"choice of no tool":       {chatBody("Hi", weatherFunction+`,"tool_choice":{"type":"function","function":{"name":"x"}}`), "not found in 'tools'"},
		"unknown choice":          {chatBody("Hi", weatherFunction+`,"tool_choice":"any"`), "Supported values are: 'none', 'auto', and 'required'"},
		"parallel without tools":  {chatBody("Hi", `"parallel_tool_calls":false`), "only allowed when 'tools'"},
		"unknown format":          {chatBody("Hi", `"response_format":{"type":"xml"}`), "Invalid value: 'xml'"},
		"schema without a name":   {chatBody("Hi", `"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`), "json_schema.name"},
		"object without the word": {chatBody("Hi", `"response_format":{"type":"json_object"}`), "must contain the word 'json'"},
		"top_logprobs alone":      {chatBody("Hi", `"top_logprobs":2`), "only allowed when 'logprobs'"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := post(t, s, chatPath, tt.body)
			e, _ := a.object(t)["error"].(map[string]any)
			message, _ := e["message"].(string)
			if a.status != 400 || e["type"] != "invalid_request_error" || !strings.Contains(message, tt.want) {
				t.Errorf("status %d, body %s; want 400 with %q", a.status, a.body, tt.want)
			}
			if len(e) != 4 {
				t.Errorf("the envelope has %d members: %v", len(e), e)
			}
		})
	}
	ok := chatTurns(`{"role":"developer","content":"Be kind"},`+ask+","+call+`,{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"rain"}]}`, weatherFunction+`,"temperature":2,"seed":7,"user":"u","metadata":{"a":"b"},"a_field_of_tomorrow":1,"n":2`)
	a := post(t, s, chatPath, ok)
	if choices, _ := a.object(t)["choices"].([]any); a.status != 200 || len(choices) != 2 {
		t.Errorf("a valid request: %d %s", a.status, a.body)
	}
}

func TestResponses(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fixture(), AnswersOnly: true})
	c := openaiClient(t, s)
	text := "Four, as ever: 2 + 2 = 4. <ok> & \"fine\" – naïve ☕"
	p := responses.ResponseNewParams{Model: gpt, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("What is two and two?")}}
	got, err := c.Responses.New(t.Context(), p, option.WithMaxRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(text, got.OutputText()); d != "" || got.Status != "completed" || got.Usage.OutputTokens != 7 {
		t.Errorf("%s %s %v", d, got.Status, got.Usage)
	}
	stream := c.Responses.NewStreaming(t.Context(), p)
	defer func() { _ = stream.Close() }()
	var words, last string
	number := int64(-1)
	for stream.Next() {
		e := stream.Current()
		if e.SequenceNumber != number+1 {
			t.Errorf("sequence number %d after %d", e.SequenceNumber, number)
		}
		number, last = e.SequenceNumber, e.Type
		if e.Type == "response.output_text.delta" {
			words += e.Delta
		}
	}
	if stream.Err() != nil || words != text || last != "response.completed" {
		t.Errorf("%v %q %s", stream.Err(), words, last)
	}
}
