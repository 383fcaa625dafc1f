package llm_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

// A Chat Completions request becomes a Converse request, and what is lost is data.
func Example() {
	body := []byte(`{"model":"gpt-4-turbo","max_tokens":100,"stop":["END"],"logprobs":true,
		"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}`)
	req, err := openai.Decode(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	family, ok := bedrock.FamilyOf("", "us.meta.llama3-3-70b-instruct-v1:0")
	if !ok {
		fmt.Println("the endpoint must declare its family")
		return
	}
	tr, err := bedrock.Translate(req, family)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", tr.Body)
	for _, g := range tr.Gaps {
		fmt.Println(g.Severity, g.Action, g.Path, "-", g.Reason)
	}
	fmt.Println("comparable:", llm.Comparable(tr.Gaps))
	// Output:
	// {"messages":[{"role":"user","content":[{"text":"Hi"}]}],"system":[{"text":"Be brief."}],"inferenceConfig":{"maxTokens":100}}
	// semantic emulated /stop - stop: the model takes no stop sequences; its answer is cut at them when it is whole
	// blocking refused /logprobs - logprobs: not available on Converse
	// comparable: false
}

// A Converse answer becomes a chat.completion.
func Example_answer() {
	resp, err := bedrock.DecodeAnswer([]byte(`{"output":{"message":{"content":[{"text":"Let me see."},
		{"toolUse":{"toolUseId":"t1","name":"weather","input":{"city": "Oslo"}}}]}},"stopReason":"tool_use","usage":{"inputTokens":12,"outputTokens":7}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.ID, resp.Model = "chatcmpl-1", "gpt-4-turbo"
	fmt.Printf("%s\n", openai.EncodeResponse(resp, 1700000000))
	// Output:
	// {"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4-turbo","choices":[{"index":0,"message":{"role":"assistant","content":"Let me see.","refusal":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"weather","arguments":"{\"city\": \"Oslo\"}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":12,"completion_tokens":7,"total_tokens":19,"prompt_tokens_details":{"cached_tokens":0}}}
}

// A stream is passed on piece by piece. One that breaks ends with an error event:
// the client sees neither a finish nor [DONE].
func ExampleEvent() {
	enc := openai.StreamEncoder{ID: "chatcmpl-1", Model: "gpt-4-turbo", Created: 1700000000}
	s := bedrock.Stream{Emit: func(ev llm.Event) { fmt.Printf("%s", enc.Append(nil, ev)) }}
	for _, e := range [][2]string{
		{"messageStart", `{"role":"assistant"}`},
		{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"Hel"}}`},
	} {
		if err := s.Event(e[0], []byte(e[1])); err != nil {
			break // End repeats it
		}
	}
	if err := s.End(); err != nil {
		fmt.Printf("%s", enc.AppendError(nil, err))
	} else {
		fmt.Printf("%s", enc.AppendDone(nil))
	}
	// Output:
	// data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4-turbo","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}
	//
	// data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4-turbo","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}
	//
	// data: {"error":{"message":"The model's answer ended before it was whole.","type":"server_error","param":null,"code":"incomplete_stream"}}
}

// A Client makes one attempt: what it may cost is known before, what it did after.
// Here the service is a simulator on loopback.
func ExampleClient() {
	service, err := sim.New(sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"*": {}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := service.Start(context.Background(), "127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = service.Close() }()

	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Region, ep.BaseURL = "candidate", "bedrock", "us-east-1", service.URL()
	ep.Model = "us.anthropic.claude-3-5-sonnet-20240620-v1:0"
	who := bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	var client llm.Client
	client, err = bedrock.NewClient(ep, who, &http.Client{Transport: transport})
	if err != nil {
		fmt.Println(err)
		return
	}
	call, err := client.Prepare(&llm.Request{Messages: []llm.Message{
		{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "What is a canary release?"}}},
	}})
	if err != nil || !call.Comparable() {
		fmt.Println(err, call.Gaps)
		return
	}
	fmt.Println("at most", call.MaxOutputTokens, "tokens of output")
	resp, err := client.Do(context.Background(), call)
	if err != nil {
		fmt.Println(llm.ClassOf(err), err)
		return
	}
	fmt.Println(resp.Finish, resp.NativeFinish, len(resp.Text) > 0, resp.Usage.OutputTokens > 0)
	// Output:
	// at most 4096 tokens of output
	// stop end_turn true true
}
