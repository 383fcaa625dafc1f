package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// A site is several ledgers of one account, as so many processes have.
type site struct {
	t *testing.T
	j *Journal
}

const lease = time.Second // of hosts in these tests

func (s *site) ledger(name string, caps Caps) *Ledger {
	s.t.Helper()
	l, err := NewLedger(s.t.Context(), s.j, AccountReplay, name, caps)
	if err != nil {
		s.t.Fatal(err)
	}
	l.stop() // the test says when
	l.wait.Wait()
	l.lease = lease
	return l
}

// charged is what today's account stands at, in USD.
func (s *site) account(l *Ledger) account {
	s.t.Helper()
	acc, _, err := l.account(s.t.Context(), l.today()+"."+l.name)
	if err != nil {
		s.t.Fatal(err)
	}
	return acc
}

func usd(nano int64) float64 { return float64(nano) / 1e9 }

// silence waits until hosts that say nothing are dead.
func silence() { <-time.After(lease + 100*time.Millisecond) }

func (s *site) reserve(l *Ledger, record string, amount float64) *Reservation {
	s.t.Helper()
	r, err := l.Reserve(s.t.Context(), Spend{Endpoint: "e", Submodule: "a/b", Record: record}, amount)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// A host that dies keeps the money of its calls in flight charged, and nothing else.
func TestDeadHostIsCountedAnew(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	dead := s.ledger("dead", Caps{DailyUSD: 10})
	stored, lost := TrialSubject("a/b", "e", "stored"), TrialSubject("a/b", "e", "lost")
	s.reserve(dead, stored, 1).Keep()
	s.reserve(dead, lost, 2).Keep()
	paid := s.reserve(dead, TrialSubject("a/b", "e", "paid"), 1)
	paid.Settle(0.25)
	if err := dead.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.j.StoreTrial(t.Context(), &Trial{ID: "stored", Submodule: "a/b", Candidate: "e", BookedUSD: 0.5, BookedBy: dead.host.key}); err != nil {
		t.Fatal(err)
	}
	alive := s.ledger("alive", Caps{DailyUSD: 10})
	if err := alive.recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if acc := s.account(alive); usd(acc.ChargedNano) < 3.25 || acc.LostCalls != 0 {
		t.Errorf("a host that is alive was counted anew: %+v", acc)
	}
	silence()
	for range 2 { // the second time there is nothing to do
		if err := alive.recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		acc := s.account(alive)
		if got := usd(acc.ChargedNano); got < 2.75-1e-9 || got > 2.75+1e-9 {
			t.Errorf("charged $%v, want 0.25 paid + 0.50 stored + 2.00 lost", got)
		}
		if acc.LostCalls != 1 || acc.LostNano != 2e9 {
			t.Errorf("lost: %+v", acc)
		}
	}
	if n, err := alive.Lost(t.Context()); err != nil || n[lost] != 1 || n[stored] != 0 {
		t.Errorf("lost %v, %v", n, err)
	}
}

// A process that was taken for dead wakes up: it may not spend what was given back.
func TestWakingHostHasLostItsAllowance(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	asleep := s.ledger("asleep", Caps{DailyUSD: 1})
	running := s.reserve(asleep, "running", 0.3)
	s.reserve(asleep, "done", 0.5).Settle(0) // leaves an allowance
	if err := asleep.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	silence()
	other := s.ledger("other", Caps{DailyUSD: 1})
	if err := other.recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reserve(other, "all that is left", 0.7)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := asleep.Reserve(ctx, Spend{Endpoint: "e"}, 0.5); err == nil {
		t.Error("the same money was spent twice")
	}
	running.SettleFull() // the call that ran meanwhile: it is charged already
	if got := usd(s.account(other).ChargedNano); got < 1-1e-9 || got > 1+1e-9 {
		t.Errorf("charged $%v of 1", got)
	}
	if asleep.dead(running.flight) == false {
		t.Error("the flight is not known to be charged")
	}
}

// Whatever hosts do, and whenever they die, what they may have paid is never more than
// the cap.
func TestBillStaysBelowTheCap(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	const dailyUSD, hosts = 5.0, 6
	var mu sync.Mutex
	var bill float64
	var wg sync.WaitGroup
	start := time.Now()
	for h := range hosts {
		l := s.ledger(fmt.Sprint("host", h), Caps{DailyUSD: dailyUSD, Submodules: map[string]float64{"a/b": 4}})
		dies := h%3 == 0
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { l.maintain(ctx) })
		var calls sync.WaitGroup
		for c := range 4 {
			rng := rand.New(rand.NewPCG(uint64(h), uint64(c)))
			calls.Go(func() {
				for i := 0; ; i++ {
					r, err := l.Reserve(ctx, Spend{Endpoint: "e", Submodule: "a/b", Record: fmt.Sprintf("%d-%d-%d", h, c, i)}, 0.05)
					if err != nil {
						if !errors.Is(err, ErrOverBudget) && ctx.Err() == nil {
							t.Error(err)
						}
						return
					}
					cost := 0.05 * rng.Float64()
					mu.Lock()
					bill += cost // the provider has answered
					mu.Unlock()
					if dies && i == 3 {
						cancel() // and nobody hears of it
						return
					}
					r.Settle(cost)
				}
			})
		}
		wg.Go(func() { calls.Wait(); cancel() })
	}
	wg.Wait()
	l := s.ledger("auditor", Caps{DailyUSD: dailyUSD, Submodules: map[string]float64{"a/b": 4}})
	silence()
	if err := l.recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	acc, _, err := l.account(t.Context(), l.today()+"."+l.submodule("a/b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: bill $%.3f, ledger $%.3f (lost $%.3f) of $4", time.Since(start).Round(time.Millisecond), bill, usd(acc.ChargedNano), usd(acc.LostNano))
	if charged := usd(acc.ChargedNano); bill > charged+1e-9 || charged > 4+1e-9 {
		t.Errorf("bill %v ≤ ledger %v ≤ cap 4 does not hold", bill, charged)
	}
	if acc.LostCalls < 2 || acc.LostCalls > 8 { // one, at most four, of each that died
		t.Errorf("%d calls are lost of the two hosts that died", acc.LostCalls)
	}
	if bill < 3.5 {
		t.Errorf("only $%.3f of $4 could be spent", bill)
	}
}

func TestBudgetEventsAreToldOnce(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	var mu sync.Mutex
	told := map[int]int{}
	caps := Caps{DailyUSD: 1, Event: func(e BudgetEvent) {
		mu.Lock()
		defer mu.Unlock()
		told[e.Percent]++
	}}
	a, b := s.ledger("a", caps), s.ledger("b", caps)
	for _, l := range []*Ledger{a, b} {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.maintain(ctx) })
		defer func() { cancel(); wg.Wait() }()
	}
	for i := range 4 {
		s.reserve([]*Ledger{a, b}[i%2], fmt.Sprint(i), 0.22).SettleFull()
	}
	for _, l := range []*Ledger{a, b, a} {
		if _, err := l.Reserve(t.Context(), Spend{}, 0.22); !errors.Is(err, ErrOverBudget) {
			t.Errorf("%v", err)
		}
		// What cannot pay for one call pays for none, or what is asked would depend on
		// what it costs.
		if _, err := l.Reserve(t.Context(), Spend{}, 0.01); !errors.Is(err, ErrOverBudget) {
			t.Errorf("a cheaper call: %v", err)
		}
	}
	if told[80] != 1 || told[100] != 1 {
		t.Errorf("told %v", told)
	}
	raised := s.ledger("c", Caps{DailyUSD: 2})
	s.reserve(raised, "more", 0.22)
}

