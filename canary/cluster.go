package canary

import (
	"cmp"
	"slices"
	"time"
)

// A Cluster is the pairs of one conversation in one cell, the unit of evidence:
// it enters whole or not at all.
type Cluster struct {
	Submodule    string
	Candidate    string
	Conversation string
	// Start is the earliest exchange's time, and Pairs are those from Start until
	// the window's end.
	Start time.Time
	Pairs []Observation
	// LeftOut counts the pairs after the window.
	LeftOut int
}

// newCluster cuts the observations of one conversation in one cell, at least one,
// at the window's end. It sorts its argument.
func newCluster(pairs []Observation, window time.Duration) *Cluster {
	slices.SortStableFunc(pairs, compareObservations)
	first := &pairs[0]
	end := first.At.Add(window)
	n := len(pairs)
	for n > 1 && !pairs[n-1].At.Before(end) {
		n--
	}
	return &Cluster{
		Submodule: first.Submodule, Candidate: first.Candidate, Conversation: first.cluster(),
		Start: first.At, Pairs: pairs[:n:n], LeftOut: len(pairs) - n,
	}
}

func compareObservations(a, b Observation) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ExchangeID, b.ExchangeID))
}

// compareClusters is the order in which clusters enter: by start, so that short
// conversations do not come in before long ones.
func compareClusters(a, b *Cluster) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Submodule, b.Submodule),
		cmp.Compare(a.Conversation, b.Conversation), cmp.Compare(a.Candidate, b.Candidate))
}
