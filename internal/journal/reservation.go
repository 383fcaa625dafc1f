package journal

import (
	"context"
	"errors"

	"understudy/llm"
)

// A Reservation is money set aside for one call, or for several that are split off.
type Reservation struct {
	l      *Ledger
	spend  Spend
	day    string
	purses []*purse
	flight *flight
	amount int64
}

// Spend is what the money is for.
func (r *Reservation) Spend() Spend { return r.spend }

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
	r.flight.open++
	return &Reservation{l: r.l, spend: r.spend, day: r.day, purses: r.purses, flight: r.flight, amount: part}
}

// Keep leaves the flight on record after its last call is settled, until Done: what
// the money bought is not stored before.
func (r *Reservation) Keep() *Flight {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	r.flight.open++
	return &Flight{l: r.l, f: r.flight}
}

// A Flight is the record of a call whose answer is not stored yet. It is used by one
// goroutine.
type Flight struct {
	l *Ledger
	f *flight
	// before was booked in the entries of an earlier day, or of an earlier life of the host.
	before int64
}

// Booked is what the ledger has booked for the flight's calls so far, in USD: their bill,
// or all that was set aside where that is unknown.
func (f *Flight) Booked() float64 { return f.l.booked(f.f, f.before) }

// BookedBy names the ledger's entry in which the flight stands.
func (f *Flight) BookedBy() string { return f.f.host }

// Booked is what the ledger has booked so far for the reservation and its parts, in USD.
func (r *Reservation) Booked() float64 { return r.l.booked(r.flight, 0) }

// BookedBy names the ledger's entry in which the reservation stands.
func (r *Reservation) BookedBy() string { return r.flight.host }

func (l *Ledger) booked(f *flight, before int64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(before+f.Cost) / 1e9
}

// Done says that what the money bought is stored, or will never be.
func (f *Flight) Done() {
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.l.landed(f.f)
	f.l.wake()
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
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range r.purses {
		p.reserved -= r.amount
		p.free += r.amount - cost
		p.spent += cost
		p.used = l.now()
	}
	l.spent[r.day] += cost
	r.flight.Nano += cost - r.amount
	r.flight.Cost += cost
	l.landed(r.flight)
	l.wake()
}

// cancel is for a reservation for which nothing was called.
func (r *Reservation) cancel() { r.settle(0) }

// More sets money aside for a further call of a flight; see Ledger.Reserve.
func (f *Flight) More(ctx context.Context, s Spend, usd float64) (*Reservation, error) {
	r, err := f.l.reserveFor(ctx, s, usd, f.f)
	if err == nil {
		f.moveTo(r.flight)
	}
	return r, err
}

// moveTo goes over to the flight in which a further call stands: on another day, or once
// this host was taken for dead, it is a new one.
func (f *Flight) moveTo(next *flight) {
	if next == f.f {
		return
	}
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.before += f.f.Cost
	f.l.landed(f.f)
	next.open++
	f.f = next
}

// wake tells whoever waits for money that some came back.
func (l *Ledger) wake() {
	close(l.freed)
	l.freed = make(chan struct{})
}
