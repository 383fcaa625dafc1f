package capture

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// openLedger reads the ledger of dir, or begins one.
func openLedger(dir string) (*ledger, error) {
	l := &ledger{watch: func(string, string, int) {}}
	data, err := os.ReadFile(filepath.Join(dir, accountsFile))
	if errors.Is(err, fs.ErrNotExist) {
		id := make([]byte, 8)
		rand.Read(id) // never fails: crypto/rand ends the process instead
		l.instance, l.a.Dropped, l.changed, l.fresh = hex.EncodeToString(id), map[string]int64{}, true, true
		return l, l.save(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	var s ledgerState
	if err := json.Unmarshal(data, &s); err != nil || s.Instance == "" {
		return nil, fmt.Errorf("read accounts: %s is damaged; move it away to begin new accounts", filepath.Join(dir, accountsFile))
	}
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
