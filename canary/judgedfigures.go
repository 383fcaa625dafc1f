package canary

import "understudy/internal/journal"

// JudgedFigures are what judge models said of a cell's pairs, as their judgements
// came in.
type JudgedFigures struct {
	// Pairs that were judged. Unsampled pairs have entered the evidence with no
	// say in what judges decide: they were not drawn, or the share or the day's
	// money did not reach for them. OverBudget are the last of these.
	Pairs      int `json:"pairs"`
	Unsampled  int `json:"unsampled"`
	OverBudget int `json:"over_budget"`
	// Unparsed verdicts had no label; Flagged pairs had an answer that is
	// addressed to a judge.
	Unparsed int `json:"unparsed"`
	Flagged  int `json:"flagged"`
	// Wins are the trial's.
	Wins   int `json:"wins"`
	Ties   int `json:"ties"`
	Losses int `json:"losses"`
	// Identical answers are ties that nobody was asked about. Of the others, asked
	// in both orders, Consistent ones named the same answer twice.
	Identical    int `json:"identical"`
	Consistent   int `json:"consistent"`
	Inconsistent int `json:"inconsistent"`

	Calls  int `json:"calls"`
	Cached int `json:"cached"`
	// CostUSD is what the calls cost as far as the bills are known.
	CostUSD float64 `json:"cost_usd"`
	// Judge and Model are the last that judged.
	Judge string `json:"judge"`
	Model string `json:"model"`
	// Scores by metric.
	Scores map[string]ScoreFigures `json:"scores"`
}

// ScoreFigures are the mean scores of one metric over the N judged pairs in which
// both sides have one; the control's over the pairs of the sub-module in which it
// has one.
type ScoreFigures struct {
	Live    Number `json:"live"`
	Trial   Number `json:"trial"`
	Control Number `json:"control"`
	N       int    `json:"n"`
}

// judgedFigures counts judgements of a cell.
type judgedFigures struct {
	shown  JudgedFigures
	scores map[string]*scoreSum
}

// A scoreSum is of one metric; a control's has no live part.
type scoreSum struct {
	live, trial float64
	n           int
}

func (f *judgedFigures) add(j *journal.Judgement, s *said) {
	g := &f.shown
	g.Calls += j.Calls
	g.Cached += j.Cached
	if j.CostUSD != nil {
		g.CostUSD += *j.CostUSD
	}
	if j.Unasked != "" {
		g.OverBudget += int(rate(j.Unasked == "over_budget"))
		return
	}
	g.Pairs++
	g.Judge, g.Model = j.Judge, j.Model
	g.Flagged += int(rate(len(j.LiveFlags)+len(j.TrialFlags) > 0))
	for _, ratings := range []map[string]journal.Rating{j.Live, j.Trial} {
		for _, r := range ratings {
			g.Unparsed += int(rate(r.Label == ""))
		}
	}
	f.compared(j.Pairwise)
	for name, live := range s.live {
		if trial, both := s.trial[name]; both {
			addScore(&f.scores, name, live, trial)
		}
	}
}

func (f *judgedFigures) compared(w *journal.Pairwise) {
	g := &f.shown
	switch {
	case w == nil:
		return
	case w.Identical:
		g.Identical++
	default:
		g.Unparsed += int(rate(w.LiveFirst.Label == "") + rate(w.TrialFirst.Label == ""))
	}
	switch w.Preference {
	case journal.Win:
		g.Wins++
	case journal.Tie:
		g.Ties++
	case journal.Loss:
		g.Losses++
	}
	if !w.Identical && w.Preference != "" {
		g.Consistent += int(rate(w.Consistent))
		g.Inconsistent += int(rate(!w.Consistent))
	}
}

func addScore(to *map[string]*scoreSum, name string, live, trial float64) {
	if *to == nil {
		*to = map[string]*scoreSum{}
	}
	s := (*to)[name]
	if s == nil {
		s = &scoreSum{}
		(*to)[name] = s
	}
	s.live += live
	s.trial += trial
	s.n++
}

// show adds the control's means to the cell's.
func (f *judgedFigures) show(control map[string]*scoreSum) JudgedFigures {
	out := f.shown
	out.Scores = map[string]ScoreFigures{}
	for name, s := range f.scores {
		shown := ScoreFigures{Live: per(s.live, s.n), Trial: per(s.trial, s.n), Control: Unknown(), N: s.n}
		if c := control[name]; c != nil {
			shown.Control = per(c.trial, c.n)
		}
		out.Scores[name] = shown
	}
	return out
}

// controlFigures are what a report shows of a sub-module's control.
type controlFigures struct {
	pairs  int
	side   sideFigures
	units  map[uint64]struct{}
	scores map[string]*scoreSum
}

func (f *controlFigures) pair(v *journal.Verdict) {
	f.pairs++
	f.side.times(&v.Trial)
	if v.Trial.CostUSD == nil {
		return
	}
	if v.Unit != "" {
		f.units[hash64(v.Unit)] = struct{}{}
	}
	f.side.charge(*v.Trial.CostUSD, v.Unit)
}

func (f *controlFigures) judged(s *said) {
	for name, score := range s.trial {
		addScore(&f.scores, name, 0, score)
	}
}

func (f *controlFigures) show() SideFigures { return f.side.show(f.pairs, len(f.units)) }

func (a *Analyzer) controlFigures(submodule string) *controlFigures {
	f := a.controls[submodule]
	if f == nil {
		f = &controlFigures{units: map[uint64]struct{}{}}
		a.controls[submodule] = f
	}
	return f
}
