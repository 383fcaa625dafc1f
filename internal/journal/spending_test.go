package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sums checks what holds of every balance at every moment.
func sums(t interface{ Errorf(string, ...any) }, s *Spending) {
	for _, b := range s.Balances {
		if sum := b.SettledUSD + b.ReservedUSD + b.HeldUSD + b.LostUSD; math.Abs(sum-b.ChargedUSD) > 1e-9 {
			t.Errorf("%+v: the parts come to %v", b, sum)
		}
		for _, part := range []float64{b.SettledUSD, b.ReservedUSD, b.HeldUSD, b.LostUSD, b.OwedUSD} {
			if part < 0 {
				t.Errorf("%+v: a part is below 0", b)
			}
		}
	}
}

// nanos are a balance's parts as they are counted.
type nanos struct{ Settled, Reserved, Held, Lost, Owed int64 }

func (b *Balance) nanos() nanos {
	n := func(usd float64) int64 { return int64(math.Round(usd * 1e9)) }
	return nanos{n(b.SettledUSD), n(b.ReservedUSD), n(b.HeldUSD), n(b.LostUSD), n(b.OwedUSD)}
}

// A machine is a site at which one thing happens after the other, and what the ledger
// should say of it.
type machine struct {
	s     *site
	now   time.Time
	hosts []*machineHost
	names int
}

// A machineHost is one host, and what it last said of each budget.
type machineHost struct {
	l    *Ledger
	open []*machineCall
	// spent and lost by scope; told and toldOpen are what the entry says is settled, and
	// open by call. lost is of those that this one has buried.
	spent, told, lost map[string]int64
	toldOpen          []machineCall
}

type machineCall struct {
	r      *Reservation
	scopes []string
	amount int64 // what its flight holds: set aside, or settled
	done   bool  // it is settled
	kept   *Flight
}

func (m *machine) boot(t *rapid.T) {
	m.names++
	l := m.s.ledger(fmt.Sprintf("%s-%d", m.now.Format(time.DateOnly), m.names), Caps{DailyUSD: 1e6, Submodules: map[string]float64{"a/b": 1e6}, Endpoints: map[string]float64{"e": 1e6}})
	l.now = func() time.Time { return m.now }
	m.hosts = append(m.hosts, &machineHost{l: l, spent: map[string]int64{}, told: map[string]int64{}, lost: map[string]int64{}})
}

func (m *machine) host(t *rapid.T) *machineHost {
	return m.hosts[rapid.IntRange(0, len(m.hosts)-1).Draw(t, "host")]
}

func (m *machine) reserve(t *rapid.T) {
	h := m.host(t)
	c := &machineCall{scopes: []string{"all", "endpoint-e"}, amount: rapid.Int64Range(1, 5e9).Draw(t, "nano")}
	spend := Spend{Endpoint: "e", Submodule: "c", Record: TrialSubject("c", "e", NewID(time.Now()))}
	if rapid.Bool().Draw(t, "a/b") {
		spend.Submodule, c.scopes = "a/b", append(c.scopes, "submodule-a=2Fb")
	}
	r, err := h.l.Reserve(context.Background(), spend, inUSD(c.amount))
	if err != nil {
		t.Fatal(err)
	}
	c.r, c.amount = r, r.amount
	if rapid.Bool().Draw(t, "kept") {
		c.kept = r.Keep()
	}
	h.open = append(h.open, c)
	h.tell()
}

func (m *machine) settle(t *rapid.T) {
	h := m.host(t)
	if len(h.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.open)-1).Draw(t, "call")
	c := h.open[i]
	if !c.done {
		cost := rapid.Int64Range(0, c.amount*5/4).Draw(t, "cost") // now and then above its bound
		c.r.settle(cost)
		for _, scope := range c.scopes {
			h.spent[scope] += cost
		}
		c.done, c.amount = true, cost
		if c.kept != nil {
			return // its answer is not stored yet
		}
	}
	if c.kept != nil {
		c.kept.Done()
	}
	h.open = append(h.open[:i], h.open[i+1:]...)
}

// tell says that the host's entry is up to date.
func (h *machineHost) tell() {
	h.told = map[string]int64{}
	for scope, n := range h.spent {
		h.told[scope] = n
	}
	h.toldOpen = nil
	for _, c := range h.open {
		h.toldOpen = append(h.toldOpen, *c)
	}
}

func (m *machine) refresh(t *rapid.T) {
	h := m.host(t)
	if rapid.Bool().Draw(t, "idle") {
		m.now = m.now.Add(2 * idleAfter)
	}
	if err := h.l.refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.tell()
}

