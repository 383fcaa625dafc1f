package sim_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"understudy/llm/sim"
)

const reportSchema = `{"type":"object","properties":{"score":{"type":"integer","minimum":1,"maximum":5},"tags":{"type":"array","items":{"type":"string","enum":["a","b"]},"minItems":1},"note":{"type":"string","minLength":3},"ok":{"type":"boolean"},"when":{"type":"string","format":"date"}},"required":["score","tags","note","ok"],"additionalProperties":false}`

const format = `"response_format":{"type":"json_schema","json_schema":{"name":"report","schema":` + reportSchema + `}}`

// instructed is the same demand as an instruction, for models without the field.
func instructed() string {
	return `"system":[{"text":` + quoted("Be short.\n\nAnswer with one JSON value valid against this JSON Schema:\n"+reportSchema) + `}]`
}

// chatSays and converseSays give the text and the calls of an answer.
func chatSays(t *testing.T, s *sim.Server, body string) (string, []string) {
	t.Helper()
	return readChatAnswer(t, post(t, s, chatPath, body).body, false)
}

func converseSays(t *testing.T, s *sim.Server, model, body string) (string, []string) {
	t.Helper()
	return readConverseAnswer(t, post(t, s, "/model/"+url.PathEscape(model)+"/converse", body))
}

func readConverseAnswer(t *testing.T, a answer) (text string, calls []string) {
	t.Helper()
	var m struct {
		Output struct {
			Message struct {
				Content []struct {
					Text    string
					ToolUse *struct {
						Name  string
						Input json.RawMessage
					}
				}
			}
		}
	}
	if err := json.Unmarshal(a.body, &m); err != nil || a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, b := range m.Output.Message.Content {
		text += b.Text
		if b.ToolUse != nil {
			calls = append(calls, b.ToolUse.Name+" "+string(b.ToolUse.Input))
		}
	}
	return text, calls
}

// TestModelsAgreeOnStructure: same question, two wires, two models: equal JSON
// and equal calls, other words.
func TestModelsAgreeOnStructure(t *testing.T) {
	live, candidate := start(t, sim.Config{Kind: sim.OpenAI, Seed: 1}), start(t, sim.Config{Kind: sim.Bedrock, Seed: 2})
	const question = "How is the weather in Oslo today?"
	a, _ := chatSays(t, live, chatBody(question, format))
	b, _ := converseSays(t, candidate, llama, converseBody(question, instructed()))
	if a == "" || a != b {
		t.Errorf("JSON differs: %s, %s", a, b)
	}
	validReport(t, a)
	_, calls := chatSays(t, live, chatBody(question, weatherFunction))
	_, others := converseSays(t, candidate, claude, converseBody(question, strings.Replace(weatherConfig, `"name":"weather",`, `"name":"weather","description":"tells the weather of a city",`, 1)))
	if len(calls) != 1 || !cmp.Equal(calls, others) {
		t.Errorf("calls differ: %v, %v", calls, others)
	}
	a, _ = chatSays(t, live, chatBody(question, ""))
	b, _ = converseSays(t, candidate, llama, converseBody(question, ""))
	if a == b || len(a) < 40 || len(b) < 40 {
		t.Errorf("prose: %q, %q", a, b)
	}
}

func validReport(t *testing.T, text string) {
	t.Helper()
	if err := against(t, reportSchema, text); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

// against holds a JSON text against a schema.
func against(t *testing.T, schema, text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("s.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return compiled.Validate(v)
}

func TestGeneratedJSONIsValid(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI})
	for name, schema := range map[string]string{
		"report":     reportSchema,
		"nested":     `{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"array","items":{"type":"object","properties":{"c":{"type":"number","exclusiveMinimum":0,"maximum":1}},"required":["c"]},"minItems":4,"maxItems":5}},"required":["b"]}},"required":["a"]}`,
		"references": `{"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["name","children"]}}}`,
		"choices":    `{"type":"object","properties":{"x":{"anyOf":[{"type":"null"},{"type":"integer","minimum":3}]},"y":{"type":["null","string"],"maxLength":4},"z":{"const":7},"e":{"enum":[1,"two",null]}},"required":["x","y","z","e"]}`,
		"all of":     `{"type":"object","allOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"integer","minimum":-4,"maximum":-2}},"required":["b"]}]}`,
		"formats":    `{"type":"object","properties":{"d":{"type":"string","format":"date-time"},"m":{"type":"string","format":"email"},"u":{"type":"string","format":"uuid"}},"required":["d","m","u"]}`,
		"unique":     `{"type":"object","properties":{"l":{"type":"array","uniqueItems":true,"minItems":3,"items":{"type":"string"}}},"required":["l"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, q := range []string{"", "ü", "How are the tides made?", "Name three rivers of Norway", "Plan my week in detail"} {
				text, _ := chatSays(t, s, chatBody(q, `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":`+schema+`}}`))
				if err := against(t, schema, text); err != nil {
					t.Errorf("%q: %s: %v", q, text, err)
				}
			}
		})
	}
}

