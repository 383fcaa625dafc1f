package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"understudy/internal/journal"
	"understudy/judge"
)

// books tells whether this process keeps the whole accounts, for which it reads what
// all others store. A process that may not make the streams ([nats] create) is taken
// to have no right to that either, unless it decides, or replays: budgets are spread by
// the usual traffic.
func (p *process) books() bool {
	return p.config().NATS.Create || p.runs("canary") || p.runs("replay") || len(p.stages) == 0
}

// withBooks keeps a question about stored records from a process that may not read them.
func (p *process) withBooks(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.books() {
			fail(w, &refusal{http.StatusConflict, "this process reads no records of others ([nats] create = false); ask the one that runs canary (set --config or nats.dir to its own)"})
			return
		}
		answer(w, r)
	}
}

// makeLeases makes the buckets of leases for stages elsewhere that may not make them.
// The stage canary does it, not whoever may: a proxy's configuration need not know how
// long a lease lives. It tries until it succeeds or ctx ends.
func (w *workers) makeLeases(ctx context.Context) error {
	if err := w.p.j.WaitReady(ctx); err != nil {
		return nil
	}
	for bucket, life := range map[string]time.Duration{journal.BucketClaims: w.ackWait, journal.BucketJudgeClaims: judge.LeaseLife} {
		if bucket == journal.BucketClaims && w.replay != nil || bucket == journal.BucketJudgeClaims && w.panel != nil {
			continue // the stage makes its own
		}
		for {
			err := w.p.j.MakeClaims(ctx, bucket, life)
			if err == nil {
				break
			}
			w.p.log.Warn("bucket of leases not made; trying again", "bucket", bucket, "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	}
	return nil
}

// needNATS makes a process that has no live traffic to serve fail when an external
// NATS cannot be reached; a proxy starts all the same. One that lets us in is given
// more time: the streams of a cluster elect their leaders first.
func (p *process) needNATS(ctx context.Context) error {
	if p.runs("capture") {
		return nil
	}
	var err error
	for _, wait := range []time.Duration{10 * time.Second, 20 * time.Second} {
		waiting, cancel := context.WithTimeout(ctx, wait)
		err = p.j.WaitReady(waiting)
		cancel()
		if err == nil || !p.j.Connected() || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%w; check [nats] url, credentials and that JetStream is on", err)
	}
	return nil
}
