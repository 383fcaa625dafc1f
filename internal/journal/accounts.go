package journal

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Buckets counts in what a candidate's share of the exchanges ended. Their sum
// is the number of exchanges in the candidate's scope.
type Buckets struct {
	Trial         int `json:"trial"`
	NotComparable int `json:"not_comparable"`
	OverBudget    int `json:"over_budget"`
	DeadLetter    int `json:"dead_letter"`
	Expired       int `json:"expired"`
	Pending       int `json:"pending"`
}

// Accounts counts, from the streams themselves, what became of every stored
// exchange for every candidate. It reads headers only and answers from memory,
// so that it answers when NATS does not.
type Accounts struct {
	j        *Journal
	unjudged bool
	index    idIndex

	mu         sync.Mutex
	candidates func(submodule string) []string
	open       map[uint64]*tally // by message, until all of its candidates are done
	captured   map[string]int    // records by sub-module
	ingested   map[string]int
	done       map[string]map[string]*Buckets // candidate → sub-module → terminal buckets
	controls   map[string]*ControlBuckets     // by endpoint
	reasons    map[string]map[string]int      // candidate → reason code → not comparable
	backfills  map[string]*BackfillCount      // by id
	traffic    *traffic
	spent      map[string]map[Cell]Spent // by day
	costs      map[Cell]*cost
	seen       [3]uint64 // last message read of exchanges, trials and judgements
	current    [3]bool   // whether the end of each was reached
	deleted    int       // messages of exchanges in the stream's middle that were gone last
}

// A tally is one exchange message: its records, and how many are done by candidate.
type tally struct {
	submodule string
	records   int
	done      map[string]int
}

// NewAccounts makes empty accounts; candidates names the candidates of a sub-module.
func NewAccounts(j *Journal, candidates func(submodule string) []string) *Accounts {
	return &Accounts{
		j: j, candidates: candidates, open: map[uint64]*tally{},
		captured: map[string]int{}, ingested: map[string]int{},
		done: map[string]map[string]*Buckets{}, controls: map[string]*ControlBuckets{},
		reasons: map[string]map[string]int{}, backfills: map[string]*BackfillCount{}, traffic: newTraffic(), spent: map[string]map[Cell]Spent{}, costs: map[Cell]*cost{},
	}
}

// SetCandidates replaces the scope, after a reload of the configuration.
func (a *Accounts) SetCandidates(candidates func(submodule string) []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.candidates = candidates
}

// Run keeps the accounts until ctx ends. After an interruption it goes on where
// it was, so that the accounts never show less than they knew.
func (a *Accounts) Run(ctx context.Context) error {
	a.j.Keep(ctx, "accounts", func(ctx context.Context) error {
		a.mu.Lock()
		seen := a.seen
		a.mu.Unlock()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		fail := make(chan error, 4)
		go func() { fail <- a.j.Follow(ctx, StreamExchanges, seen[0], true, a.exchange) }()
		go func() { fail <- a.j.Follow(ctx, StreamTrials, seen[1], true, a.trial) }()
		go func() { fail <- a.judgementsAfter(ctx, seen[2]) }()
		go func() { fail <- a.expire(ctx) }()
		err := <-fail
		cancel()
		for range cap(fail) - 1 {
			<-fail
		}
		return err
	})
	return nil
}

// LeaveJudgements makes the accounts do without what judgements cost, for a process that
// may not read them. It must be called before Run.
func (a *Accounts) LeaveJudgements() { a.unjudged = true }

func (a *Accounts) judgementsAfter(ctx context.Context, seq uint64) error {
	if a.unjudged {
		<-ctx.Done()
		return nil
	}
	return a.j.followSubject(ctx, StreamVerdicts, judgements, seq, a.judgement)
}

func (a *Accounts) exchange(m *Message) error {
	a.index.add(m)
	a.mu.Lock()
	defer a.mu.Unlock()
	submodule, source, ok := SubjectOf(m.Subject)
	if ok {
		n := m.count()
		a.traffic.add(submodule, m.At, n)
		if source != SourceCapture {
			a.ingested[submodule] += n
		} else {
			a.captured[submodule] += n
		}
		t := a.tally(m.Seq)
		t.submodule, t.records = submodule, n
		a.settle(m.Seq, t)
	}
	a.saw(0, m)
	return nil
}

func (a *Accounts) tally(seq uint64) *tally {
	t := a.open[seq]
	if t == nil {
		t = &tally{done: map[string]int{}}
		a.open[seq] = t
	}
	return t
}

func (a *Accounts) trial(m *Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if submodule, endpoint, ok := subjectCell(m.Subject); ok {
		d, role := Disposition(m.Header.Get(HeaderDisposition)), Role(m.Header.Get(HeaderRole))
		a.trialCost(Cell{submodule, endpoint, role}, m, d)
		switch role {
		case RoleCandidate:
			a.candidate(m, submodule, endpoint, d)
		case RoleControl:
			a.control(endpoint, d)
		}
	}
	a.saw(1, m)
	return nil
}

