package replay

import (
	"context"
	"math"

	"understudy/internal/journal"
	"understudy/llm"
)

// PlanCost is what a plan's calls would cost, in USD.
type PlanCost struct {
	// ExpectedUSD is what trials of the same cell were booked with lately, and where
	// there was none (FromTrials counts the others) the price of a quarter of the
	// request's bytes and of an answer as long as live's.
	ExpectedUSD float64 `json:"expected_usd"`
	FromTrials  int     `json:"from_trials"`
	// OneCallEachUSD bounds one call each: every byte a token, every answer as long as
	// its limit. AtMostUSD is where every call fails, is billed in full all the same,
	// and is made as often as [replay] attempts (Attempts) allows.
	OneCallEachUSD float64 `json:"one_call_each_usd"`
	AtMostUSD      float64 `json:"at_most_usd"`
	Attempts       int     `json:"attempts"`
}

// PlanBudget is what today's budgets (UTC) still hold for the candidate, in USD.
type PlanBudget struct {
	Day     string  `json:"day"`
	LeftUSD float64 `json:"left_usd"`
	// EndpointLeftUSD is of the endpoint's own budget, SubmodulesLeftUSD of those of its
	// sub-modules that have one.
	EndpointLeftUSD   *float64           `json:"endpoint_left_usd,omitempty"`
	SubmodulesLeftUSD map[string]float64 `json:"submodules_left_usd,omitempty"`
}

// Least is what the tightest of the budgets holds.
func (b *PlanBudget) Least() float64 {
	least := b.LeftUSD
	if b.EndpointLeftUSD != nil {
		least = min(least, *b.EndpointLeftUSD)
	}
	for _, usd := range b.SubmodulesLeftUSD {
		least = min(least, usd)
	}
	return least
}

// PlanTime is how long the calls would take at the least, in seconds, by each bound; nil
// where there is none, or where it is not known. Live traffic's own trials come on top.
type PlanTime struct {
	RPM         *float64 `json:"rpm_seconds"`
	TPM         *float64 `json:"tpm_seconds"`
	Concurrency *float64 `json:"concurrency_seconds"`
	// MeanLatencyMS is of the endpoint's latest trials, all attempts of one together.
	MeanLatencyMS *float64 `json:"mean_latency_ms"`
	// Seconds is the largest of them, nil while latency is not known.
	Seconds *float64 `json:"seconds"`
	// Windows of the day (UTC) in which exchanges are tried; none is all of it.
	Windows []string `json:"windows,omitempty"`
}

// pricing adds up what calls would cost.
type pricing struct {
	r   *Replay
	l   *lane
	sum PlanCost
	n   int
	in  float64 // tokens that are expected
	out float64
	// Answers of live whose length is known, and their tokens.
	seen int
	long float64
}

func newPricing(r *Replay, l *lane) *pricing {
	return &pricing{r: r, l: l, sum: PlanCost{Attempts: r.cfg.Attempts}}
}

// add prices the calls of one exchange; false where its tier has no price.
func (p *pricing) add(ex *journal.Exchange, made *prepared) bool {
	one, priced := p.bound(made.call)
	if !priced {
		return false
	}
	most := one
	if longer := p.longer(made.req, made.call); longer != nil {
		usd, _ := p.bound(longer)
		most = max(one, usd)
		p.sum.AtMostUSD += one // a call that was cut at our own limit is made once more
	}
	in, out := p.tokens(ex, made.call)
	usd, priced := p.l.c.Rates.Cost(llm.Usage{InputTokens: in, OutputTokens: out}, made.call.ServiceTier)
	if !priced {
		usd = one
	}
	if p.r.traffic != nil {
		if mean, ok := p.r.traffic.MeanUSD(journal.Cell{Submodule: ex.Submodule, Endpoint: p.l.c.Endpoint.Name, Role: p.l.c.Role}); ok {
			usd = mean
			p.sum.FromTrials++
		}
	}
	p.sum.ExpectedUSD += usd
	p.sum.OneCallEachUSD += most
	p.sum.AtMostUSD += float64(p.sum.Attempts) * most
	p.n, p.in, p.out = p.n+1, p.in+float64(in), p.out+float64(out)
	return true
}

