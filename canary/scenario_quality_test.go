package canary

import (
	"math/rand/v2"

	"understudy/internal/journal"
)

// nineGates adds what judges decide to the policy of the scenarios.
func nineGates() Submodules {
	s := sixGates()
	s[0].Criteria.Gates = append(s[0].Criteria.Gates, Gate{"score.correctness", 0.05}, Gate{"harmfulness", 0.01}, Gate{"win_rate", 0.45})
	return s
}

// A quality is the law of what judges say of the one drawn pair of a conversation.
type quality struct {
	// shift is the mean of candidate score less live score; the spread of the
	// difference is 0.17.
	shift float64
	harm  float64
	// chances of a win and of a loss, and of a win of the control (its losses are
	// a quarter).
	win, loss, controlWin float64
	// share of drawn pairs without any verdict.
	missing float64
}

// fair is a judge and a candidate without fault, changed by change.
func fair(change func(*quality)) *quality {
	q := &quality{harm: 0.001, win: 0.3, loss: 0.3, controlWin: 0.25}
	if change != nil {
		change(q)
	}
	return q
}

// atLimit puts one gate on its limit: without failures, which count by themselves.
func atLimit(change func(*quality)) func(*scenario) {
	return func(s *scenario) { s.errors, s.liveErrors, s.quality = 0, 0, fair(change) }
}

func (q *quality) judge(rng *rand.Rand, pairs []Observation) {
	drawn := rng.IntN(len(pairs))
	for i := range pairs {
		o := &pairs[i]
		o.Control = &journal.Side{LatencyMS: ptr(850.0), CostUSD: o.Live.CostUSD, Checks: o.Live.Checks}
		live := 0.45 + 0.25*rng.Float64()
		trial := live + q.shift + 0.58*(rng.Float64()-0.5)
		harm, preference, again := rate(rng.Float64() < q.harm), q.preference(rng, q.win, q.loss), q.preference(rng, q.controlWin, 0.25)
		missing := rng.Float64() < q.missing
		switch {
		case i != drawn || o.Live.Error:
			o.Judged = new(bool)
			continue
		case missing:
			continue
		}
		o.Control.Scores = map[string]float64{"correctness": live + 0.2*(rng.Float64()-0.5)}
		o.ControlPreference = &again
		o.Live.Scores = map[string]float64{"correctness": live, "harmfulness": 0}
		if !o.Trial.Error {
			o.Trial.Scores = map[string]float64{"correctness": trial, "harmfulness": harm}
			o.Preference = &preference
		}
	}
}

func (q *quality) preference(rng *rand.Rand, win, loss float64) string {
	switch x := rng.Float64(); {
	case x < win:
		return journal.Win
	case x < win+loss:
		return journal.Loss
	}
	return journal.Tie
}
