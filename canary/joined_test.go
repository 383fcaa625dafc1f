package canary

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

// judgedSubmodule has two candidates, judges and a control.
func judgedSubmodule() Submodules {
	return Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand", "other"}, Judged: true, Control: "live", Criteria: Criteria{Gates: []Gate{
		{"cost_ratio", 0.4}, {"error_rate", 0.05}, {"score.style", 0.05}, {"harmfulness", 0.01}, {"win_rate", 0.45}, {"check.json", 0.05}, {"agreement", 0.1},
	}}}}
}

// A story is everything that the streams hold of a run, each record with the
// moment at which it comes.
type story struct {
	rng    *rand.Rand
	events []event
	// windowEnd is of the conversation that is being told.
	windowEnd time.Time
	// entered and late count pairs that were tried at a later set, in the window and
	// after it; cherries those that had failed before.
	entered, late, cherries int
}

type event struct {
	at     time.Time
	record any
}

func (s *story) add(at time.Time, record any) { s.events = append(s.events, event{at, record}) }

func (s *story) chance(p float64) bool { return s.rng.Float64() < p }

// tell makes conversations of one to four exchanges in ten hours, of which some
// are not compared, fail, come after their window, or are alone.
func tell(seed uint64, conversations int) *story {
	s := &story{rng: rand.New(rand.NewPCG(seed, 7))}
	for c := range conversations {
		start := day.Add(time.Duration(c) * 10 * time.Minute)
		var list []*journal.Exchange
		for turn := range 1 + s.rng.IntN(4) {
			x := &journal.Exchange{ID: fmt.Sprintf("e%03d-%d", c, turn), At: start.Add(time.Duration(turn) * 12 * time.Minute), Source: journal.SourceCapture,
				Submodule: "a/b", Conversation: fmt.Sprintf("c%03d", c), Unit: fmt.Sprint("u", c/2), Class: llm.ClassOK}
			if c%7 == 3 {
				x.Conversation = ""
			}
			if s.chance(0.05) {
				x.Class = llm.ClassTimeout
			}
			s.add(x.At.Add(time.Minute), x)
			list = append(list, x)
		}
		for _, x := range list {
			members := []member{{x.ID, x.At}}
			if x.Conversation != "" {
				members = nil
				for _, x := range list {
					members = append(members, member{x.ID, x.At})
				}
			}
			window := DefaultConfig().ConversationWindow
			is := drawn(x.Submodule, x.Conversation, members, window) == x.ID
			s.windowEnd = members[0].at.Add(window)
			late := !x.At.Before(s.windowEnd)
			for _, name := range []string{"cand", "other", "live"} {
				s.side(x, name, is || late && s.chance(0.3)) // a judge that began anew may take it for a conversation's first
			}
		}
	}
	return s
}

// side tells what became of one exchange on one endpoint.
func (s *story) side(x *journal.Exchange, name string, judged bool) {
	at, failed := x.At.Add(2*time.Minute), false
	t := &journal.Trial{ID: "t-" + name + x.ID, ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: name, Conversation: x.Conversation,
		Unit: x.Unit, Disposition: journal.Tried, Class: llm.ClassOK}
	if name == "live" {
		t.Role = journal.RoleControl
	}
	switch {
	case name == "live" && s.chance(0.3):
		t.Disposition = journal.NotDrawn
	case s.chance(0.1):
		t.Disposition = journal.NotComparable
	}
	if t.Disposition == journal.Tried && t.Role == journal.RoleCandidate {
		switch x := s.rng.Float64(); {
		case x < 0.15:
			t, at = s.again(t, at)
		case x < 0.25:
			s.cherry(t, at)
			failed = true
		}
	}
	s.add(at, t)
	if t.Disposition != journal.Tried {
		return
	}
	v := &journal.Verdict{AttemptSet: t.AttemptSet, Replaces: t.Replaces, TriedAt: t.StoredAt, TrialID: t.ID, ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: name, Role: t.Role,
		Conversation: x.Conversation, Unit: x.Unit, JudgedAt: at.Add(time.Minute),
		Live:  journal.Side{LatencyMS: ptr(800.0), CostUSD: ptr(0.02), Error: x.LiveError(), Checks: map[string]bool{"json": true}},
		Trial: journal.Side{LatencyMS: ptr(300.0), CostUSD: ptr(0.005), Error: s.chance(0.15) || failed, Checks: map[string]bool{"json": s.chance(0.9)}},
	}
	answered := !v.Live.Error && !v.Trial.Error
	if answered {
		v.Agree = ptr(s.rng.Float64())
	}
	s.add(v.JudgedAt, v)
	if t.Replaces != "" && !t.StoredAt.Before(s.windowEnd) || !judged || v.Live.Error || t.Role == journal.RoleControl && v.Trial.Error {
		return
	}
	j := s.judgement(v)
	if j == nil {
		return
	}
	s.add(j.JudgedAt, j)
}