func TestToolChoice(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI})
	two := strings.Replace(weatherFunction, `"tools":[`, `"tools":[{"type":"function","function":{"name":"now"}},`, 1)
	tests := map[string]struct {
		question, choice, tool string
	}{
		"auto, asked for":     {"Tell me the weather", "auto", "weather"},
		"auto, not asked for": {"Sing something", "auto", ""},
		"none":                {"Tell me the weather", "none", ""},
		"required":            {"Sing something", "required", "now"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, calls := chatSays(t, s, chatBody(tt.question, two+`,"tool_choice":"`+tt.choice+`"`))
			if got := strings.Join(calls, ";"); !strings.HasPrefix(got, tt.tool) || (got == "") != (tt.tool == "") {
				t.Errorf("calls %v", calls)
			}
		})
	}
	_, calls := chatSays(t, s, chatBody("Sing", two+`,"tool_choice":{"type":"function","function":{"name":"weather"}}`))
	if len(calls) != 1 || !strings.HasPrefix(calls[0], `weather {"city":"`) {
		t.Errorf("named: %v", calls)
	}
}

// TestDials: over many requests each dial shows its share.
func TestDials(t *testing.T) {
	const n = 300
	dialled := func(p sim.Persona) sim.Persona { p.TTFTShare = 0.5; return p }
	tests := map[string]struct {
		persona sim.Persona
		more    string
		hit     func(a answer) bool
	}{
		"errors": {dialled(sim.Persona{ErrorRate: 0.2}), "", func(a answer) bool { return a.status == 500 }},
		"refusals": {dialled(sim.Persona{RefusalRate: 0.2}), "", func(a answer) bool {
			return a.status == 200 && (contains(a.body, "I'm ") || contains(a.body, "I c") || contains(a.body, "I a"))
		}},
		"invalid JSON": {dialled(sim.Persona{InvalidJSONRate: 0.2}), format, func(a answer) bool { text, _ := readChatAnswer(t, a.body, false); return !json.Valid([]byte(text)) }},
		"schema breaks": {dialled(sim.Persona{SchemaBreakRate: 0.2}), format, func(a answer) bool {
			text, _ := readChatAnswer(t, a.body, false)
			return json.Valid([]byte(text)) && against(t, reportSchema, text) != nil
		}},
		"tool misses": {dialled(sim.Persona{ToolMissRate: 0.2}), weatherFunction, func(a answer) bool {
			_, calls := readChatAnswer(t, a.body, false)
			return len(calls) != 1 || !strings.Contains(calls[0], `"city"`)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, sim.Config{Kind: sim.OpenAI, Personas: map[string]sim.Persona{"*": tt.persona}})
			c, hits := transport(t), 0
			for range n {
				if tt.hit(send(t, c, s, "POST", chatPath, chatBody("What is the weather in town?", tt.more))) {
					hits++
				}
			}
			if hits < n/10 || hits > n*3/10 {
				t.Errorf("%d of %d, want about a fifth", hits, n)
			}
		})
	}
}

// TestSameSeedSameRun: a second run gives the same answers, another seed others.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) (out []string) {
		s := start(t, sim.Config{Kind: sim.OpenAI, Seed: seed, Personas: map[string]sim.Persona{"*": {ErrorRate: 0.3, OutputTokens: 40, OutputSpread: 0.5}}})
		for range 20 {
			a := post(t, s, chatPath, chatBody("Tell me of rivers", ""))
			if a.status != 200 {
				out = append(out, "error")
				continue
			}
			text, _ := readChatAnswer(t, a.body, false)
			out = append(out, text)
		}
		return out
	}
	first := run(7)
	if d := cmp.Diff(first, run(7)); d != "" {
		t.Error(d)
	}
	if cmp.Equal(first, run(8)) {
		t.Error("another seed changes nothing")
	}
}

// TestLatencyDial: the drawn latencies have the dial's mean, and no call is
// quicker than its own.
func TestLatencyDial(t *testing.T) {
	p := sim.Persona{LatencyMean: 60 * time.Millisecond, LatencySpread: 0.3, TTFTShare: 0.3}
	s := start(t, sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"us.meta.llama3-3-70b-instruct-v1:0": p, "*": quick()}})
	c := transport(t)
	const n = 120
	var mu sync.Mutex
	var sum float64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			begin := time.Now()
			a := send(t, c, s, "POST", "/model/"+url.PathEscape("eu.meta.llama3-3-70b-instruct-v1:0")+"/converse", converseBody("Hi", ""))
			took := time.Since(begin).Milliseconds()
			var m struct{ Metrics struct{ LatencyMs int64 } }
			if err := json.Unmarshal(a.body, &m); err != nil || took < m.Metrics.LatencyMs {
				t.Errorf("%v: took %d ms, latency %d ms: %s", err, took, m.Metrics.LatencyMs, a.body)
			}
			mu.Lock()
			defer mu.Unlock()
			sum += float64(m.Metrics.LatencyMs)
		})
	}
	wg.Wait()
	if mean := sum / n; mean < 54 || mean > 66 {
		t.Errorf("mean latency %.1f ms, dialled are 60", mean)
	}
}

