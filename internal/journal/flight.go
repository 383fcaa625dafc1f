package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// entryBytes is how many bytes of entries a second a host writes at most: with hundreds
// of calls in flight an entry is long, and then one write serves more of them.
const entryBytes = 5 << 20

// hostLease is how long a host may say nothing before it is taken for dead.
const hostLease = 60 * time.Second

// A host is what one process has said, in its own entry of the ledger's bucket, of
// the calls that it is about to make and of the allowance that it holds. No call
// begins before its money stands there. The entry is written by compare-and-set: a
// process that was taken for dead, and whose allowance was given back, finds that
// out before its next call.
type host struct {
	account, instance string
	key               string
	life              int // counts how often it was taken for dead
	writing           chan struct{}

	// Under the ledger's lock.
	flights  map[*flight]struct{}
	changed  uint64 // counts changes, saved those that are stored
	saved    uint64
	finished chan struct{} // closed after each write

	at time.Time // of the last write

	// Of the writer alone: rev is of the entry, 0 before there is one, and next is when
	// it may be written again.
	rev  uint64
	next time.Time
}

// A flight is a call whose answer is not stored yet, as the entry says it.
type flight struct {
	// Record is the subject under which the answer will be stored.
	Record string `json:"record"`
	// Nano is what it has cost and may still cost, of each account in Keys.
	Nano int64    `json:"nano_usd"`
	Keys []string `json:"keys"`

	// Cost is the part of Nano that is settled.
	Cost int64 `json:"settled_nano_usd,omitempty"`

	day  string
	host string // the key of the entry in which it stands
	open int    // reservations that are not settled, and whoever keeps it
	dead bool   // it was charged in full by another host
}

// hostEntry is the entry of one host.
type hostEntry struct {
	Instance string `json:"instance"`
	// Free is the allowance by account that no flight needs.
	Free    map[string]int64 `json:"free_nano_usd"`
	Flights []*flight        `json:"flights"`
	// Dead is when the host was given up; its flights are then those that were lost.
	Dead *time.Time `json:"dead,omitempty"`
}

func newHost(account, instance string) *host {
	h := &host{account: account, instance: instance, writing: make(chan struct{}, 1)}
	h.reset()
	return h
}

// reset begins a new life under a new key.
func (h *host) reset() {
	h.life++
	h.key = hostKey(h.account, fmt.Sprintf("%s-%d", h.instance, h.life))
	h.flights, h.finished, h.rev, h.at = map[*flight]struct{}{}, make(chan struct{}), 0, time.Time{}
	h.changed++
}

func hostKey(account, instance string) string { return "host." + account + "." + Escape(instance) }

// accountOfHost is the account that a host's entry is of.
func accountOfHost(key string) string { return strings.Split(key, ".")[1] }

func (h *host) add(f *flight) {
	f.host = h.key
	h.flights[f] = struct{}{}
	h.changed++
}

// landed ends one of the flight's claims on the record. Under the ledger's lock.
func (l *Ledger) landed(f *flight) {
	f.open--
	if f.open == 0 {
		delete(l.host.flights, f)
	}
	l.host.changed++
}

// dead tells whether a flight was charged in full because its host was given up.
func (l *Ledger) dead(f *flight) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f.dead
}

// record returns once everything that the ledger says now is stored in the host's
// entry. Of all that wait, one writes for all.
func (l *Ledger) record(ctx context.Context) error {
	l.mu.Lock()
	want := l.host.changed
	l.mu.Unlock()
	for {
		l.mu.Lock()
		done, finished := l.host.saved >= want, l.host.finished
		l.mu.Unlock()
		if done {
			return nil
		}
		select {
		case l.host.writing <- struct{}{}:
			err := l.write(ctx, want)
			<-l.host.writing
			if err != nil {
				return err
			}
		case <-finished:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write stores the entry, unless another has done so up to want. It is called by one
// at a time.
func (l *Ledger) write(ctx context.Context, want uint64) error {
	h := l.host
	if wait := time.Until(h.next); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	if h.saved >= want {
		l.mu.Unlock()
		return nil
	}
	upTo := h.changed
	value, err := json.Marshal(l.entry())
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode the ledger's entry: %w", err)
	}
	// Whoever waits for the entry may leave; the others want it all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	h.next = time.Now().Add(time.Duration(len(value)) * time.Second / entryBytes)
	if h.rev == 0 {
		h.rev, err = l.kv.Create(ctx, h.key, value)
	} else {
		var rev uint64
		if rev, err = l.kv.Update(ctx, h.key, value, h.rev); err == nil {
			h.rev = rev
		}
	}
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
		return l.contested(ctx)
	}
	if err != nil {
		return classify("write the ledger's entry", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.saved, h.at = upTo, l.now()
	close(h.finished)
	h.finished = make(chan struct{})
	return nil
}

// entry is what the host says now. Under the ledger's lock.
func (l *Ledger) entry() *hostEntry {
	e := &hostEntry{Instance: l.host.instance, Free: map[string]int64{}, Flights: make([]*flight, 0, len(l.host.flights))}
	for key, p := range l.purses {
		if p.free != 0 {
			e.Free[key] = p.free
		}
	}
	for f := range l.host.flights {
		e.Flights = append(e.Flights, f)
	}
	return e
}

// contested finds out why the entry is not as we left it: an answer of the broker was
// lost, and it is ours after all, or this host was taken for dead.
func (l *Ledger) contested(ctx context.Context) error {
	h := l.host // only whoever writes changes its key
	entry, err := l.kv.Get(ctx, h.key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return classify("read the ledger's entry", err)
	}
	if err == nil {
		var e hostEntry
		if json.Unmarshal(entry.Value(), &e) == nil && e.Dead == nil {
			h.rev = entry.Revision()
			return nil // record tries again
		}
	}
	l.log.Warn("this process was taken for dead, and its allowance given back; it goes on with a new one", "account", l.name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range h.flights {
		f.dead = true
	}
	l.purses = map[string]*purse{} // those of running calls settle into nothing: all was charged
	h.reset()
	l.wake()
	return nil
}
