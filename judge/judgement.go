package judge

import (
	"context"
	"errors"
	"sync"

	"understudy/internal/journal"
	"understudy/llm/openai"
)

// A pairText is what a judge reads of a pair.
type pairText struct {
	request, live, trial string
	identical            bool
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
	live, trial := AnswerOf(resp), trialAnswer(t)
	return pairText{request: transcript(req), live: answerText(live), trial: answerText(trial), identical: identical(live, trial)}, nil
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
// means that it must be asked again later; what was answered is remembered.
func (p *Panel) judgement(ctx context.Context, a *asker, t *journal.Trial) (*journal.Judgement, error) {
	metrics, err := p.metrics(t.Submodule)
	if err != nil {
		return nil, err
	}
	v := &journal.Judgement{
		Schema: journal.SchemaVersion, TrialID: t.ID, ExchangeID: t.ExchangeID, At: t.At, Source: t.Source,
		Submodule: t.Submodule, Candidate: t.Candidate, Role: t.Role, Conversation: t.Conversation,
		Judge: a.judge.Endpoint.Name, Model: a.judge.Endpoint.Model, Prompts: promptsHash(metrics),
	}
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
	r.ask(ctx, metrics, &pair)
	if errors.Is(r.err, journal.ErrOverBudget) {
		v.Unasked, v.Live, v.Trial, v.Pairwise = "over_budget", nil, nil, nil
		return v, nil
	}
	if r.err != nil {
		return nil, r.err
	}
	v.LiveFlags, v.TrialFlags = flagged(pair.live, metrics), flagged(pair.trial, metrics)
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

// A round is the questions about one pair, asked side by side.
type round struct {
	p *Panel
	a *asker

	mu      sync.Mutex
	v       *journal.Judgement
	usd     float64
	unknown bool
	err     error
}

func (r *round) ask(ctx context.Context, metrics []*Metric, pair *pairText) {
	r.v.Live, r.v.Trial = map[string]journal.Rating{}, map[string]journal.Rating{}
	var wg sync.WaitGroup
	put := func(q *question, shared bool, take func(journal.Rating)) {
		// Where one cannot be asked the others go on: they are paid for, and will be
		// remembered when the pair comes again.
		wg.Go(func() { r.put(ctx, q, shared, take) })
	}
	pointwise := func(m *Metric, text string, live bool, to map[string]journal.Rating) {
		put(&question{metric: m, request: pair.request, answers: []string{text}}, live, func(rating journal.Rating) {
			rating.Score = m.score(rating.Label)
			to[m.Name] = rating
		})
	}
	for _, m := range metrics {
		pointwise(m, pair.live, true, r.v.Live) // every candidate's round asks it, and the first one pays
		pointwise(m, pair.trial, false, r.v.Trial)
	}
	r.v.Pairwise = &journal.Pairwise{Preference: journal.Tie, Identical: true, Consistent: true}
	if !pair.identical {
		w := &journal.Pairwise{}
		r.v.Pairwise = w
		put(&question{metric: &pairwise, request: pair.request, answers: []string{pair.live, pair.trial}}, false,
			func(rating journal.Rating) { w.LiveFirst = rating })
		put(&question{metric: &pairwise, request: pair.request, answers: []string{pair.trial, pair.live}}, false,
			func(rating journal.Rating) { w.TrialFirst = rating })
	}
	wg.Wait()
	if w := r.v.Pairwise; !w.Identical {
		merge(w)
	}
	if !r.unknown {
		r.v.CostUSD = &r.usd
	}
}

// put asks one question. After an error it must be asked again later.
func (r *round) put(ctx context.Context, q *question, shared bool, take func(journal.Rating)) {
	said, cached, err := r.p.memory.ask(ctx, r.a, r.v.Prompts, q, shared)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.v.Calls += said.calls
	r.usd += said.usd
	r.unknown = r.unknown || !said.known
	if err != nil {
		if r.err == nil || errors.Is(err, journal.ErrOverBudget) {
			r.err = err
		}
		return
	}
	if cached {
		r.v.Cached++
	}
	take(journal.Rating{Label: said.Label, Reason: said.Reason, Parse: said.Parse, Cached: cached})
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
