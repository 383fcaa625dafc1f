package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Balance is what a budget's charge consists of, in USD:
//
//	ChargedUSD = SettledUSD + ReservedUSD + HeldUSD + LostUSD
//
// always; see Spending for what may stand under another name for a moment.
type Balance struct {
	Budget
	// SettledUSD is billed, or booked in full where the bill is unknown. Money that no
	// host's entry speaks of counts here.
	SettledUSD float64
	// ReservedUSD is set aside for calls in flight, HeldUSD is the allowance that hosts
	// have not used.
	ReservedUSD, HeldUSD float64
	// OwedUSD was billed above what had been set aside and is not charged yet: below a
	// second, unless the host died.
	OwedUSD float64
}

// Hosts counts the processes that have an entry in an account. Silent ones have said
// nothing for a minute: their allowance comes back, and their calls count as lost, once
// a living process of the account counts them anew.
type Hosts struct{ Alive, Silent int }

// A Spending is one day of the ledger, over all hosts.
type Spending struct {
	Day string // 2026-11-22, UTC
	// Balances are those of the budgets that something was charged to that day: each
	// account before its endpoints, these before its sub-modules.
	Balances []Balance
	// Hosts of each account, now, whatever the day.
	Hosts map[string]Hosts
}

// Spending reads a UTC day of the ledger, from the accounts and from what each host says
// of itself. A host says within a second that a call was settled: until then it counts
// as reserved. What is drawn or given back at the very moment may count as settled; so
// does, for the rest of the day, the allowance of a host that died just then.
func (j *Journal) Spending(ctx context.Context, day string) (*Spending, error) {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return nil, fmt.Errorf("read spending: %q is no day like 2026-11-22", day)
	}
	kv, err := j.Bucket(ctx, BucketLedger)
	if err != nil {
		return nil, err
	}
	before, err := readAccounts(ctx, kv, day)
	for try := 0; err == nil; try++ {
		var hosts []hostRecord
		if hosts, err = readHosts(ctx, kv, hostKey("*", "*")); err != nil {
			break
		}
		var after map[string]accountRecord
		if after, err = readAccounts(ctx, kv, day); err != nil {
			break
		}
		if try == readTries || maps.EqualFunc(before, after, sameRevision) {
			return newSpending(day, after, hosts, time.Now()), nil
		}
		before = after
	}
	return nil, err
}

// readTries is how often the entries are read again because the accounts moved meanwhile.
const readTries = 5

// An accountRecord is one account's entry as it is stored.
type accountRecord struct {
	rev uint64
	account
}

func sameRevision(a, b accountRecord) bool { return a.rev == b.rev }

// readAccounts reads a day's entries by scope.
func readAccounts(ctx context.Context, kv jetstream.KeyValue, day string) (map[string]accountRecord, error) {
	out := map[string]accountRecord{}
	err := readEntries(ctx, kv, day+".*", func(e jetstream.KeyValueEntry) error {
		r := accountRecord{rev: e.Revision()}
		if err := json.Unmarshal(e.Value(), &r.account); err != nil {
			return err
		}
		out[scopeOf(e.Key())] = r
		return nil
	})
	return out, err
}

func newSpending(day string, accounts map[string]accountRecord, hosts []hostRecord, now time.Time) *Spending {
	s := &Spending{Day: day, Hosts: map[string]Hosts{}}
	for scope, acc := range accounts {
		b := newBalance(&acc.account, scope, day, hosts)
		if b.Account != "" {
			s.Balances = append(s.Balances, b)
		}
	}
	sortBudgets(s.Balances, func(b *Balance) *Budget { return &b.Budget })
	for _, h := range hosts {
		if h.Dead != nil {
			continue
		}
		account := accountOfHost(h.key)
		n := s.Hosts[account]
		if now.Sub(h.at) > hostLease {
			n.Silent++
		} else {
			n.Alive++
		}
		s.Hosts[account] = n
	}
	return s
}

// newBalance takes an account's charge apart by what the hosts say. What they claim
// beyond it they had before the account was read.
func newBalance(acc *account, scope, day string, hosts []hostRecord) Balance {
	key := day + "." + scope
	var reserved, held, owed, lost int64
	lostCalls := 0
	for _, h := range hosts {
		held, owed = held+max(0, h.Free[key]), owed+max(0, -h.Free[key])
		for _, f := range h.Flights {
			switch {
			case !f.on(key):
			case h.Dead != nil:
				lost, lostCalls = lost+f.Nano, lostCalls+1
			default:
				reserved += f.Nano - f.Cost
			}
		}
	}
	// Lost calls stand in the account as well, unless whoever buried their host died too.
	lost = min(max(lost, acc.LostNano), acc.ChargedNano)
	reserved = min(reserved, acc.ChargedNano-lost)
	held = min(held, acc.ChargedNano-lost-reserved)
	b := Balance{Budget: acc.budget(scope), ReservedUSD: inUSD(reserved), HeldUSD: inUSD(held), OwedUSD: inUSD(owed),
		SettledUSD: inUSD(acc.ChargedNano - lost - reserved - held)}
	b.LostUSD, b.LostCalls = inUSD(lost), max(lostCalls, acc.LostCalls)
	return b
}
