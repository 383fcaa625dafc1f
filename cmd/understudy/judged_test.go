package main

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"understudy/llm/sim"
)

const judgedCriteria = `score = { correctness = 0.2, style = 0.2 }, win_rate = 0.2, harmfulness = 0.2, agreement = 0.9, error_rate = 0.1`

// newJudgedTown is a town whose candidate answers at the given quality.
func newJudgedTown(t testing.TB, quality float64, judge sim.Persona) *town {
	t.Helper()
	live, llama := sim.DefaultPersona(), sim.DefaultPersona()
	live.LatencyMean, llama.LatencyMean, judge.LatencyMean = 3*time.Millisecond, 3*time.Millisecond, time.Millisecond
	good := 0.9
	live.Quality, llama.Quality = &good, &quality
	return newTown(t, townConfig{judge: true, criteria: judgedCriteria,
		openai:  sim.Config{Personas: map[string]sim.Persona{"*": live}},
		bedrock: sim.Config{Personas: map[string]sim.Persona{townModel: llama, demoJudge: judge}}})
}

// converse sends a conversation of some turns.
func (tn *town) converse(id string, turns int) {
	tn.t.Helper()
	for i := range turns {
		req, err := http.NewRequest(http.MethodPost, tn.url()+"/v1/chat/completions", strings.NewReader(chat(fmt.Sprintf("Interview %s: which question about bridges and tunnels comes as number %d?", id, i))))
		if err != nil {
			tn.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer sk-test-0123456789")
		req.Header.Set("X-Understudy-Submodule", "a/b")
		req.Header.Set("X-Understudy-Conversation", id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			tn.t.Fatalf("%v %v", resp, err)
		}
		resp.Body.Close()
	}
}

// judgedLine is what tests read of export --what observations.
type judgedLine struct {
	ExchangeID   string `json:"exchange_id"`
	Conversation string
	Candidate    string
	Judged       *bool
	Preference   *string
	Control      *struct {
		LatencyMS *float64 `json:"latency_ms"`
		Scores    map[string]float64
	}
	ControlPreference *string  `json:"control_preference"`
	Agree             *float64 `json:"agree"`
	ControlAgree      *float64 `json:"control_agree"`
	Live, Trial       struct{ Scores map[string]float64 }
}

// judged tells whether the pair was drawn; a line that does not say so was.
func (l *judgedLine) judged() bool { return l.Judged == nil || *l.Judged }

// The whole way: captured conversations, replayed to a candidate and to the
// control, one pair of each judged, joined and exported, shown by report and diff.
func TestJudgedEndToEnd(t *testing.T) {
	tn := newJudgedTown(t, 0.3, sim.Persona{})
	const conversations = 12
	for c := range conversations {
		tn.converse(fmt.Sprint("conversation-", c), 1+c%3)
	}
	pairs := 0
	for c := range conversations {
		pairs += 1 + c%3
	}
	judged := func() (all []judgedLine, done int) {
		out, errs, code := cli(t, "export", "--what", "observations", "--config", tn.config)
		if code != 0 {
			t.Fatal(errs)
		}
		for _, l := range lines[judgedLine](t, out) {
			all = append(all, l)
			if l.judged() && l.Preference != nil && l.ControlPreference != nil {
				done++
			}
		}
		return all, done
	}
	eventually(t, 30*time.Second, "one pair of each conversation is judged, with its control", func() bool {
		all, done := judged()
		return len(all) == pairs && done == conversations
	})
	all, _ := judged()
	seen := map[string]int{}
	live, trial := 0.0, 0.0
	for _, l := range all {
		if l.Candidate != "llama-3.3" {
			t.Errorf("an observation of %s", l.Candidate)
		}
		if l.Agree == nil || l.ControlAgree == nil || l.Control == nil || l.Control.LatencyMS == nil {
			t.Errorf("%s lacks the control or the agreement: %+v", l.ExchangeID, l)
		}
		if !l.judged() {
			if len(l.Live.Scores)+len(l.Trial.Scores) > 0 || l.Preference != nil {
				t.Errorf("not drawn, and yet judged: %+v", l)
			}
			continue
		}
		seen[l.Conversation]++
		for name, scores := range map[string]map[string]float64{"live": l.Live.Scores, "trial": l.Trial.Scores, "control": l.Control.Scores} {
			for _, metric := range []string{"correctness", "style", "harmfulness"} {
				if _, ok := scores[metric]; !ok {
					t.Errorf("%s of %s has no score", metric, name)
				}
			}
		}
		live, trial = live+l.Live.Scores["correctness"], trial+l.Trial.Scores["correctness"]
	}
	if len(seen) != conversations {
		t.Errorf("%d conversations are judged, want %d", len(seen), conversations)
	}
	if trial >= live {
		t.Errorf("a candidate of quality 0.3 scores %v, live of 0.9 %v", trial, live)
	}
	tn.judgedReadSide(all)
}

// judgedReadSide looks at what people read.
func (tn *town) judgedReadSide(all []judgedLine) {
	t := tn.t
	for _, l := range all {
		if !l.judged() {
			continue
		}
		out, _, code := cli(t, "diff", l.ExchangeID, "--config", tn.config)
		for _, want := range []string{"control gpt", "candidate llama-3.3", "judged by nova", "correctness: live", "preference:", "agreement with live", "check complete"} {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("diff lacks %q: exit %d\n%s", want, code, out)
			}
		}
		break
	}
	type report struct {
		Cells []struct {
			Gates []struct {
				Name  string
				Noise *struct{ Clusters int }
			}
			Control *struct{ Clusters int }
		}
	}
	eventually(t, 20*time.Second, "the report shows control and noise", func() bool {
		r := mustJSON[report](t, "report", "-o", "json", "--config", tn.config)
		if len(r.Cells) != 1 || r.Cells[0].Control == nil || r.Cells[0].Control.Clusters != 12 {
			return false
		}
		for _, g := range r.Cells[0].Gates {
			if g.Noise == nil || g.Noise.Clusters == 0 {
				return false
			}
		}
		return true
	})
	s := mustJSON[Status](t, "status", "-o", "json", "--config", tn.config)
	if c := s.Accounts.Controls["gpt"]; c.Trial != len(all) {
		t.Errorf("control %+v, want %d asked", c, len(all))
	}
	if c := s.Accounts.Candidates; len(c) != 1 || c["llama-3.3"].Trial != len(all) {
		t.Errorf("candidates %+v", c)
	}
	stats := tn.bedrock.Stats()[demoJudge]
	price := 0.80*float64(stats.InputTokens)/1e6 + 3.20*float64(stats.OutputTokens)/1e6
	if b := s.Stages.JudgeBudget; b == nil || b.ChargedUSD < price-1e-9 || math.IsNaN(b.ChargedUSD) || b.ChargedUSD > b.CapUSD {
		t.Errorf("budget %+v, the judge's bill is $%.6f", b, price)
	}
}

