package capture

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// accountsFile holds the ledger between two lives of the proxy.
const accountsFile = "capture-accounts.json"

// ledgerState is the file's content.
type ledgerState struct {
	Instance string `json:"instance"`
	// LastSeq is the last message that Captured counts: what the journal holds
	// after it was acknowledged later than the file was written.
	LastSeq uint64 `json:"last_seq"`
	InDoubt int64  `json:"in_doubt,omitempty"`
	// SpoolNext, SpoolCounted and Unsettled are as of the ledger.
	SpoolNext    uint64   `json:"spool_next,omitempty"`
	SpoolCounted uint64   `json:"spool_counted,omitempty"`
	Unsettled    bool     `json:"unsettled,omitempty"`
	Accounts     Accounts `json:"accounts"`
}

// errDamaged marks a file that a power cut left half written.
var errDamaged = errors.New("the file is damaged")

// openLedger reads the ledger of dir, or begins one. A damaged file is moved
// aside and new accounts begin: old counters are no reason to refuse traffic.
func openLedger(dir string, log *slog.Logger) (*ledger, error) {
	path := filepath.Join(dir, accountsFile)
	l, err := readLedger(path)
	if errors.Is(err, errDamaged) {
		log.Error("accounts begin anew", "err", err, "kept_as", path+".damaged")
		if err := os.Rename(path, path+".damaged"); err != nil {
			return nil, fmt.Errorf("move damaged accounts aside: %w", err)
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		id := make([]byte, 8)
		rand.Read(id) // never fails: crypto/rand ends the process instead
		l = &ledger{watch: func(string, string, int) {}, instance: hex.EncodeToString(id), changed: true, fresh: true}
		l.a.Dropped = map[string]int64{}
		return l, l.save(dir)
	}
	return l, err
}

// ReadAccounts gives the accounts of the proxy that used the directory last,
// while no process does, and what the journal has of what it had in hand. It
// changes nothing, but for what a kill left half written. fs.ErrNotExist: no proxy ever
// used the directory.
func ReadAccounts(ctx context.Context, cfg *Config, dir string, pub Publisher) (instance string, a Accounts, err error) {
	l, err := readLedger(filepath.Join(dir, accountsFile))
	if err != nil {
		return "", a, err
	}
	inside := false
	if s, err := existingSpool(cfg, Home{Own: dir}, make([]byte, keySize), slog.New(slog.DiscardHandler)); err != nil {
		return "", a, err
	} else if s != nil { // nothing is read of it, so the key does not matter
		l.openSpool(s)
		inside = s.Next() < s.End()
		s.Close()
	}
	n, last, err := pub.CountSince(ctx, l.instance, l.lastSeq)
	if err != nil {
		return "", a, fmt.Errorf("complete accounts: %w", err)
	}
	l.resumeSpool(n, last, inside)
	return l.instance, l.read(), nil
}

// SavedAccounts gives the accounts that a proxy saved last, which may run.
func SavedAccounts(dir string) (instance string, a Accounts, err error) {
	l, err := readLedger(filepath.Join(dir, accountsFile))
	if err != nil {
		return "", a, err
	}
	return l.instance, l.read(), nil
}

// Settle stores what a proxy that is gone has left in its spool, and settles its accounts.
// home.Own must belong to this process meanwhile. It may be called again where ctx ends
// before it is done. fs.ErrNotExist: no proxy ever used the directory.
func Settle(ctx context.Context, cfg *Config, home Home, pub Publisher, log *slog.Logger) (instance string, a Accounts, err error) {
	l, err := readLedger(filepath.Join(home.Own, accountsFile))
	if err != nil {
		return "", a, err
	}
	key, err := openKey(home.Shared)
	if err != nil {
		return "", a, err
	}
	s, err := existingSpool(cfg, home, key, log)
	if err != nil {
		return "", a, err
	}
	var none budget
	p := newPublisher(pub, l, &none, newOverflow(home.Own, l, s), log)
	p.untilEmpty, p.done = true, true
	p.run(ctx)
	if s != nil {
		s.Close()
	}
	if err := ctx.Err(); err != nil && (p.spooling() || l.open()) {
		return l.instance, l.read(), errors.Join(fmt.Errorf("settle accounts: %w", err), l.save(home.Own))
	}
	return l.instance, l.read(), l.save(home.Own)
}

// open tells that something of an earlier life is not settled.
func (l *ledger) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carried > 0 || l.unsettled
}

func readLedger(path string) (*ledger, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	var s ledgerState
	if err := json.Unmarshal(data, &s); err != nil || s.Instance == "" {
		return nil, fmt.Errorf("read accounts %s: %w", path, errDamaged)
	}
	l := &ledger{watch: func(string, string, int) {}}
	l.instance, l.lastSeq, l.inDoubt, l.a = s.Instance, s.LastSeq, s.InDoubt, s.Accounts
	l.spoolNext, l.spoolCounted, l.unsettled = s.SpoolNext, s.SpoolCounted, s.Unsettled
	if l.a.Dropped == nil {
		l.a.Dropped = map[string]int64{}
	}
	l.carried = l.a.Received - l.a.settled()
	return l, nil
}

// save writes the ledger where it changed. The file is replaced whole, so that
// a kill leaves the old or the new one. It is not synced: a power cut may lose
// the last seconds, which the journal then gives back as captured.
func (l *ledger) save(dir string) error { return l.write(dir, false) }

// saveNow writes the ledger in any case, and has it on disk when it returns.
func (l *ledger) saveNow(dir string) error { return l.write(dir, true) }

func (l *ledger) write(dir string, now bool) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	if !l.changed && !now {
		l.mu.Unlock()
		return nil
	}
	l.changed = false
	s := ledgerState{
		Instance: l.instance, LastSeq: l.lastSeq, InDoubt: l.inDoubt, Accounts: l.a,
		SpoolNext: l.spoolNext, SpoolCounted: l.spoolCounted, Unsettled: l.unsettled,
	}
	s.Accounts.Pending = l.a.Received - l.a.settled()
	data, err := json.Marshal(s)
	l.mu.Unlock()
	if err == nil {
		err = replaceFile(filepath.Join(dir, accountsFile), data, now)
	}
	if err != nil {
		l.record(func(*Accounts) {}) // to be tried again
		return fmt.Errorf("save accounts: %w", err)
	}
	return nil
}

// replaceFile replaces a file whole; sync has it on disk when it returns.
func replaceFile(path string, data []byte, sync bool) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil || !sync {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
