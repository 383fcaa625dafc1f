package main

import "testing"

func TestMemoryIsLimitedForAProxyAlone(t *testing.T) {
	cfg := defaultConfig()
	cfg.Capture.Memory = 16 << 20
	for _, c := range []struct {
		mode   string
		stages []string
		want   int64
	}{
		{"external", []string{"capture"}, 44 << 20},
		{"embedded", []string{"capture"}, 0},
		{"external", []string{"capture", "replay"}, 0},
		{"external", nil, 0},
	} {
		cfg.NATS.Mode = c.mode
		if got := memoryLimit(cfg, c.stages); got != c.want {
			t.Errorf("%s, %v: %d, want %d", c.mode, c.stages, got, c.want)
		}
	}
}
