package judge

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	bad := Config{Endpoints: []string{"a", "a"}, DailyUSD: -1, Share: 2, Attempts: 0}
	err := bad.Validate()
	for _, key := range []string{"endpoints", "daily_usd", "share", "attempts"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	idle := DefaultConfig()
	idle.Metrics = []string{"style"}
	if err := idle.Validate(); err == nil || !strings.Contains(err.Error(), "endpoints is empty") {
		t.Errorf("metrics without a judge: %v", err)
	}
}
