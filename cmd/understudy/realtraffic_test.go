//go:build realtraffic

package main

import (
	"strings"
	"testing"
	"time"
)

// TestRealTraffic runs the daemon in front of recorded answers: 784 real
// requests, 3,179 real answers of five models.
func TestRealTraffic(t *testing.T) {
	s := newSite(t, loadRecorded(t), "")
	daemon := launch(t, "run", "--config", s.config)
	daemon.up("http://" + s.admin + "/readyz")
	start := time.Now()
	s.send()
	t.Logf("%d requests sent in %s", len(s.rec.requests), time.Since(start).Round(time.Millisecond))
	s.verify(s.settle(10 * time.Minute))
	t.Logf("all trials stored after %s", time.Since(start).Round(time.Millisecond))

	var rep demoReport
	eventually(t, time.Minute, "all pairs are in the report", func() bool {
		rep = mustJSON[demoReport](t, "report", "--config", s.config, "-o", "json")
		pairs := 0
		for _, c := range rep.Cells {
			pairs += c.Pairs
		}
		total, _ := s.trialsWanted()
		return pairs == total
	})
	text, _, _ := cli(t, "report", "--config", s.config)
	t.Log("\n" + text)
	if !strings.Contains(text, "llama-3-70b (meta.llama3-70b-instruct-v1:0): tools taken from the configuration") {
		t.Error("the report does not say that an ability was lifted")
	}
	for _, want := range []struct{ submodule, candidate, verdict, status string }{
		{"tools/parallel", "claude-3.5-sonnet", "REJECT", "violated"},
		{"tools/irrelevance", "claude-3.5-sonnet", "COLLECTING", "open"},
		{"tools/irrelevance", "llama-3-70b", "COLLECTING", "open"},
	} {
		c := rep.cell(t, want.submodule, want.candidate)
		g := c.gate(t, "check.tool_calls")
		t.Logf("%s %s: %s, %s, estimate %.4f over %d conversations (limit %v)", want.submodule, want.candidate, c.Verdict, g.Status, g.Estimate, g.Clusters, g.Limit)
		if c.Verdict != want.verdict || g.Status != want.status {
			t.Errorf("%s %s: %s with tool_calls %s, want %s with %s", want.submodule, want.candidate, c.Verdict, g.Status, want.verdict, want.status)
		}
	}
	if code := daemon.term(20 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
	// The same figures from the store, without a daemon.
	again := mustJSON[demoReport](t, "report", "--config", s.config, "-o", "json")
	for i, c := range rep.Cells {
		if o := again.Cells[i]; o.Verdict != c.Verdict || o.Pairs != c.Pairs || strings.Join(o.Reasons, "; ") != strings.Join(c.Reasons, "; ") {
			t.Errorf("after a restart %s %s says %s %v, before %s %v", c.Submodule, c.Candidate, o.Verdict, o.Reasons, c.Verdict, c.Reasons)
		}
	}
}
