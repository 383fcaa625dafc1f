package sim_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"understudy/llm/sim"
)

func userSays(text string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}}}}
}

func weatherTools() *types.ToolConfiguration {
	return &types.ToolConfiguration{Tools: []types.Tool{&types.ToolMemberToolSpec{Value: types.ToolSpecification{
		Name: aws.String("weather"), Description: aws.String("tells the weather of a city"),
		InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(map[string]any{
			"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"},
		})},
	}}}}
}

// said is an answer of either operation in one form.
type said struct {
	Text   string
	Tools  []string // name and arguments
	Stop   string
	In     int32
	Out    int32
	Events []string
}

// collect reads a stream to its end.
func collect(t *testing.T, c *bedrockruntime.Client, in *bedrockruntime.ConverseStreamInput) (said, error) {
	t.Helper()
	out, err := c.ConverseStream(t.Context(), in)
	if err != nil {
		return said{}, err
	}
	stream := out.GetStream()
	defer func() { _ = stream.Close() }()
	var s said
	for e := range stream.Events() {
		switch e := e.(type) {
		case *types.ConverseStreamOutputMemberMessageStart:
			s.Events = append(s.Events, "start")
		case *types.ConverseStreamOutputMemberContentBlockStart:
			u := e.Value.Start.(*types.ContentBlockStartMemberToolUse)
			s.Tools = append(s.Tools, *u.Value.Name+" ")
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			switch d := e.Value.Delta.(type) {
			case *types.ContentBlockDeltaMemberText:
				s.Text += d.Value
			case *types.ContentBlockDeltaMemberToolUse:
				s.Tools[len(s.Tools)-1] += *d.Value.Input
			}
		case *types.ConverseStreamOutputMemberMessageStop:
			s.Stop = string(e.Value.StopReason)
			s.Events = append(s.Events, "stop")
		case *types.ConverseStreamOutputMemberMetadata:
			s.In, s.Out = *e.Value.Usage.InputTokens, *e.Value.Usage.OutputTokens
			s.Events = append(s.Events, "metadata")
		}
	}
	return s, stream.Err()
}

func TestConverseStreamOfRecordedAnswers(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture(), AnswersOnly: true})
	c := bedrockClient(t, s)
	all := []string{"start", "stop", "metadata"}
	tests := map[string]struct {
		question, model string
		want            said
	}{
		"text": {"What is two and two?", claude, said{Text: "It is four. ☕", Stop: "end_turn", In: 12, Out: 5, Events: all}},
		"region prefix": {"What is two and two?", "eu." + claude,
			said{Text: "It is four. ☕", Stop: "end_turn", In: 12, Out: 5, Events: all}},
		"profile ARN": {"What is two and two?", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us." + claude,
			said{Text: "It is four. ☕", Stop: "end_turn", In: 12, Out: 5, Events: all}},
		"empty text has no block": {"Say nothing.", claude, said{Stop: "end_turn", In: 3, Events: all}},
		"any model":               {"Anyone?", claude, said{Text: "anyone", Stop: "end_turn", In: 2, Out: 2, Events: all}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := collect(t, c, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(tt.model), Messages: userSays(tt.question)})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConverseToolArgumentsAreExact(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture(), AnswersOnly: true})
	c := bedrockClient(t, s)
	first, second := `{"city":  "Oslo", "n": 1.0, "z": 1e2, "a": null}`, `{"city": "Røma <&>"}`
	got, err := collect(t, c, &bedrockruntime.ConverseStreamInput{
		ModelId: aws.String(claude), Messages: userSays("Weather in Oslo and Rome?"), ToolConfig: weatherTools()})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"weather " + first, "weather " + second, "now "}, got.Tools); d != "" {
		t.Errorf("stream: %s", d)
	}
	if got.Stop != "tool_use" {
		t.Errorf("stop reason %q", got.Stop)
	}
	// Only the raw body shows the bytes: the SDK reads the input into a map.
	a := post(t, s, "/model/"+url.PathEscape(claude)+"/converse", converseBody("Weather in Oslo and Rome?", weatherConfig))
	for _, want := range []string{`"input":` + first + `,`, `"input":` + second + `,`, `"input":{},"name":"now"`, `"stopReason":"tool_use"`} {
		if !contains(a.body, want) {
			t.Errorf("body lacks %s:\n%s", want, a.body)
		}
	}
}

