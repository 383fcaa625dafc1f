package judge

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"understudy/internal/vendorspec"
)

func labelled(t testing.TB, line string) Labelled {
	t.Helper()
	l, err := ParseLabelled([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCalibrate(t *testing.T) {
	var list []Labelled
	for _, line := range []string{
		`{"id":"1","judge":"j","group":"g","human":1,"preference":{"lc":1,"cl":1}}`,
		`{"id":"2","judge":"j","group":"g","human":1,"preference":{"lc":1,"cl":0}}`,
		`{"id":"3","judge":"j","group":"g","human":0,"preference":{"lc":null,"cl":0}}`,
		`{"id":"4","judge":"j","group":"g","human":0.5,"preference":{"lc":0,"cl":1}}`,
		`{"id":"5","judge":"j","group":"g","human":null,"preference":{"lc":0.2,"cl":0.4}}`,
		`{"id":"6","judge":"j","group":"g","human":0,"preference":{"lc":null,"cl":null}}`,
		`{"id":"7","judge":"j","group":"f","human":0,"preference":{"lc":0}}`,
	} {
		list = append(list, labelled(t, line))
	}
	got := Calibrate(list)
	if len(got) != 2 || got[0].Group != "f" || got[1].Group != "g" {
		t.Fatalf("%+v", got)
	}
	g := got[1]
	if g.Items != 6 || g.Labelled != 5 || g.Unparsed != 3 || g.Consistent != 3 || g.Decided != 2 {
		t.Errorf("%+v", g)
	}
	if g.Correct.LC != 2 || g.Correct.CL != 2 || g.Correct.Both != 1 || g.Correct.Merged != 2 {
		t.Errorf("%+v", g.Correct)
	}
	// merged: 1, 0.5, -, 0.5, 0.3, -
	if g.Wins != 1 || g.Losses != 1 || g.Draws != 2 || math.Abs(*g.WinRate-0.575) > 1e-12 {
		t.Errorf("%d wins, %d losses, %d draws, rate %v", g.Wins, g.Losses, g.Draws, *g.WinRate)
	}
	if f := got[0]; f.Wins+f.Losses+f.Draws != 1 || f.Consistent != 0 || f.StandardError != nil || f.Kappa.Orders != nil {
		t.Errorf("one order, one item: %+v", f)
	}
}

func TestBadLabelledLines(t *testing.T) {
	for _, line := range []string{"{", `{"preference":{"lc":2}}`, `{"preference":{"ab":1}}`, `{"human":0.3,"preference":{"lc":1}}`, `{"human":1}`, `{"preference":{"lc":"1"}}`} {
		if _, err := ParseLabelled([]byte(line)); err == nil {
			t.Errorf("%s is accepted", line)
		}
	}
}

// recordedLines are the recorded pairs as calibrate reads them.
func recordedLines(t testing.TB) []Labelled {
	var out []Labelled
	side := func(winner *string) any {
		if winner == nil {
			return nil
		}
		return map[string]int{"1": 0, "2": 1}[*winner]
	}
	for _, row := range jsonLines[pairRow](t, vendorspec.Path(t, "data", "pairs", "pairs.jsonl.gz")) {
		for judge, said := range row.Judges {
			line, err := json.Marshal(map[string]any{"id": row.ID, "judge": judge, "group": row.Subset, "human": row.Label - 1,
				"preference": map[string]any{"lc": side(said.AB), "cl": side(said.BA)}})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, labelled(t, string(line)))
		}
	}
	return out
}

// The counts of 109 judges × subsets are those that were published or recomputed
// from the same verdicts.
func TestCalibrateRecordedPairs(t *testing.T) {
	type part struct {
		N           int
		CorrectAB   int     `json:"correct_ab"`
		CorrectBA   int     `json:"correct_ba"`
		CorrectBoth int     `json:"correct_both"`
		Consistent  int     `json:"consistent"`
		Unparsed    int     `json:"unparsed"`
		Decided     int     `json:"swap_merged_decided"`
		Merged      int     `json:"swap_merged_correct"`
		Orders      float64 `json:"kappa_ab_vs_ba"`
		Human       float64 `json:"kappa_ab_vs_human"`
	}
	want := jsonLines[struct {
		Sets map[string]map[string]struct {
			Part part `json:"this_part"`
		}
	}](t, vendorspec.Path(t, "data", "pairs", "expected.json"))[0]
	cells := 0
	for _, c := range Calibrate(recordedLines(t)) {
		e, ok := want.Sets[c.Group][c.Judge]
		if !ok {
			t.Errorf("%s × %s is not in the expected table", c.Judge, c.Group)
			continue
		}
		cells++
		got := part{c.Items, c.Correct.LC, c.Correct.CL, c.Correct.Both, c.Consistent, c.Unparsed, c.Decided, c.Correct.Merged, e.Part.Orders, e.Part.Human}
		if got != e.Part {
			t.Errorf("%s × %s: %+v, want %+v", c.Judge, c.Group, got, e.Part)
		}
		for name, k := range map[string][2]*float64{"orders": {c.Kappa.Orders, &e.Part.Orders}, "human": {c.Kappa.Human, &e.Part.Human}} {
			if k[0] == nil || math.Abs(*k[0]-*k[1]) > 1e-9 {
				t.Errorf("%s × %s: kappa %s", c.Judge, c.Group, name)
			}
		}
	}
	t.Logf("%d cells", cells)
	if cells != 109 {
		t.Errorf("%d cells, want 109", cells)
	}
}

// A verdict that both orders share is right more often than one order alone.
func TestMergingRaisesAccuracy(t *testing.T) {
	list := recordedLines(t)
	for i := range list {
		list[i].Group = "all"
	}
	want := map[string]bool{"GPT-4/Vanilla_NoRules": true, "GPT-4/Metrics_Reference": true, "GPT-4/CoT": true, "GPT-4/Rating": true}
	for _, c := range Calibrate(list) {
		single := float64(c.Correct.LC+c.Correct.CL) / float64(2*c.Items)
		decided := float64(c.Correct.Merged) / float64(c.Decided)
		gain := 100 * (decided - single)
		t.Logf("%-26s one order %.1f %%, both %.1f %% of %d decided of %d: %+.1f points", c.Judge, 100*single, 100*decided, c.Decided, c.Items, gain)
		if want[c.Judge] && gain < 3 {
			t.Errorf("%s: %+.1f points, want 3", c.Judge, gain)
		}
		delete(want, c.Judge)
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}

// The raw win rates of recorded verdicts are the published ones. The verdicts that
// failed upstream were published as draws; here they are unparsed, and counted so.
func TestCalibrateRecordedWinRates(t *testing.T) {
	type stats struct {
		N           int
		Wins        int     `json:"n_wins"`
		Losses      int     `json:"n_wins_base"`
		Draws       int     `json:"n_draws"`
		WinRate     float64 `json:"win_rate"`
		StandardErr float64 `json:"standard_error"`
	}
	want := jsonLines[struct {
		Models map[string]struct {
			Explained *stats `json:"explained_this_part"`
			Weighted  *stats `json:"weighted_this_part"`
		}
	}](t, vendorspec.Path(t, "data", "alpaca", "expected.json"))[0]
	var list []Labelled
	add := func(id, group string, preference *float64) {
		p := 0.5 // as it was published
		if preference != nil {
			p = *preference - 1
		}
		list = append(list, labelled(t, fmt.Sprintf(`{"id":%q,"judge":"gpt-4","group":%q,"human":null,"preference":{"lc":%v}}`, id, group, p)))
	}
	for _, row := range jsonLines[alpacaRow](t, vendorspec.Path(t, "data", "alpaca", "alpaca.jsonl.gz")) {
		for model, v := range row.Verdicts {
			if v.Explained != nil {
				add(row.ID, model+" explained", v.Explained.Preference)
			}
			if v.Weighted != nil {
				add(row.ID, model+" weighted", v.Weighted.Preference)
			}
		}
	}
	seen := 0
	for _, c := range Calibrate(list) {
		model, form, _ := strings.Cut(c.Group, " ")
		e := want.Models[model].Explained
		if form == "weighted" {
			e = want.Models[model].Weighted
		}
		if e == nil {
			t.Errorf("%s has no expected row", c.Group)
			continue
		}
		seen++
		t.Logf("%-36s %.3f %% ± %.3f, %d wins, %d losses, %d draws", c.Group, 100**c.WinRate, 100**c.StandardError, c.Wins, c.Losses, c.Draws)
		if c.Items != e.N || c.Wins != e.Wins || c.Losses != e.Losses || c.Draws != e.Draws ||
			math.Abs(100**c.WinRate-e.WinRate) > 0.01 || math.Abs(100**c.StandardError-e.StandardErr) > 0.01 {
			t.Errorf("%s: %+v, want %+v", c.Group, c, *e)
		}
	}
	if seen != 4 {
		t.Errorf("%d rows", seen)
	}
}

// The published rows of 805 items each, from the numbers alone.
func TestCalibratePublishedWinRates(t *testing.T) {
	type row struct {
		Model      string
		Preference float64
	}
	want := jsonLines[struct {
		Models map[string]struct {
			Published struct {
				Wins        float64 `json:"n_wins"`
				Losses      float64 `json:"n_wins_base"`
				WinRate     float64 `json:"win_rate"`
				StandardErr float64 `json:"standard_error"`
			} `json:"published_weighted"`
		}
	}](t, vendorspec.Path(t, "data", "alpaca", "expected.json"))[0]
	var list []Labelled
	for _, r := range jsonLines[row](t, vendorspec.Path(t, "data", "alpaca", "published_check.jsonl.gz")) {
		list = append(list, labelled(t, fmt.Sprintf(`{"judge":"gpt-4","group":%q,"preference":{"lc":%v}}`, r.Model, r.Preference-1)))
	}
	for _, c := range Calibrate(list) {
		e := want.Models[c.Group].Published
		t.Logf("%-20s %.3f %% ± %.3f", c.Group, 100**c.WinRate, 100**c.StandardError)
		if c.Items != 805 || float64(c.Wins) != e.Wins || float64(c.Losses) != e.Losses || math.Abs(100**c.WinRate-e.WinRate) > 0.1 || math.Abs(100**c.StandardError-e.StandardErr) > 0.01 {
			t.Errorf("%+v, want %+v", c, e)
		}
	}
}
