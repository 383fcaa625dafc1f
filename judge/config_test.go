package judge

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	cfg.Endpoints = []string{"nova-pro"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "model judges are not part of this build") {
		t.Errorf("a model judge gives %v", err)
	}
	if _, err := New(cfg, nil, nil, nil); err == nil {
		t.Error("a stage was made from a config that is refused")
	}
}
