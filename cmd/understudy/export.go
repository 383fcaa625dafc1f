package main

import (
	"context"
	"encoding/json"
	"time"

	"understudy/canary"
	"understudy/internal/journal"
	"understudy/llm"
)

// exchangeLine is one line of export --what exchanges. Its fields are a contract.
type exchangeLine struct {
	ID           string     `json:"id"`
	At           time.Time  `json:"at"`
	Submodule    string     `json:"submodule"`
	Conversation *string    `json:"conversation"`
	Unit         *string    `json:"unit"`
	Model        string     `json:"model"`
	Stream       bool       `json:"stream"`
	Status       int        `json:"status"`
	Class        llm.Class  `json:"class"`
	Aborted      bool       `json:"aborted"`
	ClientSlow   bool       `json:"client_slow"`
	Request      string     `json:"request"`
	Response     string     `json:"response"`
	LatencyMS    float64    `json:"latency_ms"`
	TTFTMS       *float64   `json:"ttft_ms"`
	Usage        *llm.Usage `json:"usage"`
	CostUSD      *float64   `json:"cost_usd"`
}

// trialLine is one line of export --what trials. Its fields are a contract.
type trialLine struct {
	ID         string         `json:"id"`
	ExchangeID string         `json:"exchange_id"`
	Submodule  string         `json:"submodule"`
	Candidate  string         `json:"candidate"`
	Class      llm.Class      `json:"class"`
	Text       string         `json:"text"`
	Refusal    string         `json:"refusal,omitempty"`
	ToolCalls  []llm.ToolCall `json:"tool_calls"`
	Finish     string         `json:"finish"`
	Gaps       []llm.Gap      `json:"gaps"`
	Tier       llm.Tier       `json:"structured_output,omitempty"`
	LatencyMS  *float64       `json:"latency_ms"`
	TTFTMS     *float64       `json:"ttft_ms"`
	Attempts   int            `json:"attempts"`
	// AttemptList has the attempts one by one, first to last.
	AttemptList []attemptLine `json:"attempt_list"`
	// AttemptSet counts how often the exchange was taken up again after it had ended,
	// LostAttempts calls whose process died before their answer was stored.
	AttemptSet   int                `json:"attempt_set"`
	LostAttempts int                `json:"lost_attempts"`
	Divergence   journal.Divergence `json:"divergence,omitempty"`
	ReasonCode   string             `json:"reason_code,omitempty"`
	Usage        *llm.Usage         `json:"usage"`
	CostUSD      *float64           `json:"cost_usd"`
	LagMS        float64            `json:"lag_ms"`
}

// attemptLine is one attempt of a trial. LatencyMS is null where no answer was measured.
type attemptLine struct {
	Class     llm.Class `json:"class"`
	LatencyMS *float64  `json:"latency_ms"`
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
}

// deadLetterLine is one line of export --what dead_letters. Its fields are a contract.
type deadLetterLine struct {
	ID         string       `json:"id"`
	ExchangeID string       `json:"exchange_id"`
	At         time.Time    `json:"at"`
	Submodule  string       `json:"submodule"`
	Candidate  string       `json:"candidate"`
	Role       journal.Role `json:"role"`
	AttemptSet int          `json:"attempt_set"`
	ReasonCode string       `json:"reason_code"`
	Reason     string       `json:"reason"`
	StoredAt   time.Time    `json:"stored_at"`
}

// exportExchanges writes what this product's own proxies captured. Of those that were
// forgotten the bodies are empty.
func (p *process) exportExchanges(ctx context.Context, enc *json.Encoder) (forgotten int, err error) {
	cfg := p.config()
	err = p.j.Read(ctx, journal.StreamExchanges, []string{"understudy.exchange.*"}, func(m *journal.Message) error {
		list, err := journal.ReadExchanges(m.Subject, m.Data)
		if err != nil {
			return nil // a dead letter for every candidate, with its reason
		}
		if err := p.j.UnsealAll(ctx, list); err != nil {
			return err
		}
		for _, e := range list {
			if e.Forgotten {
				forgotten++
			}
			if err := enc.Encode(newExchangeLine(cfg, e)); err != nil {
				return err
			}
		}
		return nil
	})
	return forgotten, err
}

