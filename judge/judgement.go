package judge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"understudy/internal/journal"
	"understudy/llm/openai"
)

// A pairText is what a judge reads of a pair.
type pairText struct {
	request, live, trial string
	identical            bool
	// failed: the trial has no answer, and only live is rated.
	failed bool
	// owners are whose texts these are.
	owners journal.Owners
}

var errUnreadable = errors.New("a record of the pair cannot be read")

// read gets the texts of a trial's pair. errUnreadable is final.
func (p *Panel) read(ctx context.Context, t *journal.Trial) (pairText, error) {
	ex, err := p.j.Exchange(ctx, t.ExchangeSeq, t.ExchangeID)
	if err != nil {
		if retryable(ctx, err) {
			return pairText{}, err
		}
		return pairText{}, errUnreadable
	}
	req, err := openai.Decode(ex.Request)
	if err != nil {
		return pairText{}, errUnreadable
	}
	resp, err := openai.DecodeResponse(ex.Response)
	if err != nil {
		return pairText{}, errUnreadable
	}
	if t.Forgotten {
		return pairText{}, errUnreadable
	}
	owners := journal.Owners{Unit: t.Unit, Conversation: t.Conversation, Submodule: t.Submodule, At: t.At}
	live := AnswerOf(resp)
	trial := trialAnswer(t)
	if trial == nil {
		return pairText{request: transcript(req), live: answerText(live), failed: true, owners: owners}, nil
	}
	return pairText{request: transcript(req), live: answerText(live), trial: answerText(trial), identical: identical(live, trial), owners: owners}, nil
}

// identical answers need no judge to be compared: the same text, or the same JSON,
// and the same calls.
func identical(live, trial *Answer) bool {
	if live.Refusal != trial.Refusal || len(DiffCalls(live.ToolCalls, trial.ToolCalls)) > 0 {
		return false
	}
	if live.Text == trial.Text {
		return true
	}
	l, err := parseValue(live.Text)
	if err != nil {
		return false
	}
	t, err := parseValue(trial.Text)
	return err == nil && canonicalText(l) == canonicalText(t)
}

// judgement asks the judge all that there is to ask about a drawn pair. An error
// means that it must be asked again later; what was answered is remembered. last says
// that there is no later: what the judge fails at is then missing.
func (p *Panel) judgement(ctx context.Context, a *asker, t *journal.Trial, last bool) (v *journal.Judgement, err error) {
	metrics, err := p.metrics(t.Submodule)
	if err != nil {
		return nil, err
	}
	v = &journal.Judgement{
		Schema: journal.SchemaVersion, TrialID: t.ID, ExchangeID: t.ExchangeID, At: t.At, Source: t.Source,
		Submodule: t.Submodule, Candidate: t.Candidate, Role: t.Role, Conversation: t.Conversation, Unit: t.Unit, Replaces: t.Replaces,
		Judge: a.judge.Endpoint.Name, Model: a.judge.Endpoint.Model, Prompts: promptsHash(metrics),
	}
	defer func() {
		if r := recover(); r != nil { // the value may quote a text: only its type is told
			p.log.Error("judging a pair panicked; its verdicts are missing", "trial_id", t.ID, "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			v.Unasked, v.Live, v.Trial, v.Pairwise, err = "unreadable", nil, nil, nil, nil
		}
	}()
	if p.outside(t) {
		v.Unasked = "outside_share"
		return v, nil
	}
	pair, err := p.read(ctx, t)
	if errors.Is(err, errUnreadable) {
		v.Unasked = "unreadable"
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	r := &round{p: p, a: a, v: v}
	err = r.ask(ctx, metrics, &pair, last)
	if errors.Is(err, journal.ErrOverBudget) {
		v.Unasked, v.Live, v.Trial, v.Pairwise = "over_budget", nil, nil, nil
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.LiveFlags = flagged(pair.live, metrics)
	if !pair.failed {
		v.TrialFlags = flagged(pair.trial, metrics)
	}
	return v, nil
}

// outside tells that the conversation is not in the share that is judged.
func (p *Panel) outside(t *journal.Trial) bool {
	key := t.Submodule + "\x00" + t.Conversation
	if t.Conversation == "" {
		key += t.ExchangeID
	}
	return journal.Share("judge", key) >= p.cfg.Share
}

func (p *Panel) metrics(submodule string) ([]*Metric, error) {
	var out []*Metric
	for _, name := range p.scope.Metrics(submodule) {
		m, err := p.cfg.Metric(name)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// flagged are the flags of an answer, a copy of any metric's labels among them.
func flagged(text string, metrics []*Metric) []string {
	flags := AttackFlags(text, nil)
	for _, m := range metrics {
		if copied(text, m.labels()) {
			return append(flags, flagCopied)
		}
	}
	return flags
}

// merge makes the preference of both orders: they agree, or it is a tie. An order
// without a verdict leaves none.
func merge(w *journal.Pairwise) {
	liveFirst, trialFirst := turned(w.LiveFirst.Label, labelB), turned(w.TrialFirst.Label, labelA)
	switch {
	case liveFirst == "" || trialFirst == "":
		return
	case liveFirst == trialFirst:
		w.Preference, w.Consistent = liveFirst, true
	default:
		w.Preference = journal.Tie
	}
}

// turned turns a label back to what it says of the trial, which was shown as trialLabel.
func turned(label, trialLabel string) string {
	switch label {
	case "":
		return ""
	case labelTie:
		return journal.Tie
	case trialLabel:
		return journal.Win
	}
	return journal.Loss
}
