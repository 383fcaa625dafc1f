package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// bypassFile stands in the state directory while the proxy is a plain relay. It is a
// file so that it needs neither NATS nor a proxy that answers, and outlives a restart.
const bypassFile = "bypass.json"

// bypassEvery is how often the file is looked for.
const bypassEvery = 500 * time.Millisecond

// A Bypass says since when and why a proxy is a plain relay: requests pass as ever,
// nothing is recorded, and nothing is asked of a request that its client did not ask.
type Bypass struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// WriteBypass makes every proxy that uses the state directory dir a plain relay, or one
// that records again (b nil), within two seconds. No proxy need run.
func WriteBypass(dir string, b *Bypass) error {
	path := filepath.Join(dir, bypassFile)
	var err error
	if b == nil {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		var data []byte
		if data, err = json.Marshal(b); err == nil {
			err = replaceFile(path, data, true)
		}
	}
	if err != nil {
		return fmt.Errorf("switch bypass: %w", err)
	}
	return nil
}

// ReadBypass is nil where no bypass is on. A file that cannot be understood is one:
// when in doubt the live path stays simple.
func ReadBypass(dir string) (*Bypass, error) {
	data, err := os.ReadFile(filepath.Join(dir, bypassFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var b Bypass
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		return &Bypass{Reason: "the file " + bypassFile + " cannot be read"}, fmt.Errorf("read bypass: %w", err)
	}
	return &b, nil
}

// Bypassed is nil where the proxy records what passes.
func (c *Capture) Bypassed() *Bypass { return c.bypass.Load() }

// SetBypass is WriteBypass for the proxy's own state directory, at once.
func (c *Capture) SetBypass(b *Bypass) error {
	if err := WriteBypass(c.home.Shared, b); err != nil {
		return err
	}
	c.lookForBypass()
	return nil
}

// lookForBypass follows the file.
func (c *Capture) lookForBypass() {
	b, err := ReadBypass(c.home.Shared)
	before := c.bypass.Swap(b)
	switch {
	case (before == nil) == (b == nil):
		return
	case b == nil:
		c.log.Info("bypass is off: requests are recorded again")
	default:
		c.log.Warn("bypass is on: this proxy is a plain relay, nothing is recorded", "since", b.Since, "reason", b.Reason, "err", err)
	}
}

func (c *Capture) followBypass(stop <-chan struct{}) {
	tick := time.NewTicker(bypassEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			c.lookForBypass()
		}
	}
}