func TestConverseBrokenArguments(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture(), AnswersOnly: true})
	got, err := collect(t, bedrockClient(t, s), &bedrockruntime.ConverseStreamInput{
		ModelId: aws.String(claude), Messages: userSays("Broken."), ToolConfig: weatherTools()})
	if err != nil {
		t.Fatal(err)
	}
	want := said{Tools: []string{`weather {"city": `}, Stop: "malformed_tool_use", Events: []string{"start", "stop", "metadata"}}
	want.In, want.Out = got.In, got.Out
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestConverseWhole(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture(), AnswersOnly: true})
	begin := time.Now()
	out, err := bedrockClient(t, s).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(claude), Messages: userSays("What is two and two?")})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 60*time.Millisecond {
		t.Errorf("answered after %v, recorded are 60 ms", took)
	}
	m := out.Output.(*types.ConverseOutputMemberMessage).Value
	if d := cmp.Diff("It is four. ☕", m.Content[0].(*types.ContentBlockMemberText).Value); d != "" {
		t.Error(d)
	}
	if got := []int32{*out.Usage.InputTokens, *out.Usage.OutputTokens, *out.Usage.TotalTokens}; !cmp.Equal(got, []int32{12, 5, 17}) {
		t.Errorf("usage %v", got)
	}
	if *out.Metrics.LatencyMs != 60 {
		t.Errorf("latencyMs %d", *out.Metrics.LatencyMs)
	}
	want := map[string]sim.ModelStats{claude: {Calls: 1, OK: 1, InputTokens: 12, OutputTokens: 5}}
	if d := cmp.Diff(want, s.Stats()); d != "" {
		t.Error(d)
	}
}

// TestStreamTiming: first content not before ttft, the end not before latency.
func TestStreamTiming(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture()})
	begin := time.Now()
	out, err := bedrockClient(t, s).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(claude), Messages: userSays("What is two and two?")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.GetStream().Close() }()
	var first, stop time.Duration
	for e := range out.GetStream().Events() {
		switch e.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			if first == 0 {
				first = time.Since(begin)
			}
		case *types.ConverseStreamOutputMemberMessageStop:
			stop = time.Since(begin)
		}
	}
	if first < 20*time.Millisecond || stop < 60*time.Millisecond || first >= stop {
		t.Errorf("first content after %v (ttft 20 ms), stop after %v (latency 60 ms)", first, stop)
	}
}

func TestConverseErrors(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture(), AnswersOnly: true, NoAccess: []string{"amazon.nova-pro-v1:0"}})
	c := bedrockClient(t, s)
	tests := map[string]struct{ model, question, code string }{
		"no recorded answer": {claude, "Something else", "ResourceNotFoundException"},
		"no access":          {"us.amazon.nova-pro-v1:0", "Anyone?", "AccessDeniedException"},
		"no such model":      {"acme.model-1", "Anyone?", "ResourceNotFoundException"},
		"no form of an id":   {"what ever", "Anyone?", "ValidationException"},
		"opaque ARN":         {"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "Anyone?", "ResourceNotFoundException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(tt.model), Messages: userSays(tt.question)})
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != tt.code {
				t.Errorf("error %v, want %s", err, tt.code)
			}
		})
	}
}

func TestDeclaredFamilyOfARN(t *testing.T) {
	arn := "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
	s := start(t, sim.Config{Kind: sim.Bedrock, Families: map[string]string{arn: "llama"}})
	c := bedrockClient(t, s)
	if _, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(arn), Messages: userSays("Hello")}); err != nil {
		t.Fatal(err)
	}
	_, err := collect(t, c, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(arn), Messages: userSays("Hello"), ToolConfig: weatherTools()})
	var bad *types.ValidationException
	if !errors.As(err, &bad) {
		t.Errorf("Llama streamed with tools: %v", err)
	}
}

func TestCapabilityLiftsTools(t *testing.T) {
	old := "meta.llama3-70b-instruct-v1:0"
	model, capabilities, err := sim.ParseCapability(old + "=tools")
	if err != nil || model != old || !cmp.Equal(capabilities, []string{"tools"}) {
		t.Fatalf("%s %v %v", model, capabilities, err)
	}
	for name, tt := range map[string]struct {
		cfg sim.Config
		ok  bool
	}{
		"as in the table": {sim.Config{Kind: sim.Bedrock}, false},
		"lifted":          {sim.Config{Kind: sim.Bedrock, Capabilities: map[string][]string{model: capabilities}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := bedrockClient(t, start(t, tt.cfg))
			_, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(old), Messages: userSays("Weather?"), ToolConfig: weatherTools()})
			if (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, bad := range []string{"", "x", "=tools", "m=", "m=imagery"} {
		if _, _, err := sim.ParseCapability(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestRequestHeaders(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock})
	a := post(t, s, "/model/"+url.PathEscape(claude)+"/converse", converseBody("Hi", ""))
	if a.status != http.StatusOK || len(a.header.Get("X-Amzn-Requestid")) != 36 {
		t.Errorf("%d %v", a.status, a.header)
	}
	if b := post(t, s, "/model/"+url.PathEscape(claude)+"/converse", converseBody("Hi", "")); b.header.Get("X-Amzn-Requestid") == a.header.Get("X-Amzn-Requestid") {
		t.Error("two calls have one request id")
	}
}
