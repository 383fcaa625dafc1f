package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
	"understudy/replay"
)

// again starts the town's daemon anew with other settings.
func (tn *town) again(stages []string, sets ...string) {
	tn.t.Helper()
	if err := tn.stop(); err != nil {
		tn.t.Fatal(err)
	}
	tn.start(stages, sets)
}

// replay runs the verb on the town's daemon.
func (tn *town) replay(args ...string) (stdout, stderr string, code int) {
	tn.t.Helper()
	return cli(tn.t, append([]string{"replay", "--config", tn.config}, args...)...)
}

// plan is what a dry run says.
func (tn *town) plan(args ...string) replay.Plan {
	tn.t.Helper()
	return mustJSON[replay.Plan](tn.t, append([]string{"replay", "--config", tn.config, "--dry-run", "-o", "json"}, args...)...)
}

// replayed runs a backfill to its end and gives what it came to.
func (tn *town) replayed(code int, args ...string) backfillStatus {
	tn.t.Helper()
	out, errs, got := tn.replay(append([]string{"--yes", "-o", "json"}, args...)...)
	if got != code {
		tn.t.Fatalf("exit %d, want %d\n%s", got, code, errs)
	}
	return lines[backfillStatus](tn.t, strings.ReplaceAll(out, "\n", " "))[0]
}

func (tn *town) trialLines() []trialLine {
	tn.t.Helper()
	out, errs, code := cli(tn.t, "export", "--what", "trials", "--config", tn.config)
	if code != 0 {
		tn.t.Fatal(errs)
	}
	return lines[trialLine](tn.t, out)
}

func (tn *town) bucketsOf() journal.Buckets {
	tn.t.Helper()
	return mustJSON[Status](tn.t, "status", "--config", tn.config, "-o", "json").Accounts.Candidates["llama-3.3"]
}

const blocked = `"logprobs":true` // has no place on the candidate's wire

// What no budget held is tried once there is money, and each exchange counts once.
func TestBackfillOfWhatWasOverBudget(t *testing.T) {
	tn := newTown(t, townConfig{sets: []string{"replay.daily_usd=0"}})
	for i := range 6 {
		tn.mustPost(chat(fmt.Sprint("question ", i)))
	}
	tn.mustPost(chat("with probabilities", blocked))
	s := tn.settled(7)
	if b := s.Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{OverBudget: 6, NotComparable: 1}) {
		t.Fatalf("before: %+v", b)
	}
	tn.again(nil, "replay.daily_usd=25")
	p := tn.plan("--candidate", "llama-3.3")
	if p.InRange != 7 || p.ToTry != 6 || p.Again.OverBudget != 6 || p.Stored.NotComparable != 1 || len(p.NotComparable) != 0 {
		t.Errorf("plan %+v", p)
	}
	if n := tn.bedrock.Stats()[townModel].Calls; n != 0 {
		t.Fatalf("a dry run made %d calls", n)
	}
	got := tn.replayed(exitOK, "--candidate", "llama-3.3")
	if got.State != journal.BackfillDone || got.Progress.Done != p.Planned() || got.Progress.Answers != p.ToTry {
		t.Errorf("backfill %+v, planned %+v", got, p)
	}
	if c := p.Cost; got.Progress.SpentUSD > c.OneCallEachUSD || c.OneCallEachUSD > c.AtMostUSD || c.ExpectedUSD <= 0 || got.Progress.SpentUSD <= 0 {
		t.Errorf("spent %v of %+v", got.Progress.SpentUSD, c)
	}
	if b := tn.settled(7).Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{Trial: 6, NotComparable: 1}) {
		t.Errorf("after: %+v", b)
	}
	// A second one finds nothing to do, and says so.
	if _, errs, code := tn.replay("--candidate", "llama-3.3", "--yes"); code != exitOK || !strings.Contains(errs, "nothing to try") {
		t.Errorf("again: exit %d, %s", code, errs)
	}
	if n := tn.bedrock.Stats()[townModel].Calls; n != 6 {
		t.Errorf("%d calls for 6 exchanges", n)
	}
	tn.again(nil) // the accounts are the same when they are read anew
	if b := tn.settled(7).Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{Trial: 6, NotComparable: 1}) {
		t.Errorf("read anew: %+v", b)
	}
}

var _ = sim.Bedrock
var _ = time.Second
