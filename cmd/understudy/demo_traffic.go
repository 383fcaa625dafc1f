package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// demoTraffic is an interview platform: every interview asks for questions
// (structured output), follow-ups (a conversation, streamed) and an evaluation
// (a tool call), two turns each.
type demoTraffic struct {
	url        string
	interviews int
	seed       uint64
	span       time.Duration // over which the interviews begin

	sent, failed atomic.Int64
}

// total is how many requests the traffic has.
func (d *demoTraffic) total() int { return d.interviews * len(demoSubmodules) * demoTurns }

const demoTurns = 2

var demoSubmodules = []string{"interview/question-generation", "interview/follow-ups", "interview/evaluation"}

var demoRoles = []string{"nurse", "site engineer", "accountant", "bus driver", "translator", "data analyst", "electrician", "teacher"}

// run sends all conversations and returns when the last one has its answer.
func (d *demoTraffic) run(ctx context.Context) {
	rng := rand.New(rand.NewPCG(d.seed, 7))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	gap := d.span / time.Duration(d.interviews*len(demoSubmodules))
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for i := range d.interviews {
		role := demoRoles[rng.IntN(len(demoRoles))]
		for _, submodule := range demoSubmodules {
			select {
			case <-ctx.Done():
				wg.Wait()
				return
			case <-tick.C:
			}
			wg.Go(func() { d.conversation(ctx, client, submodule, i, role) })
		}
	}
	wg.Wait()
}

func (d *demoTraffic) conversation(ctx context.Context, client *http.Client, submodule string, i int, role string) {
	var messages []any
	for turn := range demoTurns {
		body := demoRequest(submodule, role, i, turn, &messages)
		answer, err := d.ask(ctx, client, submodule, i, body)
		d.sent.Add(1)
		if err != nil {
			d.failed.Add(1)
			return
		}
		messages = append(messages, answer...)
	}
}

// ask sends one request and gives the turns that its answer adds to the
// conversation.
func (d *demoTraffic) ask(ctx context.Context, client *http.Client, submodule string, i int, body map[string]any) ([]any, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/v1/chat/completions", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-demo-0123456789")
	req.Header.Set("X-Understudy-Submodule", submodule)
	req.Header.Set("X-Understudy-Conversation", fmt.Sprintf("%s-%04d", submodule, i))
	req.Header.Set("X-Understudy-Unit", fmt.Sprintf("interview-%04d", i))
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	if body["stream"] == true { // its text is not needed for the next turn
		return []any{turn("assistant", "Thank you, that is clear.")}, nil
	}
	return demoAnswer(answer)
}

// demoAnswer turns an answer into the turns that history holds: the message
// itself, and a result for each tool call.
func demoAnswer(answer []byte) ([]any, error) {
	var a struct {
		Choices []struct {
			Message map[string]any `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Choices) == 0 {
		return nil, fmt.Errorf("answer without a choice: %w", err)
	}
	m := a.Choices[0].Message
	kept := map[string]any{"role": "assistant", "content": m["content"]}
	out := []any{kept}
	calls, _ := m["tool_calls"].([]any)
	if len(calls) > 0 {
		kept["tool_calls"] = calls
	}
	for _, c := range calls {
		call, _ := c.(map[string]any)
		out = append(out, map[string]any{"role": "tool", "tool_call_id": call["id"], "content": "stored"})
	}
	return out, nil
}

func turn(role, content string) map[string]any {
	return map[string]any{"role": role, "content": content}
}

// demoRequest builds the next turn's request and adds the user's turn to history.
func demoRequest(submodule, role string, i, n int, history *[]any) map[string]any {
	if n == 0 {
		*history = append(*history, turn("system", "You work for a recruitment platform. Be brief, fair and professional."))
	}
	body := map[string]any{"model": "gpt-4-turbo", "max_tokens": 1200, "temperature": 0.2}
	switch submodule {
	case "interview/question-generation":
		*history = append(*history, turn("user", fmt.Sprintf("Interview %d, part %d: write interview questions for a %s.", i, n+1, role)))
		body["response_format"] = demoSchema
	case "interview/follow-ups":
		*history = append(*history, turn("user", fmt.Sprintf("Interview %d: the %s said: I handled case %d myself. Ask one follow-up question.", i, role, n+1)))
		body["stream"], body["stream_options"] = true, map[string]any{"include_usage": true}
	case "interview/evaluation":
		*history = append(*history, turn("user", fmt.Sprintf("Interview %d: rate answer %d of the %s and store the rating.", i, n+1, role)))
		body["tools"], body["tool_choice"] = demoTools, "required"
	}
	body["messages"] = *history
	return body
}

var demoSchema = json.RawMessage(`{"type":"json_schema","json_schema":{"name":"questions","strict":true,"schema":{
"type":"object","additionalProperties":false,"required":["questions","difficulty"],"properties":{
"questions":{"type":"array","items":{"type":"string"},"minItems":1},"difficulty":{"type":"string","enum":["easy","medium","hard"]}}}}}`)

var demoTools = json.RawMessage(`[{"type":"function","function":{"name":"store_rating","description":"Store the rating of one answer",
"parameters":{"type":"object","required":["score","reason"],"properties":{"score":{"type":"integer","minimum":1,"maximum":5},"reason":{"type":"string"}}}}}]`)
