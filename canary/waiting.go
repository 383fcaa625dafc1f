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
	// pairs by exchange. A pair that ended for good without a comparison is not among them.
	pairs map[string]*pair
}

type pair struct {
	at       time.Time
	observed bool
	// judged is when the verdict was made.
	judged      time.Time
	observation Observation
	said        *said
	// ended: it was not tried, and may be tried again. retried is when it was.
	ended   bool
	retried time.Time
}

type waitingKey struct{ submodule, candidate, conversation string }

func (k waitingKey) hash() uint64 {
	return hash64(k.submodule, k.candidate, k.conversation, "conversation")
}

func pairHash(submodule, candidate, exchange string) uint64 {
	return hash64(submodule, candidate, exchange, "pair")
}

// A closing is a cluster with what decides whether it may close, and how.
type closing struct {
	key       waitingKey
	w         *waiting
	t         *talk
	submodule *Submodule
	single    bool
	// drawn is the exchange that is judged, once the window is over, of those before
	// drawEnd: the earliest may be one that this cell does not compare.
	drawn   string
	drawEnd time.Time
	// start is the earliest pair's time, of those that are not absent.
	start, end, deadline time.Time
}

// absent tells that a pair has no part in the cluster: it was not tried, or only once
// the conversation's window was over. Until then no cluster of it can have closed, so
// that a restart finds the same.
func (c *closing) absent(p *pair) bool {
	if p.retried.IsZero() {
		return p.ended
	}
	return !p.retried.Before(c.drawEnd)
}

// present is a pair that is not absent, nil without one.
func (c *closing) present(exchange string) *pair {
	if p := c.w.pairs[exchange]; p != nil && !c.absent(p) {
		return p
	}
	return nil
}

func (a *Analyzer) closing(k waitingKey, t *talk, w *waiting) closing {
	c := closing{key: k, w: w, t: t, submodule: a.submodules.Find(k.submodule), drawEnd: t.start().Add(a.config.ConversationWindow)}
	_, c.single = w.pairs[k.conversation]
	for _, p := range w.pairs {
		if !c.absent(p) && (c.start.IsZero() || p.at.Before(c.start)) {
			c.start = p.at
		}
	}
	c.end, c.deadline = c.start.Add(a.config.ConversationWindow), c.start.Add(a.config.VerdictDeadline)
	return c
}

// ready tells whether the cluster may close: its window is over and every pair in
// it is known, or the deadline has passed. A single exchange without conversation
// has no window to wait for.
func (c *closing) ready(window time.Duration, now time.Time) bool {
	late := !now.Before(c.deadline)
	if !late && !c.single && now.Before(c.grace(c.end, window)) {
		return false
	}
	if c.submodule.Judged {
		c.drawn = c.t.draw(c.key.talk(), window)
	}
	if late {
		return true
	}
	for _, p := range c.w.pairs {
		if !c.absent(p) && !p.observed && p.at.Before(c.end) {
			return false
		}
	}
	return c.judgedEnough() && c.controlsEnough()
}

// grace is until when records of what happened before end are waited for.
func (c *closing) grace(end time.Time, window time.Duration) time.Time {
	return end.Add(min(window/2, longestGrace))
}

// judgedEnough tells that no judgement of the candidate is awaited. The judge may
// have drawn among other late exchanges, so that any judgement ends the waiting.
func (c *closing) judgedEnough() bool {
	if !c.submodule.Judged || c.judged() {
		return true
	}
	p := c.present(c.drawn)
	return p == nil || !p.at.Before(c.end) || p.observation.Live.Error || !c.submodule.sampled(&p.observation)
}

// judged tells that a pair has a judgement, of those that could be drawn.
func (c *closing) judged() bool {
	for _, p := range c.w.pairs {
		if !c.absent(p) && p.said != nil && p.at.Before(c.drawEnd) {
			return true
		}
	}
	return false
}

// controlsEnough tells that no control of the cluster's exchanges is awaited.
func (c *closing) controlsEnough() bool {
	if c.submodule.Control == "" {
		return true
	}
	for exchange, p := range c.w.pairs {
		if g := c.t.controls[exchange]; !c.absent(p) && p.at.Before(c.end) && (g == nil || !g.ended && !g.observed) {
			return false
		}
	}
	p := c.present(c.drawn)
	if !c.submodule.Judged || c.t.judged(c.drawEnd) || p == nil || !p.at.Before(c.end) || !c.submodule.sampled(&p.observation) {
		return true
	}
	g := c.t.controls[c.drawn]
	return !g.observed || g.liveError || g.side.Error
}

// cluster closes it. What had no verdict at the deadline is lost: it counts as
// missing in every gate. A record's own time decides, not the moment of the look,
// so that a restart reads the same from the streams. Pairs after the window that
// have no verdict yet are left out when theirs comes.
func (c *closing) cluster(window time.Duration) *Cluster {
	for _, p := range c.w.pairs {
		if p.said != nil && (p.said.at.After(c.deadline) || !p.at.Before(c.drawEnd)) {
			p.said = nil
		}
	}
	other := c.judged()
	var list []Observation
	for exchange, p := range c.w.pairs {
		if c.absent(p) {
			continue
		}
		o := p.observation
		j := join{said: p.said, drawn: exchange == c.drawn, other: other}
		switch {
		case p.observed && !p.judged.After(c.deadline):
			j.control = c.t.controls[exchange].by(c.deadline, c.drawEnd)
		case p.at.Before(c.end):
			o = Observation{At: p.at, ExchangeID: exchange, Submodule: c.key.submodule, Candidate: c.key.candidate, Conversation: c.key.conversation, lost: true}
		default:
			continue
		}
		j.complete(c.submodule, &o)
		list = append(list, o)
	}
	return newCluster(list, window)
}

// closeReady takes the clusters that may close out of the open ones, in the order
// in which they enter.
func (a *Analyzer) closeReady(now time.Time) []*Cluster {
	var out []*Cluster
	for k, t := range a.talks {
		for candidate, w := range t.cells {
			c := a.closing(waitingKey{k.submodule, candidate, k.conversation}, t, w)
			if c.start.IsZero() { // nothing of it was tried, and may be until the window ends
				if len(w.pairs) == 0 || !now.Before(c.grace(c.drawEnd, a.config.ConversationWindow)) {
					a.giveUp(&c)
				}
				continue
			}
			if !c.ready(a.config.ConversationWindow, now) {
				continue
			}
			out = append(out, a.close(&c))
		}
		// What belongs to no cell is of no use after the time in which one may open.
		_, single := t.exchanges[k.conversation]
		if len(t.cells) == 0 && (!a.awaited(k, single) || !now.Before(t.latest.Add(a.config.VerdictDeadline))) {
			delete(a.talks, k)
		}
	}
	slices.SortFunc(out, compareClusters)
	return out
}

// giveUp ends a cluster of which nothing was tried.
func (a *Analyzer) giveUp(c *closing) {
	delete(c.t.cells, c.key.candidate)
	for exchange := range c.w.pairs {
		a.done[pairHash(c.key.submodule, c.key.candidate, exchange)] = struct{}{}
	}
}

func (a *Analyzer) close(c *closing) *Cluster {
	k := c.key
	cluster := c.cluster(a.config.ConversationWindow)
	delete(c.t.cells, k.candidate)
	if !c.single {
		a.closed[k.hash()] = struct{}{}
	}
	for exchange, p := range c.w.pairs {
		if p.observed || p.at.Before(c.end) {
			a.done[pairHash(k.submodule, k.candidate, exchange)] = struct{}{}
		}
	}
	return cluster
}
