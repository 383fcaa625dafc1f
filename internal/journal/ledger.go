package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Ledger keeps all hosts together under daily budgets: of an account, and inside
// it of endpoints and sub-modules. A host takes an allowance from the day's entry by
// compare-and-set, at most a hundredth of what is left or what the next call needs,
// and reserves from it locally. Before a call begins, the host's own entry says what
// the call may cost (see flight.go). An allowance counts as spent for everybody until
// it is given back, so a host that dies can never make room for money that it may
// have spent: the provider's bill ≤ the ledger ≤ the cap.
//
// Money is counted in whole nano-dollars, so that sums are exact.
type Ledger struct {
	j     *Journal
	kv    jetstream.KeyValue
	log   *slog.Logger
	name  string
	caps  Caps
	limit map[string]int64 // by scope
	now   func() time.Time
	lease time.Duration
	// gate lets one call at a time talk to the broker. The purses are never
	// locked meanwhile, so that figures are shown also when it does not answer.
	gate chan struct{}
	host *host

	mu     sync.Mutex
	purses map[string]*purse  // by day and scope
	freed  chan struct{}      // closed when a reservation is settled
	seen   map[string]account // what each account was last seen to be
	ended  map[string]bool    // accounts whose day's money is spent
	spent  map[string]int64   // by day, whatever became of the purses

	forgot string // the day on which old days were last forgotten; of maintain alone

	stop context.CancelFunc
	wait sync.WaitGroup
}

// Caps are the budgets of a ledger, in USD for one UTC day.
type Caps struct {
	DailyUSD float64
	// Endpoints and Submodules are those with a budget of their own.
	Endpoints, Submodules map[string]float64
	// Share is the part of a day's budgets that may be spent by a moment, 0 to 1;
	// nil is all of it from the day's beginning.
	Share func(time.Time) float64
	// Event is told once of each budget that has come to 80 or 100 percent, by the
	// process that found it; nil for nobody.
	Event func(BudgetEvent)
}

// A BudgetEvent says that a day's budget is nearly spent (80), or no longer holds a
// call that was asked of it (100).
type BudgetEvent struct {
	// Account is "candidates", "control" or "judge".
	Account            string
	Day, Scope         string
	Percent            int
	ChargedUSD, CapUSD float64
}

// accountWord is what people call an account.
func accountWord(name string) string {
	if name == AccountReplay {
		return "candidates"
	}
	return name
}

// Sentence says what the event means.
func (e *BudgetEvent) Sentence() string {
	if e.Percent >= 100 {
		return "the day's budget is spent: it cannot pay for one more call, and no further one is made today"
	}
	return "four fifths of the day's budget are charged"
}

// A purse is the local allowance of one scope on one day. free is below 0 where
// a call cost more than was reserved for it.
type purse struct {
	free     int64
	reserved int64
	spent    int64
	used     time.Time // when it last changed
}

// account is a day's entry of one scope in the bucket.
type account struct {
	// ChargedNano is what hosts hold as allowances or have spent.
	ChargedNano int64 `json:"charged_nano_usd"`
	CapNano     int64 `json:"cap_nano_usd"`
	// LostNano and LostCalls are of calls in flight when their host died: they may
	// have been billed and stay charged.
	LostNano  int64 `json:"lost_nano_usd,omitempty"`
	LostCalls int   `json:"lost_calls,omitempty"`
	// Near and Ended are when 80 percent were charged, and when a call was first
	// refused for the day.
	Near  *time.Time `json:"near,omitempty"`
	Ended *time.Time `json:"ended,omitempty"`
}

var (
	// ErrOverBudget tells that the day's budget does not allow the call.
	ErrOverBudget = errors.New("the day's budget is spent")
	// ErrTooDear is ErrOverBudget of a call that may cost more than a whole day's budget.
	ErrTooDear = fmt.Errorf("%w: the call may cost more than a whole day's", ErrOverBudget)
	// ErrNotYet tells that the day's budget allows the call, but only later: it is
	// spread over the day.
	ErrNotYet = errors.New("what the day's budget allows until now is spent")
	// ErrSubmoduleNotYet is an ErrNotYet of a sub-module's own budget: others may go on.
	ErrSubmoduleNotYet = fmt.Errorf("sub-module: %w", ErrNotYet)
)

