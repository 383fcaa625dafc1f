// Package replay tries captured exchanges on candidate endpoints: one trial for
// each exchange × candidate, stored once, within a daily budget, at the
// concurrency that each endpoint allows. A share of them is also tried on the
// baseline that served them (the control), to measure noise. Users never see its
// answers, and no tool that a model proposes is ever executed.
package replay

import (
	"errors"
	"fmt"
	"time"
)

// Config is the section [replay].
type Config struct {
	// DailyUSD bounds what all candidates together may cost in one UTC day.
	DailyUSD float64 `toml:"daily_usd"`
	// ControlShare of the conversations is also asked from the baseline again,
	// once the judge is shown to be fair between live and control; all of them
	// until then. 0 asks no control at all.
	ControlShare float64 `toml:"control_share"`
	// ControlDailyUSD bounds what all controls together may cost in one UTC day.
	ControlDailyUSD float64 `toml:"control_daily_usd"`
	// AllowedRegions are the AWS regions in which requests may be processed, "*" for
	// every commercial one; none restricts nothing. It holds for judges as well.
	AllowedRegions []string `toml:"allowed_regions"`
	// Attempts is how often one trial may call its endpoint.
	Attempts int `toml:"attempts"`
	// OnLost says what becomes of an exchange whose call was in flight when its process
	// died: OnLostRetry or OnLostGiveUp.
	OnLost string `toml:"on_lost"`
	// Speed is how much faster than captured exchanges are tried; 0 is as fast as
	// quotas allow.
	Speed float64 `toml:"speed"`
	// Windows are the parts of the day, in UTC, in which exchanges are tried; none is all.
	Windows []string `toml:"windows"`
	// MaxDeliver is how often the broker gives an exchange out before it is given up.
	MaxDeliver int `toml:"max_deliver"`
	// AckWait is the broker's redelivery time and the life of a claim. Both
	// are renewed while a call runs.
	AckWait time.Duration `toml:"ack_wait"`
	// Prefetch is how many exchanges an endpoint holds beyond its concurrency.
	Prefetch int `toml:"prefetch"`
	// DrainTimeout is how long calls in flight may take to end at a shutdown.
	DrainTimeout time.Duration `toml:"drain_timeout"`
}

// The policies for calls whose process died.
const (
	// OnLostRetry makes the call again; it may be billed twice.
	OnLostRetry = "retry"
	// OnLostGiveUp makes the exchange a dead letter, which a person may have tried again.
	OnLostGiveUp = "give_up"
)

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config {
	return Config{DailyUSD: 25, ControlShare: 0.05, ControlDailyUSD: 10, Attempts: 3, OnLost: OnLostRetry, Windows: []string{}, MaxDeliver: 1000, AllowedRegions: []string{}, AckWait: 30 * time.Second, Prefetch: 64, DrainTimeout: 5 * time.Second}
}

// Validate reports what is wrong with the section, all faults joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if !(c.DailyUSD >= 0 && c.DailyUSD <= 1e8) {
		bad("daily_usd is %v: 0 to 100 million", c.DailyUSD)
	}
	if !(c.ControlShare >= 0 && c.ControlShare <= 1) {
		bad("control_share is %v: 0 (no control) to 1", c.ControlShare)
	}
	if !(c.ControlDailyUSD >= 0 && c.ControlDailyUSD <= 1e8) {
		bad("control_daily_usd is %v: 0 to 100 million", c.ControlDailyUSD)
	}
	if c.Attempts < 1 || c.Attempts > 10 {
		bad("attempts is %d: 1 to 10", c.Attempts)
	}
	if c.OnLost != OnLostRetry && c.OnLost != OnLostGiveUp {
		bad("on_lost %q is unknown: \"retry\" or \"give_up\"", c.OnLost)
	}
	if !(c.Speed >= 0 && c.Speed <= 1000) {
		bad("speed is %v: 0 (as fast as quotas allow) to 1000", c.Speed)
	}
	for _, s := range c.Windows {
		if _, err := parseWindow(s); err != nil {
			bad("windows: %w", err)
		}
	}
	if c.MaxDeliver < 10 || c.MaxDeliver > 1_000_000 {
		bad("max_deliver is %d: 10 to a million", c.MaxDeliver)
	}
	if c.AckWait < time.Second {
		bad("ack_wait is %s; at least 1s is needed", c.AckWait)
	}
	if c.Prefetch < 0 || c.Prefetch > 1000 {
		bad("prefetch is %d: 0 to 1000", c.Prefetch)
	}
	if c.DrainTimeout < 0 {
		bad("drain_timeout is negative")
	}
	return errors.Join(errs...)
}
