package canary

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"understudy/internal/journal"
)

// An Observation is one pair in numbers: a request, answered by live and by a
// candidate. `export --what observations` prints it, one JSON object a line, and
// the offline analysis reads it.
type Observation struct {
	At           time.Time `json:"at"`
	ExchangeID   string    `json:"exchange_id"`
	Submodule    string    `json:"submodule"`
	Candidate    string    `json:"candidate"`
	Conversation string    `json:"conversation"`
	Unit         string    `json:"unit"`

	Live    journal.Side  `json:"live"`
	Trial   journal.Side  `json:"trial"`
	Control *journal.Side `json:"control"`

	// Preference is "win" where the trial beat live, "tie" or "loss".
	Preference        *string  `json:"preference"`
	ControlPreference *string  `json:"control_preference"`
	Agree             *float64 `json:"agree"`
	ControlAgree      *float64 `json:"control_agree"`
	// Judged false: the pair was not drawn for judging. Nil is true.
	Judged *bool `json:"judged,omitempty"`
	// NotApplicable names the scores that neither side has because the judge said
	// that they do not apply: nothing is missing there.
	NotApplicable []string `json:"not_applicable,omitempty"`

	// lost marks a pair without a verdict at the deadline: no gate knows it.
	lost bool
	// sideless marks a control of which only preference or agreement is known.
	sideless bool
}

// ObservationOf is the observation that a verdict states by itself, without what
// judges and the control say; see Joined.
func ObservationOf(v *journal.Verdict) Observation {
	return Observation{
		At: v.At, ExchangeID: v.ExchangeID, Submodule: v.Submodule, Candidate: v.Candidate,
		Conversation: v.Conversation, Unit: v.Unit, Live: v.Live, Trial: v.Trial, Agree: v.Agree,
	}
}

// sampled tells that the pair was drawn for judging, or that nobody said otherwise.
func (o *Observation) sampled() bool { return o.Judged == nil || *o.Judged }

// cluster is the key of the observation's cluster within its cell: the
// conversation, or the exchange itself where there is none.
func (o *Observation) cluster() string {
	if o.Conversation == "" {
		return o.ExchangeID
	}
	return o.Conversation
}

// sideLine is a Side as a line may hold it: with nulls where values are unknown.
type sideLine struct {
	LatencyMS *float64            `json:"latency_ms"`
	TTFTMS    *float64            `json:"ttft_ms"`
	CostUSD   *float64            `json:"cost_usd"`
	Error     bool                `json:"error"`
	Scores    map[string]*float64 `json:"scores"`
	Checks    map[string]*bool    `json:"checks"`
}

type observationLine struct {
	At           *time.Time `json:"at"`
	Conversation *string    `json:"conversation"`
	Unit         *string    `json:"unit"`
	ExchangeID   string     `json:"exchange_id"`
	Submodule    string     `json:"submodule"`
	Candidate    string     `json:"candidate"`

	Live    *sideLine `json:"live"`
	Trial   *sideLine `json:"trial"`
	Control *sideLine `json:"control"`

	Preference        *string  `json:"preference"`
	ControlPreference *string  `json:"control_preference"`
	Agree             *float64 `json:"agree"`
	ControlAgree      *float64 `json:"control_agree"`
	Judged            *bool    `json:"judged"`
	NotApplicable     []string `json:"not_applicable"`
}

// ParseObservation reads one line. A bad line is one that does not parse, lacks a
// field that every pair has, or holds a value outside its range; the error says
// which and quotes no text of people.
func ParseObservation(line []byte) (Observation, error) {
	var l observationLine
	if err := json.Unmarshal(line, &l); err != nil {
		return Observation{}, fmt.Errorf("parse observation: %w", err)
	}
	if err := l.complete(); err != nil {
		return Observation{}, err
	}
	o := Observation{
		At: *l.At, ExchangeID: l.ExchangeID, Submodule: l.Submodule, Candidate: l.Candidate,
		Preference: l.Preference, ControlPreference: l.ControlPreference,
		Agree: l.Agree, ControlAgree: l.ControlAgree, Judged: l.Judged, NotApplicable: l.NotApplicable,
	}
	if l.Conversation != nil {
		o.Conversation = *l.Conversation
	}
	if l.Unit != nil {
		o.Unit = *l.Unit
	}
	var err error
	if o.Live, err = l.Live.side("live"); err != nil {
		return Observation{}, err
	}
	if o.Trial, err = l.Trial.side("trial"); err != nil {
		return Observation{}, err
	}
	if l.Control != nil {
		control, err := l.Control.side("control")
		if err != nil {
			return Observation{}, err
		}
		o.Control = &control
	}
	return o, nil
}

func (l *observationLine) complete() error {
	for name, absent := range map[string]bool{
		"at": l.At == nil, "exchange_id": l.ExchangeID == "", "submodule": l.Submodule == "",
		"candidate": l.Candidate == "", "live": l.Live == nil, "trial": l.Trial == nil,
	} {
		if absent {
			return fmt.Errorf("read observation: %s is missing", name)
		}
	}
	for _, p := range []*string{l.Preference, l.ControlPreference} {
		if p != nil && *p != "win" && *p != "tie" && *p != "loss" {
			return errors.New(`read observation: a preference is not "win", "tie" or "loss"`)
		}
	}
	for _, a := range []*float64{l.Agree, l.ControlAgree} {
		if a != nil && !(*a >= 0 && *a <= 1) {
			return errors.New("read observation: an agreement is outside 0..1")
		}
	}
	return nil
}

// side drops the nulls and checks the ranges.
func (l *sideLine) side(which string) (journal.Side, error) {
	s := journal.Side{LatencyMS: l.LatencyMS, TTFTMS: l.TTFTMS, CostUSD: l.CostUSD, Error: l.Error}
	for name, v := range l.Scores {
		if v != nil {
			if s.Scores == nil {
				s.Scores = map[string]float64{}
			}
			s.Scores[name] = *v
		}
	}
	for name, v := range l.Checks {
		if v != nil {
			if s.Checks == nil {
				s.Checks = map[string]bool{}
			}
			s.Checks[name] = *v
		}
	}
	return s, validSide(which, &s)
}

// valid tells that the observation's numbers are some that measurements give.
func (o *Observation) valid() bool {
	return validSide("live", &o.Live) == nil && validSide("trial", &o.Trial) == nil && (o.Agree == nil || *o.Agree >= 0 && *o.Agree <= 1)
}

// validSide refuses numbers that no measurement gives.
func validSide(which string, s *journal.Side) error {
	for name, v := range map[string]*float64{"latency_ms": s.LatencyMS, "ttft_ms": s.TTFTMS, "cost_usd": s.CostUSD, "cost_estimate_usd": s.EstimateUSD} {
		if v != nil && !(*v >= 0 && !math.IsInf(*v, 1)) {
			return fmt.Errorf("read observation: %s.%s is %v, which is negative or not finite", which, name, *v)
		}
	}
	for _, v := range s.Scores {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("read observation: a score of %s is %v, outside 0..1", which, v)
		}
	}
	return nil
}