// exactly stands for no limit: what was spent is booked, and no cap changes that.
const exactly = -1

// mostUSD bounds every amount, far above any budget and far below an overflow.
const mostUSD = 1e9

// nano is usd in whole nano-dollars, rounded up.
func nano(usd float64) int64 {
	if !(usd < mostUSD) { // also what is not a number
		return mostUSD * 1e9
	}
	return int64(math.Ceil(max(0, usd) * 1e9))
}

// The accounts: candidates, controls and judges never spend each other's money.
const (
	AccountReplay  = "all"
	AccountControl = "control"
	AccountJudge   = "judge"
)

// nearShare of a budget is worth an event.
const nearShare = 0.8

// idleAfter is how long an allowance may lie unused before it is given back.
const idleAfter = 5 * time.Second

// NewLedger opens the ledger of the account name and keeps it in order until Close.
// instance names the process, and no other uses that name.
func NewLedger(ctx context.Context, j *Journal, name, instance string, caps Caps) (*Ledger, error) {
	kv, err := j.Bucket(ctx, BucketLedger)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		j: j, kv: kv, log: j.log, name: name, caps: caps, limit: map[string]int64{name: nano(caps.DailyUSD)}, gate: make(chan struct{}, 1),
		now: time.Now, lease: hostLease, purses: map[string]*purse{}, freed: make(chan struct{}), seen: map[string]account{},
		ended: map[string]bool{}, spent: map[string]int64{},
	}
	l.host = newHost(name, instance)
	for endpoint, usd := range caps.Endpoints {
		l.limit[l.endpoint(endpoint)] = nano(usd)
	}
	for submodule, usd := range caps.Submodules {
		l.limit[l.submodule(submodule)] = nano(usd)
	}
	if err := l.look(ctx); err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.wait.Go(func() { l.maintain(running) })
	return l, nil
}

func (l *Ledger) today() string { return l.now().UTC().Format(time.DateOnly) }

// endpoint is the scope of an endpoint with a budget of its own, submodule that of a
// sub-module.
func (l *Ledger) endpoint(name string) string  { return scopeOfEndpoint(l.name, name) }
func (l *Ledger) submodule(name string) string { return scopeOfSubmodule(l.name, name) }

// account reads a day's entry; a nil entry without an error when there is none yet.
func (l *Ledger) account(ctx context.Context, key string) (acc account, entry jetstream.KeyValueEntry, err error) {
	entry, err = l.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return acc, nil, nil
	}
	if err != nil {
		return acc, nil, classify("read ledger", err)
	}
	if err := json.Unmarshal(entry.Value(), &acc); err != nil {
		return acc, nil, fmt.Errorf("decode ledger %s: %w", key, err)
	}
	return acc, entry, nil
}

// A Spend says what money is for.
type Spend struct {
	Endpoint  string
	Submodule string
	// Record is the subject under which what the money buys will be stored.
	Record string
}

// Reserve sets usd aside, waiting while the budget is only held by calls in flight.
// It returns once the host's entry says so: from then on the money counts as spent
// whatever becomes of the process. It fails with ErrOverBudget, ErrNotYet, the
// broker's error, or that of ctx.
func (l *Ledger) Reserve(ctx context.Context, s Spend, usd float64) (*Reservation, error) {
	return l.reserveFor(ctx, s, usd, nil)
}

// reserveFor is Reserve for a flight that is on record already, or for a new one.
func (l *Ledger) reserveFor(ctx context.Context, s Spend, usd float64, f *flight) (*Reservation, error) {
	amount := nano(usd)
	for {
		if f == nil {
			if err := l.roomForOne(ctx); err != nil {
				return nil, err
			}
		}
		r, short := l.reserve(s, amount, f)
		if r != nil {
			err := l.record(ctx)
			if err == nil && !l.dead(r.flight) {
				return r, nil
			}
			r.cancel()
			if err != nil {
				return nil, err
			}
			continue // this host was taken for dead meanwhile
		}
		wait, err := l.find(ctx, short, amount)
		if err != nil {
			return nil, err
		}
		if wait == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wait:
		}
	}
}

