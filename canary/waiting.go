package canary

import (
	"slices"
	"time"
)

// longestGrace bounds how long after its window a conversation still waits for
// exchanges that began inside it and were stored when their answer had ended.
const longestGrace = 2 * time.Minute

// A waiting cluster is open: its window or its pairs are not over yet.
type waiting struct {
	// pairs by exchange. A pair that ended without a comparison is not among them.
	pairs map[string]*pair
}

type pair struct {
	at          time.Time
	observed    bool
	judged      time.Time
	observation Observation
}

type waitingKey struct{ submodule, candidate, conversation string }

func (k waitingKey) hash() uint64 {
	return hash64(k.submodule, k.candidate, k.conversation, "conversation")
}

// start is the earliest exchange's time; ok is false without any pair.
func (w *waiting) start() (at time.Time, ok bool) {
	for _, p := range w.pairs {
		if !ok || p.at.Before(at) {
			at, ok = p.at, true
		}
	}
	return at, ok
}

// ready tells whether the cluster may close: its window is over and every pair in
// it is known, or the deadline has passed. A single exchange without conversation
// has no window to wait for.
func (w *waiting) ready(c *Config, single bool, now time.Time) bool {
	start, ok := w.start()
	if !ok {
		return false
	}
	if !now.Before(start.Add(c.VerdictDeadline)) {
		return true
	}
	end := start.Add(c.ConversationWindow)
	if !single && now.Before(end.Add(min(c.ConversationWindow/2, longestGrace))) {
		return false
	}
	for _, p := range w.pairs {
		if !p.observed && p.at.Before(end) {
			return false
		}
	}
	return true
}

// close makes the cluster. What had no verdict at the deadline is lost: it counts
// as missing in every gate. The verdict's own time decides, not the moment of the
// look, so that a restart reads the same from the streams. Pairs after the window
// that have no verdict yet are left out when theirs comes.
func (w *waiting) close(k waitingKey, c *Config) *Cluster {
	start, _ := w.start()
	end, deadline := start.Add(c.ConversationWindow), start.Add(c.VerdictDeadline)
	var list []Observation
	for exchange, p := range w.pairs {
		switch {
		case p.observed && !p.judged.After(deadline):
			list = append(list, p.observation)
		case p.at.Before(end):
			list = append(list, Observation{At: p.at, ExchangeID: exchange, Submodule: k.submodule, Candidate: k.candidate,
				Conversation: k.conversation, lost: true})
		}
	}
	return newCluster(list, c.ConversationWindow)
}

// closeReady takes the clusters that may close out of the open ones, in the order
// in which they enter.
func (a *Analyzer) closeReady(now time.Time) []*Cluster {
	var out []*Cluster
	for k, w := range a.open {
		if len(w.pairs) == 0 {
			delete(a.open, k)
			continue
		}
		_, single := w.pairs[k.conversation]
		if !w.ready(&a.config, single, now) {
			continue
		}
		c := w.close(k, &a.config)
		delete(a.open, k)
		if !single {
			a.closed[k.hash()] = struct{}{}
		}
		for exchange, p := range w.pairs {
			if p.observed || p.at.Before(c.Start.Add(a.config.ConversationWindow)) {
				a.done[pairHash(k.submodule, k.candidate, exchange)] = struct{}{}
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, compareClusters)
	return out
}

func pairHash(submodule, candidate, exchange string) uint64 {
	return hash64(submodule, candidate, exchange, "pair")
}
