package canary

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
)

func inf(sign int) float64 { return math.Inf(sign) }

func TestReadings(t *testing.T) {
	ok := journal.Side{LatencyMS: ptr(400.0), TTFTMS: ptr(90.0), Checks: map[string]bool{"json": true, "nonempty": true}}
	with := func(s journal.Side, change func(*journal.Side)) journal.Side { change(&s); return s }
	failed := func(s *journal.Side) { s.Error, s.Checks = true, nil }
	data := func(v float64) reading { return reading{value: v, data: true} }
	for _, c := range []struct {
		name        string
		gate        Gate
		live, trial journal.Side
		lost        bool
		want        reading
	}{
		{"latency", Gate{"latency_mean_ms", 500}, ok, ok, false, data(400)},
		{"latency above the cap", Gate{"latency_mean_ms", 50}, ok, ok, false, data(250)},
		{"latency of a failed trial is the cap", Gate{"latency_mean_ms", 500}, ok, with(ok, failed), false, reading{value: 2500}},
		{"latency unknown", Gate{"latency_mean_ms", 500}, ok, with(ok, func(s *journal.Side) { s.LatencyMS = nil }), false, reading{missing: true}},
		{"latency of a pair without verdict", Gate{"latency_mean_ms", 500}, ok, ok, true, reading{missing: true}},
		{"first token", Gate{"ttft_mean_ms", 500}, ok, ok, false, data(90)},
		{"first token unknown", Gate{"ttft_mean_ms", 500}, ok, with(ok, func(s *journal.Side) { s.TTFTMS = nil }), false, reading{missing: true}},
		{"no error", Gate{"error_rate", 0.01}, ok, ok, false, data(0)},
		{"trial failed", Gate{"error_rate", 0.01}, ok, with(ok, failed), false, data(1)},
		{"live failed", Gate{"error_rate", 0.01}, with(ok, failed), ok, false, data(-1)},
		{"both failed", Gate{"error_rate", 0.01}, with(ok, failed), with(ok, failed), false, data(0)},
		{"check equal", Gate{"check.json", 0.01}, ok, ok, false, data(0)},
		{"check worse", Gate{"check.json", 0.01}, ok, with(ok, func(s *journal.Side) { s.Checks = map[string]bool{"json": false} }), false, data(-1)},
		{"check does not apply", Gate{"check.schema", 0.01}, ok, ok, false, reading{out: true}},
		{"nobody checked", Gate{"check.schema", 0.01}, journal.Side{}, journal.Side{}, false, reading{missing: true}},
		{"check lacks the trial's", Gate{"check.json", 0.01}, ok, with(ok, func(s *journal.Side) { s.Checks = map[string]bool{"nonempty": true} }), false, reading{missing: true}},
		{"check lacks live's", Gate{"check.json", 0.01}, with(ok, func(s *journal.Side) { s.Checks = nil }), ok, false, reading{missing: true}},
		{"check of a failed trial is false", Gate{"check.json", 0.01}, ok, with(ok, failed), false, reading{value: -1}},
		{"check of a failed trial that did not apply", Gate{"check.schema", 0.01}, ok, with(ok, failed), false, reading{out: true}},
		{"check of a failed live call", Gate{"check.json", 0.01}, with(ok, failed), ok, false, reading{out: true}},
	} {
		m, is := measureOf(c.gate)
		if !is {
			t.Fatalf("%s: not a mean", c.name)
		}
		got := m.read(&Observation{Live: c.live, Trial: c.trial, lost: c.lost})
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(reading{})); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// A cluster is one value, the mean of its pairs; what is missing opens a range.
func TestClusterReading(t *testing.T) {
	m, _ := measureOf(Gate{"latency_mean_ms", 500})
	pair := func(v *float64) Observation { return Observation{Trial: journal.Side{LatencyMS: v}} }
	got := m.cluster(&Cluster{Pairs: []Observation{pair(ptr(100.0)), pair(nil), pair(ptr(400.0)), pair(ptr(9000.0))}})
	want := clusterReading{pairs: 4, missing: 1, data: 3, low: (100 + 400 + 2500) / 4.0, high: (100 + 400 + 2500 + 2500) / 4.0}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(clusterReading{})); diff != "" {
		t.Error(diff)
	}
}
