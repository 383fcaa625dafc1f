package report

import (
	"fmt"
	"time"

	"understudy/canary"
	"understudy/internal/journal"
	"understudy/llm"
)

var begin = time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

func submodules() []canary.Submodule {
	return []canary.Submodule{
		{Name: "interview/questions", Baseline: "gpt-4-turbo", Candidates: []string{"llama-3.3-70b", "claude-sonnet"}, Unit: "interview", Priority: "cost, structure", Risk: 1,
			OtherCostUSD: ptr(0.375), Judged: true, Control: "gpt-4-turbo",
			Criteria: canary.Criteria{Gates: []canary.Gate{{Name: "cost_ratio", Limit: 0.4}, {Name: "expense_ratio", Limit: 0.15}, {Name: "latency_mean_ms", Limit: 500}, {Name: "error_rate", Limit: 0.05},
				{Name: "score.correctness", Limit: 0.1}, {Name: "win_rate", Limit: 0.4}, {Name: "check.json", Limit: 0.05}}}},
		{Name: "interview/evaluation", Baseline: "gpt-4-turbo", Candidates: []string{"llama-3.3-70b"},
			Criteria: canary.Criteria{Gates: []canary.Gate{{Name: "error_rate", Limit: 0.01}}}},
	}
}

func settings() Settings {
	no, days, url, checked := "no", 0, "https://provider.example/terms", "2026-11-01"
	return Settings{PriceTable: "2026-11-22", Config: "0123456789ab", Judges: []Judge{{Submodule: "interview/questions", Endpoint: "nova-pro", Model: "us.amazon.nova-pro-v1:0"}},
		Endpoints: []Endpoint{
			{Name: "gpt-4-turbo", Provider: "openai", Model: "gpt-4-turbo", Submodules: []string{"interview/questions", "interview/evaluation"}, Roles: []string{"baseline"}, Destinations: []string{}, Certifications: []string{}},
			{Name: "llama-3.3-70b", Provider: "bedrock", Model: "us.meta.llama3-3-70b-instruct-v1:0", Submodules: []string{"interview/questions"}, Roles: []string{"candidate"},
				Destinations: []string{"us-east-1", "us-east-2", "us-west-2"}, DestinationsBy: "table", Training: &no, RetentionDays: &days, Certifications: []string{"ISO 27001", "SOC 2"}, SourceURL: &url, CheckedOn: &checked},
		}}
}

// A side is how one endpoint of the fixture answers.
type side struct {
	name          string
	role          journal.Role
	latency, cost float64
	score         float64
	preference    string
}

// sides are what answers the i-th exchange: the control like live, Llama good,
// Claude slow and often wrong.
func sides(i int, live float64) []side {
	llama, claude := journal.Tie, journal.Loss
	switch i % 10 {
	case 1:
		llama = journal.Win
	case 2:
		llama = journal.Loss
	}
	return []side{
		{"gpt-4-turbo", journal.RoleControl, 840 + float64(i%20), live, 0.7, journal.Tie},
		{"llama-3.3-70b", journal.RoleCandidate, 330 + float64(i%50), live * 0.1, 0.7, llama},
		{"claude-sonnet", journal.RoleCandidate, 1900 + float64(i%200), live * 0.6, 0.4, claude},
	}
}

// filled is an analyzer after 300 conversations, ten minutes apart, with nothing
// for the evaluation.
func filled() *canary.Analyzer {
	a := canary.NewAnalyzer(canary.DefaultConfig(), submodules())
	for i := range 300 {
		x := &journal.Exchange{ID: fmt.Sprintf("e%03d", i), At: begin.Add(time.Duration(i) * 10 * time.Minute), Source: journal.SourceCapture, Class: llm.ClassOK,
			Submodule: "interview/questions", Conversation: fmt.Sprintf("c%03d", i), Unit: fmt.Sprintf("u%02d", i/10), SampleShare: 1,
			Request: []byte(`{"messages":[{},{}],"response_format":{"type":"json_schema"}}`), Usage: &llm.Usage{InputTokens: 5000}}
		if i == 150 {
			x.Class = llm.ClassTimeout
		}
		a.Exchange(x)
		live := 0.020 + 0.001*float64(i%5)
		for _, s := range sides(i, live) {
			answered(a, x, i, live, s)
		}
	}
	a.SetCurrent()
	return a
}

