package judge

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"understudy/internal/journal"
	"understudy/llm"
)

// BenchmarkStoreVerdicts parses six verdicts and a preference in both orders and
// stores the judgement, in turns with what anybody would do without us: decode the
// same replies as bare JSON and publish the same bytes. It reports our time ÷ the
// bare one, both one at a time and each acknowledged by the broker.
func BenchmarkStoreVerdicts(b *testing.B) {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.MaxStore, cfg.Listen = b.TempDir(), "interval", 1<<30, freeAddress(b)
	server, err := journal.Open(cfg, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	cfg.Mode, cfg.URL, cfg.Dir, cfg.Listen = "external", "nats://"+cfg.Listen, b.TempDir(), ""
	j, err := journal.Open(cfg, quiet()) // over TCP, as the other side
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	if err := j.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	nc, err := nats.Connect(cfg.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare.>"}, Compression: jetstream.S2Compression}); err != nil {
		b.Fatal(err)
	}
	replies := make([][]llm.ToolCall, 8)
	for i := range replies {
		replies[i] = []llm.ToolCall{{Name: verdictTool, Arguments: `{"reason":"The answer names all three causes that were asked for and leaves none out.","label":"correct"}`}}
	}
	var ours, bare time.Duration
	n := 0
	for b.Loop() {
		n++
		start := time.Now()
		v := parsedJudgement(fmt.Sprint("t", n), replies)
		if stored, err := j.StoreJudgement(b.Context(), v); err != nil || !stored {
			b.Fatal(stored, err)
		}
		ours += time.Since(start)

		data, err := json.Marshal(v) // the same bytes, made outside the clock
		if err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		for _, r := range replies {
			var x any
			if err := json.Unmarshal([]byte(r[0].Arguments), &x); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := js.Publish(b.Context(), fmt.Sprint("bare.", n), data); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
	}
	b.ReportMetric(float64(ours)/float64(bare), "ours/bare")
	b.ReportMetric(float64(8*n)/ours.Seconds(), "verdicts/s")
}

// parsedJudgement is what a round makes of eight replies.
func parsedJudgement(id string, replies [][]llm.ToolCall) *journal.Judgement {
	v := &journal.Judgement{Schema: 1, TrialID: id, ExchangeID: id, Submodule: "a/b", Candidate: "llama", Conversation: "c", Judge: "nova", Model: "amazon.nova-pro-v1:0",
		Live: map[string]journal.Rating{}, Trial: map[string]journal.Rating{}, Pairwise: &journal.Pairwise{}}
	m := &builtin[0]
	for i, calls := range replies {
		p := ParseCalls(calls, m.labels())
		r := journal.Rating{Label: p.Label, Score: m.score(p.Label), Reason: summaryOf(p.Reason), Parse: p.Parse}
		switch {
		case i < 3:
			v.Live[fmt.Sprint("m", i)] = r
		case i < 6:
			v.Trial[fmt.Sprint("m", i)] = r
		case i == 6:
			v.Pairwise.LiveFirst = r
		default:
			v.Pairwise.TrialFirst = r
		}
	}
	return v
}

func BenchmarkParse(b *testing.B) {
	labels := builtin[0].labels()
	for name, reply := range map[string]string{
		"json":  `{"reason":"The answer names all three causes that were asked for.","label":"correct"}`,
		"prose": "The answer names all three causes that were asked for. It leaves none out and adds nothing that is wrong.\n\nAnswer: correct",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if ParseText(reply, labels).Label == "" {
					b.Fatal("not read")
				}
			}
		})
	}
	b.Run("tool", func(b *testing.B) {
		calls := []llm.ToolCall{{Arguments: `{"reason":"The answer names all three causes that were asked for.","label":"correct"}`}}
		for b.Loop() {
			if ParseCalls(calls, labels).Label == "" {
				b.Fatal("not read")
			}
		}
	})
}
