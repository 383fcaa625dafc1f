package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

// A spoke is one llm.Client and the simulator of its vendor. Whatever makes a
// new one adds a row to spokes and passes what follows.
type spoke struct {
	name   string
	kind   sim.Kind
	model  string
	client func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error)
}

var spokes = []spoke{
	{"openai", sim.OpenAI, "gpt-4o", func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error) {
		ep.Provider, ep.BaseURL = "openai", root+"/v1"
		return openai.NewClient(ep, "sk-simulated", c)
	}},
	{"azure", sim.OpenAI, "gpt-4o", func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error) {
		ep.Provider, ep.BaseURL = "azure", root
		return openai.NewClient(ep, "0123456789abcdef", c)
	}},
	{"bedrock", sim.Bedrock, "us.anthropic.claude-3-5-sonnet-20241022-v2:0", func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error) {
		ep.Provider, ep.BaseURL, ep.Region = "bedrock", root, "us-east-1"
		return bedrock.NewClient(ep, bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "")}, c)
	}},
	{"bedrock-openai", sim.OpenAI, "openai.gpt-oss-120b-1:0", func(ep llm.Endpoint, root string, c *http.Client) (llm.Client, error) {
		ep.Provider, ep.BaseURL, ep.Region, ep.Auth = "openai", root+"/openai/v1", "us-east-1", llm.AuthSigV4
		base, service, err := bedrock.OpenAIAddress(ep)
		if err != nil {
			return nil, err
		}
		ep.BaseURL = base
		who := bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "SESSION")}
		return openai.NewClientAs(ep, func(ctx context.Context, req *http.Request, body []byte) error {
			return who.SignRequest(ctx, req, body, ep.Region, service)
		}, c)
	}},
}

// words say one thing to each wire, in its own word.
type words map[sim.Kind]string

// The recorded answers, by question. The text is long enough for many events and
// has characters of two, three and four bytes; the arguments would not survive
// an encoder.
const (
	askText, askCall, askTwo, askBroken, askNothing = "Tell me.", "Weather in Oslo?", "Weather in Oslo and Rome?", "Break it.", "Say nothing."

	speech = "Four score and seven years ago – naïve ☕, 𝄞 <&>\u2028 our fathers brought forth on this continent, a new nation."
	opened = "Fou" // the first event's piece of it
	oslo   = `{"city":  "Oslo", "n": 1.0, "z": 1e2, "a": null, "a": "\u00e9\/"}`
	rome   = `{ "city" : "Røma <&>" }`
	broken = `{"city": "Os`
)