// flightsMost is how many calls a host's entry has room for: it must fit into one message
// of a broker with its default limit, a megabyte.
const flightsMost = 2000

// roomForOne waits until the host's entry has room for one more call.
func (l *Ledger) roomForOne(ctx context.Context) error {
	for {
		l.mu.Lock()
		full, freed := len(l.host.flights) >= flightsMost, l.freed
		l.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-freed:
		}
	}
}

// find looks for the money that a purse is short of, one caller at a time. A nil channel
// says to try again now, another one when.
func (l *Ledger) find(ctx context.Context, short shortage, amount int64) (<-chan struct{}, error) {
	if amount > short.limit {
		return nil, ErrTooDear
	}
	if l.isEnded(short.key) {
		return nil, ErrOverBudget
	}
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	// Worked out once: were it to grow to 1 in between, the day would be ended although
	// only a part of its money was asked for.
	share := l.share()
	got, err := l.fill(ctx, short, share)
	if got || err != nil {
		return nil, err
	}
	if freed := l.held(short.key); freed != nil {
		return freed, nil
	}
	// Nothing of ours can come back. What lies in the purse is too little, and
	// others may make use of it.
	if err := l.giveBack(ctx, short.key); err != nil {
		return nil, err
	}
	later, err := l.others(ctx, short, share)
	if err != nil {
		return nil, err
	}
	if freed := l.held(short.key); freed != nil { // another call took what was left
		return freed, nil
	}
	if later {
		return after(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond)), nil
	}
	if _, _, submodule := scopeNames(scopeOf(short.key)); share < 1 && submodule != "" {
		return nil, ErrSubmoduleNotYet
	}
	if share < 1 {
		return nil, ErrNotYet
	}
	return nil, l.end(ctx, short)
}

// enter takes the turn to talk to the broker, leave gives it on.
func (l *Ledger) enter(ctx context.Context) error {
	select {
	case l.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Ledger) leave() { <-l.gate }

// after is closed after d, or when ctx ends.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	c, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(c, cancel)
	return c.Done()
}

// A shortage is a purse that does not hold what a call needs.
type shortage struct {
	key           string
	limit, amount int64
}

// reserve takes the amount from all of the call's purses, or from none and says
// which one is short.
func (l *Ledger) reserve(s Spend, amount int64, f *flight) (r *Reservation, short shortage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	day := l.today()
	if f == nil || f.dead || f.day != day { // a flight has its money of one day, and of one life
		f = &flight{Record: s.Record, day: day}
	}
	var keys []string
	r = &Reservation{l: l, spend: s, day: day, flight: f, amount: amount}
	for _, scope := range []string{l.name, l.endpoint(s.Endpoint), l.submodule(s.Submodule)} {
		limit, ok := l.limit[scope]
		if !ok {
			continue
		}
		key := day + "." + scope
		p := l.purses[key]
		if p == nil {
			p = &purse{}
			l.purses[key] = p
		}
		if p.free < amount || l.ended[key] {
			return nil, shortage{key, limit, amount}
		}
		r.purses, keys = append(r.purses, p), append(keys, key)
	}
	for _, p := range r.purses {
		p.free -= amount
		p.reserved += amount
		p.used = l.now()
	}
	f.Keys = keys
	f.Nano += amount
	f.open++
	l.host.add(f)
	return r, short
}

// held gives what is closed when calls in flight bring money back to a purse, nil where
// there are none.
func (l *Ledger) held(key string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.purses[key]; p != nil && p.reserved > 0 {
		return l.freed
	}
	return nil
}

func (l *Ledger) isEnded(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[key]
}

// share is the part of the day's budgets that may be spent by now.
func (l *Ledger) share() float64 {
	if l.caps.Share == nil {
		return 1
	}
	return min(1, max(0, l.caps.Share(l.now())))
}

// fill draws what a purse is short of, of the share of the day's account that may be
// spent by now; false when that does not hold it. Another call may have filled the
// purse while this one waited.
func (l *Ledger) fill(ctx context.Context, short shortage, share float64) (bool, error) {
	if err := l.owe(ctx, short.key); err != nil {
		return false, err
	}
	need := short.amount - l.free(short.key)
	if need <= 0 {
		return true, nil
	}
	due := int64(float64(short.limit) * share)
	got, err := l.draw(ctx, short.key, due, need)
	if err != nil || got == 0 {
		return false, err
	}
	l.credit(short.key, got)
	return true, nil
}

