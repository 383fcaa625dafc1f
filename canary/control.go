package canary

import (
	"understudy/canary/stats"
	"understudy/internal/journal"
)

// controlAlpha is the level of the judge control's interval, and the control is
// proven while the interval lies between controlLow and controlHigh.
const (
	controlAlpha = 0.01
	controlLow   = 0.4
	controlHigh  = 0.6
)

// A controlState is the evidence about the judge itself: how often it prefers the
// control, which is live's own endpoint asked again. A judge without bias does so
// as often as not.
type controlState struct{ mean stats.MBX }

func newControlState() controlState { return controlState{stats.NewMBX(0, 1)} }

// fold adds the mean over a cluster's pairs that have a preference.
func (s *controlState) fold(c *Cluster) error {
	sum, n := 0.0, 0
	for i := range c.Pairs {
		if p := c.Pairs[i].ControlPreference; p != nil {
			sum += points(*p)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return s.mean.Add(sum / float64(n))
}

// show is nil without any control pair.
func (s *controlState) show() *Control {
	n := s.mean.N
	if n == 0 {
		return nil
	}
	return &Control{Estimate: Number(s.mean.SumLow / float64(n)), Clusters: int(n),
		Interval: [2]Number{Number(s.mean.Lower(controlAlpha / 2)), Number(s.mean.Upper(controlAlpha / 2))}}
}

// Failed tells that the judge is shown to be biased between two answers of the
// same endpoint. Without control pairs nothing is shown.
func (c *Control) Failed() bool {
	return c != nil && (c.Interval[0] > 0.5 || c.Interval[1] < 0.5)
}

// Proven tells that the judge is shown to be fair enough.
func (c *Control) Proven() bool {
	return c != nil && !c.Failed() && c.Interval[0] >= controlLow && c.Interval[1] <= controlHigh
}

// controls is the cluster with the control in the trial's place, nil where no pair
// has one: what any gate says of it is the noise between two answers of live's own
// endpoint.
func (c *Cluster) controls() *Cluster {
	var out *Cluster
	for i := range c.Pairs {
		p := &c.Pairs[i]
		if p.lost || p.Control == nil && p.ControlPreference == nil && p.ControlAgree == nil {
			continue
		}
		if out == nil {
			out = &Cluster{Submodule: c.Submodule, Candidate: c.Candidate, Conversation: c.Conversation, Start: c.Start}
		}
		again := *p
		again.Control, again.Preference, again.Agree, again.ControlPreference, again.ControlAgree = nil, p.ControlPreference, p.ControlAgree, nil, nil
		again.Trial, again.sideless = journal.Side{}, p.Control == nil
		if p.Control != nil {
			again.Trial = *p.Control
		}
		out.Pairs = append(out.Pairs, again)
	}
	return out
}

// controls tells of each sub-module with a control whether it is proven in all of
// its cells.
func (s Submodules) controls(l Look) map[string]bool {
	out := map[string]bool{}
	for i := range l.Cells {
		c := &l.Cells[i]
		if entry := s.Find(c.Submodule); entry == nil || entry.Control == "" {
			continue
		}
		before, seen := out[c.Submodule]
		out[c.Submodule] = c.Control.Proven() && (!seen || before)
	}
	return out
}
