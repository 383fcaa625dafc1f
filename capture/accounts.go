package capture

import (
	"maps"
	"sync"

	"understudy/capture/spool"
)

// Accounts tell what became of every request that reached the proxy:
//
//	received = captured + sampled_out + excluded + all dropped + unaccounted + pending
//
// holds at every reading.
type Accounts struct {
	Received int64 `json:"received"`
	// Captured exchanges are in the journal, acknowledged.
	Captured int64 `json:"captured"`
	// SampledOut were left out by the sampling share, Excluded because they
	// are no Chat Completions calls.
	SampledOut int64 `json:"sampled_out"`
	Excluded   int64 `json:"excluded"`
	// Unaccounted were in flight when a process was killed.
	Unaccounted int64 `json:"unaccounted"`
	// Pending are in hand now.
	Pending int64 `json:"pending"`
	// Dropped by reason.
	Dropped map[string]int64 `json:"dropped"`
}

// settled is the sum of the buckets in which a request can end.
func (a *Accounts) settled() int64 {
	n := a.Captured + a.SampledOut + a.Excluded + a.Unaccounted
	for _, d := range a.Dropped {
		n += d
	}
	return n
}

// Plus gives the sum of two proxies' accounts; neither is changed.
func (a Accounts) Plus(b Accounts) Accounts {
	a.Received += b.Received
	a.Captured += b.Captured
	a.SampledOut += b.SampledOut
	a.Excluded += b.Excluded
	a.Unaccounted += b.Unaccounted
	a.Pending += b.Pending
	dropped := make(map[string]int64, len(a.Dropped)+len(b.Dropped))
	for _, m := range []map[string]int64{a.Dropped, b.Dropped} {
		for reason, n := range m {
			dropped[reason] += n
		}
	}
	a.Dropped = dropped
	return a
}

// A ledger keeps the accounts of one proxy over its lives.
type ledger struct {
	mu sync.Mutex
	a  Accounts // Pending is not kept but derived
	// instance marks this proxy's messages; lastSeq is its last acknowledged.
	instance string
	lastSeq  uint64
	// carried were pending when an earlier life ended and wait for the journal
	// to say how many of them it has. inDoubt of them were on their way to it
	// at a regular end.
	carried, inDoubt int64
	// spoolNext is the number of the first record of the spool that is not published,
	// spoolCounted the number behind the last one that is counted. unsettled tells that
	// what an earlier life published directly is not known yet. lostTail are records that
	// are counted and not in the spool's files: published, or lost with them.
	spoolNext, spoolCounted uint64
	unsettled               bool
	lostTail                int64
	// saving keeps an older state from being written over a newer one.
	saving  sync.Mutex
	changed bool
	// fresh: there was no earlier life.
	fresh bool
	// watch is told of every change of a bucket, for the metrics.
	watch func(outcome, reason string, n int)
}

// record changes the accounts under the lock.
func (l *ledger) record(change func(*Accounts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.a)
	l.changed = true
}

func (l *ledger) received() { l.record(func(a *Accounts) { a.Received++ }) }

func (l *ledger) sampledOut() {
	l.record(func(a *Accounts) { a.SampledOut++ })
	l.watch(outcomeSampledOut, "", 1)
}

func (l *ledger) excluded() {
	l.record(func(a *Accounts) { a.Excluded++ })
	l.watch(outcomeExcluded, "", 1)
}

func (l *ledger) dropped(reason string, n int) {
	l.record(func(a *Accounts) { a.Dropped[reason] += int64(n) })
	l.watch(outcomeDropped, reason, n)
}

// captured counts n records that the journal acknowledged, up to message seq.
func (l *ledger) captured(n int, seq uint64) {
	l.record(func(a *Accounts) {
		a.Captured += int64(n)
		l.lastSeq = max(l.lastSeq, seq)
	})
	l.watch(outcomeCaptured, "", n)
}

// doubt leaves n records pending whose publishing was cut short: the next life
// asks the journal for them.
func (l *ledger) doubt(n int) { l.record(func(*Accounts) { l.inDoubt += int64(n) }) }

