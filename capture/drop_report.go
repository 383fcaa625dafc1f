package capture

import (
	"log/slog"
	"time"
)

// reportEvery is how often drops are told at most.
const reportEvery = 10 * time.Second

// A dropReport tells an operator that exchanges are being dropped, by reason and
// with what explains it, without a line for each.
type dropReport struct {
	log  *slog.Logger
	last time.Time
	told map[string]int64
}

// tell writes a line where drops were counted since the last.
func (d *dropReport) tell(now time.Time, a Accounts, c *Capture) {
	if d.told == nil {
		d.told = a.Dropped // of earlier lives
		return
	}
	if now.Sub(d.last) < reportEvery {
		return
	}
	var fresh []any
	for reason, n := range a.Dropped {
		if more := n - d.told[reason]; more > 0 {
			fresh = append(fresh, slog.Int64(reason, more))
		}
	}
	if len(fresh) == 0 {
		return
	}
	d.last, d.told = now, a.Dropped
	d.log.Warn("exchanges were not recorded; live traffic is not affected",
		slog.Group("dropped", fresh...), "memory_bytes", c.budget.used.Load(), "memory_limit_bytes", c.budget.limit.Load(),
		"pending", a.Pending, "oldest", c.queueAge(now).Round(time.Millisecond).String())
}
