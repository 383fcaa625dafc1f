package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// ofUnit is an exchange of a unit, with a text of its own.
func ofUnit(unit, text string) *journal.Exchange {
	return &journal.Exchange{Schema: journal.SchemaVersion, ID: journal.NewID(time.Now()), At: time.Now().UTC(), Submodule: "a/b", Unit: unit, Class: llm.ClassOK, Status: 200,
		Request:  []byte(chat(text)),
		Response: []byte(`{"id":"1","object":"chat.completion","model":"gpt-4-turbo","choices":[{"index":0,"message":{"role":"assistant","content":"` + text + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`)}
}

// TestForgetBeforeReplay: what is forgotten before it was tried is never sent to anybody,
// and the accounts close.
func TestForgetBeforeReplay(t *testing.T) {
	tn := newTown(t, townConfig{stages: []string{"canary"}})
	gone, stays := ofUnit("gone", "a walrus"), ofUnit("stays", "an ibex")
	for _, message := range [][]*journal.Exchange{{gone, stays}, {ofUnit("gone", "a walrus, too")}} {
		if _, err := tn.p.j.PublishExchanges(t.Context(), "a/b", message); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{}, {"--unit", "gone", "--conversation", "c", "--yes"}, {"--unit", "gone"}} { // the last: nobody can be asked
		if _, errs, code := cli(t, append([]string{"forget", "--config", tn.config}, args...)...); code != exitUsage {
			t.Errorf("forget %v: exit %d, %s", args, code, errs)
		}
	}
	if out, _, _ := cli(t, "export", "--what", "exchanges", "--config", tn.config); strings.Count(out, "a walrus") != 4 {
		t.Fatalf("before: %s", out)
	}
	got := mustJSON[journal.ForgetCount](t, "forget", "--unit", "gone", "--yes", "-o", "json", "--config", tn.config)
	if got != (journal.ForgetCount{Exchanges: 2, Kept: 1}) {
		t.Errorf("forgot %+v", got)
	}
	out, errs, code := cli(t, "export", "--what", "exchanges", "--config", tn.config)
	if code != 0 || strings.Contains(out, "walrus") || !strings.Contains(out, "an ibex") || len(lines[exchangeLine](t, out)) != 2 || strings.Count(errs, "the texts of 1 exchange are empty: they were forgotten\n") != 1 {
		t.Errorf("export: %d, %s%s", code, out, errs)
	}
	if out, _, code := cli(t, "diff", gone.ID, "--config", tn.config); code != 0 || !strings.Contains(out, "forgotten") || strings.Contains(out, "walrus") {
		t.Errorf("diff: %d, %s", code, out)
	}

	tn.stop()
	tn.start(stageNames, nil)
	eventually(t, 20*time.Second, "one is tried, and one is not comparable", func() bool {
		s := mustJSON[Status](t, "status", "-o", "json", "--config", tn.config)
		return s.Accounts.Candidates["llama-3.3"] == journal.Buckets{Trial: 1, NotComparable: 1} && s.Accounts.Reasons["llama-3.3"]["forgotten"] == 1
	})
	if calls := tn.bedrock.Stats()[townModel].Calls; calls != 1 {
		t.Errorf("%d calls", calls)
	}

	// A trial that is there is forgotten with its exchange.
	got = mustJSON[journal.ForgetCount](t, "forget", "--unit", "stays", "--yes", "-o", "json", "--config", tn.config)
	if got.Exchanges != 1 || got.Trials != 1 {
		t.Errorf("forgot %+v", got)
	}
	out, errs, _ = cli(t, "export", "--what", "trials", "--config", tn.config)
	if list := lines[trialLine](t, out); len(list) != 1 || list[0].Text != "" || list[0].LatencyMS == nil || !strings.Contains(errs, "the texts of 1 trial are empty") {
		t.Errorf("trials: %s%s", out, errs)
	}
}

// TestKilledForgetCompletes kills the daemon while it forgets; the next order completes.
func TestKilledForgetCompletes(t *testing.T) {
	p := newPost(t, 0)
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MaxStore, cfg.Sync = p.dir, 268435456, "interval"
	open := func() *journal.Journal {
		j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	const n = 300
	kept := ofUnit("stays", "an ibex")
	for i := range n {
		list := []*journal.Exchange{ofUnit("gone", fmt.Sprint("walrus ", i))}
		if i == n/2 {
			list = []*journal.Exchange{kept}
		}
		if _, err := j.PublishExchanges(t.Context(), "a/b", list); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()

	d := p.run()
	done := make(chan int, 1)
	go func() {
		_, _, code := cli(t, "forget", "--unit", "gone", "--yes", "--config", p.config)
		done <- code
	}()
	time.Sleep(150 * time.Millisecond) // a moment within it, or before
	d.kill()
	t.Logf("the killed order: exit %d", <-done)
	d = p.run()
	if out, errs, code := cli(t, "forget", "--unit", "gone", "--yes", "--config", p.config); code != 0 {
		t.Fatalf("again: %d, %s%s", code, out, errs)
	}
	d.kill()
	j = open()
	defer j.Close()
	if left, err := j.CountForgotten(context.Background(), &journal.Forgetting{Units: []string{"gone"}}); err != nil || left != (journal.ForgetCount{}) {
		t.Errorf("left: %+v, %v", left, err)
	}
	if x, _, err := j.FindExchange(t.Context(), kept.ID); err != nil || string(x.Request) != string(kept.Request) {
		t.Errorf("another's: %v", err)
	}
}
