package capture

import (
	"maps"
	"sync"
	"time"

	"understudy/llm"
)

// refused remembers when an upstream last answered 429: shadow calls to the same account
// are then to leave it to live traffic.
type refused struct {
	mu sync.Mutex
	at map[string]time.Time
}

// saw notes an upstream's 429. It is on the live path, and does nothing but that.
func (r *refused) saw(t *target, at time.Time) {
	account := llm.AccountOf(t.scheme + "://" + t.host)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[string]time.Time{}
	}
	r.at[account] = at
}

// Refused tells when live requests were last refused for want of quota, by account (see
// llm.Endpoint.Account).
func (c *Capture) Refused() map[string]time.Time {
	c.refused.mu.Lock()
	defer c.refused.mu.Unlock()
	return maps.Clone(c.refused.at)
}
