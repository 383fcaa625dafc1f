package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/canary"
	"understudy/internal/journal"
	"understudy/llm"
)

var update = flag.Bool("update", false, "write the golden files anew")

var begin = time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)

func submodules() []canary.Submodule {
	return []canary.Submodule{
		{Name: "interview/questions", Baseline: "gpt-4-turbo", Candidates: []string{"llama-3.3-70b", "claude-sonnet"}, Unit: "interview", Priority: "cost, structure",
			Criteria: canary.Criteria{Gates: []canary.Gate{{Name: "cost_ratio", Limit: 0.4}, {Name: "latency_mean_ms", Limit: 500}, {Name: "error_rate", Limit: 0.05}, {Name: "check.json", Limit: 0.05}}}},
		{Name: "interview/evaluation", Baseline: "gpt-4-turbo", Candidates: []string{"llama-3.3-70b"},
			Criteria: canary.Criteria{Gates: []canary.Gate{{Name: "error_rate", Limit: 0.01}}}},
	}
}

func ptr[T any](v T) *T { return &v }

// filled is an analyzer after 300 conversations, ten minutes apart: Llama good,
// Claude slow, nothing for the evaluation.
func filled() *canary.Analyzer {
	a := canary.NewAnalyzer(canary.DefaultConfig(), submodules())
	for i := range 300 {
		x := &journal.Exchange{ID: fmt.Sprintf("e%03d", i), At: begin.Add(time.Duration(i) * 10 * time.Minute), Source: journal.SourceCapture,
			Submodule: "interview/questions", Conversation: fmt.Sprintf("c%03d", i), Unit: fmt.Sprintf("u%02d", i/10), SampleShare: 1}
		a.Exchange(x)
		live := 0.020 + 0.001*float64(i%5)
		for _, c := range []struct {
			name          string
			latency, cost float64
		}{{"llama-3.3-70b", 330 + float64(i%50), live * 0.1}, {"claude-sonnet", 1900 + float64(i%200), live * 0.6}} {
			tr := &journal.Trial{ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: c.name, Conversation: x.Conversation,
				Disposition: journal.Tried, Class: llm.ClassOK, LagMS: 250}
			side := journal.Side{LatencyMS: ptr(c.latency), CostUSD: ptr(c.cost), Checks: map[string]bool{"json": true}}
			if i%100 == 7 {
				tr.Class, side.Error, side.Checks = llm.ClassTimeout, true, nil
			}
			if c.name == "llama-3.3-70b" && i%3 == 0 {
				tr.Gaps = []llm.Gap{{Path: "/logprobs", Severity: llm.Semantic}}
			}
			if i == 299 {
				tr.Disposition = journal.NotComparable
			}
			a.Trial(tr)
			if tr.Disposition == journal.Tried {
				a.Verdict(&journal.Verdict{ExchangeID: x.ID, At: x.At, Source: x.Source, Submodule: x.Submodule, Candidate: c.name, Conversation: x.Conversation, Unit: x.Unit,
					Live: journal.Side{LatencyMS: ptr(850.0), TTFTMS: ptr(210.0), CostUSD: ptr(live), Checks: map[string]bool{"json": true}}, Trial: side})
			}
		}
	}
	a.SetCurrent()
	return a
}

// status is what the accounts of `status -o json` look like.
func status() any {
	return map[string]any{"received": 312, "captured": 300, "sampled_out": 0, "excluded": 7, "dropped": map[string]int{"memory": 5},
		"candidates": map[string]any{"claude-sonnet": map[string]int{"trial": 299, "not_comparable": 1}, "llama-3.3-70b": map[string]int{"trial": 299, "not_comparable": 1}}}
}

func filledReport() *Report {
	return New(filled(), submodules(), status(), begin.Add(72*time.Hour))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update after looking):\n%s", path, diff)
	}
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextGolden(t *testing.T) {
	full := filledReport()
	full.Notes = []string{"Demo limits, not advice."}
	golden(t, "full.txt", text(t, full))
	golden(t, "only.txt", text(t, filledReport().Only("interview/evaluation")))
	golden(t, "empty.txt", text(t, New(canary.NewAnalyzer(canary.DefaultConfig(), nil), nil, nil, begin)))
}

