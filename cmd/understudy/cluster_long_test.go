//go:build cluster

package main

import (
	"testing"
	"time"

	"understudy/internal/journal"
)

// TestClusterLeaderChanges kills leaders three times under 2,000 requests: of the
// exchanges, of the trials, and of the exchanges again.
func TestClusterLeaderChanges(t *testing.T) {
	c, trials := leaderChanges(t, 2000, 20*time.Millisecond, journal.StreamExchanges, journal.StreamTrials, journal.StreamExchanges)
	eventually(t, 2*time.Minute, "every trial has its verdict, once", func() bool {
		info, err := c.info(journal.StreamVerdicts)
		return err == nil && info.State.Msgs == uint64(trials)
	})
}
