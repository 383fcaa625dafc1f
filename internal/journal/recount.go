package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maintain keeps the host's entry fresh, gives back what lies idle, counts the
// allowances of dead hosts anew and forgets old days, until ctx ends.
func (l *Ledger) maintain(ctx context.Context) {
	tick := time.NewTicker(max(l.lease/60, 10*time.Millisecond))
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !l.j.Up() {
			continue
		}
		if err := l.refresh(ctx); err != nil {
			l.log.Debug("keep the ledger's entry", "account", l.name, "err", err)
			continue
		}
		if n%15 == 0 {
			if err := errors.Join(l.recount(ctx), l.look(ctx), l.forget(ctx)); err != nil {
				l.log.Debug("count allowances anew", "account", l.name, "err", err)
			}
		}
	}
}

// refresh stores what has changed, and now and then that the host lives.
func (l *Ledger) refresh(ctx context.Context) error {
	for _, key := range l.restless() {
		if err := l.balance(ctx, key); err != nil {
			return err
		}
	}
	return l.record(ctx)
}

// restless are the purses that something is to be done about: they lie idle, or owe.
// What is left of former days is forgotten.
func (l *Ledger) restless() (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	today := l.today()
	for key, p := range l.purses {
		switch {
		case p.free < 0, p.free > 0 && p.reserved == 0 && l.now().Sub(p.used) > idleAfter:
			keys = append(keys, key)
		case p.free == 0 && p.reserved == 0 && dayOf(key) < today:
			delete(l.purses, key)
		}
	}
	for key := range l.seen {
		if dayOf(key) < today {
			delete(l.seen, key)
			delete(l.ended, key)
		}
	}
	if !l.host.at.IsZero() && l.now().Sub(l.host.at) > l.lease/4 {
		l.host.changed++
	}
	return keys
}

// balance gives back what lies free in a purse, or charges what it owes.
func (l *Ledger) balance(ctx context.Context, key string) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := l.owe(ctx, key); err != nil {
		return err
	}
	return l.giveBack(ctx, key)
}

// giveBack gives the free allowance of a purse back. The host's entry is the first to
// say so: a process that ends in between loses the money for the day, and nobody
// spends it twice.
func (l *Ledger) giveBack(ctx context.Context, key string) error {
	l.mu.Lock()
	p := l.purses[key]
	if p == nil || p.free <= 0 {
		l.mu.Unlock()
		return nil
	}
	amount := p.free
	p.free = 0
	l.host.changed++
	life := l.host.life
	l.mu.Unlock()
	if err := l.record(ctx); err != nil {
		l.credit(key, amount)
		return err
	}
	l.mu.Lock()
	same := l.host.life == life
	l.mu.Unlock()
	if !same {
		return nil // it was given back by whoever took this host for dead
	}
	_, err := l.draw(ctx, key, exactly, -amount)
	return err
}