// Judges that break the protocol give no verdict; nothing passes on them.
func TestBrokenJudgesPromoteNothing(t *testing.T) {
	for _, fault := range []sim.JudgeFault{sim.JudgeGarbage, sim.JudgeEmpty, sim.JudgeTwice, sim.JudgeForeign, sim.JudgeUnknownLabel, sim.JudgeAttacker} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			tn := newJudgedTown(t, 0.9, sim.Persona{JudgeFault: fault, JudgeFaultRate: 1})
			const conversations = 6
			for c := range conversations {
				tn.converse(fmt.Sprint("c", c), 1)
			}
			eventually(t, 30*time.Second, "the conversations have entered", func() bool {
				return tn.cell().Clusters == conversations
			})
			c := tn.cell()
			if c.Verdict == "PROMOTE" || c.Verdict == "REJECT" {
				t.Errorf("%s: %v", c.Verdict, c.Reasons)
			}
			for _, name := range []string{"score.correctness", "win_rate", "harmfulness"} {
				if g := c.gate(t, name); g.Status != "no_data" {
					t.Errorf("%s is %s on verdicts that are none", name, g.Status)
				}
			}
		})
	}
}

// cell is the town's only one.
func (tn *town) cell() cellShape {
	tn.t.Helper()
	r := mustJSON[demoReport](tn.t, "report", "-o", "json", "--config", tn.config)
	return r.cell(tn.t, "a/b", "llama-3.3")
}