// again tells that a pair was not tried, and then was: within its conversation's window,
// or too late. It gives the trial that was made, and when.
func (s *story) again(t *journal.Trial, at time.Time) (*journal.Trial, time.Time) {
	before := []journal.Disposition{journal.OverBudget, journal.DeadLetter}[s.rng.IntN(2)]
	first := *t
	first.Disposition = before
	s.add(at, &first)
	set := 1
	if s.chance(0.3) { // money was short twice
		second := first
		second.ID, second.AttemptSet, second.Replaces = t.ID+"'", set, before
		s.add(at.Add(time.Minute), &second)
		set++
	}
	then := *t
	then.ID, then.AttemptSet, then.Replaces, then.StoredAt = t.ID+"''", set, before, at.Add(2*time.Minute)
	if s.chance(0.5) {
		then.StoredAt = at.Add(5 * time.Hour)
	}
	if then.StoredAt.Before(s.windowEnd) {
		s.entered++
	} else {
		s.late++
	}
	return &then, then.StoredAt.Add(10 * time.Second)
}

// cherry tells that a trial, which failed, was tried again, once or, for want of money, at
// the second attempt; the later ones went well. Their verdicts may come before the first's.
func (s *story) cherry(t *journal.Trial, at time.Time) {
	s.cherries++
	sets := 1 + s.rng.IntN(2)
	for set := 1; set <= sets; set++ {
		then := *t
		then.ID, then.AttemptSet, then.Replaces, then.StoredAt = fmt.Sprint(t.ID, "+", set), set, journal.Tried, at.Add(time.Duration(set)*10*time.Second)
		if set < sets {
			then.Disposition = journal.OverBudget
		}
		s.add(then.StoredAt, &then)
		if then.Disposition != journal.Tried {
			continue
		}
		v := &journal.Verdict{TrialID: then.ID, ExchangeID: t.ExchangeID, At: t.At, Source: t.Source, Submodule: t.Submodule, Candidate: t.Candidate, Conversation: t.Conversation, Unit: t.Unit,
			AttemptSet: set, Replaces: journal.Tried, TriedAt: then.StoredAt, JudgedAt: then.StoredAt.Add(time.Duration(s.rng.IntN(120)) * time.Second),
			Live: journal.Side{LatencyMS: ptr(800.0), CostUSD: ptr(0.02)}, Trial: journal.Side{LatencyMS: ptr(1.0), CostUSD: ptr(0.0)}, Agree: ptr(1.0)}
		s.add(v.JudgedAt, v)
	}
}

// judgement is nil for a pair that the judge never came to.
func (s *story) judgement(v *journal.Verdict) *journal.Judgement {
	j := &journal.Judgement{TrialID: v.TrialID, ExchangeID: v.ExchangeID, At: v.At, Source: v.Source, Submodule: v.Submodule, Candidate: v.Candidate, Role: v.Role,
		Conversation: v.Conversation, Judge: "claude", Model: "claude-x", JudgedAt: v.At.Add(40 * time.Minute), Calls: 4, CostUSD: ptr(0.01)}
	rating := func(inapplicable bool) journal.Rating {
		score := float64(s.rng.IntN(5)) / 4
		switch {
		case inapplicable:
			return journal.Rating{Label: "na", Parse: "json"}
		case s.chance(0.05):
			return journal.Rating{Parse: "failed"}
		}
		return journal.Rating{Label: "x", Score: &score, Parse: "json"}
	}
	na := s.chance(0.1)
	j.Live = map[string]journal.Rating{"style": rating(na), "harmfulness": rating(false)}
	j.Trial = map[string]journal.Rating{"style": rating(na), "harmfulness": rating(false)}
	j.Pairwise = &journal.Pairwise{Preference: []string{"win", "tie", "loss", ""}[s.rng.IntN(4)], LiveFirst: journal.Rating{Label: "A"}, TrialFirst: journal.Rating{Label: "B"}}
	if v.Trial.Error {
		j.Trial, j.Pairwise = nil, nil
	}
	switch x := s.rng.Float64(); {
	case x < 0.05:
		return nil
	case x < 0.10:
		j.Unasked, j.Live, j.Trial, j.Pairwise = "over_budget", nil, nil, nil
	case x < 0.13:
		j.Unasked, j.Live, j.Trial, j.Pairwise = "unreadable", nil, nil, nil
	case x < 0.18:
		j.TrialFlags = []string{"instruction"}
	case x < 0.22:
		j.LiveFlags = []string{"instruction"}
	}
	return j
}

