package main

import "testing"

// The limit is the budget's as long as little is in use, and never so near to what is in
// use that collecting would take the processor from live traffic.
func TestMemoryLimitFollowsWhatIsInUse(t *testing.T) {
	cfg := defaultConfig()
	cfg.Capture.Memory = 16 << 20
	for live, want := range map[int64]int64{0: 44 << 20, 8 << 20: 44 << 20, 16 << 20: 44 << 20, 100 << 20: 212 << 20} {
		if got := memoryLimit(cfg, live); got != want {
			t.Errorf("%d in use: limit %d, want %d", live, got, want)
		}
	}
	if liveBytes() <= 0 {
		t.Error("what is in use cannot be read")
	}
}