func newExchangeLine(cfg *Config, e *journal.Exchange) exchangeLine {
	l := exchangeLine{
		ID: e.ID, At: e.At, Submodule: e.Submodule, Conversation: orNull(e.Conversation), Unit: orNull(e.Unit),
		Model: e.Model, Stream: e.Stream, Status: e.Status, Class: e.Class, Aborted: e.Aborted, ClientSlow: e.ClientSlow,
		Request: string(e.Request), Response: string(e.Response),
		LatencyMS: e.LatencyMS, TTFTMS: e.TTFTMS, Usage: e.Usage,
	}
	if rates, ok := cfg.baselineRates(e.Submodule); ok {
		l.CostUSD = e.Cost(&rates)
	}
	return l
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// exportTrials writes the candidates' trials. Of those that were forgotten the texts are
// empty.
func (p *process) exportTrials(ctx context.Context, enc *json.Encoder) (forgotten int, err error) {
	err = p.j.Read(ctx, journal.StreamTrials, nil, func(m *journal.Message) error {
		var t journal.Trial
		if err := m.Decode(&t); err != nil || t.Disposition != journal.Tried || t.Role != journal.RoleCandidate {
			return err
		}
		if err := p.j.UnsealTrial(ctx, &t); err != nil {
			return err
		}
		if t.Forgotten {
			forgotten++
		}
		return enc.Encode(newTrialLine(&t))
	})
	return forgotten, err
}

func newTrialLine(t *journal.Trial) trialLine {
	l := trialLine{
		ID: t.ID, ExchangeID: t.ExchangeID, Submodule: t.Submodule, Candidate: t.Candidate, Class: t.Class,
		Text: t.Text, Refusal: t.Refusal, ToolCalls: t.ToolCalls, Finish: string(t.Finish), Gaps: t.Gaps, Tier: t.Tier,
		Attempts: len(t.Attempts), AttemptList: []attemptLine{}, AttemptSet: t.AttemptSet, LostAttempts: t.LostAttempts, Divergence: t.Divergence, ReasonCode: t.ReasonCode,
		Usage: t.Usage, CostUSD: t.CostUSD, LagMS: t.LagMS,
	}
	for i := range t.Attempts {
		l.AttemptList = append(l.AttemptList, newAttemptLine(&t.Attempts[i]))
	}
	if l.ToolCalls == nil {
		l.ToolCalls = []llm.ToolCall{}
	}
	if l.Gaps == nil {
		l.Gaps = []llm.Gap{}
	}
	if n := len(t.Attempts); n > 0 {
		l.LatencyMS, l.TTFTMS = &t.Attempts[n-1].LatencyMS, t.Attempts[n-1].TTFTMS
	}
	return l
}

func newAttemptLine(a *journal.Attempt) attemptLine {
	l := attemptLine{Class: a.Class, Status: a.Status, Code: a.Code}
	if a.Measured() {
		l.LatencyMS = &a.LatencyMS
	}
	return l
}

// exportDeadLetters writes the exchanges that were given up, and that no later attempt
// set has taken up.
func (p *process) exportDeadLetters(ctx context.Context, enc *json.Encoder) error {
	return p.j.DeadLetters(ctx, func(t *journal.Trial) error {
		return enc.Encode(deadLetterLine{
			ID: t.ID, ExchangeID: t.ExchangeID, At: t.At, Submodule: t.Submodule, Candidate: t.Candidate, Role: t.Role,
			AttemptSet: t.AttemptSet, ReasonCode: t.ReasonCode, Reason: t.Reason, StoredAt: t.StoredAt,
		})
	})
}

// exportObservations joins what the stream of verdicts holds. Where models judge, the
// exchanges are read as well: which one was drawn depends on all of them.
func (p *process) exportObservations(ctx context.Context, enc *json.Encoder) error {
	cfg := p.config()
	joined := canary.NewJoined(cfg.Canary, cfg.wired(), time.Now())
	if err := p.j.Read(ctx, journal.StreamVerdicts, nil, joined.Read); err != nil {
		return err
	}
	if joined.NeedsExchanges() {
		err := p.j.Read(ctx, journal.StreamExchanges, []string{"understudy.exchange.*"}, func(m *journal.Message) error {
			list, err := journal.ReadExchanges(m.Subject, m.Data)
			if err != nil {
				return nil // the judge did not see it either
			}
			for _, x := range list {
				joined.Exchange(x)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return p.j.Read(ctx, journal.StreamVerdicts, nil, func(m *journal.Message) error {
		o, ok, err := joined.Observation(m)
		if err != nil || !ok {
			return err
		}
		return enc.Encode(o)
	})
}
