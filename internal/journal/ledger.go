package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"understudy/llm"
)

// A Ledger keeps all hosts together under a daily budget. A host takes an
// allowance from the day's account by compare-and-set, at most a hundredth of
// what is left or what the next call needs, and reserves from it locally. An
// allowance counts as spent for everybody until it is given back, so a host
// that dies can never make room for money that it may have spent: the
// provider's bill ≤ the ledger ≤ the cap.
//
// Money is counted in whole nano-dollars, so that sums are exact.
type Ledger struct {
	kv    jetstream.KeyValue
	name  string
	caps  map[string]int64 // by scope
	today func() string
	// gate lets one call at a time talk to the broker. The purses are never
	// locked meanwhile, so that figures are shown also when it does not answer.
	gate chan struct{}

	mu     sync.Mutex
	purses map[string]*purse // by day and scope
	freed  chan struct{}     // closed when a reservation is settled
	seen   map[string]int64  // what each account was last seen to be charged
}

// A purse is the local allowance of one scope on one day. free is below 0 where
// a call cost more than was reserved for it.
type purse struct {
	free     int64
	reserved int64
	spent    int64
}

// account is a day's entry of one scope in the bucket.
type account struct {
	ChargedNano int64 `json:"charged_nano_usd"`
	CapNano     int64 `json:"cap_nano_usd"`
}

// ErrOverBudget tells that the day's budget does not allow the call.
var ErrOverBudget = errors.New("the day's budget is spent")

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

// NewLedger opens the ledger of an account. endpoints gives the own daily cap in
// USD of those endpoints that have one.
func NewLedger(ctx context.Context, j *Journal, account string, dailyUSD float64, endpoints map[string]float64) (*Ledger, error) {
	kv, err := j.Bucket(ctx, BucketLedger)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		kv: kv, name: account, caps: map[string]int64{account: nano(dailyUSD)}, gate: make(chan struct{}, 1),
		purses: map[string]*purse{}, freed: make(chan struct{}), seen: map[string]int64{},
		today: func() string { return time.Now().UTC().Format(time.DateOnly) },
	}
	for name, usd := range endpoints {
		l.caps[l.scope(name)] = nano(usd)
	}
	acc, _, err := l.account(ctx, l.today()+"."+l.name)
	if err != nil {
		return nil, err
	}
	l.seen[l.today()+"."+l.name] = acc.ChargedNano
	return l, nil
}

// scope is the entry of an endpoint with a budget of its own.
func (l *Ledger) scope(endpoint string) string {
	if l.name == AccountReplay {
		return "endpoint-" + Escape(endpoint)
	}
	return l.name + "-endpoint-" + Escape(endpoint)
}

// account reads a day's entry; nil without an error when there is none yet.
func (l *Ledger) account(ctx context.Context, key string) (acc account, entry jetstream.KeyValueEntry, err error) {
	entry, err = l.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return acc, nil, nil
	}
	if err != nil {
		return acc, nil, fmt.Errorf("read ledger: %w", err)
	}
	if err := json.Unmarshal(entry.Value(), &acc); err != nil {
		return acc, nil, fmt.Errorf("decode ledger %s: %w", key, err)
	}
	return acc, entry, nil
}

// A Reservation is money set aside for one call.
type Reservation struct {
	l      *Ledger
	keys   []string
	amount int64
}

