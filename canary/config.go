package canary

import (
	"errors"
	"fmt"
	"time"
)

// Config is the section [canary].
type Config struct {
	// AlphaPromote is the chance of promoting a candidate that violates a gate,
	// over all looks together.
	AlphaPromote float64 `toml:"alpha_promote"`
	// AlphaReject is the chance of rejecting a candidate that violates no gate,
	// over all looks and all gates of a cell together.
	AlphaReject float64 `toml:"alpha_reject"`
	// ConversationWindow is how long after its first exchange a conversation is
	// analysed; later exchanges are counted as left out.
	ConversationWindow time.Duration `toml:"conversation_window"`
	// MinConversations is how many a cell needs before it may be promoted or held.
	MinConversations int `toml:"min_conversations"`
	// MinSpan is the time from the first conversation to the last that a
	// promotion needs; 0 is off.
	MinSpan time.Duration `toml:"min_span"`
	// VerdictDeadline is how long after its start a conversation waits for its
	// verdicts; what is absent then counts as missing.
	VerdictDeadline time.Duration `toml:"verdict_deadline"`
	// MaxConversations is the horizon after which open gates hold; 0 is none.
	MaxConversations int `toml:"max_conversations"`
	// LookEvery is how often the running daemon looks for new decisions.
	LookEvery time.Duration `toml:"look_every"`
}

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config {
	return Config{
		AlphaPromote:       0.05,
		AlphaReject:        0.05,
		ConversationWindow: 30 * time.Minute,
		MinConversations:   200,
		MinSpan:            24 * time.Hour,
		VerdictDeadline:    24 * time.Hour,
		LookEvery:          10 * time.Second,
	}
}

// Validate reports what is wrong with the section, all faults joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for name, alpha := range map[string]float64{"alpha_promote": c.AlphaPromote, "alpha_reject": c.AlphaReject} {
		if !(alpha > 0 && alpha <= 0.5) {
			bad("%s is %v; it must be above 0 and at most 0.5 (0.05 is usual)", name, alpha)
		}
	}
	if c.ConversationWindow <= 0 {
		bad("conversation_window is %s; it must be above 0", c.ConversationWindow)
	}
	if c.MinConversations < 1 {
		bad("min_conversations is %d; it must be at least 1", c.MinConversations)
	}
	if c.MinSpan < 0 {
		bad("min_span is %s; it must not be negative (\"0s\" is off)", c.MinSpan)
	}
	if c.VerdictDeadline < c.ConversationWindow {
		bad("verdict_deadline is %s, shorter than conversation_window (%s): conversations would be closed before they end",
			c.VerdictDeadline, c.ConversationWindow)
	}
	if c.MaxConversations < 0 || (c.MaxConversations > 0 && c.MaxConversations < c.MinConversations) {
		bad("max_conversations is %d; it must be 0 (no horizon) or at least min_conversations (%d)", c.MaxConversations, c.MinConversations)
	}
	if c.LookEvery < 10*time.Millisecond {
		bad("look_every is %s; at least 10ms is needed", c.LookEvery)
	}
	return errors.Join(errs...)
}
