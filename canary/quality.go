package canary

import (
	"slices"

	"understudy/internal/journal"
)

// judged is a reading of what judges say, for pairs that may not have been drawn:
// there, what is absent takes the pair out, whatever became of the call.
func judged(read func(*Observation) reading) func(*Observation) reading {
	return func(o *Observation) reading {
		if o.sampled() {
			return read(o)
		}
		drawn := *o
		drawn.Judged, drawn.Trial.Error, drawn.Live.Error = nil, false, false
		if read(&drawn).missing {
			return reading{out: true}
		}
		return read(o)
	}
}

// liveScore is live's score, the mean of both answers where the control has one.
func liveScore(o *Observation, name string) (float64, bool) {
	score, ok := o.Live.Scores[name]
	if !ok || o.Control == nil {
		return score, ok
	}
	if again, both := o.Control.Scores[name]; both {
		return (score + again) / 2, true
	}
	return score, true
}

// inapplicable tells that the judge said so of both sides.
func inapplicable(o *Observation, name string) bool {
	_, live := o.Live.Scores[name]
	_, trial := o.Trial.Scores[name]
	return !live && !trial && slices.Contains(o.NotApplicable, name)
}

// readScore is candidate minus live, higher better. A failed trial scores 0,
// whatever is written; a failed live call leaves the gate.
func readScore(o *Observation, name string) reading {
	trial, hasTrial := o.Trial.Scores[name]
	live, hasLive := liveScore(o, name)
	switch {
	case o.lost:
		return reading{missing: true}
	case o.Live.Error:
		return reading{out: true}
	case inapplicable(o, name):
		return reading{out: true}
	case !hasLive:
		return reading{missing: true}
	case o.Trial.Error:
		return reading{value: -live}
	case !hasTrial:
		return reading{missing: true}
	}
	return reading{value: trial - live, data: true}
}

// readAbsolute is the candidate's own score, lower better. A failed trial harms
// nobody.
func readAbsolute(o *Observation, name string) reading {
	trial, has := o.Trial.Scores[name]
	switch {
	case o.lost:
		return reading{missing: true}
	case inapplicable(o, name):
		return reading{out: true}
	case !has && o.Trial.Error:
		return reading{}
	case !has:
		return reading{missing: true}
	}
	return reading{value: trial, data: !o.Trial.Error}
}

// readMargin is candidate minus live, lower better.
func readMargin(o *Observation, name string) reading {
	trial, hasTrial := o.Trial.Scores[name]
	live, hasLive := liveScore(o, name)
	switch {
	case o.lost:
		return reading{missing: true}
	case inapplicable(o, name):
		return reading{out: true}
	case !hasLive || !hasTrial && !o.Trial.Error:
		return reading{missing: true}
	}
	return reading{value: trial - live, data: !o.Trial.Error}
}

// readPreference is 1 for a win of the trial, one half for a tie, 0 for a loss.
func readPreference(o *Observation) reading {
	switch {
	case o.lost:
		return reading{missing: true}
	case o.Preference != nil:
		return reading{value: points(*o.Preference), data: !o.Trial.Error}
	case o.Live.Error:
		return reading{out: true}
	case o.Trial.Error:
		return reading{}
	}
	return reading{missing: true}
}

func points(preference string) float64 {
	switch preference {
	case journal.Win:
		return 1
	case journal.Tie:
		return 0.5
	}
	return 0
}

// readAgreement is how far the candidate agrees with live, less how far live's own
// endpoint agrees with itself; without that the measure is perfect agreement. A
// failed trial agrees with nothing.
func readAgreement(o *Observation) reading {
	again := 1.0
	if o.ControlAgree != nil {
		again = *o.ControlAgree
	}
	switch {
	case o.lost:
		return reading{missing: true}
	case o.Live.Error && o.Agree == nil:
		return reading{out: true}
	case o.Trial.Error:
		return reading{value: -again}
	case o.Agree == nil:
		return reading{missing: true}
	}
	return reading{value: *o.Agree - again, data: true}
}