// owe charges what calls cost beyond their bound: every host must know.
func (l *Ledger) owe(ctx context.Context, key string) error {
	free := l.free(key)
	if free >= 0 {
		return nil
	}
	if _, err := l.draw(ctx, key, exactly, -free); err != nil {
		return err
	}
	l.credit(key, -free)
	return nil
}

func (l *Ledger) free(key string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.purses[key]; p != nil {
		return p.free
	}
	return 0
}

func (l *Ledger) credit(key string, nano int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.purses[key]
	if p == nil {
		p = &purse{}
		l.purses[key] = p
	}
	p.free += nano
	p.used = l.now()
}

// draw charges at least need to the day's account, more where there is plenty;
// 0 when it does not hold that much. With the limit exactly it charges just need,
// whatever the cap; a negative need gives money back.
func (l *Ledger) draw(ctx context.Context, key string, limit, need int64) (int64, error) {
	var amount int64
	err := l.change(ctx, key, func(acc *account) bool {
		amount = need
		if left := limit - acc.ChargedNano; limit != exactly {
			if need > left || acc.Ended != nil {
				amount = 0
				return false
			}
			amount = max(need, left/100)
		}
		acc.ChargedNano += amount
		return true
	})
	return amount, err
}

// change alters a day's entry by compare-and-set, until no other host was faster;
// nothing is written where alter says so.
func (l *Ledger) change(ctx context.Context, key string, alter func(*account) bool) error {
	for {
		acc, entry, err := l.account(ctx, key)
		if err != nil {
			return err
		}
		l.raise(key, &acc)
		before := acc
		if !alter(&acc) {
			l.saw(key, acc)
			return nil
		}
		event := l.mark(key, &before, &acc)
		value, err := json.Marshal(acc)
		if err != nil {
			return err
		}
		if entry == nil {
			_, err = l.kv.Create(ctx, key, value)
		} else {
			_, err = l.kv.Update(ctx, key, value, entry.Revision())
		}
		if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			continue // another host was faster
		}
		if err != nil {
			return classify("write ledger", err)
		}
		l.saw(key, acc)
		if event != nil && l.caps.Event != nil {
			l.caps.Event(*event)
		}
		return nil
	}
}

// raise writes the configured cap into an entry. A budget that was raised is not spent
// any more.
func (l *Ledger) raise(key string, acc *account) {
	limit, ok := l.limit[scopeOf(key)]
	if !ok {
		return
	}
	if limit > acc.CapNano {
		acc.Near, acc.Ended = nil, nil
	}
	acc.CapNano = limit
}

// dayOf and scopeOf are the parts of an entry's key.
func dayOf(key string) string   { return key[:len(time.DateOnly)] }
func scopeOf(key string) string { return key[len(time.DateOnly)+1:] }

// mark notes that a change brings the entry near its cap, and gives the event that the
// change is.
func (l *Ledger) mark(key string, before, acc *account) *BudgetEvent {
	e := &BudgetEvent{Account: accountWord(l.name), Day: dayOf(key), Scope: scopeOf(key), ChargedUSD: float64(acc.ChargedNano) / 1e9, CapUSD: float64(acc.CapNano) / 1e9}
	if before.Ended == nil && acc.Ended != nil {
		e.Percent = 100
		return e
	}
	if acc.Near == nil && acc.CapNano > 0 && float64(acc.ChargedNano) >= nearShare*float64(acc.CapNano) {
		now := l.now().UTC()
		acc.Near, e.Percent = &now, 80
		return e
	}
	return nil
}

// end closes a scope for the day: what it cannot pay for one call it pays for none,
// or else what is asked would depend on what it costs.
func (l *Ledger) end(ctx context.Context, short shortage) error {
	err := l.change(ctx, short.key, func(acc *account) bool {
		if acc.Ended != nil {
			return false
		}
		now := l.now().UTC()
		acc.Ended = &now
		return true
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[short.key] = true
	return ErrOverBudget
}
