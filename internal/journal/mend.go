package journal

import (
	"context"
	"fmt"
	"time"
)

// openEmbedded starts the embedded server and makes the streams. Where that fails
// on a full disk it is left to watch: live traffic needs neither.
func (j *Journal) openEmbedded(ctx context.Context) error {
	full := j.disk.look()
	failed := j.embedded.restart()
	if failed != nil && !full {
		return failed
	}
	if err := j.connect(ctx); err != nil {
		return err
	}
	if failed == nil {
		failed = j.ensure(ctx)
	}
	switch {
	case failed == nil:
		close(j.ready)
		j.hold(full)
	case full:
		j.log.Error("the embedded NATS cannot be used before there is room on its disk", "stage", "nats", "err", failed)
		j.mending.Store(true)
	default:
		return failed
	}
	j.wait.Go(func() { j.watch(ctx) })
	return nil
}

// watch looks at the disk until ctx ends, stops what would be stored while it is
// full, and mends the embedded server once it is not. Where that does not last it
// waits longer each time.
func (j *Journal) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	const most = time.Minute
	var last time.Time
	var wait time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		full := j.disk.look()
		j.hold(full)
		if full || time.Since(last) < wait {
			continue
		}
		why := j.embedded.broken()
		if why == "" && !j.mending.Load() {
			continue
		}
		if time.Since(last) > 2*most {
			wait = 0
		}
		if err := j.mend(ctx, why); err != nil && ctx.Err() == nil {
			j.log.Error("the embedded NATS could not be started anew; trying again", "stage", "nats", "err", err)
		}
		last, wait = time.Now(), min(max(2*wait, lookEvery), most)
	}
}

func (j *Journal) hold(full bool) {
	if err := j.embedded.hold(full); err != nil {
		j.log.Debug("limit the embedded NATS", "stage", "nats", "err", err)
	}
}

// mend brings the embedded server back to work: a new one on the same store where
// it does not store any more, then what the last one had in memory. Until it is
// done the journal is not up.
func (j *Journal) mend(ctx context.Context, why string) error {
	start := time.Now()
	j.mending.Store(true)
	if why != "" {
		j.log.Warn("the embedded NATS stores nothing any more; starting it anew in place", "stage", "nats", "why", why)
		if err := j.embedded.restart(); err != nil {
			return err
		}
	}
	if err := j.connected(ctx); err != nil {
		return err
	}
	select {
	case <-j.ready:
		if err := j.restoreSoon(ctx); err != nil {
			return err
		}
	default:
		if err := j.ensure(ctx); err != nil {
			return err
		}
		close(j.ready)
	}
	j.mending.Store(false)
	j.log.Info("the embedded NATS stores again", "stage", "nats", "took", time.Since(start).Round(time.Millisecond).String())
	return nil
}

// connected waits for the client's own reconnection.
func (j *Journal) connected(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !j.nc.IsConnected() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("connect to the embedded NATS: %w", ErrUnavailable)
		case <-tick.C:
		}
	}
	return nil
}