// attempted gives a trial its calls: now and then a second one, and tools that are not
// always live's.
func attempted(tr *journal.Trial, i int, latency float64, failed bool) {
	last := journal.Attempt{Class: llm.ClassOK, LatencyMS: latency}
	if failed {
		last = journal.Attempt{Class: llm.ClassTimeout, LatencyMS: 60_000}
	}
	if i%50 == 3 {
		tr.Attempts = append(tr.Attempts, journal.Attempt{Class: llm.ClassOverloaded, Status: 503})
	}
	tr.Attempts = append(tr.Attempts, last)
	if i%10 == 0 && !failed {
		tr.ToolCalls = []llm.ToolCall{{Name: "book"}}
		if i%40 == 0 {
			tr.Divergence = journal.DivergedArguments
		}
	}
}

func answered(a *canary.Analyzer, x *journal.Exchange, i int, live float64, s side) {
	tr := &journal.Trial{ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: s.name, Role: s.role, Conversation: x.Conversation,
		Disposition: journal.Tried, Class: llm.ClassOK, LagMS: 250}
	answer := journal.Side{LatencyMS: ptr(s.latency), CostUSD: ptr(s.cost), Checks: map[string]bool{"json": true}}
	failed := i%100 == 7 && s.role == journal.RoleCandidate
	if failed {
		tr.Class, answer.Error, answer.Checks = llm.ClassTimeout, true, nil
	}
	attempted(tr, i, s.latency, failed)
	if s.name == "llama-3.3-70b" && i%3 == 0 {
		tr.Gaps = []llm.Gap{{Path: "/logit|bias", Severity: llm.Semantic}}
	}
	if i%60 == 0 {
		tr.LagMS = 2500
	}
	if i == 299 && s.role == journal.RoleCandidate {
		tr.Disposition = journal.NotComparable
	}
	a.Trial(tr)
	if tr.Disposition != journal.Tried {
		return
	}
	a.Verdict(&journal.Verdict{ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: s.name, Role: s.role, Conversation: x.Conversation, Unit: x.Unit,
		Live: liveSide(i, live), Trial: answer})
	rate := func(v float64) map[string]journal.Rating {
		return map[string]journal.Rating{"correctness": {Label: "x", Score: ptr(v), Parse: "tool"}}
	}
	j := &journal.Judgement{ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: s.name, Role: s.role, Conversation: x.Conversation,
		Judge: "nova-pro", Model: "us.amazon.nova-pro-v1:0", Live: rate(0.7), Trial: rate(s.score), JudgedAt: x.At, Calls: 3, Cached: 1, CostUSD: ptr(0.001),
		Pairwise: &journal.Pairwise{Preference: s.preference, Consistent: i%10 != 3, LiveFirst: journal.Rating{Label: "A"}, TrialFirst: journal.Rating{Label: "B"}}}
	if failed { // live alone is rated
		j.Trial, j.Pairwise, j.Calls, j.Cached = nil, nil, 1, 0
	}
	a.Judgement(j)
}

// liveSide is live's answer. Every fourth carries no usage, so that its tokens are counted;
// beside the others stands a count that is 0.4 % too high.
func liveSide(i int, cost float64) journal.Side {
	s := journal.Side{LatencyMS: ptr(850.0), TTFTMS: ptr(210.0), CostUSD: ptr(cost), Checks: map[string]bool{"json": true}}
	if s.Estimated = i%4 == 0; !s.Estimated {
		s.EstimateUSD = ptr(1.004 * cost)
	}
	return s
}

// status is what the accounts of `status -o json` look like.
func status() any {
	return map[string]any{"received": 312, "captured": 300, "sampled_out": 0, "excluded": 7, "dropped": map[string]int{"memory": 5},
		"candidates": map[string]any{"claude-sonnet": map[string]int{"trial": 299, "not_comparable": 1}, "llama-3.3-70b": map[string]int{"trial": 299, "not_comparable": 1}}}
}

func filledReport() *Report {
	return New(filled(), submodules(), settings(), status(), begin.Add(72*time.Hour))
}
