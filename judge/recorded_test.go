package judge

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/openai"
)

const (
	sonnet = "anthropic.claude-3-5-sonnet-20240620-v1:0"
	llama  = "meta.llama3-70b-instruct-v1:0"
)

// A recording is real requests with what live and the candidates answered.
type recording struct {
	requests []recordedRequest
	answers  map[string]map[string]*Answer // by model, then last user text
}

type recordedRequest struct {
	ID, Submodule string
	Body          json.RawMessage
}

func record(t testing.TB) *recording {
	t.Helper()
	script := vendorspec.Path(t, "tools", "answers.py")
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is absent; it converts the recorded data")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, python, script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	type line struct {
		Model string
		Match struct {
			LastUser string `json:"last_user"`
		}
		Text      string
		ToolCalls []llm.ToolCall `json:"tool_calls"`
	}
	r := &recording{requests: jsonLines[recordedRequest](t, filepath.Join(dir, "requests.jsonl")), answers: map[string]map[string]*Answer{}}
	for _, file := range []string{"answers.openai.jsonl", "answers.bedrock.jsonl"} {
		for _, l := range jsonLines[line](t, filepath.Join(dir, file)) {
			if r.answers[l.Model] == nil {
				r.answers[l.Model] = map[string]*Answer{}
			}
			a := &Answer{Text: l.Text, ToolCalls: l.ToolCalls, Finish: llm.FinishStop}
			if len(a.ToolCalls) > 0 {
				a.Finish = llm.FinishToolCalls
			}
			r.answers[l.Model][l.Match.LastUser] = a
		}
	}
	return r
}

// tally is what the checks found in one category of requests.
type tally struct{ pairs, differ, fewer, moreThanLive, onlyTrial, onlyLive, badSchema, liveBad int }

// TestRecordedToolCalls finds in recorded answers what really happened in
// August 2024: Claude 3.5 Sonnet makes one call where several are due.
func TestRecordedToolCalls(t *testing.T) {
	r := record(t)
	checker := NewChecker()
	for _, model := range []string{sonnet, llama} {
		found := map[string]*tally{}
		for _, rq := range r.requests {
			category, isTool := strings.CutPrefix(rq.Submodule, "tools/")
			if !isTool {
				continue
			}
			req, err := openai.Decode(rq.Body)
			if err != nil {
				t.Fatalf("%s: %v", rq.ID, err)
			}
			user := req.Messages[len(req.Messages)-1].Text()
			live, trial := r.answers["gpt-4-turbo"][user], r.answers[model][user]
			if live == nil || trial == nil {
				continue
			}
			got := checker.Check(req, live, trial)
			if len(got.Unchecked) > 0 {
				t.Errorf("%s: could not be checked: %v", rq.ID, got.Unchecked)
			}
			if found[category] == nil {
				found[category] = &tally{}
			}
			found[category].add(live, trial, got)
		}
		for category, n := range found {
			t.Logf("%s tools/%s: %+v", model, category, *n)
		}
		parallel, irrelevance := found["parallel"], found["irrelevance"]
		if parallel.pairs != 43 || irrelevance.pairs != 42 {
			t.Errorf("%s: %d and %d pairs, want 43 and 42", model, parallel.pairs, irrelevance.pairs)
		}
		if model == sonnet && (parallel.fewer < 8 || parallel.fewer*2 < parallel.differ) {
			t.Errorf("%s on tools/parallel: %+v; fewer calls than live explain most differences", model, *parallel)
		}
		if irrelevance.onlyTrial <= irrelevance.onlyLive {
			t.Errorf("%s on tools/irrelevance: %+v; it calls more often than live", model, *irrelevance)
		}
	}
}

func (n *tally) add(live, trial *Answer, got *Checked) {
	n.pairs++
	count := func(counter *int, is bool) {
		if is {
			*counter++
		}
	}
	l, t := len(live.ToolCalls), len(trial.ToolCalls)
	count(&n.differ, !got.Trial[CheckToolCalls])
	count(&n.fewer, t < l)
	count(&n.moreThanLive, t > l)
	count(&n.onlyTrial, t > 0 && l == 0)
	count(&n.onlyLive, l > 0 && t == 0)
	schema, has := got.Trial[CheckSchema]
	count(&n.badSchema, has && !schema)
	schema, has = got.Live[CheckSchema]
	count(&n.liveBad, has && !schema)
}

func TestRecordedSchemasCompile(t *testing.T) {
	type row struct{ Request json.RawMessage }
	cache := newSchemaCache(1000)
	tools := 0
	rows := jsonLines[row](t, vendorspec.Path(t, "data", "tools", "tools.jsonl.gz"))
	for i, rw := range rows {
		req, err := openai.Decode(rw.Request)
		if err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		for _, tool := range req.Tools {
			tools++
			if _, err := cache.get(tool.Parameters); err != nil {
				t.Errorf("row %d, tool %s: %v", i, tool.Name, err)
			}
		}
	}
	t.Logf("%d tools of %d requests, %d different schemas", tools, len(rows), cache.order.Len())
	if len(rows) != 300 {
		t.Errorf("%d requests, want 300", len(rows))
	}
}

// The recorded verdicts say which calls were right by the published answers. A
// trial that makes live's calls must be as right as live was.
func TestRecordedVerdictsAgree(t *testing.T) {
	type answer struct {
		ToolCalls []llm.ToolCall `json:"tool_calls"`
		FromText  []llm.ToolCall `json:"tool_calls_from_text"`
		Valid     *bool          `json:"bfcl_2024_08_valid"`
	}
	type row struct {
		ID     string
		Models map[string]answer
	}
	equal, agree := 0, 0
	for _, rw := range jsonLines[row](t, vendorspec.Path(t, "data", "tools", "recorded.jsonl.gz")) {
		live, ok := rw.Models["gpt-4-turbo-2024-04-09"]
		if !ok || live.Valid == nil {
			continue
		}
		for model, a := range rw.Models {
			calls := a.ToolCalls
			if len(calls) == 0 {
				calls = a.FromText
			}
			if model == "gpt-4-turbo-2024-04-09" || a.Valid == nil || len(calls) == 0 || len(DiffCalls(live.ToolCalls, calls)) > 0 {
				continue
			}
			equal++
			if *a.Valid == *live.Valid {
				agree++
			} else {
				t.Logf("%s %s: the same calls, recorded as %v and live as %v", rw.ID, model, *a.Valid, *live.Valid)
			}
		}
	}
	t.Logf("%d of %d answers with live's calls have live's recorded verdict", agree, equal)
	if equal < 200 || float64(agree) < 0.99*float64(equal) {
		t.Errorf("%d of %d agree", agree, equal)
	}
}
