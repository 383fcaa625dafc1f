package tokens_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"regexp"
	"slices"
	"testing"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/openai"
	"understudy/llm/openai/tokens"
)

const recordedModel = "gpt-4-turbo-2024-04-09"

// tally compares sums of estimates with what was billed.
type tally struct {
	in, out, inWant, outWant int
	inExact, outExact        int
	inError, outError        []float64 // per call, relative
}

func (s *tally) add(u llm.Usage, in, out int) {
	s.in, s.out, s.inWant, s.outWant = s.in+u.InputTokens, s.out+u.OutputTokens, s.inWant+in, s.outWant+out
	s.inError = append(s.inError, math.Abs(float64(u.InputTokens)/float64(in)-1))
	s.outError = append(s.outError, math.Abs(float64(u.OutputTokens)/float64(out)-1))
	if u.InputTokens == in {
		s.inExact++
	}
	if u.OutputTokens == out {
		s.outExact++
	}
}

// inputError, outputError and costError are those of the sums; the cost is at $10
// and $30 per million.
func (s *tally) inputError() float64  { return float64(s.in)/float64(s.inWant) - 1 }
func (s *tally) outputError() float64 { return float64(s.out)/float64(s.outWant) - 1 }
func (s *tally) costError() float64 {
	return float64(s.in+3*s.out)/float64(s.inWant+3*s.outWant) - 1
}

func (s *tally) String() string {
	n := len(s.inError)
	return fmt.Sprintf("%3d calls: sum in %+.3f %%, out %+.3f %%, cost %+.3f %%; per call in %s, out %s; exact in %d, out %d", n,
		100*s.inputError(), 100*s.outputError(), 100*s.costError(), quantiles(s.inError), quantiles(s.outError), s.inExact, s.outExact)
}

func quantiles(errors []float64) string {
	e := slices.Sorted(slices.Values(errors))
	return fmt.Sprintf("median %.2f %%, p95 %.2f %%", 100*e[len(e)/2], 100*e[len(e)*95/100])
}

// TestRecorded estimates recorded calls with tools and holds the sums against what
// the service billed. The recordings were made with requests that differ a little
// from those at hand; asRecorded says how. Answers that also carried text are
// undercounted: the recording kept only the calls.
func TestRecorded(t *testing.T) {
	requests := map[string]recordedRequest{}
	for _, line := range vendorspec.Lines(t, "data", "tools", "tools.jsonl.gz") {
		var r recordedRequest
		unmarshal(t, line, &r)
		requests[r.ID] = r
	}
	all, raw := &tally{}, &tally{}
	parts := map[string]*tally{}
	for _, line := range vendorspec.Lines(t, "data", "tools", "recorded.jsonl.gz") {
		var r recordedAnswers
		unmarshal(t, line, &r)
		answer, request := r.Models[recordedModel], requests[r.ID]
		req := decode(t, string(request.Request))
		resp := &llm.Response{Text: answer.Text, ToolCalls: answer.ToolCalls}
		u, ok := tokens.Estimate(recordedModel, req, resp)
		raw.add(u, answer.PromptTokens, answer.CompletionTokens)
		v, ok2 := tokens.Estimate(recordedModel, asRecorded(req), resp)
		if !ok || !ok2 {
			t.Fatalf("%s: no estimate", r.ID)
		}
		for _, part := range []string{request.Category, half(r.ID)} {
			if parts[part] == nil {
				parts[part] = &tally{}
			}
			parts[part].add(v, answer.PromptTokens, answer.CompletionTokens)
		}
		all.add(v, answer.PromptTokens, answer.CompletionTokens)
	}
	t.Logf("%-17s %v", "all", all)
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		t.Logf("%-17s %v", part, parts[part])
	}
	t.Logf("%-17s %v", "without the note", raw)
	for name, s := range map[string]*tally{"all": all, "half a": parts["half a"], "half b": parts["half b"]} {
		if e := s.inputError(); math.Abs(e) > 0.005 {
			t.Errorf("%s: the sum of the input is %.2f %% off", name, 100*e)
		}
		if e := s.costError(); math.Abs(e) > 0.02 {
			t.Errorf("%s: the sum of the cost is %.2f %% off", name, 100*e)
		}
		if e := s.outputError(); math.Abs(e) > 0.02 {
			t.Errorf("%s: the sum of the output is %.2f %% off", name, 100*e)
		}
	}
}

type recordedRequest struct {
	ID, Category string
	Request      json.RawMessage
}

type recordedAnswers struct {
	ID     string
	Models map[string]struct {
		Text             string
		ToolCalls        []llm.ToolCall `json:"tool_calls"`
		PromptTokens     int            `json:"prompt_tokens"`
		CompletionTokens int            `json:"completion_tokens"`
	}
}

func unmarshal(t *testing.T, line []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(line, into); err != nil {
		t.Fatal(err)
	}
}

// half splits the calls in two by their ids.
func half(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return "half " + string(rune('a'+h.Sum32()>>8&1))
}

var aNumber = regexp.MustCompile(`("type":"number"(?:,"[a-z]+":(?:\[[^]]*\]|"[^"]*"|[0-9.]+))*?,"description":"(?:[^"\\]|\\.)*)"`)

// asRecorded makes of a request what the recording sent: the benchmark's harness
// of August 2024 ended the question with a note on the language and described each
// floating-point parameter as one (gorilla, model_handler/utils.py). A few descriptions
// have been reworded since, and a maximum that it sent is not at hand.
func asRecorded(req *llm.Request) *llm.Request {
	last := req.Messages[len(req.Messages)-1].Parts
	last[len(last)-1].Text += "\n Note that the provided function is in Python 3 syntax."
	for i := range req.Tools {
		req.Tools[i].Parameters = aNumber.ReplaceAll(req.Tools[i].Parameters, []byte(`$1 This is a float type value."`))
	}
	return req
}

// TestAsRecorded: the change reaches parameters only.
func TestAsRecorded(t *testing.T) {
	req, err := openai.Decode([]byte(`{"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"a":{"type":"number","description":"A \"b\"."},"c":{"type":"integer","description":"D"}}}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"properties":{"a":{"type":"number","description":"A \"b\". This is a float type value."},"c":{"type":"integer","description":"D"}}}`
	if got := string(asRecorded(req).Tools[0].Parameters); got != want {
		t.Errorf("got %s", got)
	}
}
