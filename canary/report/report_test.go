package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/canary"
)

var update = flag.Bool("update", false, "write the golden files anew")

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

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	full := filledReport()
	full.Notes = []string{"Demo limits, not advice."}
	for name, r := range map[string]*Report{
		"full":  full,
		"only":  filledReport().Only("interview/evaluation"),
		"empty": New(canary.NewAnalyzer(canary.DefaultConfig(), nil), nil, Settings{}, nil, begin),
	} {
		golden(t, name+".txt", written(t, r.WriteText))
		golden(t, name+".md", written(t, r.WriteMarkdown))
	}
}

// The JSON form is a contract: this pins every key, and keys are only added.
func TestKeys(t *testing.T) {
	keys := map[string]bool{}
	full := filledReport()
	full.Notes = []string{"x"}
	full.Accounts = nil
	full.Settings.Judges[0].Prompts = "x"
	b, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	gather(keys, "", v)
	golden(t, "keys.txt", strings.Join(slices.Sorted(maps.Keys(keys)), "\n")+"\n")
}

func gather(keys map[string]bool, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			keys[at+"/"+k] = true
			gather(keys, at+"/"+k, below)
		}
	case []any:
		for _, below := range v {
			gather(keys, at, below)
		}
	}
}

// What the keys mean.
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
			Submodule, Candidate, Verdict, Sentence string
			Reasons                                 []string
			Gates                                   []struct{ Name, Status string }
			Clusters, Pairs                         int
			Live, Trial                             side
			Control                                 *struct{ Estimate float64 }
			Again                                   side `json:"control_figures"`
			Gaps                                    []struct {
				Path, Severity string
				Count          int
			}
			Forecast *struct{ Conversations, Seconds *float64 }
			Judged   *struct{ Wins, Losses int }
			Worst    []struct{ Why []string }
		}
		Matrix []struct {
			Submodule, Priority, Selected, Rationale string
			Month                                    *float64 `json:"saving_usd_month"`
			Year                                     *float64 `json:"saving_usd_year"`
		}
		Settings struct {
			Epochs int
			Config string
			From   string `json:"observed_from"`
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
		t.Fatal(diff)
	}
	llama := got.Cells[2]
	if llama.Pairs != 299 || llama.Trial.LatencyMS.Mean == nil || llama.Trial.TTFTMS.Mean != nil || *llama.Live.TTFTMS.Mean != 210 || len(llama.Gaps) != 1 || llama.Gaps[0].Count != 100 || llama.Gaps[0].Path != "/logit|bias" {
		t.Errorf("llama's figures: %+v", llama)
	}
	if llama.Control == nil || llama.Control.Estimate != 0.5 || *llama.Again.LatencyMS.Mean != 849.5 || llama.Judged.Wins != 30 || llama.Forecast != nil || len(llama.Worst) != 5 {
		t.Errorf("llama's control, judge and worst: %+v", llama)
	}
	if empty := got.Cells[0]; empty.Live.Exchange != nil || empty.Gaps == nil || empty.Worst == nil || empty.Gates[0].Status != "no_data" || empty.Judged != nil || empty.Forecast == nil || empty.Forecast.Seconds != nil {
		t.Errorf("a cell without traffic: %+v", empty)
	}
	if m := got.Matrix[1]; m.Selected != "llama-3.3-70b" || m.Priority != "cost, structure" || m.Month == nil || m.Year == nil {
		t.Fatalf("matrix: %+v", m)
	}
	// 300 exchanges in 299 spans of ten minutes, 0.022 less 0.0022 each, 30 days.
	near(t, "a month", *got.Matrix[1].Month, 0.9**llama.Live.Exchange*300/(299*10)*30*24*60)
	near(t, "a year", *got.Matrix[1].Year, 0.9**llama.Live.Exchange*300/(299*10)*365*24*60)
	if m := got.Matrix[0]; m.Selected != "gpt-4-turbo" || !strings.Contains(m.Rationale, "open:error_rate") || *m.Month != 0 {
		t.Errorf("a sub-module without a promoted candidate: %+v", m)
	}
	if got.Settings.Epochs != 1 || got.Settings.Config != "0123456789ab" || got.Settings.From != "2026-11-20T06:00:00Z" {
		t.Errorf("settings: %+v", got.Settings)
	}
	if got.Accounts["received"] != 312.0 {
		t.Errorf("accounts are not passed on: %v", got.Accounts)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if d := got - want; d > 1e-9*want || d < -1e-9*want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Before any traffic all is unknown and nothing is a list of null.
func TestEmptyJSONHasNoNullLists(t *testing.T) {
	b, err := json.Marshal(New(canary.NewAnalyzer(canary.DefaultConfig(), nil), nil, Settings{}, nil, begin))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cells", "matrix", "units", "rollout"} {
		if !strings.Contains(string(b), `"`+key+`":[]`) {
			t.Errorf("%s is not an empty list: %s", key, b)
		}
	}
}

func TestAccountsThatDoNotCloseAreNamed(t *testing.T) {
	d := &document{}
	describeAccounts(d, map[string]any{"received": 10, "captured": 9})
	if items := d.blocks[1].(list); !strings.Contains(items[0], "DOES NOT CLOSE: the parts add up to 9") {
		t.Errorf("got %q", items)
	}
}
