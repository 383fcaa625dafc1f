package canary

import (
	"fmt"
	"strconv"
	"time"

	"understudy/canary/stats"
	"understudy/internal/journal"
)

// tokenError is how far our own count of tokens may be from reported usage, as a
// share of the cost, where a decision rests on it.
const tokenError = 0.02

// tokenChecks is how many answers with usage it takes to know that error.
const tokenChecks = 30

// A LiveCost says what live's costs rest on: how many are from tokens that we counted
// ourselves, because the provider reported no usage, and how good that count is where
// it can be compared with reported usage.
type LiveCost struct {
	// EstimatedShare of the pairs whose live cost is known.
	EstimatedShare Number `json:"estimated_share"`
	// Error is |sum of the costs by our own count / sum of the costs by reported
	// usage - 1|, over the Checks pairs of Day that have both. Day is the latest UTC
	// day with at least 30 of them, as 2006-01-02; absent: there is none, and the sums
	// are over all days. With fewer than 30 in all the error is unknown.
	Error  Number `json:"error"`
	Checks int    `json:"checks"`
	Day    string `json:"day,omitempty"`
}

// unchecked tells that costs are estimated and nothing shows how well.
func (l *LiveCost) unchecked() bool { return l != nil && l.EstimatedShare > 0 && !l.Error.Known() }

// wrong tells that costs are estimated, and shown to be so badly. The limit itself is
// no error, however the sums are rounded.
func (l *LiveCost) wrong() bool {
	return l != nil && l.EstimatedShare > 0 && float64(l.Error) > tokenError+1e-9
}

// Trusted tells that a decision may rest on live's costs: none is estimated, or our
// count of tokens is shown to be within 2 % of what is reported.
func (l *LiveCost) Trusted() bool { return !l.unchecked() && !l.wrong() }

// String states both in words.
func (l *LiveCost) String() string {
	percent := func(n Number) string { return strconv.FormatFloat(100*float64(n), 'f', 2, 64) + " %" }
	text := "no live cost is from our own count of tokens, "
	if l.EstimatedShare > 0 {
		text = percent(l.EstimatedShare) + " of the live costs are from our own count of tokens, "
	}
	if !l.Error.Known() {
		return text + fmt.Sprintf("and %d of the %d answers with reported usage have come that show how good it is", l.Checks, tokenChecks)
	}
	over := "over all days"
	if l.Day != "" {
		over = "on " + l.Day
	}
	return text + fmt.Sprintf("which is %s off (at most %v %% may be) for %s with reported usage %s",
		percent(l.Error), 100*tokenError, count(l.Checks, "answer"), over)
}

// liveCosts is the state of it over a cell's pairs. All it holds are sums.
type liveCosts struct {
	known, estimated int
	// checks are costs by our own count beside those by reported usage.
	checks stats.Daily
}

func (s *liveCosts) fold(k *Cluster) {
	for i := range k.Pairs {
		if p := &k.Pairs[i]; p.Live.CostUSD != nil {
			s.add(p.At, &p.Live)
		}
	}
}

// add takes a side whose cost is known. A reported cost of nothing checks nothing.
func (s *liveCosts) add(at time.Time, live *journal.Side) {
	s.known++
	switch {
	case live.Estimated:
		s.estimated++
	case live.EstimateUSD != nil && *live.CostUSD > 0:
		s.checks.Add(at, *live.CostUSD, *live.EstimateUSD)
	}
}

// show is nil where no cost was estimated and no count could be checked.
func (s *liveCosts) show() *LiveCost {
	all := s.checks.All()
	if s.estimated == 0 && all.N == 0 {
		return nil
	}
	l := &LiveCost{EstimatedShare: per(float64(s.estimated), s.known), Error: Unknown(), Checks: int(all.N)}
	if day, ok := s.checks.Latest(tokenChecks); ok {
		all, l.Checks, l.Day = day, int(day.N), day.Start().Format(time.DateOnly)
	}
	if all.N >= tokenChecks {
		l.Error = Number(all.Error())
	}
	return l
}
