package replay

import (
	"context"
	"time"
)

// yieldFor is how long shadow calls leave an account to live traffic after that was
// refused there for want of quota.
const yieldFor = 30 * time.Second

const reasonYield = "live traffic is refused for want of quota in the same account; shadow calls yield"

// yield pauses the lanes of an account where live traffic was refused, until ctx ends.
func (r *Replay) yield(ctx context.Context) error {
	return r.j.WatchBusy(ctx, func(account string, at time.Time) {
		left := yieldFor - time.Since(at)
		if left <= 0 {
			return
		}
		for _, l := range r.lanes {
			if l.c.Endpoint.Account() == account {
				l.hold(min(left, yieldFor), reasonYield)
				l.count("yields")
			}
		}
	})
}
