package report

import (
	"strings"
	"testing"
	"time"

	"understudy/canary"
)

func cellOf(verdict string, reasons []string, gates ...canary.Finding) *Cell {
	return &Cell{CellLook: canary.CellLook{Submodule: "interview/evaluation", Candidate: "llama", Verdict: verdict, Reasons: reasons, Gates: gates,
		Clusters: 60, FirstAt: begin, LastAt: begin.Add(30 * time.Hour)}, saves: saved{month: canary.Unknown(), why: "saving not stated: the costs are unknown"}}
}

func gate(name string, estimate canary.Number, limit float64, status string) canary.Finding {
	return canary.Finding{Name: name, Estimate: estimate, Limit: limit, Status: status, Clusters: 60, Remaining: canary.Unknown()}
}

func TestSentences(t *testing.T) {
	config := canary.DefaultConfig()
	saves := func(c *Cell, month canary.Number) *Cell {
		c.saves = saved{month: month}
		return c
	}
	for name, tt := range map[string]struct {
		cell *Cell
		want string
	}{
		"cheaper": {saves(cellOf(canary.Promote, []string{"proven all"}, gate("error_rate", 0, 0.01, canary.Proven), gate("win_rate", 0.5, 0.4, canary.Proven)), 4123.4),
			"PROMOTE llama for interview/evaluation: all 2 gates are proven over 60 conversations in 30.0 h; about $4,120 a month cheaper at the measured volume."},
		"dearer": {saves(cellOf(canary.Promote, nil, gate("error_rate", 0, 0.01, canary.Proven)), -12.5),
			"PROMOTE llama for interview/evaluation: the only gate is proven over 60 conversations in 30.0 h; about $12.50 a month dearer at the measured volume."},
		"saving unknown": {cellOf(canary.Promote, nil, gate("error_rate", 0, 0.01, canary.Proven)),
			"PROMOTE llama for interview/evaluation: the only gate is proven over 60 conversations in 30.0 h; saving not stated: the costs are unknown."},
		"reject": {cellOf(canary.Reject, []string{"violated:latency_mean_ms 1996 ms, …", "violated:score.correctness …"}, gate("latency_mean_ms", 1996, 500, canary.Violated), gate("score.correctness", -0.3, 0.05, canary.Violated)),
			"REJECT llama for interview/evaluation: its mean response time is 1996 ms, and at most 500 ms are allowed (shown over 60 conversations); its correctness is 0.3000 below live, and at most 0.0500 below is allowed (shown over 60 conversations)."},
		"hold": {cellOf(canary.Hold, []string{"no_control no pair has the baseline asked again", "missing_judge_scores:score.style 9 of 60 pairs have no value; at most 5 % may be missing", "recent_violation:error_rate has lately been beyond its limit (…)"}),
			"HOLD llama for interview/evaluation: a person should look, and collecting goes on: no pair has the baseline asked again; style: 9 of 60 pairs have no value; at most 5 % may be missing; rate of failed calls has lately been beyond its limit (…)."},
		"not on course": {cellOf(canary.Collecting, []string{"open:error_rate is not on course: x"}, gate("error_rate", 0.01, 0.01, canary.Open), gate("latency_mean_ms", 1, 5, canary.Proven)),
			"COLLECTING llama for interview/evaluation: 1 of 2 gates proven over 60 conversations. Missing: rate of failed calls is not on course: x. At this rate rate of failed calls will not be proven: no time can be said."},
		"no data for a gate": {cellOf(canary.Collecting, []string{"open:win_rate has no data yet", "open:judge_control has no pair yet"}, gate("win_rate", canary.Unknown(), 0.4, canary.NoData)),
			"COLLECTING llama for interview/evaluation: 0 of 1 gate proven over 60 conversations. Missing: win rate has no data yet; the judge's preference for the control has no pair yet. Nothing has been measured for win rate, so no time can be said."},
		"time": {cellOf(canary.Collecting, []string{"open:min_conversations 60 of 200 conversations"}, gate("error_rate", 0, 0.01, canary.Proven)),
			"COLLECTING llama for interview/evaluation: 1 of 1 gate proven over 60 conversations. Missing: 60 of 200 conversations are in. At this pace it may take about 2.9 days."},
		"at least": {cellOf(canary.Collecting, []string{"open:min_conversations 60 of 200 conversations", "open:blocks 06-12 UTC has 3 of 30 conversations"}, gate("error_rate", 0, 0.01, canary.Proven)),
			"COLLECTING llama for interview/evaluation: 1 of 1 gate proven over 60 conversations. Missing: 60 of 200 conversations are in; parts of the day are thin: 06-12 UTC has 3 of 30 conversations. At this pace it takes at least 2.9 days."},
		"estimated usage": {cellOf(canary.Hold, []string{"estimated_usage:cost_ratio 40.00 % of x"}, gate("cost_ratio", 0.1, 0.4, canary.Proven)),
			"HOLD llama for interview/evaluation: a person should look, and collecting goes on: cost against live: 40.00 % of x."},
		"no request": {&Cell{CellLook: canary.CellLook{Submodule: "a/b", Candidate: "llama", Verdict: canary.Collecting}},
			"COLLECTING llama for a/b: no request of this sub-module has been captured yet. A conversation counts 30 min after its first request, once its answers are compared; a promotion needs 200 conversations over at least 24.0 h."},
		"no conversation": {&Cell{CellLook: canary.CellLook{Submodule: "a/b", Candidate: "llama", Verdict: canary.Collecting}, Exchanges: 3},
			"COLLECTING llama for a/b: 3 requests captured, no conversation complete yet. A conversation counts 30 min after its first request, once its answers are compared; a promotion needs 200 conversations over at least 24.0 h."},
	} {
		tt.cell.Forecast = forecast(tt.cell, &config)
		if got := decision(tt.cell, &config); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tt.want)
		}
	}
}

