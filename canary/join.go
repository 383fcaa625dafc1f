package canary

import (
	"cmp"
	"slices"
	"time"

	"understudy/internal/journal"
)

// said is what a judgement says of its pair, as gates read it.
type said struct {
	at time.Time
	// pair is the time of the exchange.
	pair time.Time
	// outside: the pair was not sampled after all, for want of money or share.
	outside     bool
	live, trial map[string]float64
	// inapplicable scores apply to neither side.
	inapplicable []string
	preference   *string
}

// saidBy reads a judgement. What could not be parsed, and what stands beside an
// answer that is addressed to the judge, is absent: it will count as missing.
func saidBy(j *journal.Judgement) *said {
	s := &said{at: j.JudgedAt, pair: j.At, outside: j.Unasked != "" && j.Unasked != "unreadable"}
	if j.Unasked != "" {
		return s
	}
	if len(j.LiveFlags) == 0 {
		s.live = scoresOf(j.Live)
	}
	if len(j.TrialFlags) == 0 {
		s.trial = scoresOf(j.Trial)
	}
	if len(j.LiveFlags)+len(j.TrialFlags) > 0 {
		return s
	}
	for name, live := range j.Live { // of a failed trial live alone is rated
		if live.NotApplicable() && (j.Trial == nil || j.Trial[name].NotApplicable()) {
			s.inapplicable = append(s.inapplicable, name)
		}
	}
	slices.Sort(s.inapplicable)
	if w := j.Pairwise; w != nil && w.Preference != "" {
		preference := w.Preference
		s.preference = &preference
	}
	return s
}

func scoresOf(ratings map[string]journal.Rating) map[string]float64 {
	var out map[string]float64
	for name, r := range ratings {
		if r.Score == nil || !(*r.Score >= 0 && *r.Score <= 1) {
			continue
		}
		if out == nil {
			out = map[string]float64{}
		}
		out[name] = *r.Score
	}
	return out
}

// An again is what is known of the control of one exchange.
type again struct {
	// ended: it was not tried, so that nothing more comes.
	ended bool
	// answered is when its verdict was made; observed tells that there is one.
	observed  bool
	answered  time.Time
	side      journal.Side
	liveError bool
	agree     *float64
	said      *said
}

// verdict takes the control's verdict; false where its numbers are none that a
// measurement gives.
func (g *again) verdict(v *journal.Verdict) bool {
	if validSide("control", &v.Trial) != nil || v.Agree != nil && !(*v.Agree >= 0 && *v.Agree <= 1) {
		g.ended = true
		return false
	}
	g.observed, g.answered, g.side, g.liveError, g.agree = true, v.JudgedAt, v.Trial, v.Live.Error, v.Agree
	return true
}

// by is what was known at the deadline, the control's verdict and judgement by
// their own times. The judgement counts for an exchange before drawEnd.
func (g *again) by(deadline, drawEnd time.Time) *again {
	if g == nil || !g.observed || g.answered.After(deadline) {
		return nil
	}
	if g.said != nil && (g.said.at.After(deadline) || !g.said.pair.Before(drawEnd)) {
		bare := *g
		bare.said = nil
		return &bare
	}
	return g
}

// A join is what is known of a pair besides its verdict.
type join struct {
	said    *said
	control *again
	// drawn: the exchange is the one of its conversation that is judged. other:
	// the judge drew another one of the window, of the same candidate.
	drawn, other bool
	// pending: a judgement may still come.
	pending bool
}

// complete puts everything into the observation.
func (j *join) complete(s *Submodule, o *Observation) {
	c := j.control
	if c != nil {
		side := c.side
		o.ControlAgree = c.agree
		if s.Judged && c.said != nil {
			side.Scores, o.ControlPreference = c.said.trial, c.said.preference
		}
		o.Control = &side
	}
	if !s.Judged {
		return
	}
	sampled := j.drawn && !j.other && !j.pending && !o.Live.Error && s.sampled(o)
	if j.said != nil {
		sampled = !j.said.outside
		o.Live.Scores, o.Trial.Scores, o.NotApplicable, o.Preference = j.said.live, j.said.trial, j.said.inapplicable, j.said.preference
	}
	if !sampled {
		o.Judged = new(bool)
	}
}

// sampled tells that the pair's conversation is in the share that judges see.
func (s *Submodule) sampled(o *Observation) bool {
	if s.JudgeShare <= 0 || s.JudgeShare >= 1 {
		return true
	}
	return journal.Share("judge", o.Submodule+"\x00"+o.cluster()) < s.JudgeShare
}

// A member is an exchange of a conversation.
type member struct {
	id string
	at time.Time
}

// drawn is the exchange of a conversation that is judged: of all captured ones in
// the window, tried or not, the one with the smallest key.
func drawn(submodule, conversation string, members []member, window time.Duration) string {
	if len(members) == 0 {
		return ""
	}
	first := slices.MinFunc(members, func(a, b member) int { return a.at.Compare(b.at) })
	end := first.at.Add(window)
	best, least := "", ^uint64(0)
	for _, m := range members {
		if key := journal.DrawKey(submodule, conversation, m.id); m.at.Before(end) &&
			(best == "" || cmp.Or(cmp.Compare(key, least), cmp.Compare(m.id, best)) < 0) {
			best, least = m.id, key
		}
	}
	return best
}
