package sim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"understudy/llm/sim"
)

var (
	correctness = []string{"incorrect", "partially correct", "correct"}
	styles      = []string{"not at all", "not generally", "neutral/mixed", "generally yes", "completely yes"}
	yesNo       = []string{"No", "Yes"}
	sides       = []string{"A", "B", "tie"}
)

// judged is a request for a verdict.
type judged struct {
	metric  string
	request string
	answers []string
	labels  []string
	// asText leaves the tool out; fence is a nonce of its own, model the judge.
	asText       bool
	fence, model string
}

func (j judged) system() string { return "You are a judge.\nMetric: " + j.metric + "\nBe fair." }

func (j judged) user() string {
	nonce := j.fence
	if nonce == "" {
		nonce = strings.Repeat("0f", 16)
	}
	var b strings.Builder
	put := func(name, text string) { fmt.Fprintf(&b, "<%s-%s>\n%s\n</%s-%s>\n", name, nonce, text, name, nonce) }
	put("request", j.request)
	if len(j.answers) == 1 {
		put("answer", j.answers[0])
	} else {
		put("answer-A", j.answers[0])
		put("answer-B", j.answers[1])
	}
	return b.String() + "\nWhich label fits?\nLabels: " + j.list() + "\nOne verdict, please."
}

func (j judged) list() string {
	b, _ := json.Marshal(j.labels)
	return string(b)
}

func (j judged) schema() string {
	return `{"type":"object","properties":{"reason":{"type":"string"},"label":{"type":"string","enum":` + j.list() + `}},"required":["reason","label"]}`
}

// chat is the request on the wire of OpenAI.
func (j judged) chat(more ...string) string {
	model := j.model
	if model == "" {
		model = gpt
	}
	out := `{"model":` + quoted(model) + `,"messages":[{"role":"system","content":` + quoted(j.system()) + `},{"role":"user","content":` + quoted(j.user()) + `}],"max_tokens":500,"temperature":0`
	if !j.asText {
		out += `,"tools":[{"type":"function","function":{"name":"verdict","parameters":` + j.schema() + `}}],"tool_choice":{"type":"function","function":{"name":"verdict"}}`
	}
	return out + strings.Join(append([]string{""}, more...), ",") + "}"
}

// converse is the request on the wire of Bedrock.
func (j judged) converse() string {
	out := `{"system":[{"text":` + quoted(j.system()) + `}],"messages":[{"role":"user","content":[{"text":` + quoted(j.user()) + `}]}],"inferenceConfig":{"maxTokens":500}`
	if !j.asText {
		out += `,"toolConfig":{"tools":[{"toolSpec":{"name":"verdict","inputSchema":{"json":` + j.schema() + `}}}],"toolChoice":{"tool":{"name":"verdict"}}}`
	}
	return out + "}"
}

// verdict is what a judge replied.
type verdict struct{ Reason, Label string }

// readVerdict demands exactly one call of the tool, or one JSON object.
func (j judged) readVerdict(t *testing.T, text string, calls []string) verdict {
	t.Helper()
	if !j.asText {
		if len(calls) != 1 || text != "" || !strings.HasPrefix(calls[0], "verdict ") {
			t.Fatalf("%q, %q", text, calls)
		}
		text = strings.TrimPrefix(calls[0], "verdict ")
	}
	var v verdict
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.Reason == "" || v.Label == "" || !strings.HasPrefix(text, `{"reason":`) {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

func chatVerdict(t *testing.T, s *sim.Server, j judged) verdict {
	t.Helper()
	a := direct(s, chatPath, j.chat())
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	text, calls := readChatAnswer(t, a.body, false)
	return j.readVerdict(t, text, calls)
}

// input is the request for the SDK.
func (j judged) input() *bedrockruntime.ConverseStreamInput {
	in := &bedrockruntime.ConverseStreamInput{ModelId: aws.String(claude), Messages: userSays(j.user()),
		System: []types.SystemContentBlock{&types.SystemContentBlockMemberText{Value: j.system()}}}
	if j.asText {
		return in
	}
	var schema map[string]any
	_ = json.Unmarshal([]byte(j.schema()), &schema)
	in.ToolConfig = &types.ToolConfiguration{
		Tools: []types.Tool{&types.ToolMemberToolSpec{Value: types.ToolSpecification{Name: aws.String("verdict"),
			InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(schema)}}}},
		ToolChoice: &types.ToolChoiceMemberTool{Value: types.SpecificToolChoice{Name: aws.String("verdict")}},
	}
	return in
}