// Reserve sets usd aside for a call of the endpoint, waiting while the budget
// is only held by calls in flight. It fails with ErrOverBudget, with the
// broker's error, or with that of ctx.
func (l *Ledger) Reserve(ctx context.Context, endpoint string, usd float64) (*Reservation, error) {
	amount := nano(usd)
	for {
		r, short, freed := l.reserve(endpoint, amount)
		if r != nil {
			return r, nil
		}
		if amount > short.limit {
			return nil, ErrOverBudget
		}
		got, err := l.fill(ctx, short)
		if err != nil {
			return nil, err
		}
		if got {
			continue
		}
		if !l.held(short.key) {
			// A call may have given its money back just now.
			if r, _, _ := l.reserve(endpoint, amount); r != nil {
				return r, nil
			}
			if !l.held(short.key) {
				return nil, ErrOverBudget
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-freed:
		}
	}
}

// A shortage is a purse that does not hold what a call needs.
type shortage struct {
	key           string
	limit, amount int64
}

// reserve takes the amount from all of the call's purses, or from none and says
// which one is short; freed is closed when money comes back.
func (l *Ledger) reserve(endpoint string, amount int64) (r *Reservation, short shortage, freed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []string
	day := l.today()
	for _, scope := range []string{l.name, l.scope(endpoint)} {
		limit, ok := l.caps[scope]
		if !ok {
			continue
		}
		key := day + "." + scope
		if l.purses[key] == nil {
			l.purses[key] = &purse{}
		}
		if p := l.purses[key]; p.free < amount {
			return nil, shortage{key, limit, amount}, l.freed
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		l.purses[key].free -= amount
		l.purses[key].reserved += amount
	}
	return &Reservation{l: l, keys: keys, amount: amount}, short, nil
}

// held tells whether calls in flight may bring money back to a purse.
func (l *Ledger) held(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.purses[key].reserved > 0
}

// fill draws what a purse is short of; false when the day's account does not
// hold it. Another call may have filled the purse while this one waited.
func (l *Ledger) fill(ctx context.Context, short shortage) (bool, error) {
	select {
	case l.gate <- struct{}{}:
		defer func() { <-l.gate }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	l.mu.Lock()
	free := l.purses[short.key].free
	l.mu.Unlock()
	if free < 0 { // a call cost more than its bound: every host must know
		if _, err := l.draw(ctx, short.key, exactly, -free); err != nil {
			return false, err
		}
		l.mu.Lock()
		l.purses[short.key].free -= free
		free = l.purses[short.key].free
		l.mu.Unlock()
	}
	need := short.amount - free
	if need <= 0 {
		return true, nil
	}
	got, err := l.draw(ctx, short.key, short.limit, need)
	if err != nil || got == 0 {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.purses[short.key].free += got
	return true, nil
}

// draw charges at least need to the day's account, more where there is plenty;
// 0 when it does not hold that much. With the limit exactly it charges just need,
// whatever the cap; a negative need gives money back.
func (l *Ledger) draw(ctx context.Context, key string, limit, need int64) (int64, error) {
	for {
		acc, entry, err := l.account(ctx, key)
		if err != nil {
			return 0, err
		}
		amount := need
		if left := limit - acc.ChargedNano; limit != exactly {
			acc.CapNano = limit
			if need > left {
				l.saw(key, acc.ChargedNano)
				return 0, nil
			}
			amount = max(need, left/100)
		}
		acc.ChargedNano += amount
		value, err := json.Marshal(acc)
		if err != nil {
			return 0, err
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
			return 0, fmt.Errorf("write ledger: %w", err)
		}
		l.saw(key, acc.ChargedNano)
		return amount, nil
	}
}

func (l *Ledger) saw(key string, charged int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[key] = charged
}

// Split takes a part of the reservation for one call; nil where it does not hold
// that much.
func (r *Reservation) Split(usd float64) *Reservation {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	part := nano(usd)
	if part > r.amount {
		return nil
	}
	r.amount -= part
	return &Reservation{l: r.l, keys: r.keys, amount: part}
}

// Book settles a call by what came of it and gives what it cost. A call that was
// refused (an HTTP error) or never sent costs nothing; one that broke without
// saying its usage, or in a tier or with kinds of tokens that have no known price, may
// have cost all that was reserved, and its cost is unknown. asked is the tier that the
// call asked for.
func (r *Reservation) Book(rates *llm.Rates, asked llm.ServiceTier, resp *llm.Response, err error) (usd float64, known bool) {
	if resp != nil && resp.Usage != nil {
		if usd, known = rates.Bill(*resp.Usage, asked, resp.ServiceTier); known {
			r.Settle(usd)
		} else {
			r.SettleFull()
		}
		return usd, known
	}
	var e *llm.Error
	if errors.As(err, &e) && (e.NotSent || e.Status >= 400) {
		r.Settle(0)
		return 0, true
	}
	r.SettleFull()
	return 0, false
}

// Settle books what the call cost and frees the rest. A call that cost more than
// its bound is booked as it was billed, and the next one has to find the money.
func (r *Reservation) Settle(usd float64) { r.settle(nano(usd)) }

// SettleFull books the whole reservation: the call may have cost anything.
func (r *Reservation) SettleFull() { r.settle(r.amount) }

func (r *Reservation) settle(cost int64) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	for _, key := range r.keys {
		p := r.l.purses[key]
		p.reserved -= r.amount
		p.free += r.amount - cost
		p.spent += cost
	}
	close(r.l.freed)
	r.l.freed = make(chan struct{})
}

// Close gives unspent allowances back. What is still reserved stays charged.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	free := map[string]int64{}
	for key, p := range l.purses {
		if p.free != 0 {
			free[key], p.free = p.free, 0
		}
	}
	l.mu.Unlock()
	var errs []error
	for key, amount := range free {
		_, err := l.draw(ctx, key, exactly, -amount)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Charged is what today's common account was last seen to be charged, in USD.
func (l *Ledger) Charged() (day string, usd float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	day = l.today()
	return day, float64(l.seen[day+"."+l.name]) / 1e9
}

// SpentToday is what this process booked today over all endpoints, in USD.
func (l *Ledger) SpentToday() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.purses[l.today()+"."+l.name]; p != nil {
		return float64(p.spent) / 1e9
	}
	return 0
}
