package judge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"understudy/internal/journal"
)

// A round is the questions about one pair, asked side by side.
type round struct {
	p *Panel
	a *asker

	mu      sync.Mutex
	v       *journal.Judgement
	usd     float64
	unknown bool
	failing []planned // what the judge failed at, with the last reason
	reason  error
	err     error // why the others cannot be asked now
}

// A planned question is one of a round.
type planned struct {
	q *question
	// shared: another process may ask it at the same moment, as for live's side.
	shared bool
	take   func(journal.Rating)
}

// ask asks everything about a pair, once the money for it is set aside. last says
// that the pair does not come again: what the judge fails at is then missing.
func (r *round) ask(ctx context.Context, metrics []*Metric, pair *pairText, last bool) error {
	select {
	case r.a.rounds <- struct{}{}:
		defer func() { <-r.a.rounds }()
	case <-ctx.Done():
		return ctx.Err()
	}
	purse, err := r.a.admit(ctx, journal.Spend{Endpoint: r.a.judge.Endpoint.Name, Submodule: r.v.Submodule,
		Record: journal.JudgementSubject(r.v.Submodule, r.v.Candidate, r.v.TrialID)}, r.cost(metrics, pair))
	if err != nil {
		return err
	}
	defer func() {
		purse.Settle(0) // what is left of it
		r.v.BookedUSD, r.v.BookedBy = purse.Booked(), purse.BookedBy()
	}()
	var wg sync.WaitGroup
	for _, one := range r.plan(metrics, pair) {
		// Where one cannot be asked the others go on: they are paid for, and will be
		// remembered when the pair comes again.
		wg.Go(func() { r.put(ctx, one, purse) })
	}
	wg.Wait()
	if err := r.end(last); err != nil {
		return err
	}
	if w := r.v.Pairwise; w != nil && !w.Identical {
		merge(w)
	}
	if !r.unknown {
		r.v.CostUSD = &r.usd
	}
	return nil
}

// end is what the round comes to: nil where every question has its answer, or none
// that it will ever have.
func (r *round) end(last bool) error {
	if r.err != nil || len(r.failing) == 0 {
		return r.err
	}
	if err := r.a.failed(r.reason); !last || errors.Is(err, errAway) {
		return err
	}
	for _, one := range r.failing {
		one.take(journal.Rating{Parse: parseFailed})
	}
	return nil
}

// plan lists the questions that are to be asked.
func (r *round) plan(metrics []*Metric, pair *pairText) []planned {
	var list []planned
	r.v.Live = map[string]journal.Rating{}
	for _, m := range metrics { // every candidate's round asks it, and the first one pays
		list = append(list, pointwise(m, pair, pair.live, true, r.v.Live))
	}
	if pair.failed {
		return list
	}
	r.v.Trial = map[string]journal.Rating{}
	for _, m := range metrics {
		list = append(list, pointwise(m, pair, pair.trial, false, r.v.Trial))
	}
	if pair.identical {
		r.v.Pairwise = &journal.Pairwise{Preference: journal.Tie, Identical: true, Consistent: true}
		return list
	}
	w := &journal.Pairwise{}
	r.v.Pairwise = w
	return append(list,
		planned{q: &question{metric: &pairwise, request: pair.request, answers: []string{pair.live, pair.trial}, owners: pair.owners}, take: func(rating journal.Rating) { w.LiveFirst = rating }},
		planned{q: &question{metric: &pairwise, request: pair.request, answers: []string{pair.trial, pair.live}, owners: pair.owners}, take: func(rating journal.Rating) { w.TrialFirst = rating }})
}

func pointwise(m *Metric, pair *pairText, answer string, shared bool, to map[string]journal.Rating) planned {
	return planned{q: &question{metric: m, request: pair.request, answers: []string{answer}, owners: pair.owners}, shared: shared, take: func(rating journal.Rating) {
		rating.Score = m.score(rating.Label)
		to[m.Name] = rating
	}}
}

// cost bounds what all questions about such a pair may cost. Answers that are
// identical, failed or remembered make no pair cheaper: whether it is admitted must
// not depend on that. The ledger rounds each part up to a billionth of a dollar.
func (r *round) cost(metrics []*Metric, pair *pairText) float64 {
	trial := pair.trial
	if pair.failed {
		trial = pair.live // as long as an answer would be
	}
	var usd float64
	add := func(m *Metric, answers ...string) {
		call, _, err := r.a.prepare(&question{metric: m, request: pair.request, answers: answers}, false)
		if err != nil { // what cannot be put to this judge costs nothing
			return
		}
		bound, _ := r.a.bound(call)
		usd += bound + 1e-9
	}
	for _, m := range metrics {
		add(m, pair.live)
		add(m, trial)
	}
	add(&pairwise, pair.live, trial)
	add(&pairwise, trial, pair.live)
	return usd
}

// put asks one question.
func (r *round) put(ctx context.Context, one planned, purse *journal.Reservation) {
	said, cached, err := r.question(ctx, one, purse)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.v.Calls += said.calls
	r.usd += said.usd
	r.unknown = r.unknown || !said.known
	switch {
	case errors.Is(err, errFailing):
		r.failing, r.reason = append(r.failing, one), err
		return
	case err != nil:
		if r.err == nil || errors.Is(err, journal.ErrOverBudget) { // which decides more
			r.err = err
		}
		return
	}
	if cached {
		r.v.Cached++
	}
	one.take(journal.Rating{Label: said.Label, Reason: said.Reason, Parse: said.Parse, Cached: cached})
}

// question is memory.ask for texts that may make it panic: then there is no verdict.
func (r *round) question(ctx context.Context, one planned, purse *journal.Reservation) (said saying, cached bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.p.log.Error("asking a judge panicked; the verdict is missing", "trial_id", r.v.TrialID, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			said, cached, err = saying{Parse: parseFailed}, false, nil
		}
	}()
	return r.p.memory.ask(ctx, r.a, r.v.Prompts, one.q, one.shared, purse)
}