// recordedAnswers writes the answers file that every simulator here reads.
func recordedAnswers(t *testing.T) string {
	t.Helper()
	type call struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	var b bytes.Buffer
	line := func(question, text string, calls ...call) {
		_ = json.NewEncoder(&b).Encode(map[string]any{
			"model": "*", "match": map[string]string{"last_user": question}, "text": text, "tool_calls": calls,
			"usage": map[string]int{"input_tokens": 30, "output_tokens": 7},
		})
	}
	line(askText, speech)
	line(askNothing, "")
	line(askCall, "", call{"weather", oslo})
	line(askTwo, "So:", call{"weather", oslo}, call{"weather", rome})
	line(askBroken, "", call{"weather", broken})
	path := filepath.Join(t.TempDir(), "answers.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A stage is a client before the simulator of its vendor, on loopback.
type stage struct {
	spoke
	sim    *sim.Server
	client llm.Client
	heard  *recorder
}

// patient is an endpoint whose limits no slow machine reaches.
func patient() llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Timeout, ep.StallTimeout = "cand", time.Minute, 30*time.Second
	return ep
}

// newStage starts both; they end with the test, and a call that the simulator
// still serves then fails it.
func newStage(t *testing.T, sp spoke, ep llm.Endpoint, p sim.Persona, faults ...sim.Fault) *stage {
	t.Helper()
	server := must(sim.New(sim.Config{Kind: sp.kind, AnswersFile: recordedAnswers(t), Faults: faults,
		Personas: map[string]sim.Persona{"*": p}}))(t)
	if err := server.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	heard := &recorder{transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(func() {
		heard.transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("the simulator was not left idle: %v", err)
		}
	})
	ep.Model = sp.model
	client := must(sp.client(ep, server.URL(), &http.Client{Transport: heard}))(t)
	return &stage{sp, server, client, heard}
}

// ask makes one call and sees that it was one on the wire as well.
func (s *stage) ask(ctx context.Context, t *testing.T, req *llm.Request) (resp *llm.Response, err error, streamed bool) {
	t.Helper()
	call := must(s.client.Prepare(req))(t)
	before := s.sim.Stats()[s.model].Calls
	var events []llm.Event
	call.Emit = func(e llm.Event) { events = append(events, e) }
	resp, err = s.client.Do(ctx, call)
	checkEvents(t, resp, err, events)
	if n := s.sim.Stats()[s.model].Calls - before; n > 1 {
		t.Errorf("one Do made %d calls", n)
	}
	return resp, err, call.Streamed
}

// checkEvents: what Emit was given is the answer, piece by piece, with its finish and
// usage once at the end; of an answer that broke it is what had come, without a finish.
func checkEvents(t *testing.T, resp *llm.Response, err error, events []llm.Event) {
	t.Helper()
	var got llm.Response
	finishes := 0
	for i, e := range events {
		switch e.Kind {
		case llm.EventText:
			got.Text += e.Text
		case llm.EventRefusal:
			got.Refusal += e.Text
		case llm.EventCall:
			if e.Index != len(got.ToolCalls) {
				t.Errorf("call %d begins after %d others", e.Index, len(got.ToolCalls))
			}
			got.ToolCalls = append(got.ToolCalls, llm.ToolCall{ID: e.ID, Name: e.Name})
		case llm.EventArguments:
			got.ToolCalls[e.Index].Arguments += e.Text
		case llm.EventFinish:
			finishes, got.Finish = finishes+1, e.Finish
		case llm.EventUsage:
			got.Usage = &e.Usage
		}
		if e.Kind != llm.EventUsage && finishes > 0 && i < len(events)-1 && events[i+1].Kind != llm.EventUsage {
			t.Errorf("after the finish comes %+v", events[i+1])
		}
	}
	if err != nil {
		if finishes > 0 || resp != nil && resp.Text != got.Text || resp == nil && got.Text != "" {
			t.Errorf("a broken answer gave %d finishes and the text %q", finishes, got.Text)
		}
		return
	}
	want := llm.Response{Text: resp.Text, Refusal: resp.Refusal, ToolCalls: resp.ToolCalls, Finish: resp.Finish, Usage: resp.Usage}
	if d := cmp.Diff(want, got); d != "" || finishes != 1 {
		t.Errorf("%d finishes; the events (-answer +events):\n%s", finishes, d)
	}
}

// question is a request that may call tools, as the recorded answers do.
func question(text string) *llm.Request {
	schema := json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`)
	return &llm.Request{
		Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}}},
		Tools:    []llm.Tool{{Name: "weather", Parameters: schema}},
	}
}

// A recorder passes requests on and keeps what came back, as far as the client
// read it.
type recorder struct {
	transport *http.Transport
	mu        sync.Mutex
	body      []byte
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.transport.RoundTrip(req)
	if err == nil {
		resp.Body = recordedBody{resp.Body, r}
	}
	return resp, err
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.body)
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body = nil
}

type recordedBody struct {
	io.ReadCloser
	r *recorder
}

func (b recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.r.body = append(b.r.body, p[:n]...)
	return n, err
}

// leakless fails the test when, after its subtests, a goroutine runs that did
// not run before.
func leakless(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// said is all that a model wrote, in one line.
func said(r *llm.Response) string {
	s := r.Text
	for _, c := range r.ToolCalls {
		s += "|" + c.Name + " " + c.Arguments
	}
	return s
}

// owed reads what arrived of an answer without the clients' code: what whole
// events said, and the class that a clean end there, and a reset, must have.
var owed = map[sim.Kind]func(*testing.T, []byte) (text string, clean, reset llm.Class){sim.OpenAI: owedEvents, sim.Bedrock: owedFrames}

func owedEvents(t *testing.T, b []byte) (string, llm.Class, llm.Class) {
	t.Helper()
	var r llm.Response
	// The end of a stream ends the line of its last word as well.
	if text := strings.TrimRight(string(b), "\n"); strings.HasSuffix(text, "data: [DONE]") {
		b = []byte(text + "\n\n")
	}
	events := strings.Split(string(b), "\n\n")
	for _, e := range events[:len(events)-1] {
		if e == "data: [DONE]" {
			return said(&r), llm.ClassOK, llm.ClassOK
		}
		var c struct {
			Choices []struct {
				Delta struct {
					Content   string
					ToolCalls []struct {
						Index    int
						Function llm.ToolCall
					} `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(e, "data: ")), &c); err != nil {
			t.Fatalf("event %q: %v", e, err)
		}
		for _, choice := range c.Choices {
			r.Text += choice.Delta.Content
			for _, d := range choice.Delta.ToolCalls {
				r.ToolCalls = grown(r.ToolCalls, d.Index, d.Function)
			}
		}
	}
	return said(&r), llm.ClassTruncated, llm.ClassTruncated
}