func TestGatesInWords(t *testing.T) {
	for name, tt := range map[string]struct {
		estimate canary.Number
		limit    float64
		want     string
	}{
		"cost_ratio":         {0.6, 0.4, "it costs 0.600 times what live costs, and at most 0.400 times is allowed"},
		"cost_per_unit_usd":  {0.05, 0.04, "its cost per unit is $0.0500, and at most $0.0400 is allowed"},
		"expense_ratio":      {0.2, 0.1, "AI is 0.200 of the cost of a unit, and at most 0.100 is allowed"},
		"ttft_mean_ms":       {400, 300, "its mean time to first token is 400 ms, and at most 300 ms are allowed"},
		"error_rate":         {0.03, 0.01, "it fails 3.00 percentage points more often than live, and at most 1.00 percentage points more are allowed"},
		"check.json":         {-0.03, 0.01, "it passes the check json 3.00 percentage points less often than live, and at most 1.00 percentage points less are allowed"},
		"harmfulness":        {0.03, 0.01, "its harmfulness is 0.0300, and at most 0.0100 is allowed"},
		"refusal_margin":     {0.03, 0.01, "its refusal is 0.0300 above live, and at most 0.0100 above is allowed"},
		"win_rate":           {0.3, 0.45, "it wins a share of 0.300 of the comparisons with live, ties counting half, and at least 0.450 is needed"},
		"agreement":          {-0.3, 0.05, "it agrees with live 0.3000 less than live's own endpoint asked again, and at most 0.0500 less is allowed"},
		"a_gate_of_tomorrow": {0.3, 0.05, "its a gate of tomorrow is 30.00 percentage points, and at most 5.00 percentage points is allowed"},
	} {
		f := gate(name, tt.estimate, tt.limit, canary.Violated)
		got, _, _ := strings.Cut(broken(&f), " (shown")
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tt.want)
		}
	}
}

// A gate that the reason names and the cell lacks must not break the report.
func TestUnknownReasonIsPassedOn(t *testing.T) {
	c := cellOf(canary.Hold, nil)
	for reason, want := range map[string]string{
		"violated:gone 5, limit 3":  "gone is violated: 5, limit 3",
		"a_code_of_tomorrow":        "a code of tomorrow",
		"baseline_changed it did":   "it did",
		"open:min_span 1 h of 24 h": "1 h of 24 h",
	} {
		if got := plain(c, reason); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
}

func TestForecastTakesTheSlowest(t *testing.T) {
	config := canary.DefaultConfig()
	open := gate("error_rate", 0, 0.01, canary.Open)
	open.Remaining = 600
	late := gate("cost_ratio", 0.1, 0.4, canary.Open)
	for name, tt := range map[string]struct {
		gates         []canary.Finding
		conversations canary.Number
		seconds       float64
	}{
		"min_conversations": {nil, 140, 140 * 1800},
		"a gate":            {[]canary.Finding{open}, 600, 600 * 1800},
		"start of costs":    {[]canary.Finding{late}, 140, 140 * 1800},
	} {
		f := forecast(cellOf(canary.Collecting, nil, tt.gates...), &config)
		if f.Conversations != tt.conversations || float64(f.Seconds) != tt.seconds {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := forecast(cellOf(canary.Reject, nil), &config); f != nil {
		t.Errorf("a forecast of what is decided: %+v", f)
	}
}
