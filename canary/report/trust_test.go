package report

import (
	"strings"
	"testing"
	"time"

	"understudy/canary"
	"understudy/llm"
)

func TestTrust(t *testing.T) {
	config := canary.DefaultConfig()
	for name, tt := range map[string]struct {
		change func(*Cell)
		check  string
		state  string
		text   string
	}{
		"too few":      {func(c *Cell) { c.Clusters = 199 }, "conversations", doubted, "199 of 200 conversations needed"},
		"too short":    {func(c *Cell) { c.LastAt = begin.Add(time.Hour) }, "span", doubted, "1.0 h from the first"},
		"left out":     {func(c *Cell) { c.LeftOut = 30 }, "left_out", doubted, "30 of 330 pairs left out"},
		"none missing": {func(*Cell) {}, "missing", trusted, "no value is missing in 300 pairs"},
		"missing":      {func(c *Cell) { c.Gates[0].Missing = 16 }, "missing", doubted, "16 of 300 pairs without a value for correctness"},
		"missing less unsampled": {func(c *Cell) { c.Gates[0].Missing, c.Judged.Unsampled = 10, 150 }, "missing", doubted,
			"10 of 150 pairs without a value for correctness, the gate that lacks most"},
		"unsampled is not missing": {func(c *Cell) { c.Judged.Unsampled = 150 }, "missing", trusted, "no value is missing"},
		"over budget":              {func(c *Cell) { c.OverBudget = 1 }, "apart", doubted, "1 over budget"},
		"judge over budget":        {func(c *Cell) { c.Judged.OverBudget = 2 }, "judge_budget", doubted, "2 drawn pairs not judged"},
		"consistency":              {func(c *Cell) { c.Judged.Consistent, c.Judged.Inconsistent = 80, 20 }, "judge_consistency", noted, "80 of 100 pairs"},
		"two per cent unparsed":    {func(c *Cell) { c.Judged.Unparsed = 20 }, "judge_replies", trusted, "20 of 1000 replies (2.00 %)"},
		"more unparsed":            {func(c *Cell) { c.Judged.Unparsed = 21 }, "judge_replies", doubted, "judge unhealthy: 21 of 1000 replies (2.10 %)"},
		"flags":                    {func(c *Cell) { c.Judged.Flagged = 3 }, "judge_flags", noted, "3 pairs had an answer"},
		"no control":               {func(c *Cell) { c.Control = nil }, "judge_control", doubted, "no pair has the baseline asked again"},
		"control inside":           {func(*Cell) {}, "judge_control", trusted, "preferred the control to live by 51.00 %"},
		"control wide":             {func(c *Cell) { c.Control.Interval = [2]canary.Number{0.39, 0.6} }, "judge_control", doubted, "[39.00 %, 60.00 %]"},
		"uncalibrated":             {func(*Cell) {}, "judge_calibration", noted, "judge uncalibrated: no human labels"},
		"gaps":                     {func(c *Cell) { c.Gaps = []canary.GapCount{{Path: "/seed", Severity: llm.Semantic, Count: 9}} }, "gaps", noted, "1 semantic"},
		"fresh":                    {func(*Cell) {}, "age", trusted, "began 1.0 h before"},
		"stale":                    {func(c *Cell) { c.LastAt = begin.Add(24 * time.Hour) }, "age", noted, "began 25.0 h before"},
		"live cost estimated": {func(c *Cell) {
			c.Gates[0].LiveCost = &canary.LiveCost{EstimatedShare: 0.25, Error: 0.02, Checks: 40, Day: "2026-11-21"}
		}, "live_cost", trusted,
			"25.00 % of the live costs are from our own count of tokens, which is 2.00 % off (at most 2 % may be) for 40 answers with reported usage on 2026-11-21"},
		"live cost wrong": {func(c *Cell) { c.Gates[0].LiveCost = &canary.LiveCost{EstimatedShare: 0.25, Error: 0.021, Checks: 40} }, "live_cost", doubted,
			"2.10 % off (at most 2 % may be) for 40 answers with reported usage over all days"},
		"live cost unchecked": {func(c *Cell) {
			c.Gates[0].LiveCost = &canary.LiveCost{EstimatedShare: 0.25, Error: canary.Unknown(), Checks: 29}
		}, "live_cost", doubted,
			"29 of the 30 answers with reported usage"},
		"live cost reported": {func(c *Cell) { c.Gates[0].LiveCost = &canary.LiveCost{Error: 0.5, Checks: 40} }, "live_cost", trusted, "no live cost is from our own count"},
		"lag":                {func(c *Cell) { c.LagMS = 2500 }, "lag", trusted, "replayed 2.5 s after"},
	} {
		c := &Cell{CellLook: canary.CellLook{Clusters: 300, Pairs: 300, FirstAt: begin, LastAt: begin.Add(48 * time.Hour), Gates: []canary.Finding{{Name: "score.correctness"}},
			Control: &canary.Control{Estimate: 0.51, Interval: [2]canary.Number{0.45, 0.57}, Clusters: 300}},
			Judged: &canary.JudgedFigures{Pairs: 300, Calls: 900, Cached: 100}, Compared: 300}
		tt.change(c)
		found := false
		for _, check := range trust(c, &config, begin.Add(49*time.Hour)) {
			if check.Name == tt.check {
				found = true
				if check.State != tt.state || !strings.Contains(check.Text, tt.text) {
					t.Errorf("%s: %s, want %s with %q", name, check.line(), tt.state, tt.text)
				}
			}
		}
		if !found {
			t.Errorf("%s: no check %s", name, tt.check)
		}
	}
}