// The JSON form is a contract; this pins its keys and what they mean.
func TestJSON(t *testing.T) {
	b, err := json.Marshal(filledReport())
	if err != nil {
		t.Fatal(err)
	}
	type side struct {
		LatencyMS struct{ Mean, P50, P95, P99 *float64 } `json:"latency_ms"`
		TTFTMS    struct{ Mean *float64 }                `json:"ttft_ms"`
		Exchange  *float64                               `json:"cost_usd_per_exchange"`
		Unit      *float64                               `json:"cost_usd_per_unit"`
		Errors    *float64                               `json:"error_rate"`
	}
	var got struct {
		Cells []struct {
			Submodule, Candidate, Verdict string
			Reasons                       []string
			Gates                         []struct{ Name, Status string }
			Clusters, Pairs               int
			Live, Trial                   side
			Gaps                          []struct {
				Path, Severity string
				Count          int
			}
		}
		Matrix []struct {
			Submodule, Priority, Selected, Rationale string
			Saving                                   *float64 `json:"saving_usd_month"`
		}
		Accounts map[string]any
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	var cells []string
	for _, c := range got.Cells {
		cells = append(cells, c.Submodule+" "+c.Candidate+" "+c.Verdict)
	}
	if diff := cmp.Diff([]string{"interview/evaluation llama-3.3-70b COLLECTING", "interview/questions claude-sonnet REJECT", "interview/questions llama-3.3-70b PROMOTE"}, cells); diff != "" {
		t.Error(diff)
	}
	llama := got.Cells[2]
	if llama.Pairs != 299 || llama.Trial.LatencyMS.Mean == nil || llama.Trial.TTFTMS.Mean != nil || *llama.Live.TTFTMS.Mean != 210 || len(llama.Gaps) != 1 || llama.Gaps[0].Count != 100 || llama.Gaps[0].Path != "/logprobs" {
		t.Errorf("llama's figures: %+v", llama)
	}
	if empty := got.Cells[0]; empty.Live.Exchange != nil || empty.Gaps == nil || empty.Gates[0].Status != "no_data" {
		t.Errorf("a cell without traffic: %+v", empty)
	}
	if m := got.Matrix[1]; m.Selected != "llama-3.3-70b" || m.Priority != "cost, structure" || m.Saving == nil {
		t.Fatalf("matrix: %+v", m)
	}
	// 300 exchanges in 299 spans of ten minutes, 0.022 less 0.0022 each, 30 days.
	if want := 0.9 * *llama.Live.Exchange * 300 / (299 * 10) * 30 * 24 * 60; *got.Matrix[1].Saving < want*0.999999 || *got.Matrix[1].Saving > want*1.000001 {
		t.Errorf("saving %v, want %v", *got.Matrix[1].Saving, want)
	}
	if m := got.Matrix[0]; m.Selected != "gpt-4-turbo" || !strings.Contains(m.Rationale, "open:error_rate") || *m.Saving != 0 {
		t.Errorf("a sub-module without a promoted candidate: %+v", m)
	}
	if got.Accounts["received"] != 312.0 {
		t.Errorf("accounts are not passed on: %v", got.Accounts)
	}
}

func TestSavingNeedsAnHour(t *testing.T) {
	c := &Cell{}
	c.Live.CostUSDPerExchange, c.Trial.CostUSDPerExchange = 0.5, 0.1
	for name, v := range map[string]struct {
		span time.Duration
		want bool
	}{"59 minutes": {59 * time.Minute, false}, "an hour": {time.Hour, true}} {
		n, why := saving(c, canary.Volume{Requests: 10, FirstAt: begin, LastAt: begin.Add(v.span)})
		if n.Known() != v.want || (why == "") != v.want {
			t.Errorf("%s: %v, %q", name, n, why)
		}
	}
}

func TestCheapestPromotedIsSelected(t *testing.T) {
	cell := func(name, verdict string, cost canary.Number) Cell {
		c := Cell{CellLook: canary.CellLook{Submodule: "s", Candidate: name, Verdict: verdict}}
		c.Trial.CostUSDPerExchange = cost
		return c
	}
	entry := &canary.Submodule{Name: "s", Baseline: "live"}
	r := row("s", entry, []Cell{cell("dear", canary.Promote, 2), cell("unknown", canary.Promote, canary.Unknown()), cell("cheap", canary.Promote, 1), cell("free", canary.Reject, 0)}, canary.Volume{})
	if r.Selected != "cheap" {
		t.Errorf("selected %s", r.Selected)
	}
}

func TestAccountsThatDoNotCloseAreNamed(t *testing.T) {
	var b bytes.Buffer
	writeAccounts(&b, map[string]any{"received": 10, "captured": 9})
	if !strings.Contains(b.String(), "DOES NOT CLOSE: the parts add up to 9") {
		t.Errorf("got %q", b.String())
	}
}
