package judge

import (
	"encoding/json"
	"fmt"
	"testing"

	"understudy/internal/vendorspec"
	"understudy/llm"
)

// pairRow is a row of the recorded pairs: two outputs, a human label, and what
// judges said with output 1 shown first (ab) and second (ba).
type pairRow struct {
	ID, Subset string
	Input      string
	Label      int
	Judges     map[string]struct {
		AB     *string `json:"ab"`
		BA     *string `json:"ba"`
		ABText *string `json:"ab_text"`
		BAText *string `json:"ba_text"`
	}
}

// Every recorded completion gives the recorded winner, and one without gives none.
func TestRecordedCompletions(t *testing.T) {
	labels := []string{"Output (a)", "Output (b)"}
	texts, wrong := 0, 0
	for _, row := range jsonLines[pairRow](t, vendorspec.Path(t, "data", "pairs", "pairs.jsonl.gz")) {
		for judge, said := range row.Judges {
			for _, o := range []struct {
				text, winner *string
				a, b         string
			}{{said.ABText, said.AB, "1", "2"}, {said.BAText, said.BA, "2", "1"}} {
				if o.text == nil {
					continue
				}
				texts++
				want := ""
				if o.winner != nil {
					want = map[string]string{o.a: labels[0], o.b: labels[1]}[*o.winner]
				}
				if got := ParseText(*o.text, labels); got.Label != want {
					wrong++
					tail := *o.text
					t.Errorf("%s %s: %q (%s), recorded %q: …%s", row.ID, judge, got.Label, got.Parse, want, tail[max(0, len(tail)-300):])
				}
			}
		}
	}
	t.Logf("%d completions, %d read otherwise than recorded", texts, wrong)
}

type alpacaRow struct {
	ID       string
	Verdicts map[string]struct {
		Explained *struct {
			Preference    *float64
			Explanation   *string
			OrderedModels json.RawMessage `json:"ordered_models"`
			First         string
		}
		Weighted *struct {
			Preference  *float64
			TopLogprobs [][2]any `json:"top_logprobs"`
			First       string
		}
	}
}

func TestRecordedToolVerdicts(t *testing.T) {
	labels := []string{"m", "M"}
	tools, probs := 0, 0
	for _, row := range jsonLines[alpacaRow](t, vendorspec.Path(t, "data", "alpaca", "alpaca.jsonl.gz")) {
		for model, v := range row.Verdicts {
			if e := v.Explained; e != nil {
				args, err := json.Marshal(map[string]any{"explanation": e.Explanation, "ordered_models": e.OrderedModels})
				if err != nil {
					t.Fatal(err)
				}
				got := ParseCalls([]llm.ToolCall{{Name: verdictTool, Arguments: string(args)}}, labels)
				want := "" // no verdict, or scored as a draw upstream
				if e.Preference != nil && *e.Preference != 1.5 {
					candidate := *e.Preference == 2
					want = "M"
					if candidate == (e.First == "candidate") {
						want = "m"
					}
				}
				tools++
				if got.Label != want {
					t.Errorf("%s %s: %q, recorded %q: %s", row.ID, model, got.Label, want, args)
				}
			}
			if e := v.Weighted; e != nil {
				tokens := map[string]float64{}
				for _, p := range e.TopLogprobs {
					tokens[fmt.Sprint(p[0])] = p[1].(float64)
				}
				probs++
				got := ParseLogprobs(tokens, labels)
				if e.TopLogprobs == nil {
					if got.Label != "" {
						t.Errorf("%s %s: %q without a token", row.ID, model, got.Label)
					}
					continue
				}
				preference := 1 + *got.Score // 1 live … 2 candidate
				if e.First != "candidate" {
					preference = 2 - *got.Score
				}
				if d := preference - *e.Preference; d > 1e-6 || d < -1e-6 {
					t.Errorf("%s %s: %v, recorded %v", row.ID, model, preference, *e.Preference)
				}
			}
		}
	}
	t.Logf("%d tool verdicts, %d of token probabilities", tools, probs)
}

func TestRecordedScores(t *testing.T) {
	type row struct {
		ID        string
		Judgments map[string][]struct {
			Score float64
			Text  string
		}
	}
	n := 0
	for _, r := range jsonLines[row](t, vendorspec.Path(t, "data", "multiturn", "mtbench.jsonl.gz")) {
		for _, list := range r.Judgments {
			for _, j := range list {
				n++
				if got := ParseScale(j.Text, 1, 10); got.Score == nil || *got.Score != j.Score {
					t.Errorf("%s: %+v, recorded %v", r.ID, got, j.Score)
				}
			}
		}
	}
	t.Logf("%d scores", n)
}
