package judge

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

func ptr(f float64) *float64 { return &f }

const (
	toolRequest = `{"model":"gpt-4-turbo","messages":[{"role":"user","content":"Weather in Bern?"}],"tools":[{"type":"function","function":` +
		`{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]}`
	toolAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4-turbo","choices":[{"index":0,"finish_reason":"tool_calls",` +
		`"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}}]}}]}`
)

func pairRecords() (*journal.Exchange, *journal.Trial) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	ex := &journal.Exchange{
		Schema: journal.SchemaVersion, ID: "ex1", At: at, Source: journal.SourceCapture, Submodule: "interview/evaluation",
		Class: llm.ClassOK, Status: 200, LatencyMS: 850, Request: []byte(toolRequest), Response: []byte(toolAnswer),
	}
	tr := &journal.Trial{
		Schema: journal.SchemaVersion, ID: "t1", ExchangeID: "ex1", At: at, Source: journal.SourceCapture,
		Submodule: "interview/evaluation", Conversation: "c1", ConversationSource: "header", Unit: "u1", Candidate: "llama",
		Disposition: journal.Tried, Class: llm.ClassOK, Finish: llm.FinishToolCalls, CostUSD: ptr(0.002),
		ToolCalls: []llm.ToolCall{{ID: "x", Name: "weather", Arguments: `{"city": "Basel"}`}},
		Attempts:  []journal.Attempt{{Class: llm.ClassOverloaded, LatencyMS: 90}, {Class: llm.ClassOK, LatencyMS: 450, TTFTMS: ptr(120)}},
		Live:      journal.Side{LatencyMS: ptr(850), CostUSD: ptr(0.02)},
	}
	return ex, tr
}

func TestJudge(t *testing.T) {
	ex, tr := pairRecords()
	got, unchecked, err := NewChecker().Judge(ex, tr)
	if err != nil || len(unchecked) > 0 {
		t.Fatal(err, unchecked)
	}
	want := &journal.Verdict{
		Schema: journal.SchemaVersion, TrialID: "t1", ExchangeID: "ex1", At: ex.At, Source: journal.SourceCapture,
		Submodule: "interview/evaluation", Candidate: "llama", Conversation: "c1", ConversationSource: "header", Unit: "u1",
		Live: journal.Side{LatencyMS: ptr(850), CostUSD: ptr(0.02),
			Checks: checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": true}},
		Trial: journal.Side{LatencyMS: ptr(450), TTFTMS: ptr(120), CostUSD: ptr(0.002),
			Checks: checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": false}},
		LiveRefusal: "answer", TrialRefusal: "answer",
		Diff:  []journal.Change{{Path: "/0/arguments/city", Live: "Bern", Trial: "Basel"}},
		Agree: ptr(0.5),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestJudgeFailures(t *testing.T) {
	allFalse := checkRow{"nonempty": false, "complete": false, "refusal": false, "tool_calls": false}
	own := checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true}
	for _, tt := range []struct {
		name                  string
		change                func(ex *journal.Exchange, tr *journal.Trial) *journal.Exchange
		live, trial           checkRow
		liveError, trialError bool
	}{
		{"trial failed", func(ex *journal.Exchange, tr *journal.Trial) *journal.Exchange {
			tr.Class, tr.ToolCalls, tr.Text = llm.ClassTruncated, nil, "The wea"
			return ex
		}, checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": true},
			checkRow{"nonempty": false, "complete": false, "refusal": false, "schema": false, "tool_calls": false}, false, true},
		{"live failed", func(ex *journal.Exchange, _ *journal.Trial) *journal.Exchange {
			ex.Class, ex.Status, ex.Response = llm.ClassOverloaded, 503, []byte(`{"error":{}}`)
			return ex
		}, nil, own, true, false},
		{"live failed as the trial knows", func(ex *journal.Exchange, tr *journal.Trial) *journal.Exchange {
			tr.Live.Error = true
			return ex
		}, nil, own, true, false},
		{"both failed", func(ex *journal.Exchange, tr *journal.Trial) *journal.Exchange {
			ex.Class, tr.Class = llm.ClassTimeout, llm.ClassTimeout
			return ex
		}, nil, allFalse, true, true},
		{"live answer unreadable", func(ex *journal.Exchange, _ *journal.Trial) *journal.Exchange {
			ex.Response = []byte(`<html>`)
			return ex
		}, nil, own, false, false},
		{"request unreadable", func(ex *journal.Exchange, _ *journal.Trial) *journal.Exchange {
			ex.Request = []byte(`{`)
			return ex
		}, nil, nil, false, false},
		{"exchange gone", func(*journal.Exchange, *journal.Trial) *journal.Exchange { return nil }, nil, nil, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ex, tr := pairRecords()
			got, _, err := NewChecker().Judge(tt.change(ex, tr), tr)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.live, got.Live.Checks); d != "" {
				t.Errorf("live (-want +got)\n%s", d)
			}
			if d := cmp.Diff(tt.trial, got.Trial.Checks); d != "" {
				t.Errorf("trial (-want +got)\n%s", d)
			}
			if got.Live.Error != tt.liveError || got.Trial.Error != tt.trialError {
				t.Errorf("errors %v, %v; want %v, %v", got.Live.Error, got.Trial.Error, tt.liveError, tt.trialError)
			}
			if *got.Trial.LatencyMS != 450 || *got.Trial.CostUSD != 0.002 || *got.Live.CostUSD != 0.02 {
				t.Errorf("the sides lost their numbers: %+v, %+v", got.Live, got.Trial)
			}
		})
	}
}

func TestJudgeRefusesOtherPairs(t *testing.T) {
	ex, tr := pairRecords()
	ex.ID = "ex2"
	if _, _, err := NewChecker().Judge(ex, tr); err == nil {
		t.Error("another trial's exchange was judged")
	}
	ex, tr = pairRecords()
	tr.Disposition = journal.OverBudget
	if _, _, err := NewChecker().Judge(ex, tr); err == nil {
		t.Error("a trial that was never tried was judged")
	}
}