// die ends a host without a word, and another one buries it.
func (m *machine) die(t *rapid.T) {
	if len(m.hosts) < 2 {
		return
	}
	i := rapid.IntRange(0, len(m.hosts)-1).Draw(t, "dies")
	dead := m.hosts[i]
	m.hosts = append(m.hosts[:i], m.hosts[i+1:]...)
	list, err := m.hosts[0].l.hosts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range list {
		if h.key == dead.l.ownKey() {
			if err := m.hosts[0].l.bury(context.Background(), h, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.hosts[0].adopt(dead)
}

// adopt keeps what is known of a dead host: what it said is settled stays so, what it
// said is in flight is lost.
func (h *machineHost) adopt(dead *machineHost) {
	for scope, n := range dead.told {
		h.spent[scope], h.told[scope] = h.spent[scope]+n, h.told[scope]+n
	}
	for _, c := range dead.toldOpen {
		for _, scope := range c.scopes {
			h.lost[scope] += c.amount
			if c.done {
				h.spent[scope] -= c.amount
				h.told[scope] -= c.amount
			}
		}
	}
	for scope, n := range dead.lost {
		h.lost[scope] += n
	}
}

// want is what the ledger should say of a scope once every host has told all.
func (m *machine) want(scope string) (n nanos) {
	for _, h := range m.hosts {
		n.Settled += h.spent[scope]
		n.Lost += h.lost[scope]
		for _, c := range h.open {
			for _, s := range c.scopes {
				if s == scope && !c.done {
					n.Reserved += c.amount
				}
			}
		}
		if p := h.l.purses[m.now.Format(time.DateOnly)+"."+scope]; p != nil {
			n.Held += max(0, p.free)
			n.Owed += max(0, -p.free)
		}
	}
	n.Settled -= n.Owed
	return n
}

// Whatever hosts do, and whichever die, the parts come to the charge at every moment,
// and once all have told what they know each part is what it should be.
func TestSpendingTellsWhereTheMoneyIs(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	day := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		day = day.AddDate(0, 0, 1) // nothing of the run before
		m := &machine{s: s, now: day}
		m.boot(t)
		read := func() *Spending {
			got, err := s.j.Spending(context.Background(), day.Format(time.DateOnly))
			if err != nil {
				t.Fatal(err)
			}
			sums(t, got)
			return got
		}
		steps := []func(*rapid.T){m.boot, m.reserve, m.reserve, m.reserve, m.settle, m.settle, m.refresh, m.die}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(steps)-1), 1, 25).Draw(t, "steps") {
			steps[i](t)
			read()
		}
		for _, h := range m.hosts {
			if err := h.l.record(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range read().Balances {
			scope := b.Account
			if b.Endpoint != "" {
				scope = scopeOfEndpoint(b.Account, b.Endpoint)
			} else if b.Submodule != "" {
				scope = scopeOfSubmodule(b.Account, b.Submodule)
			}
			if diff := cmp.Diff(m.want(scope), b.nanos()); diff != "" {
				t.Fatalf("%s: %s", scope, diff)
			}
		}
	})
}

// While hosts work side by side the parts come to the charge, which is never less than
// what was billed before the look nor more than the cap.
func TestSpendingWhileHostsWork(t *testing.T) {
	s := &site{t, openTest(t, testConfig(t))}
	const dailyUSD = 20.0
	var bill atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var ledgers []*Ledger
	for h := range 3 {
		l := s.ledger(fmt.Sprint("host", h), Caps{DailyUSD: dailyUSD, Submodules: map[string]float64{"a/b": dailyUSD / 2}})
		l.lease = hostLease
		ledgers = append(ledgers, l)
		wg.Go(func() { l.maintain(ctx) })
		for c := range 4 {
			rng := rand.New(rand.NewPCG(uint64(h), uint64(c)))
			wg.Go(func() {
				for i := 0; ; i++ {
					r, err := l.Reserve(ctx, Spend{Endpoint: "e", Submodule: []string{"c", "a/b"}[min(i, 20)/20]}, 0.05)
					if err != nil {
						if !errors.Is(err, ErrOverBudget) && ctx.Err() == nil {
							t.Error(err)
						}
						return
					}
					cost := 0.02 * rng.Float64()
					bill.Add(nano(cost))
					r.Settle(cost)
				}
			})
		}
	}
	looks := 0
	for begin := time.Now(); time.Since(begin) < 2*time.Second; looks++ {
		before := bill.Load()
		got, err := s.j.Spending(t.Context(), ledgers[0].today())
		if err != nil {
			t.Fatal(err)
		}
		sums(t, got)
		if len(got.Balances) == 0 {
			continue
		}
		if b := got.Balances[0]; b.ChargedUSD < inUSD(before)-1e-9 || b.ChargedUSD > dailyUSD+1e-9 {
			t.Errorf("bill %v ≤ charged %v ≤ cap %v does not hold", inUSD(before), b.ChargedUSD, dailyUSD)
		}
		if n := got.Hosts[AccountReplay]; n.Alive > 3 || n.Silent > 0 {
			t.Errorf("hosts %+v", n)
		}
	}
	cancel()
	wg.Wait()
	for _, l := range ledgers {
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.j.Spending(t.Context(), ledgers[0].today())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d looks; %+v", looks, got.Balances[0])
	if b := got.Balances[0]; b.Account != AccountReplay || b.nanos() != (nanos{Settled: bill.Load()}) {
		t.Errorf("at the end %+v, want all settled: %d", b, bill.Load())
	}
	if len(got.Hosts) != 0 {
		t.Errorf("hosts that closed are still there: %v", got.Hosts)
	}
}

func TestSpendingOfNothing(t *testing.T) {
	j := openTest(t, testConfig(t))
	s, err := j.Spending(t.Context(), "2026-11-22")
	if err != nil || len(s.Balances) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, day := range []string{"", "*", "2026-13-01", "today"} {
		if _, err := j.Spending(t.Context(), day); err == nil {
			t.Errorf("%q was taken for a day", day)
		}
	}
}

func TestScopesAreReadBack(t *testing.T) {
	for _, account := range accountNames {
		if a, e, s := scopeNames(account); a != account || e != "" || s != "" {
			t.Errorf("%s: %q %q %q", account, a, e, s)
		}
		for _, name := range []string{"llama-3.3", "a/b.c", "endpoint-x", "control", "judge-endpoint-y"} {
			if a, e, s := scopeNames(scopeOfEndpoint(account, name)); a != account || e != name || s != "" {
				t.Errorf("endpoint %s of %s: %q %q %q", name, account, a, e, s)
			}
			if a, e, s := scopeNames(scopeOfSubmodule(account, name)); a != account || e != "" || s != name {
				t.Errorf("sub-module %s of %s: %q %q %q", name, account, a, e, s)
			}
		}
	}
	if a, _, _ := scopeNames("somebody-else"); a != "" {
		t.Errorf("%q is no scope of ours", a)
	}
}

// What the entries say besides the account, where they were not written in one.
func TestBalanceOfEntriesThatDisagree(t *testing.T) {
	const key = "2026-11-22.all"
	died := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	call := func(nano, settled int64) *flight { return &flight{Nano: nano, Cost: settled, Keys: []string{key}} }
	host := func(free int64, dead *time.Time, flights ...*flight) hostRecord {
		return hostRecord{key: "host.all.x-1", hostEntry: hostEntry{Free: map[string]int64{key: free, "2026-11-21.all": 9}, Flights: flights, Dead: dead}}
	}
	for name, c := range map[string]struct {
		acc   account
		hosts []hostRecord
		want  nanos
		calls int
	}{
		"whoever buried it died too": {account{ChargedNano: 100}, []hostRecord{host(0, &died, call(30, 10))}, nanos{Settled: 70, Lost: 30}, 1},
		"its entry is forgotten":     {account{ChargedNano: 100, LostNano: 30, LostCalls: 2}, nil, nanos{Settled: 70, Lost: 30}, 2},
		"given back meanwhile":       {account{ChargedNano: 50}, []hostRecord{host(40, nil, call(30, 10))}, nanos{Reserved: 20, Held: 30}, 0},
		"all at once":                {account{ChargedNano: 50}, []hostRecord{host(40, nil, call(70, 10)), host(0, &died, call(20, 0))}, nanos{Reserved: 30, Lost: 20}, 1},
		"a debt":                     {account{ChargedNano: 50}, []hostRecord{host(-5, nil), host(7, nil)}, nanos{Settled: 43, Held: 7, Owed: 5}, 0},
	} {
		b := newBalance(&c.acc, "all", "2026-11-22", c.hosts)
		sums(t, &Spending{Balances: []Balance{b}})
		if diff := cmp.Diff(c.want, b.nanos()); diff != "" || b.LostCalls != c.calls {
			t.Errorf("%s: %d calls lost; %s", name, b.LostCalls, diff)
		}
	}
}