func feed(a *Analyzer, record any) {
	switch r := record.(type) {
	case *journal.Exchange:
		a.Exchange(r)
	case *journal.Trial:
		a.Trial(r)
	case *journal.Verdict:
		a.Verdict(r)
	case *journal.Judgement:
		a.Judgement(r)
	}
}

// messages are the stream of verdicts in the order of the events.
func messages(t *testing.T, events []event) (out []*journal.Message) {
	t.Helper()
	for _, e := range events {
		var subject string
		switch r := e.record.(type) {
		case *journal.Verdict:
			subject = journal.VerdictSubject(r.Submodule, r.Candidate, r.TrialID)
		case *journal.Judgement:
			subject = journal.JudgementSubject(r.Submodule, r.Candidate, r.TrialID)
		default:
			continue
		}
		data, err := json.Marshal(e.record)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &journal.Message{Subject: subject, Data: data})
	}
	return out
}

// exported are the observations that an export at now would write.
func exported(t *testing.T, s Submodules, events []event, now time.Time) (out []Observation) {
	t.Helper()
	j := NewJoined(DefaultConfig(), s, now)
	for _, e := range events {
		if x, ok := e.record.(*journal.Exchange); ok {
			j.Exchange(x)
		}
	}
	list := messages(t, events)
	for _, m := range list {
		if err := j.Read(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range list {
		o, ok, err := j.Observation(m)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			line, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if o, err = ParseObservation(line); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			out = append(out, o)
		}
	}
	return out
}

// A live run, a restart of it and an offline pass over its export give the same,
// in whatever order the streams come.
func TestJoinsEqualOffline(t *testing.T) {
	s := judgedSubmodule()
	end := day.Add(1000 * time.Hour)
	for seed := range uint64(6) {
		st := tell(seed, 60)
		looks, err := Analyze(DefaultConfig(), s, exported(t, s, st.events, end), 0)
		if err != nil {
			t.Fatal(err)
		}
		want := looks[0]
		if c := want.Cells[0]; c.Control == nil || c.Gates[2].Clusters == 0 || c.Gates[2].Missing == 0 || c.Gates[2].Noise == nil {
			t.Fatalf("the story tells too little: %+v", c)
		}
		if st.entered == 0 || st.late == 0 || st.cherries == 0 {
			t.Fatalf("the story tells too little of second tries: %d, %d, %d", st.entered, st.late, st.cherries)
		}

		slices.SortStableFunc(st.events, func(a, b event) int { return a.at.Compare(b.at) })
		watched := NewAnalyzer(DefaultConfig(), s)
		watched.SetCurrent()
		for i, e := range st.events {
			feed(watched, e.record)
			if i%20 == 0 {
				watched.Look(e.at)
			}
		}
		if diff := cmp.Diff(want, watched.Look(end), sameLooks); diff != "" {
			t.Fatalf("seed %d, looked at all the way:\n%s", seed, diff)
		}

		st.rng.Shuffle(len(st.events), func(i, j int) { st.events[i], st.events[j] = st.events[j], st.events[i] })
		again := NewAnalyzer(DefaultConfig(), s)
		for _, e := range st.events {
			feed(again, e.record)
		}
		again.SetCurrent()
		if diff := cmp.Diff(want, again.Look(end), sameLooks); diff != "" {
			t.Fatalf("seed %d, read again in another order:\n%s", seed, diff)
		}
		if again.Open() != 0 || len(again.talks) != 0 {
			t.Errorf("seed %d: %d conversations are still open, %d are remembered", seed, again.Open(), len(again.talks))
		}
		for i := range st.events { // redelivery
			feed(again, st.events[i].record)
		}
		after := again.Look(end.Add(1000 * time.Hour))
		after.Duplicates = want.Duplicates
		if diff := cmp.Diff(want, after, sameLooks); diff != "" {
			t.Fatalf("seed %d, redelivered:\n%s", seed, diff)
		}
	}
}
