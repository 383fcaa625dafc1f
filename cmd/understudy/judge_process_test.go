package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// Four processes judge over one NATS: what the simulated judge itself counted never
// costs more than the day's budget, and what it did not reach is out of the sample.
func TestFourJudgeProcessesKeepTheBudget(t *testing.T) {
	const dailyUSD, conversations = 0.05, 60
	live := sim.DefaultPersona()
	live.LatencyMean = 2 * time.Millisecond
	tn := newTown(t, townConfig{judge: true, stages: []string{"capture", "replay", "canary"},
		criteria: "score = { correctness = 0.2 }, win_rate = 0.2, harmfulness = 0.2",
		openai:   sim.Config{Personas: map[string]sim.Persona{"*": live}},
		bedrock:  sim.Config{Personas: map[string]sim.Persona{"*": live}},
		sets:     []string{"nats.listen=" + freePort(t), fmt.Sprint("judge.daily_usd=", dailyUSD)}})
	for c := range conversations {
		tn.converse(fmt.Sprint("conversation-", c), 1)
	}
	for range 4 {
		admin := freePort(t)
		p := launch(t, "run", "--stages", "judge", "--config", tn.config, "--set", "nats.mode=external", "--set", "nats.url="+tn.p.j.URL(),
			"--set", "nats.dir="+t.TempDir(), "--set", "admin.listen="+admin, "--set", fmt.Sprint("judge.daily_usd=", dailyUSD))
		p.up("http://" + admin + "/healthz")
	}
	judged, over := 0, 0
	eventually(t, 60*time.Second, "every drawn pair and its control has a judgement", func() bool {
		judged, over = 0, 0
		err := tn.p.j.Read(t.Context(), journal.StreamVerdicts, []string{"understudy.judgement.>"}, func(m *journal.Message) error {
			var v journal.Judgement
			if err := m.Decode(&v); err != nil {
				return err
			}
			if v.Unasked == "over_budget" {
				over++
			} else {
				judged++
			}
			return nil
		})
		return err == nil && judged+over == 2*conversations
	})
	stats := tn.bedrock.Stats()[demoJudge]
	bill := (0.80*float64(stats.InputTokens) + 3.20*float64(stats.OutputTokens)) / 1e6
	t.Logf("%d judged, %d over budget; %d calls, bill $%.5f of $%.2f", judged, over, stats.Calls, bill, dailyUSD)
	if bill > dailyUSD || judged == 0 || over == 0 {
		t.Errorf("%d judged, %d over budget, bill $%.5f of $%.2f", judged, over, bill, dailyUSD)
	}
}

// A metric of one's own is asked with its own labels and scored by its own table.
func TestCustomMetricEndToEnd(t *testing.T) {
	live := sim.DefaultPersona()
	live.LatencyMean = 2 * time.Millisecond
	tn := newTown(t, townConfig{judge: true, criteria: "score = { empathy = 0.3 }",
		openai:  sim.Config{Personas: map[string]sim.Persona{"*": live}},
		bedrock: sim.Config{Personas: map[string]sim.Persona{"*": live}},
		extra: `
[[judge.metric]]
name = "empathy"
question = "Does the answer take the person's situation seriously?"
labels = [{ label = "cold", score = 0.0, means = "it does not" }, { label = "polite", score = 0.4, means = "it tries" }, { label = "warm", score = 0.9, means = "it does" }]
`})
	tn.converse("one", 1)
	eventually(t, 20*time.Second, "the pair is scored", func() bool {
		out, _, code := cli(t, "export", "--what", "observations", "--config", tn.config)
		return code == 0 && strings.Contains(out, `"scores":{"empathy":0.9}`)
	})
	if resp, err := http.Get("http://" + tn.p.admin.Addr() + "/api/v1/report"); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
}
