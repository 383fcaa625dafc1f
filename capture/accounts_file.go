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
	LastSeq  uint64   `json:"last_seq"`
	InDoubt  int64    `json:"in_doubt,omitempty"`
	Accounts Accounts `json:"accounts"`
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
// changes nothing. fs.ErrNotExist: no proxy ever used the directory.
func ReadAccounts(ctx context.Context, dir string, pub Publisher) (instance string, a Accounts, err error) {
	l, err := completeLedger(ctx, dir, pub)
	if err != nil {
		return "", a, err
	}
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

// Settle is ReadAccounts, and keeps what it found out. The directory must belong to this
// process meanwhile.
func Settle(ctx context.Context, dir string, pub Publisher) (instance string, a Accounts, err error) {
	l, err := completeLedger(ctx, dir, pub)
	if err != nil {
		return "", a, err
	}
	return l.instance, l.read(), l.save(dir)
}

// completeLedger reads a ledger and asks the journal for what it left open.
func completeLedger(ctx context.Context, dir string, pub Publisher) (*ledger, error) {
	l, err := readLedger(filepath.Join(dir, accountsFile))
	if err != nil {
		return nil, err
	}
	if l.carried == 0 {
		return l, nil
	}
	n, last, err := pub.CountSince(ctx, l.instance, l.lastSeq)
	if err != nil {
		return nil, fmt.Errorf("complete accounts: %w", err)
	}
	l.resume(n, last)
	return l, nil
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
	if l.a.Dropped == nil {
		l.a.Dropped = map[string]int64{}
	}
	l.carried = l.a.Received - l.a.settled()
	return l, nil
}

// save writes the ledger where it changed. The file is replaced whole, so that
// a kill leaves the old or the new one. It is not synced: a power cut may lose
// the last seconds, which the journal then gives back as captured.
func (l *ledger) save(dir string) error {
	l.mu.Lock()
	if !l.changed {
		l.mu.Unlock()
		return nil
	}
	l.changed = false
	s := ledgerState{Instance: l.instance, LastSeq: l.lastSeq, InDoubt: l.inDoubt, Accounts: l.a}
	s.Accounts.Pending = l.a.Received - l.a.settled()
	data, err := json.Marshal(s)
	l.mu.Unlock()
	if err == nil {
		err = replaceFile(filepath.Join(dir, accountsFile), data)
	}
	if err != nil {
		l.record(func(*Accounts) {}) // to be tried again
		return fmt.Errorf("save accounts: %w", err)
	}
	return nil
}

func replaceFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
