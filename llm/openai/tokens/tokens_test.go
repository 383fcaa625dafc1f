package tokens_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"sync"
	"testing"

	"understudy/llm"
	"understudy/llm/openai"
	"understudy/llm/openai/tokens"
)

// prompt counts the prompt of a Chat Completions body.
func prompt(t *testing.T, model, body string) int {
	t.Helper()
	u, ok := tokens.Estimate(model, decode(t, body), &llm.Response{Text: "x"})
	if !ok {
		t.Fatalf("%s: no estimate", model)
	}
	return u.InputTokens
}

func decode(t *testing.T, body string) *llm.Request {
	t.Helper()
	req, err := openai.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// jargon is the cookbook's example conversation.
const jargon = `{"model":"m","messages":[
{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
{"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}`

// weather is the cookbook's example of a tool.
const weather = `{"model":"m","messages":[
{"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},
{"role":"user","content":"What's the weather like in San Francisco?"}],
"tools":[{"type":"function","function":{"name":"get_current_weather","description":"Get the current weather in a given location",
"parameters":{"type":"object","properties":{
"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},
"unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},"required":["location"]}}}]}`

// recipe is the widest of openai-chat-tokens' tests.
const recipe = `{"model":"m","messages":[{"role":"user","content":"hello"}],"functions":[{"name":"get_recipe","parameters":{"type":"object",
"required":["ingredients","instructions","time_to_cook"],"properties":{
"ingredients":{"type":"array","items":{"type":"object","required":["name","unit","amount"],"properties":{"name":{"type":"string"},
"unit":{"enum":["grams","ml","cups","pieces","teaspoons"],"type":"string"},"amount":{"type":"number"}}}},
"instructions":{"type":"array","items":{"type":"string"},"description":"Steps to prepare the recipe (no numbering)"},
"time_to_cook":{"type":"number","description":"Total time to prepare the recipe in minutes"}}}}]}`

// functions makes a body of the old form.
func functions(messages, declared string) string {
	if declared != "" {
		declared = `,"functions":[` + declared + `]`
	}
	return `{"model":"m","messages":[` + messages + `]` + declared + `}`
}

// addition is a conversation in which a function was called and answered n times
// at once (community.openai.com/t/538914).
func addition(n int) string {
	var calls, results []string
	for i := range n {
		calls = append(calls, fmt.Sprintf(`{"id":"c%d","type":"function","function":{"name":"calculator","arguments":"{\"a\":2, \"b\":2}"}}`, i))
		results = append(results, fmt.Sprintf(`{"role":"tool","tool_call_id":"c%d","content":"4"}`, i))
	}
	return `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"How much is 2 plus 2?"}]},
{"role":"assistant","tool_calls":[` + strings.Join(calls, ",") + `]},` + strings.Join(results, ",") + `]}`
}

// TestPublishedPrompts holds the estimate against prompts whose count by the
// service is public.
func TestPublishedPrompts(t *testing.T) {
	const (
		early  = "gpt-3.5-turbo-0613"
		hello  = `{"role":"user","content":"hello"}`
		twice  = `{"role":"system","content":"Hello:"},{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}`
		stuff  = `{"name":"do_stuff","parameters":{"type":"object","properties":{}}}`
		bing   = `{"name":"bing_bong","description":"Do a bing bong","parameters":{"type":"object","properties":{`
		called = `{"role":"assistant","content":"","function_call":{"name":"do_stuff","arguments":`
	)
	for _, c := range []struct {
		name, model, body string
		want              int
	}{
		{"cookbook", "gpt-3.5-turbo", jargon, 129},
		{"cookbook", "gpt-4-0613", jargon, 129},
		{"cookbook", "gpt-4", jargon, 129},
		{"cookbook", "gpt-4o", jargon, 124},
		{"cookbook", "gpt-4o-mini", jargon, 124},
		{"cookbook, tool", "gpt-3.5-turbo", weather, 105},
		{"cookbook, tool", "gpt-4", weather, 105},
		{"cookbook, tool", "gpt-4o", weather, 101},
		{"cookbook, tool", "gpt-4o-mini", weather, 101},
		{"openai-chat-tokens", early, functions(hello, ""), 8},
		{"openai-chat-tokens", early, functions(`{"role":"system","content":"# Important: you're the best robot"},{"role":"user","content":"hello robot"},{"role":"assistant","content":"hello world"}`, ""), 27},
		{"openai-chat-tokens", early, functions(hello, `{"name":"foo","parameters":{"type":"object","properties":{}}}`), 31},
		{"openai-chat-tokens", early, functions(hello, `{"name":"foo","description":"Do a foo","parameters":{"type":"object","properties":{}}}`), 36},
		{"openai-chat-tokens", early, functions(hello, bing+`"foo":{"type":"string"}}}}`), 49},
		{"openai-chat-tokens", early, functions(hello, bing+`"foo":{"type":"string"},"bar":{"type":"number","description":"A number"}}}}`), 57},
		{"openai-chat-tokens", early, functions(hello, bing+`"foo":{"type":"object","properties":{"bar":{"type":"string","enum":["a","b","c"]},"baz":{"type":"boolean"}}}}}}`), 68},
		{"openai-chat-tokens", early, functions(`{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}`, stuff), 35},
		{"openai-chat-tokens", early, functions(`{"role":"system","content":"Hello:"},{"role":"user","content":"Hi there"}`, stuff), 35},
		{"openai-chat-tokens", early, functions(twice, stuff), 40},
		{"openai-chat-tokens", early, recipe, 106},
		{"openai-chat-tokens", early, functions(called+`"{\"foo\": \"bar\", \"baz\": 1.5}"}}`, ""), 26},
		{"openai-chat-tokens", early, functions(called+`"{\"foo\":\"bar\", \"baz\":\n\n 1.5}"}}`, ""), 25},
		{"one call", early, addition(1), 40},
		{"two calls", early, addition(2), 89},
		{"three calls", early, addition(3), 114},
	} {
		if got := prompt(t, c.model, c.body); got != c.want {
			t.Errorf("%s, %s: %d tokens, the service counted %d", c.name, c.model, got, c.want)
		}
	}
}

func TestModels(t *testing.T) {
	req := decode(t, jargon)
	for model, want := range map[string]int{
		"gpt-4-turbo-2024-04-09": 129, "gpt-4-0125-preview": 129, "gpt-35-turbo": 129, "gpt-35-turbo-16k": 129, "gpt-4-32k-0613": 129,
		"gpt-4.1-mini-2025-04-14": 124, "gpt-4.1": 124, "gpt-4o-2024-08-06": 124, "chatgpt-4o-latest": 124, "gpt-4.5-preview": 124,
		"ft:gpt-4o-2024-08-06:org::abc": 124, "ft:gpt-4.1-nano-2025-04-14:org:name:abc": 124, "ft:gpt-3.5-turbo-0125:org::abc": 129,
		"": 0, "gpt-4oo": 0, "gpt-44": 0, "gpt-5": 0, "gpt-5-mini-2025-08-07": 0, "gpt-5.1": 0, "o1": 0, "o1-2024-12-17": 0, "o3-mini": 0, "o4-mini-2025-04-16": 0,
		"gpt-4o-audio-preview": 0, "gpt-4o-search-preview": 0, "gpt-4o-mini-realtime-preview": 0, "gpt-3.5-turbo-instruct": 0, "gpt-3.5-turbo-0301": 0,
		"claude-3-5-sonnet": 0, "my-deployment": 0, "gpt-oss-120b": 0, "ft:": 0,
	} {
		u, ok := tokens.Estimate(model, req, &llm.Response{})
		if ok != (want > 0) || u.InputTokens != want {
			t.Errorf("%q: %d, %v; want %d", model, u.InputTokens, ok, want)
		}
	}
}

// TestUnknown: where something cannot be counted nothing is said.
func TestUnknown(t *testing.T) {
	message := func(content string) string { return `"messages":[{"role":"user","content":` + content + `}]` }
	hi := message(`"hi"`)
	for name, c := range map[string]struct {
		fields string
		ok     bool
	}{
		"plain":               {hi, true},
		"harmless fields":     {hi + `,"seed":1,"store":true,"logprobs":true,"n":1`, true},
		"json object":         {hi + `,"response_format":{"type":"json_object"}`, true},
		"refusal":             {`"messages":[{"role":"assistant","refusal":"No."}]`, true},
		"two choices":         {hi + `,"n":2`, false},
		"prediction":          {hi + `,"prediction":{"type":"content","content":"x"}`, false},
		"search":              {hi + `,"web_search_options":{}`, false},
		"grounded on Azure":   {hi + `,"data_sources":[]`, false},
		"allowed tools":       {hi + `,"tool_choice":{"type":"allowed_tools"}`, false},
		"other format":        {hi + `,"response_format":{"type":"grammar"}`, false},
		"custom tool":         {hi + `,"tools":[{"type":"custom","custom":{"name":"x"}}]`, false},
		"custom call":         {`"messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"x"}}]}]`, false},
		"file":                {message(`[{"type":"file","file":{"file_id":"f"}}]`), false},
		"audio":               {message(`[{"type":"input_audio","input_audio":{"format":"wav","data":""}}]`), false},
		"unknown part":        {message(`[{"type":"video_url"}]`), false},
		"address, low detail": {message(`[{"type":"image_url","image_url":{"url":"https://a.example/b.png","detail":"low"}}]`), true},
		"address":             {message(`[{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]`), false},
		"no picture":          {message(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`), false},
	} {
		_, ok := tokens.Estimate("gpt-4o", decode(t, `{"model":"m",`+c.fields+`}`), &llm.Response{Text: "x"})
		if ok != c.ok {
			t.Errorf("%s: ok is %v", name, ok)
		}
	}
	if _, ok := tokens.Estimate("gpt-4o", nil, nil); ok {
		t.Error("nothing was counted")
	}
}

// TestAnswers: what the recordings of gpt-4-turbo-2024-04-09, gpt-4o-mini-2024-07-18
// and gpt-4-0613 billed for these answers.
func TestAnswers(t *testing.T) {
	call := func(name, arguments string) llm.ToolCall { return llm.ToolCall{Name: name, Arguments: arguments} }
	light := call("light_travel_time", `{"distance_in_light_years":4}`)
	concert := call("concert_find_details", `{"artist": "The Weeknd", "month": "December"}`)
	gcd := []llm.ToolCall{call("math_gcd", `{"num1": 36, "num2": 48}`), call("math_gcd", `{"num1": 60, "num2": 96}`)}
	const auto, forced = `{"model":"m","messages":[]}`, `{"model":"m","messages":[],"tool_choice":{"type":"function","function":{"name":"light_travel_time"}}}`
	for _, c := range []struct {
		name, body string
		resp       llm.Response
		want       int
	}{
		{"empty", auto, llm.Response{}, 1},
		{"text and its end", auto, llm.Response{Text: "tiktoken is great!"}, 7},
		{"cut text has no end", auto, llm.Response{Text: "tiktoken is great!", Finish: llm.FinishLength}, 6},
		{"refusal", auto, llm.Response{Refusal: "tiktoken is great!"}, 7},
		{"one call", auto, llm.Response{ToolCalls: []llm.ToolCall{light}}, 18},
		{"forced call: the arguments", forced, llm.Response{ToolCalls: []llm.ToolCall{light}}, 8},
		{"one wrapped call", auto, llm.Response{ToolCalls: []llm.ToolCall{concert}}, 37},
		{"two calls", auto, llm.Response{ToolCalls: gcd}, 57},
	} {
		u, ok := tokens.Estimate("gpt-4-turbo-2024-04-09", decode(t, c.body), &c.resp)
		if !ok || u.OutputTokens != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, u.OutputTokens, ok, c.want)
		}
	}
	a, _ := tokens.Estimate("gpt-4o", decode(t, auto), &llm.Response{ToolCalls: []llm.ToolCall{light}})
	f, _ := tokens.Estimate("gpt-4o", decode(t, forced), &llm.Response{ToolCalls: []llm.ToolCall{light}})
	if a.InputTokens+a.OutputTokens != f.InputTokens+f.OutputTokens {
		t.Errorf("forcing a call changes the sum: %+v, %+v", a, f)
	}
	if _, ok := tokens.Estimate("gpt-4-1106-preview", decode(t, auto), &llm.Response{ToolCalls: gcd}); ok {
		t.Error("indented parallel calls were counted")
	}
}

// TestPictures: the examples of OpenAI's guide, and each file format.
func TestPictures(t *testing.T) {
	encode := func(w, h int, how func(*bytes.Buffer, image.Image) error) []byte {
		var b bytes.Buffer
		if err := how(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	asPNG := func(b *bytes.Buffer, m image.Image) error { return png.Encode(b, m) }
	asJPEG := func(b *bytes.Buffer, m image.Image) error { return jpeg.Encode(b, m, nil) }
	asGIF := func(b *bytes.Buffer, m image.Image) error { return gif.Encode(b, m, nil) }
	webp := func(chunk, head string) []byte {
		return []byte("RIFF\x00\x00\x00\x00WEBP" + chunk + "\x0a\x00\x00\x00" + head)
	}
	for _, c := range []struct {
		name, model, detail string
		data                []byte
		want                int
	}{
		{"guide", "gpt-4o", "high", encode(1024, 1024, asPNG), 765},
		{"guide", "gpt-4o", "high", encode(2048, 4096, asPNG), 1105},
		{"guide", "gpt-4-turbo", "low", encode(4096, 512, asPNG), 85},
		{"one tile", "gpt-4.1", "", encode(512, 512, asJPEG), 255},
		{"two tiles", "gpt-4o", "auto", encode(513, 500, asGIF), 425},
		{"mini", "gpt-4o-mini", "high", encode(1024, 1024, asPNG), 2833 + 4*5667},
		{"webp, lossy", "gpt-4o", "high", webp("VP8 ", "\x00\x00\x00\x9d\x01\x2a\x00\x04\x00\x04"), 765},
		{"webp, lossless", "gpt-4o", "high", webp("VP8L", "\x2f\xff\xc3\xff\x00\x00\x00\x00\x00\x00"), 765},
		{"webp, extended", "gpt-4o", "high", webp("VP8X", "\x00\x00\x00\x00\xff\x03\x00\xff\x03\x00"), 765},
		{"patches", "gpt-4.1-mini", "high", encode(10, 10, asPNG), -1},
		{"no pictures", "gpt-3.5-turbo", "low", encode(10, 10, asPNG), -1},
	} {
		part := llm.Part{Kind: llm.PartImage, Image: &llm.Image{Data: c.data, Detail: c.detail}}
		req := &llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{part}}}}
		u, ok := tokens.Estimate(c.model, req, &llm.Response{})
		if got := u.InputTokens - 3 - 4; ok != (c.want >= 0) || ok && got != c.want {
			t.Errorf("%s, %s: %d, %v; want %d", c.name, c.model, got, ok, c.want)
		}
	}
}

// TestSchemaFormat: a schema for the answer costs at least its own text.
func TestSchemaFormat(t *testing.T) {
	const schema = `{"type":"object","properties":{"answer":{"type":"string"}}}`
	plain := prompt(t, "gpt-4o", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	with := prompt(t, "gpt-4o", `{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":`+schema+`}}}`)
	if with < plain+15 {
		t.Errorf("%d with a schema, %d without", with, plain)
	}
}

// TestConcurrent counts with both vocabularies from many goroutines, the first
// time in the process or not.
func TestConcurrent(t *testing.T) {
	req := decode(t, weather)
	want := map[string]int{"gpt-4": 105, "gpt-4o": 101}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			model := []string{"gpt-4", "gpt-4o"}[i%2]
			for range 20 {
				if u, ok := tokens.Estimate(model, req, &llm.Response{}); !ok || u.InputTokens != want[model] {
					t.Errorf("%s: %d, %v", model, u.InputTokens, ok)
				}
			}
		})
	}
	all.Wait()
}

// TestArguments: the request is left as it was.
func TestArguments(t *testing.T) {
	req := decode(t, weather)
	before, _ := json.Marshal(req)
	tokens.Estimate("gpt-4o", req, &llm.Response{})
	if after, _ := json.Marshal(req); !bytes.Equal(before, after) {
		t.Error("the request was changed")
	}
}
