package replay

import (
	"context"
	"strings"
	"testing"

	"understudy/internal/journal"
	"understudy/llm"
)

// tiered asks for a service tier.
type tiered struct {
	*scripted
	tier llm.ServiceTier
}

func (c tiered) Prepare(req *llm.Request) (*llm.Call, error) {
	call, err := c.scripted.Prepare(req)
	call.ServiceTier = c.tier
	return call, err
}

// TestTierWithoutAPriceIsNotCalled: what has no price is refused for spending.
func TestTierWithoutAPriceIsNotCalled(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	publish(t, b.j, 1, nil)
	c := b.as(journal.RoleCandidate, "a/b")
	c.Client = tiered{b.client, llm.TierPriority}
	r, _ := b.run("one", nil, c)
	for _, tr := range b.trials(1) {
		if tr.Disposition != journal.OverBudget || !strings.Contains(tr.Reason, "priority") {
			t.Errorf("%s: %s", tr.Disposition, tr.Reason)
		}
	}
	if n := b.client.calls.Load(); n != 0 || r.SpentToday() != 0 {
		t.Errorf("%d calls, $%v", n, r.SpentToday())
	}
}

// TestTierThatServedIsThePrice: the answer's own tier counts, and one without a price
// makes the cost unknown and is booked in full.
func TestTierThatServedIsThePrice(t *testing.T) {
	for tier, want := range map[string]*float64{"flex": ptr(0.0075), "default": ptr(0.015), "scale": nil, "": ptr(0.03)} {
		b := newBench(t, &scripted{answer: func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
			resp, err := fine(ctx, n, call)
			resp.ServiceTier = tier
			return resp, err
		}})
		publish(t, b.j, 1, nil)
		c := b.as(journal.RoleCandidate, "a/b")
		c.Client = tiered{b.client, llm.TierPriority} // which an answer without a word may have been served in
		c.Rates.Tiers[llm.TierFlex], c.Rates.Tiers[llm.TierPriority] = llm.Price{Input: 500, Output: 500}, llm.Price{Input: 2000, Output: 2000}
		r, stop := b.run("one", nil, c)
		var tr *journal.Trial
		for _, tr = range b.trials(1) {
		}
		booked := 0.4 // all that was set aside: (100 + 100) × $2000/M
		if want != nil {
			booked = *want
		}
		if (tr.CostUSD == nil) != (want == nil) || want != nil && *tr.CostUSD != *want || tr.ServiceTier != tier || r.SpentToday() != booked {
			t.Errorf("%s: cost %v, served by %q, booked $%v", tier, tr.CostUSD, tr.ServiceTier, r.SpentToday())
		}
		stop()
	}
}

// TestLiveCostSaysHowItIsKnown: estimated or reported, and what the estimate would be.
func TestLiveCostSaysHowItIsKnown(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	publish(t, b.j, 3, func(i int, e *journal.Exchange) {
		switch i {
		case 0:
			e.Usage.Estimated = true
		case 1:
			e.Estimate = &llm.Usage{InputTokens: 11, OutputTokens: 10, Estimated: true}
		case 2:
			e.Usage, e.ServiceTier = &llm.Usage{InputTokens: 10, OutputTokens: 10, CachedInputTokens: 5}, "default"
		}
	})
	b.start("one")
	seen := map[string]journal.Side{}
	for _, tr := range b.trials(3) {
		seen[tr.Conversation] = tr.Live
	}
	if s := seen["0"]; s.CostUSD == nil || *s.CostUSD != 20e-6 || !s.Estimated || s.EstimateUSD != nil {
		t.Errorf("estimated: %+v", s)
	}
	if s := seen["1"]; s.CostUSD == nil || *s.CostUSD != 20e-6 || s.Estimated || s.EstimateUSD == nil || *s.EstimateUSD != 21e-6 {
		t.Errorf("reported and counted: %+v", s)
	}
	if s := seen["2"]; s.CostUSD != nil || s.Estimated {
		t.Errorf("cached input without a price: %+v", s)
	}
}

func ptr(f float64) *float64 { return &f }