func TestUsageAndLimits(t *testing.T) {
	p := sim.Persona{InputTokens: 3000, OutputTokens: 500, ContextTokens: 1000}
	s := start(t, sim.Config{Kind: sim.OpenAI, Personas: map[string]sim.Persona{"*": p}})
	usage := func(a answer) (in, out float64, finish string) {
		m := a.object(t)
		u := m["usage"].(map[string]any)
		return u["prompt_tokens"].(float64), u["completion_tokens"].(float64), m["choices"].([]any)[0].(map[string]any)["finish_reason"].(string)
	}
	a := post(t, s, chatPath, chatBody("Hi", ""))
	if in, out, finish := usage(a); in != 3000 || out != 500 || finish != "stop" {
		t.Errorf("%v %v %s", in, out, finish)
	}
	if text, _ := readChatAnswer(t, a.body, false); math.Abs(float64(len(text))-2000) > 120 {
		t.Errorf("%d bytes of text for 500 tokens", len(text))
	}
	a = post(t, s, chatPath, chatBody("Hi", `"max_tokens":10`))
	if _, out, finish := usage(a); out != 10 || finish != "length" {
		t.Errorf("%v %s", out, finish)
	}
	if a = post(t, s, chatPath, chatBody(strings.Repeat("long ", 1000), "")); a.status != 400 || !contains(a.body, "context_length_exceeded") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestFullContext: an answer ends where the model's context does, each wire has
// its own word for it, and a smaller limit of the request's comes first.
func TestFullContext(t *testing.T) {
	p := sim.Persona{OutputTokens: 500, ContextTokens: 300}
	long := strings.Repeat("long ", 160) // 200 tokens
	path := "/model/" + url.PathEscape(claude) + "/converse"
	limited := func(n int) string { return fmt.Sprintf(`"inferenceConfig":{"maxTokens":%d}`, n) }
	for _, tt := range []struct {
		kind             sim.Kind
		path, body, want string
	}{
		{sim.OpenAI, chatPath, chatBody(long, ""), `"finish_reason":"length"`},
		{sim.OpenAI, chatPath, chatBody(long, ""), `"completion_tokens":100,`},
		{sim.Bedrock, path, converseBody(long, ""), `"stopReason":"model_context_window_exceeded"`},
		{sim.Bedrock, path, converseBody(long, ""), `"outputTokens":100,`},
		{sim.Bedrock, path, converseBody(long, limited(400)), `"stopReason":"model_context_window_exceeded"`},
		{sim.Bedrock, path, converseBody(long, limited(50)), `"stopReason":"max_tokens"`},
		{sim.Bedrock, path, converseBody(strings.Repeat(long, 2), ""), `Input is too long`},
		{sim.Bedrock, path, turnsBody(hi+","+use+","+user(strings.Replace(result, `{"text":`, `{"json":{"a":`+quoted(strings.Repeat(long, 2))+`}},{"text":`, 1)), weatherConfig), `Input is too long`},
	} {
		s := start(t, sim.Config{Kind: tt.kind, Personas: map[string]sim.Persona{"*": p}})
		if a := post(t, s, tt.path, tt.body); !contains(a.body, tt.want) {
			t.Errorf("%s: %d %s lacks %s", tt.kind, a.status, a.body, tt.want)
		}
	}
}

func TestParsePersona(t *testing.T) {
	model, p, err := sim.ParsePersona("us.a-v1:0: latency=450ms, spread=0.2, ttft=0.5, input_tokens=3, output_tokens=4, output_spread=0.1, errors=0.01, refusals=0.02, invalid_json=0.03, schema_breaks=0.04, tool_misses=0.05, context=9, "+
		"quality=0.7, harm=0.06, stereotypes=0.07, unprofessional=0.08, judge_noise=0.09, judge_position_bias=0.1, judge_length_bias=0.11, judge_ties=0, judge_fault=twice, judge_fault_rate=0.12", sim.DefaultPersona())
	want := sim.Persona{LatencyMean: 450 * time.Millisecond, LatencySpread: 0.2, TTFTShare: 0.5, InputTokens: 3, OutputTokens: 4, OutputSpread: 0.1,
		ErrorRate: 0.01, RefusalRate: 0.02, InvalidJSONRate: 0.03, SchemaBreakRate: 0.04, ToolMissRate: 0.05, ContextTokens: 9,
		Quality: new(0.7), HarmRate: 0.06, StereotypeRate: 0.07, UnprofessionalRate: 0.08, JudgeNoise: 0.09, JudgePositionBias: 0.1, JudgeLengthBias: 0.11,
		JudgeTies: new(0.0), JudgeFault: sim.JudgeTwice, JudgeFaultRate: 0.12}
	if d := cmp.Diff(want, p); err != nil || model != "us.a-v1:0" || d != "" {
		t.Errorf("%q %v %s", model, err, d)
	}
	for _, bad := range []string{"", "m", "m: latency", "m: latency=fast", "m: mood=good", "m: errors=2", "m: quality=1.1", "m: quality=good", "m: judge_ties=-1",
		"m: judge_noise=2", "m: judge_fault=shy", "m: judge_fault_rate=0.1"} {
		if _, _, err := sim.ParsePersona(bad, sim.DefaultPersona()); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