// resume settles what an earlier life left pending, of which the journal has n
// records, the last in message seq.
func (l *ledger) resume(n int, seq uint64) {
	l.record(func(a *Accounts) {
		a.Captured += int64(n)
		l.lastSeq = max(l.lastSeq, seq)
		missing := l.carried - int64(n)
		if missing < 0 { // received was saved before the last of them came
			a.Received -= missing
			missing = 0
		}
		lost := min(missing, l.inDoubt)
		if lost > 0 {
			a.Dropped[reasonShutdown] += lost
		}
		a.Unaccounted += missing - lost
		l.carried, l.inDoubt = 0, 0
	})
}

// openSpool counts what an earlier life put into the spool, and goes to where that had
// come; skip says how many records of the first entry are published.
func (l *ledger) openSpool(s *spool.Spool) (skip int) {
	l.record(func(a *Accounts) {
		if l.fresh { // the accounts were lost, or there never were any
			l.spoolNext, l.spoolCounted = s.Next(), s.Next()
			a.Received += int64(s.End() - s.Next())
			l.carried = int64(s.End() - s.Next())
		}
		skip = s.Resume(l.spoolNext)
		if l.spoolCounted > s.End() {
			l.lostTail = int64(l.spoolCounted - s.End())
		} else {
			n := int64(s.End() - max(l.spoolCounted, s.Next()))
			a.Captured += n
			if l.carried -= n; l.carried < 0 { // received was saved before the last of them came
				a.Received -= l.carried
				l.carried = 0
			}
		}
		l.spoolCounted = s.End()
		if s.Next() == s.End() {
			l.unsettled = !l.fresh
		}
	})
	return skip
}

// spooled counts n records that are in the spool, whose end is now behind them.
func (l *ledger) spooled(n int, end uint64) {
	l.record(func(a *Accounts) {
		a.Captured += int64(n)
		l.spoolCounted = end
	})
	l.watch(outcomeCaptured, "", n)
}

// forwarded notes that n records of the spool are stored, up to message seq.
func (l *ledger) forwarded(n int, seq uint64) {
	l.record(func(*Accounts) {
		l.spoolNext += uint64(n)
		l.lastSeq = max(l.lastSeq, seq)
	})
}

// uncaptured drops n records of the spool that had been counted as captured.
func (l *ledger) uncaptured(n int, reason string) {
	l.record(func(a *Accounts) {
		a.Captured -= int64(n)
		a.Dropped[reason] += int64(n)
		l.spoolNext += uint64(n)
	})
	l.watch(outcomeDropped, reason, n)
}

// skipTo drops the records of the spool before a number, which are gone.
func (l *ledger) skipTo(next uint64) (lost int) {
	if at := l.spoolPosition(); at < next {
		lost = int(next - at)
		l.uncaptured(lost, reasonSpoolDamaged)
	}
	return lost
}

func (l *ledger) spoolPosition() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spoolNext
}

// resumeSpool settles what an earlier life left, of which the journal has n records behind
// the last message that was known, the last in message seq. inside tells that the spool
// is not empty; stored is how many of its first records are stored.
func (l *ledger) resumeSpool(n int, seq uint64, inside bool) (stored int) {
	l.mu.Lock()
	unsettled, gone := l.unsettled, min(l.lostTail, int64(n))
	lost := l.lostTail - gone
	l.lostTail = 0
	l.mu.Unlock()
	if gone > 0 {
		l.forwarded(int(gone), seq)
		n -= int(gone)
	}
	if lost > 0 {
		l.uncaptured(int(lost), reasonSpoolDamaged)
	}
	if inside && !unsettled {
		l.forwarded(n, seq)
		stored, n = n, 0
	}
	l.resume(n, seq)
	l.record(func(*Accounts) { l.unsettled = false })
	return stored
}

// position is what the journal has to be asked about.
func (l *ledger) position() (instance string, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.instance, l.lastSeq
}

// read gives the accounts as they are now.
func (l *ledger) read() Accounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.a
	a.Dropped = maps.Clone(l.a.Dropped)
	a.Pending = a.Received - a.settled()
	return a
}