// Close gives unspent allowances back. What is still in flight stays charged, and on
// record.
func (l *Ledger) Close(ctx context.Context) error {
	l.stop()
	l.wait.Wait()
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	l.mu.Lock()
	var keys []string
	for key := range l.purses {
		keys = append(keys, key)
	}
	l.mu.Unlock()
	var errs []error
	for _, key := range keys {
		if err := l.owe(ctx, key); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, l.giveBack(ctx, key))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if l.host.rev == 0 {
		return nil
	}
	if err := l.record(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	landed := len(l.host.flights) == 0
	l.mu.Unlock()
	if !landed {
		return nil
	}
	return classify("end the ledger's entry", l.kv.Purge(ctx, l.host.key, jetstream.LastRevision(l.host.rev)))
}

// A hostRecord is one host's entry as it is stored.
type hostRecord struct {
	key string
	rev uint64
	at  time.Time // by the broker's clock
	hostEntry
}

// hosts reads the entries of all hosts of an account.
func (l *Ledger) hosts(ctx context.Context) ([]hostRecord, error) {
	return readHosts(ctx, l.kv, hostKey(l.name, "*"))
}

func readHosts(ctx context.Context, kv jetstream.KeyValue, filter string) (list []hostRecord, err error) {
	err = readEntries(ctx, kv, filter, func(e jetstream.KeyValueEntry) error {
		h := hostRecord{key: e.Key(), rev: e.Revision(), at: e.Created()}
		if err := json.Unmarshal(e.Value(), &h.hostEntry); err != nil {
			return err
		}
		list = append(list, h)
		return nil
	})
	return list, err
}

// readQuiet is how long nothing more may come after what a bucket held: an entry that is
// written anew while it is read comes behind the others.
const readQuiet = 20 * time.Millisecond

// readEntries reads the entries that the ledger's bucket holds now.
func readEntries(ctx context.Context, kv jetstream.KeyValue, filter string, read func(jetstream.KeyValueEntry) error) error {
	w, err := kv.Watch(ctx, filter)
	if err != nil {
		return classify("read the ledger's entries", err)
	}
	defer w.Stop()
	last := map[string]jetstream.KeyValueEntry{}
	var quiet <-chan time.Time // once all that there were have come
	for through := false; !through; {
		select {
		case <-ctx.Done():
			return classify("read the ledger's entries", ctx.Err())
		case <-quiet:
			through = true
		case e, ok := <-w.Updates():
			if !ok {
				return fmt.Errorf("read the ledger's entries: %w", ErrUnavailable)
			}
			if e != nil {
				last[e.Key()] = e
			}
			if e == nil {
				quiet = time.After(readQuiet)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		e := last[key]
		if e.Operation() != jetstream.KeyValuePut {
			continue
		}
		if err := read(e); err != nil {
			return fmt.Errorf("decode the ledger's entry %s: %w", key, err)
		}
	}
	return nil
}

// others tells whether money of an account may come back from other hosts: they hold
// it free, or in calls that are not settled.
func (l *Ledger) others(ctx context.Context, short shortage, share float64) (bool, error) {
	acc, _, err := l.account(ctx, short.key)
	if err != nil || acc.Ended != nil {
		return false, err
	}
	list, err := l.hosts(ctx)
	if err != nil {
		return false, err
	}
	own := l.ownKey()
	var open int64
	for _, h := range list {
		if h.Dead != nil || h.key == own {
			continue
		}
		open += max(0, h.Free[short.key])
		for _, f := range h.Flights {
			if f.on(short.key) {
				open += f.Nano
			}
		}
	}
	due := int64(float64(short.limit) * share)
	return acc.ChargedNano-open+short.amount <= due, nil
}

func (l *Ledger) ownKey() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.host.key
}

// on tells whether the flight is paid from an account.
func (f *flight) on(key string) bool {
	for _, k := range f.Keys {
		if k == key {
			return true
		}
	}
	return false
}

// recount takes hosts that have said nothing for the lease for dead: what they held
// and did not need is given back, what was in flight and has no record is lost and
// stays charged. Times are the broker's.
func (l *Ledger) recount(ctx context.Context) error {
	list, err := l.hosts(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	now, err := l.brokerTime(ctx)
	if err != nil {
		return err
	}
	own := l.ownKey()
	for _, h := range list {
		if h.key == own || now.Sub(h.at) < l.lease {
			continue
		}
		if h.Dead != nil {
			if now.Sub(h.at) > keepLost {
				if err := l.kv.Purge(ctx, h.key, jetstream.LastRevision(h.rev)); err != nil {
					return classify("forget a lost host", err)
				}
			}
			continue
		}
		if err := l.bury(ctx, h, now); err != nil {
			return err
		}
	}
	return nil
}

// keepLost is how long it is remembered which calls were lost.
const keepLost = 48 * time.Hour

// brokerTime is what the broker's clock shows: its stamp on a message of ours.
func (l *Ledger) brokerTime(ctx context.Context) (time.Time, error) {
	key := "clock." + l.name
	rev, err := l.kv.PutString(ctx, key, l.host.instance)
	if err != nil {
		return time.Time{}, classify("read the broker's clock", err)
	}
	e, err := l.kv.GetRevision(ctx, key, rev)
	if errors.Is(err, jetstream.ErrKeyNotFound) { // another host did the same just now
		e, err = l.kv.Get(ctx, key)
	}
	if err != nil {
		return time.Time{}, classify("read the broker's clock", err)
	}
	return e.Created(), nil
}

// bury gives up a dead host. Its entry is the first to say so: were it the last, two
// that do the same would give the money back twice.
func (l *Ledger) bury(ctx context.Context, h hostRecord, now time.Time) error {
	free, lost := h.Free, []*flight{}
	if free == nil {
		free = map[string]int64{}
	}
	for _, f := range h.Flights {
		booked, stored, err := l.settled(ctx, f, h.key)
		if err != nil {
			return err
		}
		if !stored {
			lost = append(lost, f)
			continue
		}
		for _, key := range f.Keys {
			free[key] += f.Nano - booked
		}
	}
	value, err := json.Marshal(hostEntry{Instance: h.Instance, Free: map[string]int64{}, Flights: lost, Dead: &now})
	if err != nil {
		return fmt.Errorf("encode the ledger's entry: %w", err)
	}
	_, err = l.kv.Update(ctx, h.key, value, h.rev)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
		return nil // it lives, or another host was faster
	}
	if err != nil {
		return classify("give up a dead host", err)
	}
	l.log.Warn("a host is gone; its allowance is given back, and calls without an answer stay charged", "account", l.name, "instance", h.Instance, "lost_calls", len(lost))
	keys := map[string]bool{}
	for key := range free {
		keys[key] = true
	}
	for _, f := range lost {
		for _, key := range f.Keys {
			keys[key] = true
		}
	}
	var errs []error
	for key := range keys {
		errs = append(errs, l.change(ctx, key, func(acc *account) bool {
			acc.ChargedNano -= free[key]
			for _, f := range lost {
				if f.on(key) {
					acc.LostNano, acc.LostCalls = acc.LostNano+f.Nano, acc.LostCalls+1
				}
			}
			return true
		}))
	}
	return errors.Join(errs...)
}

// settled is what the record of a host's flight was booked with, all that was set aside
// where the record does not say; false where there is none, or where another host has
// made the call again and stored it: what the first call cost is then not known.
func (l *Ledger) settled(ctx context.Context, f *flight, host string) (nano int64, stored bool, err error) {
	stream := StreamTrials
	if strings.HasPrefix(f.Record, judgementPrefix) {
		stream = StreamVerdicts
	}
	m, err := l.j.lastStored(ctx, stream, f.Record)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, classify("look up "+f.Record, err)
	}
	if m.Header.Get(HeaderBookedBy) != host {
		return 0, false, nil
	}
	if nano, err = strconv.ParseInt(m.Header.Get(HeaderBooked), 10, 64); err != nil {
		nano = f.Nano
	}
	return nano, true, nil
}

// Lost counts, by record, the calls that were in flight when their hosts died or are in
// flight at other hosts: they may have been billed.
func (l *Ledger) Lost(ctx context.Context) (map[string]int, error) {
	list, err := l.hosts(ctx)
	if err != nil {
		return nil, err
	}
	lost, own := map[string]int{}, l.ownKey()
	for _, h := range list {
		if h.key == own {
			continue
		}
		for _, f := range h.Flights {
			lost[f.Record]++
		}
	}
	return lost, nil
}