func (p *pricing) bound(call *llm.Call) (float64, bool) {
	usd, priced := p.l.c.Rates.Bound(call.ServiceTier, call.MaxInputTokens, call.MaxOutputTokens)
	return math.Ceil(usd*1e9) / 1e9, priced // as the ledger counts
}

// longer is the call without a limit of ours, nil where that is the same.
func (p *pricing) longer(req *llm.Request, call *llm.Call) *llm.Call {
	if req.UsualTokens == 0 || req.MaxTokens != nil && *req.MaxTokens > 0 {
		return nil
	}
	plain := *req
	plain.UsualTokens = 0
	longer, err := p.l.c.Client.Prepare(&plain)
	if err != nil || longer.MaxOutputTokens <= call.MaxOutputTokens {
		return nil
	}
	return longer
}

// tokens are those that a call is expected to use: an answer is taken to be as long as
// live's, or as live's answers are in the mean.
func (p *pricing) tokens(ex *journal.Exchange, call *llm.Call) (in, out int) {
	in, out = call.MaxInputTokens/4, call.MaxOutputTokens
	switch {
	case ex.Usage != nil && ex.Usage.OutputTokens > 0:
		p.seen++
		p.long += float64(ex.Usage.OutputTokens)
		out = min(out, ex.Usage.OutputTokens)
	case p.seen > 0:
		out = min(out, int(p.long/float64(p.seen)))
	}
	return in, out
}

func (p *pricing) cost() PlanCost {
	c := p.sum
	c.ExpectedUSD = min(c.ExpectedUSD, c.AtMostUSD)
	return c
}

func (r *Replay) planBudget(ctx context.Context, l *lane, submodules []string) (PlanBudget, error) {
	purse := l.money
	day, left, err := r.j.BudgetLeft(ctx, purse.account, journal.Caps{DailyUSD: purse.dailyUSD, Endpoints: purse.caps, Submodules: purse.perSub})
	if err != nil {
		return PlanBudget{}, err
	}
	b := PlanBudget{Day: day, LeftUSD: left.All, SubmodulesLeftUSD: map[string]float64{}}
	if usd, ok := left.Endpoints[l.c.Endpoint.Name]; ok {
		b.EndpointLeftUSD = &usd
	}
	for name, usd := range left.Submodules {
		if (&journal.Backfill{Submodules: submodules}).Has(name) && l.c.Wants(name) {
			b.SubmodulesLeftUSD[name] = usd
		}
	}
	return b, nil
}

// latestTrials is among how many of the latest trials the endpoint's own are looked for.
const latestTrials = 1000

// time works out how long the calls would take.
func (p *planning) time(ctx context.Context) (PlanTime, error) {
	t, ep := PlanTime{Windows: p.r.cfg.Windows}, &p.l.c.Endpoint
	if ep.RPM > 0 {
		t.RPM = known(float64(p.price.n) * 60 / float64(ep.RPM))
	}
	if ep.TPM > 0 {
		t.TPM = known((p.price.in + p.price.out) * 60 / float64(ep.TPM))
	}
	trials, total := 0, 0.0
	err := p.r.j.LatestTrials(ctx, ep.Name, latestTrials, func(tr *journal.Trial) {
		if tr.Role != p.l.c.Role || tr.Disposition != journal.Tried {
			return
		}
		trials++
		for _, a := range tr.Attempts {
			total += a.LatencyMS
		}
	})
	if err != nil || trials == 0 {
		return t, err
	}
	mean := total / float64(trials)
	t.MeanLatencyMS = &mean
	t.Concurrency = known(float64(p.price.n) * mean / 1000 / float64(ep.Concurrency))
	seconds := *t.Concurrency
	for _, bound := range []*float64{t.RPM, t.TPM} {
		if bound != nil {
			seconds = max(seconds, *bound)
		}
	}
	t.Seconds = &seconds
	return t, nil
}

func known(v float64) *float64 { return &v }
