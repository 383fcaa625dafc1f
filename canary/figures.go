package canary

import (
	"cmp"
	"slices"
	"strings"

	"understudy/canary/stats"
	"understudy/internal/journal"
	"understudy/llm"
)

// gapKinds bounds the different gaps that a cell remembers; more are counted
// under the path "/…".
const gapKinds = 500

// figures are what a report shows of a cell besides its gates. They count every
// compared pair as it comes, also those whose conversation is still open or that
// were left out, and decide nothing.
type figures struct {
	pairs       int
	live, trial sideFigures
	units       map[uint64]struct{}
	failures    map[llm.Class]int
	gaps        map[gapKey]int

	notComparable, overBudget, deadLetter int

	lag      float64
	lagCount int
	tried    attemptFigures

	judged judgedFigures
	// worst are the worst so far, of conversations that have entered.
	worst []Worst
}

type gapKey struct {
	path     string
	severity llm.Severity
}

type sideFigures struct {
	latency, ttft stats.Histogram
	// cost over the pairs whose cost is known on both sides, and of those the
	// part that belongs to a unit.
	cost, unitCost float64
	costs          int
	errors         int
}

func newFigures() *figures {
	return &figures{units: map[uint64]struct{}{}, failures: map[llm.Class]int{}, gaps: map[gapKey]int{}, tried: newAttemptFigures()}
}

func (f *figures) pair(o *Observation) {
	f.pairs++
	f.live.times(&o.Live)
	f.trial.times(&o.Trial)
	if o.Live.CostUSD == nil || o.Trial.CostUSD == nil {
		return
	}
	if o.Unit != "" {
		f.units[hash64(o.Unit)] = struct{}{}
	}
	f.live.charge(*o.Live.CostUSD, o.Unit)
	f.trial.charge(*o.Trial.CostUSD, o.Unit)
}

// times counts a failed call as an error and not by its time.
func (s *sideFigures) times(side *journal.Side) {
	if side.Error {
		s.errors++
		return
	}
	if side.LatencyMS != nil {
		s.latency.Add(*side.LatencyMS)
	}
	if side.TTFTMS != nil {
		s.ttft.Add(*side.TTFTMS)
	}
}

func (s *sideFigures) charge(usd float64, unit string) {
	s.cost += usd
	s.costs++
	if unit != "" {
		s.unitCost += usd
	}
}

// ended counts how a trial ended, and its gaps once each.
func (f *figures) ended(t *journal.Trial) {
	switch t.Replaces { // it is counted once, as its last set says
	case journal.OverBudget:
		f.overBudget--
	case journal.DeadLetter:
		f.deadLetter--
	}
	switch t.Disposition {
	case journal.NotComparable:
		f.notComparable++
	case journal.OverBudget:
		f.overBudget++
	case journal.DeadLetter:
		f.deadLetter++
	case journal.Tried:
		f.lag += t.LagMS
		f.lagCount++
		f.tried.add(t)
		if t.Class != llm.ClassOK && t.Class != "" {
			f.failures[t.Class]++
		}
	}
	seen := map[gapKey]bool{}
	for _, g := range t.Gaps {
		k := gapKey{general(g.Path), g.Severity}
		if _, known := f.gaps[k]; !known && len(f.gaps) >= gapKinds {
			k.path = "/…"
		}
		if !seen[k] {
			seen[k] = true
			f.gaps[k]++
		}
	}
}

// general replaces the numbers in a JSON Pointer by "*", so that a gap in every
// message of a conversation is one line of the report.
func general(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if p != "" && strings.Trim(p, "0123456789") == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

func sortGaps(gaps map[gapKey]int) []GapCount {
	out := make([]GapCount, 0, len(gaps))
	for k, n := range gaps {
		out = append(out, GapCount{Path: k.path, Severity: k.severity, Count: n})
	}
	slices.SortFunc(out, func(a, b GapCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Severity, b.Severity))
	})
	return out
}