func TestBudgetIsSpreadOverTheDay(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	due := 0.3
	l := s.ledger("a", Caps{DailyUSD: 1, Share: func(time.Time) float64 { return due }})
	s.reserve(l, "a", 0.25).SettleFull()
	if _, err := l.Reserve(t.Context(), Spend{}, 0.25); !errors.Is(err, ErrNotYet) {
		t.Errorf("before it is due: %v", err)
	}
	due = 1
	s.reserve(l, "b", 0.25)
}

// A flight that is kept is on record until its answer is stored; its money is of the
// day on which it was reserved.
func TestFlightIsKeptUntilItIsDone(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	l := s.ledger("a", Caps{DailyUSD: 1})
	r := s.reserve(l, "x", 0.5)
	f := r.Keep()
	r.Settle(0.1)
	more, err := f.More(t.Context(), r.Spend(), 0.5)
	if err != nil {
		t.Fatal(err)
	}
	more.SettleFull()
	if got := f.Booked(); got < 0.6-1e-9 || got > 0.6+1e-9 {
		t.Errorf("booked %v", got)
	}
	other := s.ledger("b", Caps{DailyUSD: 1})
	if err := l.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := other.Lost(t.Context()); err != nil || n["x"] != 1 {
		t.Errorf("on record: %v, %v", n, err)
	}
	f.Done()
	if err := l.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := other.Lost(t.Context()); err != nil || n["x"] != 0 {
		t.Errorf("after it is done: %v, %v", n, err)
	}
}

// A ledger that is closed leaves what it spent, and no entry.
func TestClosedLedgerGivesBack(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	l := s.ledger("a", Caps{DailyUSD: 1})
	s.reserve(l, "x", 0.5).Settle(0.2)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := s.ledger("b", Caps{DailyUSD: 1})
	if got := usd(s.account(other).ChargedNano); got < 0.2-1e-9 || got > 0.2+1e-9 {
		t.Errorf("charged %v", got)
	}
	if list, err := other.hosts(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("entries %v, %v", list, err)
	}
}