func (a *Accounts) candidate(m *Message, submodule, candidate string, d Disposition) {
	if id := m.Header.Get(HeaderBackfill); id != "" {
		a.backfilled(id, m, d)
	}
	before := Disposition(m.Header.Get(HeaderReplaces))
	if before == Tried {
		return // it was tried, and stays so whatever becomes of asking again
	}
	b := a.buckets(candidate, submodule)
	b.add(d, 1)
	if d == NotComparable {
		a.reason(candidate, m.Header.Get(HeaderReason))
	}
	if before != "" {
		b.add(before, -1) // the exchange is counted once, as its last attempt set says
		return
	}
	if seq, err := strconv.ParseUint(m.Header.Get(HeaderSeq), 10, 64); err == nil {
		t := a.tally(seq)
		t.done[candidate]++
		a.settle(seq, t)
	}
}

// add counts n exchanges that ended so.
func (b *Buckets) add(d Disposition, n int) {
	switch d {
	case Tried:
		b.Trial += n
	case NotComparable:
		b.NotComparable += n
	case OverBudget:
		b.OverBudget += n
	case DeadLetter:
		b.DeadLetter += n
	}
}

// reason counts why an exchange is not comparable. Codes hold no text of people, but the
// path of a gap may be one of many: beyond reasonsMost they are summed up.
func (a *Accounts) reason(candidate, code string) {
	by := a.reasons[candidate]
	if by == nil {
		by = map[string]int{}
		a.reasons[candidate] = by
	}
	if _, known := by[code]; !known && len(by) >= reasonsMost || code == "" {
		code = "other"
	}
	by[code]++
}

const reasonsMost = 50

// Reasons tells by candidate why exchanges are not comparable, and how many.
func (a *Accounts) Reasons() map[string]map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]map[string]int{}
	for c, by := range a.reasons {
		out[c] = maps.Clone(by)
	}
	return out
}

func (a *Accounts) saw(i int, m *Message) {
	a.seen[i] = m.Seq
	a.current[i] = a.current[i] || m.Behind == 0
}

// CaughtUp tells whether everything that the streams hold now has been counted.
func (a *Accounts) CaughtUp(ctx context.Context) (bool, error) {
	for i, stream := range []string{StreamExchanges, StreamTrials} {
		end, err := a.j.LastSeq(ctx, stream)
		if err != nil {
			return false, err
		}
		a.mu.Lock()
		seen := a.seen[i]
		a.mu.Unlock()
		if seen < end {
			return false, nil
		}
	}
	if a.unjudged {
		return true, nil
	}
	a.mu.Lock()
	seen := a.seen[2]
	a.mu.Unlock()
	more, err := a.j.holdsAfter(ctx, StreamVerdicts, judgements, seen)
	return err == nil && !more, err
}

func (a *Accounts) buckets(candidate, submodule string) *Buckets {
	by := a.done[candidate]
	if by == nil {
		by = map[string]*Buckets{}
		a.done[candidate] = by
	}
	if by[submodule] == nil {
		by[submodule] = &Buckets{}
	}
	return by[submodule]
}

// settle forgets a message all of whose records are done for all candidates.
func (a *Accounts) settle(seq uint64, t *tally) {
	if t.records == 0 {
		return
	}
	for _, c := range a.candidates(t.submodule) {
		if t.done[c] < t.records {
			return
		}
	}
	delete(a.open, seq)
}

// expire counts what left the stream by age before it was tried.
func (a *Accounts) expire(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !a.j.Up() {
			continue
		}
		if err := a.lookForGone(ctx); err != nil {
			a.j.log.Debug("look for exchanges that are gone", "err", err)
		}
	}
}

func (a *Accounts) expireBefore(state jetstream.StreamState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.current[0] || !a.current[1] {
		return
	}
	for seq, t := range a.open {
		if seq >= state.FirstSeq || t.records == 0 {
			continue
		}
		a.expired(seq, t)
	}
}

// Ingested is the number of exchanges that foreign publishers sent.
func (a *Accounts) Ingested() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, k := range a.ingested {
		n += k
	}
	return n
}

// Stored is the number of captured exchanges that the stream was seen to hold.
func (a *Accounts) Stored() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, k := range a.captured {
		n += k
	}
	return n
}

// Candidates gives the buckets of every candidate in its scope.
func (a *Accounts) Candidates() map[string]Buckets {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]Buckets{}
	scope := map[string]int{}
	for _, by := range []map[string]int{a.captured, a.ingested} {
		for submodule, n := range by {
			for _, c := range a.candidates(submodule) {
				scope[c] += n
				if _, ok := out[c]; !ok {
					out[c] = a.sum(c)
				}
			}
		}
	}
	for c, n := range scope {
		b := out[c]
		b.Pending = max(0, n-b.Trial-b.NotComparable-b.OverBudget-b.DeadLetter-b.Expired)
		out[c] = b
	}
	return out
}

// sum adds a candidate's buckets over the sub-modules that are in its scope now.
func (a *Accounts) sum(candidate string) Buckets {
	var s Buckets
	for submodule, b := range a.done[candidate] {
		for _, c := range a.candidates(submodule) {
			if c == candidate {
				s.Trial += b.Trial
				s.NotComparable += b.NotComparable
				s.OverBudget += max(0, b.OverBudget) // below 0 where the set before has aged out
				s.DeadLetter += max(0, b.DeadLetter)
				s.Expired += b.Expired
			}
		}
	}
	return s
}
