//go:build benchreplay

package replay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"understudy/internal/journal"
	"understudy/llm"
)

const (
	benchSubmodule = "interview/evaluation"
	benchModel     = "meta.llama3-3-70b-instruct-v1:0"
)

// A benchChat is one request of about 4 kB: instructions that all have in common, a
// turn of an interview, and a question of its own.
type benchChat struct {
	system string
	turns  []string // user, assistant, user
}

const benchWords = `a about after answer asked because before between candidate clear code company could data describe design during each
engineer example experience explain figure first from good have how interview job know last lead learned made many measure meeting most
moved number often one other people plan problem project question reason release result role second service should small some still
system team tell than that their then there they think this through time told took under used user was week well were what when where
which while why with work would wrote year your`

// benchText is n bytes of words and their punctuation.
func benchText(r *rand.Rand, n int) string {
	words := strings.Fields(benchWords)
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		switch r.IntN(12) {
		case 0:
			b.WriteString(",")
		case 1:
			b.WriteString(".\n")
		case 2:
			b.WriteString(` "as said",`)
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

// benchChatOf is request i; the same i is always the same request.
func benchChatOf(i int) benchChat {
	all, own := rand.New(rand.NewPCG(1, 0)), rand.New(rand.NewPCG(2, uint64(i)))
	return benchChat{system: benchText(all, 1500), turns: []string{
		benchText(own, 500), benchText(own, 900), fmt.Sprintf("%s%06d. %s", benchName, i, benchText(own, 800)),
	}}
}

// benchName stands before the number of each request.
const benchName = "Interview number "

// benchNameIn is the number of the request whose body this is.
func benchNameIn(body []byte) string {
	i := bytes.Index(body, []byte(benchName))
	if i < 0 {
		return ""
	}
	return string(body[i : i+len(benchName)+6])
}

func benchRoleOf(turn int) string { return [...]string{"user", "assistant"}[turn%2] }

const (
	benchMaxTokens   = 400
	benchTemperature = 0.5 // exact in the SDK's float32
)

// request is the chat as an application sends it to OpenAI.
func (c benchChat) request() ([]byte, error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	messages := []message{{"system", c.system}}
	for i, text := range c.turns {
		messages = append(messages, message{benchRoleOf(i), text})
	}
	return json.Marshal(map[string]any{
		"model": "gpt-4-turbo", "messages": messages, "max_tokens": benchMaxTokens, "temperature": benchTemperature,
		"stream": true, "stream_options": map[string]any{"include_usage": true},
	})
}

// input is the chat as the SDK takes it: the same body in the SDK's own writing.
func (c benchChat) input() *bedrockruntime.ConverseStreamInput {
	in := &bedrockruntime.ConverseStreamInput{
		ModelId:         aws.String(benchModel),
		System:          []types.SystemContentBlock{&types.SystemContentBlockMemberText{Value: c.system}},
		InferenceConfig: &types.InferenceConfiguration{MaxTokens: aws.Int32(benchMaxTokens), Temperature: aws.Float32(benchTemperature)},
	}
	for i, text := range c.turns {
		in.Messages = append(in.Messages, types.Message{
			Role: types.ConversationRole(benchRoleOf(i)), Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}},
		})
	}
	return in
}

// benchExchange is request i with a live answer, as the proxy records it.
func benchExchange(i int) (*journal.Exchange, error) {
	request, err := benchChatOf(i).request()
	if err != nil {
		return nil, err
	}
	answer := benchText(rand.New(rand.NewPCG(3, uint64(i))), 800)
	response, err := json.Marshal(map[string]any{"object": "chat.completion", "model": "gpt-4-turbo-2024-04-09", "choices": []any{
		map[string]any{"index": 0, "message": map[string]any{"role": "assistant", "content": answer}, "finish_reason": "stop"},
	}})
	if err != nil {
		return nil, err
	}
	ttft := 210.5
	e := &journal.Exchange{
		Schema: journal.SchemaVersion, ID: journal.NewID(time.Now()), At: time.Now().UTC(), Source: journal.SourceCapture, Instance: "bench",
		Submodule: benchSubmodule, Conversation: fmt.Sprint("interview-", i/4), ConversationSource: "header", Unit: "interview",
		Upstream: "openai", Method: "POST", Path: "/v1/chat/completions", Model: "gpt-4-turbo", AnsweredModel: "gpt-4-turbo-2024-04-09",
		Stream: true, Status: 200, Class: llm.ClassOK, LatencyMS: 850.25, TTFTMS: &ttft, Finish: llm.FinishStop,
		Usage: &llm.Usage{InputTokens: 900, OutputTokens: 200}, SampleShare: 1,
		RequestLength: len(request), ResponseLength: len(response), Request: request, Response: response,
	}
	for k := range 20 {
		e.Frames = append(e.Frames, journal.Frame{AtMS: ttft + float64(k)*30.25, Bytes: 220})
	}
	return e, nil
}
