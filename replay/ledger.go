package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"understudy/internal/journal"
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
	caps  map[string]int64 // by scope
	today func() string

	mu     sync.Mutex
	purses map[string]*purse // by day and scope
	freed  chan struct{}     // closed when a reservation is settled
	seen   map[string]int64  // what each account was last seen to be charged
}

// A purse is the local allowance of one scope on one day.
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

// errLater tells that the budget is held by calls in flight, which may free it.
var errLater = errors.New("the day's budget is reserved by calls in flight")

const scopeAll = "all"

// NewLedger opens the ledger. endpoints gives the own daily cap in USD of those
// endpoints that have one.
func NewLedger(ctx context.Context, j *journal.Journal, dailyUSD float64, endpoints map[string]float64) (*Ledger, error) {
	kv, err := j.Bucket(ctx, journal.BucketLedger)
	if err != nil {
		return nil, err
	}
	caps := map[string]int64{scopeAll: int64(dailyUSD * 1e9)}
	for name, usd := range endpoints {
		caps["endpoint-"+journal.Escape(name)] = int64(usd * 1e9)
	}
	l := &Ledger{
		kv: kv, caps: caps, purses: map[string]*purse{}, freed: make(chan struct{}), seen: map[string]int64{},
		today: func() string { return time.Now().UTC().Format(time.DateOnly) },
	}
	acc, _, err := l.account(ctx, l.today()+"."+scopeAll)
	if err != nil {
		return nil, err
	}
	l.seen[l.today()+"."+scopeAll] = acc.ChargedNano
	return l, nil
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
	for {
		l.mu.Lock()
		freed := l.freed
		r, err := l.reserve(ctx, endpoint, int64(math.Ceil(usd*1e9)))
		l.mu.Unlock()
		if !errors.Is(err, errLater) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-freed:
		}
	}
}

func (l *Ledger) reserve(ctx context.Context, endpoint string, amount int64) (*Reservation, error) {
	r := &Reservation{l: l, amount: amount}
	day := l.today()
	for _, scope := range []string{scopeAll, "endpoint-" + journal.Escape(endpoint)} {
		limit, ok := l.caps[scope]
		if !ok {
			continue
		}
		key := day + "." + scope
		if err := l.take(ctx, key, limit, amount); err != nil {
			r.settle(0)
			return nil, err
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

// take moves amount from the purse's free money to its reserved money, after
// filling the purse where needed.
func (l *Ledger) take(ctx context.Context, key string, limit, amount int64) error {
	p := l.purses[key]
	if p == nil {
		p = &purse{}
		l.purses[key] = p
	}
	if p.free < amount {
		got, err := l.draw(ctx, key, limit, amount-p.free)
		if err != nil {
			return err
		}
		if got == 0 && p.reserved > 0 {
			return errLater
		}
		if got == 0 {
			return ErrOverBudget
		}
		p.free += got
	}
	p.free -= amount
	p.reserved += amount
	return nil
}

// draw charges at least need to the day's account, more where there is plenty;
// 0 when it does not hold that much. A negative need gives money back.
func (l *Ledger) draw(ctx context.Context, key string, limit, need int64) (int64, error) {
	for {
		acc, entry, err := l.account(ctx, key)
		if err != nil {
			return 0, err
		}
		amount := need
		if left := limit - acc.ChargedNano; need > 0 {
			acc.CapNano = limit
			if need > left {
				l.seen[key] = acc.ChargedNano
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
		l.seen[key] = acc.ChargedNano
		return amount, nil
	}
}

// Settle books what the call cost, at most what was reserved, and frees the rest.
func (r *Reservation) Settle(usd float64) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	r.settle(min(r.amount, int64(math.Ceil(usd*1e9))))
	close(r.l.freed)
	r.l.freed = make(chan struct{})
}

// SettleFull books the whole reservation: the call may have cost anything.
func (r *Reservation) SettleFull() { r.Settle(float64(r.amount) / 1e9) }

func (r *Reservation) settle(cost int64) {
	for _, key := range r.keys {
		p := r.l.purses[key]
		p.reserved -= r.amount
		p.free += r.amount - cost
		p.spent += cost
	}
}

// Close gives unspent allowances back. What is still reserved stays charged.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for key, p := range l.purses {
		if p.free > 0 {
			_, err := l.draw(ctx, key, math.MaxInt64, -p.free)
			errs = append(errs, err)
			p.free = 0
		}
	}
	return errors.Join(errs...)
}

// Charged is what today's common account was last seen to be charged, in USD.
func (l *Ledger) Charged() (day string, usd float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	day = l.today()
	return day, float64(l.seen[day+"."+scopeAll]) / 1e9
}

// SpentToday is what this process booked today over all endpoints, in USD.
func (l *Ledger) SpentToday() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.purses[l.today()+"."+scopeAll]; p != nil {
		return float64(p.spent) / 1e9
	}
	return 0
}