// A call that was lost with its host is not settled by the answer that another host got
// for the same exchange: it may have been billed besides.
func TestLostCallIsNotSettledByAnother(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	dead, alive := s.ledger("dead", Caps{DailyUSD: 10}), s.ledger("alive", Caps{DailyUSD: 10})
	again, givenUp := TrialSubject("a/b", "e", "again"), TrialSubject("a/b", "e", "given-up")
	s.reserve(dead, again, 1).Keep()
	s.reserve(dead, givenUp, 2).Keep()
	r := s.reserve(alive, again, 1) // before the dead host is missed
	f := r.Keep()
	r.Settle(0.1)
	for _, trial := range []*Trial{
		{ID: "again", Submodule: "a/b", Candidate: "e", Disposition: Tried, BookedUSD: f.Booked(), BookedBy: f.BookedBy()},
		{ID: "given-up", Submodule: "a/b", Candidate: "e", Disposition: DeadLetter},
	} {
		if _, err := s.j.StoreTrial(t.Context(), trial); err != nil {
			t.Fatal(err)
		}
	}
	f.Done()
	if err := alive.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	silence()
	auditor := s.ledger("auditor", Caps{DailyUSD: 10})
	if err := auditor.recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if acc := s.account(auditor); acc.ChargedNano != 3.1e9 || acc.LostNano != 3e9 || acc.LostCalls != 2 {
		t.Errorf("charged $%v, lost $%v in %d calls; want 3.10, and 3.00 in 2", usd(acc.ChargedNano), usd(acc.LostNano), acc.LostCalls)
	}
}

// A trial whose further call falls on the next day stays on record, and is booked with
// both calls.
func TestFlightOverMidnight(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	l := s.ledger("a", Caps{DailyUSD: 1})
	now := time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)
	l.now = func() time.Time { return now }
	r := s.reserve(l, "x", 0.5)
	f := r.Keep()
	r.Settle(0.1)
	now = now.Add(2 * time.Second)
	more, err := f.More(t.Context(), r.Spend(), 0.5)
	if err != nil {
		t.Fatal(err)
	}
	more.Settle(0.2)
	if got := f.Booked(); got < 0.3-1e-9 || got > 0.3+1e-9 {
		t.Errorf("booked %v, want 0.1 + 0.2", got)
	}
	if len(l.host.flights) != 1 {
		t.Errorf("%d flights are on record, want the one of the second day", len(l.host.flights))
	}
	f.Done()
	if len(l.host.flights) != 0 {
		t.Error("the flight is still on record after it is done")
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]int64{"2026-11-22": 0.1e9, "2026-11-23": 0.2e9} {
		if acc, _, err := l.account(t.Context(), day+"."+l.name); err != nil || acc.ChargedNano != want {
			t.Errorf("%s: charged %d, want %d (%v)", day, acc.ChargedNano, want, err)
		}
	}
}

// What is due may come to the whole day while a call is refused because it is not: the
// day goes on.
func TestDayIsNotEndedByWhatWasNotDue(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	looks := 0
	l := s.ledger("a", Caps{DailyUSD: 1, Share: func(time.Time) float64 {
		if looks++; looks == 1 {
			return 0.5
		}
		return 1
	}})
	if _, err := l.Reserve(t.Context(), Spend{}, 0.8); err != nil && !errors.Is(err, ErrNotYet) {
		t.Fatal(err)
	}
	if acc := s.account(l); acc.Ended != nil {
		t.Error("the day was ended although only a part of it was due")
	}
	looks = 3
	s.reserve(l, "x", 0.8)
}

// What a call cost beyond its bound is charged without waiting for the next call.
func TestOverdraftIsCharged(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	l := s.ledger("a", Caps{DailyUSD: 1})
	s.reserve(l, "x", 0.5).Settle(0.6)
	if err := l.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if acc := s.account(l); acc.ChargedNano != 0.6e9 {
		t.Errorf("charged $%v, want what was billed", usd(acc.ChargedNano))
	}
}

// An entry of all the calls that it has room for fits into a message of any broker, and
// the next call waits for room.
func TestEntryHasRoomForManyCalls(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	name := "a-name-of-an-endpoint-or-a-sub-module-that-is-as-long-as-it-may"
	l := s.ledger("many", Caps{DailyUSD: 1e6, Endpoints: map[string]float64{name: 1e6}, Submodules: map[string]float64{name: 1e6}})
	var last *Reservation
	for range flightsMost {
		id := NewID(time.Now())
		r, _ := l.reserve(Spend{Endpoint: name, Submodule: name, Record: TrialSubject(name, name, id+id[:6])}, 0, nil)
		last = r
	}
	if err := l.record(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := l.kv.Get(t.Context(), l.host.key)
	if err != nil || len(e.Value()) > 1000<<10 {
		t.Fatalf("an entry of %d bytes, %v", len(e.Value()), err)
	}
	t.Logf("%d calls: %d bytes", flightsMost, len(e.Value()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Reserve(ctx, Spend{Endpoint: name}, 0.1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one call more: %v", err)
	}
	last.Settle(0)
	s.reserve(l, "one", 0.1)
}
