//go:build crash

package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"understudy/internal/journal"
)

// 2,000 exchanges, three processes, twenty kills, two restarts of NATS.
func TestCrashOfFleet(t *testing.T) {
	const exchanges = 2000
	f := newFleet(t, 100, "latency=500ms, spread=0.5, output_tokens=50")
	f.publish(exchanges)
	for range 3 {
		f.start()
	}
	f.storm(20, 2)
	f.settle(exchanges*len(fleetModels), 5*time.Minute)
	f.verify(exchanges, 100)
}

// Eight processes race for a budget that does not reach, and one is killed: whatever
// happens, the bill stays below the cap.
func TestCrashOfBudget(t *testing.T) {
	const exchanges, dailyUSD = 1500, 0.12
	f := newFleet(t, dailyUSD, "latency=50ms, spread=0.5, output_tokens=50, output_spread=0.5")
	f.publish(exchanges)
	for range 8 {
		f.start()
	}
	time.Sleep(time.Duration(200+rand.IntN(1500)) * time.Millisecond)
	f.procs[3].kill()
	f.procs = append(f.procs[:3], f.procs[4:]...)
	f.kills, f.inHand = 1, fleetOnRecord*len(fleetModels)
	f.settle(exchanges*len(fleetModels), 4*time.Minute)
	f.verify(exchanges, dailyUSD)
	_, by, _ := f.trials()
	_, bill := f.bill()
	if by[journal.OverBudget] == 0 {
		t.Error("the cap was never reached")
	}
	if bill < 0.8*dailyUSD {
		t.Errorf("only $%.4f of $%.2f was used", bill, dailyUSD)
	}
}
