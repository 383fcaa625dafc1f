package canary

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/internal/journal"
)

func ptr[T any](v T) *T { return &v }

const goodLine = `{"at":"2026-11-22T10:00:00Z","exchange_id":"e1","submodule":"a/b","candidate":"cand","conversation":"c1","unit":null,
"live":{"latency_ms":800,"ttft_ms":null,"cost_usd":0.01,"error":false,"scores":{"style":null},"checks":{"json":true}},
"trial":{"latency_ms":400,"cost_usd":0.001,"error":false,"checks":{"json":null,"schema":false}},"control":null,"new_field":1}`

func TestParseObservation(t *testing.T) {
	got, err := ParseObservation([]byte(goodLine))
	if err != nil {
		t.Fatal(err)
	}
	want := Observation{
		At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), ExchangeID: "e1", Submodule: "a/b", Candidate: "cand", Conversation: "c1",
		Live:  journal.Side{LatencyMS: ptr(800.0), CostUSD: ptr(0.01), Checks: map[string]bool{"json": true}},
		Trial: journal.Side{LatencyMS: ptr(400.0), CostUSD: ptr(0.001), Checks: map[string]bool{"schema": false}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Observation{})); diff != "" {
		t.Error(diff)
	}
	line, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseObservation(line)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, again, cmpopts.IgnoreUnexported(Observation{})); diff != "" {
		t.Errorf("what is exported must read back:\n%s", diff)
	}
}

func TestBadLines(t *testing.T) {
	for name, c := range map[string][2]string{
		"no time":            {`"at":"2026-11-22T10:00:00Z",`, ``},
		"no exchange":        {`"exchange_id":"e1",`, ``},
		"no sub-module":      {`"submodule":"a/b",`, ``},
		"no candidate":       {`"candidate":"cand",`, ``},
		"null live":          {`"live":{"latency_ms":800,"ttft_ms":null,"cost_usd":0.01,"error":false,"scores":{"style":null},"checks":{"json":true}}`, `"live":null`},
		"wrong type":         {`"error":false`, `"error":"no"`},
		"negative latency":   {`"latency_ms":400`, `"latency_ms":-1`},
		"infinite cost":      {`"cost_usd":0.001`, `"cost_usd":1e999`},
		"negative cost":      {`"cost_usd":0.001`, `"cost_usd":-0.5`},
		"NaN":                {`"latency_ms":400`, `"latency_ms":NaN`},
		"score above one":    {`"style":null`, `"style":1.01`},
		"unknown preference": {`"control":null`, `"preference":"draw"`},
		"agreement":          {`"control":null`, `"agree":2`},
		"cut":                {`"new_field":1}`, ``},
		"not a time":         {`2026-11-22T10:00:00Z`, `yesterday`},
	} {
		line := strings.Replace(goodLine, c[0], c[1], 1)
		if line == goodLine {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if _, err := ParseObservation([]byte(line)); err == nil {
			t.Errorf("%s: the line was taken", name)
		}
	}
}

func TestReadObservationsCountsBadLines(t *testing.T) {
	one := strings.ReplaceAll(goodLine, "\n", "")
	file := strings.Join([]string{one, "", "nonsense", strings.Replace(one, "a/b", "c/d", 1), strings.Replace(one, `"cand"`, `"other"`, 1), one}, "\n")
	var lines []int
	good, bad, err := ReadObservations(strings.NewReader(file), Submodules{{Name: "a/b", Candidates: []string{"cand"}}}, func(n int, err error) { lines = append(lines, n) })
	if err != nil {
		t.Fatal(err)
	}
	if len(good) != 2 || bad != 3 {
		t.Errorf("got %d good and %d bad, want 2 and 3", len(good), bad)
	}
	if diff := cmp.Diff([]int{3, 4, 5}, lines); diff != "" {
		t.Error(diff)
	}
}

func TestNumberJSON(t *testing.T) {
	for text, n := range map[string]Number{"null": Unknown(), `"inf"`: Number(inf(1)), `"-inf"`: Number(inf(-1)), "0.1": 0.1, "-2.5": -2.5} {
		b, err := json.Marshal(n)
		if err != nil || string(b) != text {
			t.Errorf("got %s, %v; want %s", b, err, text)
		}
		var back Number
		if err := json.Unmarshal(b, &back); err != nil || (back != n && back.Known()) {
			t.Errorf("%s reads back as %v, %v", text, back, err)
		}
	}
}