func owedFrames(t *testing.T, b []byte) (string, llm.Class, llm.Class) {
	t.Helper()
	var r llm.Response
	first := -1 // the block of the first call
	in, decoder := bytes.NewReader(b), eventstream.NewDecoder()
	stopped := false
	for in.Len() > 0 {
		at := in.Len()
		msg, err := decoder.Decode(in, nil)
		if err != nil {
			in.Reset(b[len(b)-at:])
			break
		}
		stopped = stopped || msg.Headers.Get(":event-type").String() == "messageStop"
		var e struct {
			Index int `json:"contentBlockIndex"`
			Start struct{ ToolUse *struct{ Name string } }
			Delta struct {
				Text    string
				ToolUse *struct{ Input string }
			}
		}
		if err := json.Unmarshal(msg.Payload, &e); err != nil {
			t.Fatalf("frame %q: %v", msg.Payload, err)
		}
		r.Text += e.Delta.Text
		if u := e.Start.ToolUse; u != nil {
			if first < 0 {
				first = e.Index
			}
			r.ToolCalls = grown(r.ToolCalls, e.Index-first, llm.ToolCall{Name: u.Name})
		}
		if u := e.Delta.ToolUse; u != nil {
			r.ToolCalls = grown(r.ToolCalls, e.Index-first, llm.ToolCall{Arguments: u.Input})
		}
		if msg.Headers.Get(":event-type").String() == "metadata" {
			return said(&r), llm.ClassOK, llm.ClassOK
		}
	}
	for i := range r.ToolCalls {
		if r.ToolCalls[i].Arguments == "" { // Converse writes no arguments as none
			r.ToolCalls[i].Arguments = "{}"
		}
	}
	if stopped && in.Len() == 0 { // whole, though its usage is missing
		return said(&r), llm.ClassOK, llm.ClassTruncated
	}
	return said(&r), llm.ClassTruncated, llm.ClassTruncated
}

// grown adds a piece to the call with that index.
func grown(calls []llm.ToolCall, index int, piece llm.ToolCall) []llm.ToolCall {
	if index == len(calls) {
		calls = append(calls, llm.ToolCall{})
	}
	calls[index].Name += piece.Name
	calls[index].Arguments += piece.Arguments
	return calls
}
