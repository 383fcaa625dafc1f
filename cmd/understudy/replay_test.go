package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
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

// post sends n requests, of which the daemon's candidate has no money for any.
func (tn *town) unpaid(n int) {
	tn.t.Helper()
	for i := range n {
		tn.mustPost(chat(fmt.Sprint("question ", i)))
	}
	if b := tn.settled(n).Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{OverBudget: n}) {
		tn.t.Fatalf("before: %+v", b)
	}
}

// newPoorTown is a town whose candidates may cost nothing, with n exchanges; the daemon
// then has money, and settings of its own.
func newPoorTown(t testing.TB, c townConfig, n int, sets ...string) *town {
	t.Helper()
	c.sets = append(c.sets, "replay.daily_usd=0")
	tn := newTown(t, c)
	tn.unpaid(n)
	tn.again(nil, append(sets, "replay.daily_usd=25")...)
	return tn
}

func (tn *town) backfills(args ...string) []backfillStatus {
	tn.t.Helper()
	return mustJSON[backfillList](tn.t, "replay", "--config", tn.config, "--list", "-o", "json").Backfills
}

// A failed trial is tried again on demand, under the next attempt set. Both sets are
// exported, diff shows the last, and the failure stays in the evidence.
func TestBackfillOfFailures(t *testing.T) {
	tn := newTown(t, townConfig{sets: []string{"replay.attempts=1"}, bedrock: sim.Config{Faults: []sim.Fault{{Kind: sim.FaultMissingEnd, Count: 2}}}})
	for i := range 5 {
		tn.mustPost(chat(fmt.Sprint("question ", i)))
	}
	tn.settled(5)
	failures := func() (failed []string, n int) {
		for _, tr := range tn.trialLines() {
			n++
			if tr.Class != llm.ClassOK {
				failed = append(failed, tr.ExchangeID)
			}
		}
		return failed, n
	}
	failed, _ := failures()
	if len(failed) != 2 {
		t.Fatalf("%d failed", len(failed))
	}
	if p := tn.plan("--candidate", "llama-3.3"); p.ToTry != 0 || p.Stored.Failed != 2 || p.Stored.Answered != 3 {
		t.Errorf("without --failed: %+v", p)
	}
	if p := tn.plan("--candidate", "llama-3.3", "--failed"); p.ToTry != 2 || p.Again.Failed != 2 {
		t.Errorf("with --failed: %+v", p)
	}
	got := tn.replayed(exitOK, "--candidate", "llama-3.3", "--failed")
	if got.Progress.Answers != 2 || got.Progress.Done != 2 || !got.Failed {
		t.Errorf("%+v", got)
	}
	if still, n := failures(); len(still) != 2 || n != 7 {
		t.Errorf("%d trials are exported, %d of them failed", n, len(still))
	}
	sets := map[string]int{}
	for _, tr := range tn.trialLines() {
		sets[tr.ExchangeID] = max(sets[tr.ExchangeID], tr.AttemptSet)
	}
	out, _, _ := cli(t, "diff", failed[0], "--config", tn.config)
	if sets[failed[0]] != 1 || !strings.Contains(out, "attempt set 0: trial  FAILED: truncated") || strings.Count(out, "FAILED") != 1 || !strings.Contains(out, "attempt set 1:") {
		t.Errorf("sets %v, diff:\n%s", sets, out)
	}
	if b := tn.settled(5).Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{Trial: 5}) {
		t.Errorf("accounts %+v", b)
	}
	evidence := func() {
		t.Helper()
		eventually(t, 20*time.Second, "the conversations have entered", func() bool { return tn.cell().Clusters == 5 })
		c := tn.cell()
		if g := c.gate(t, "error_rate"); math.Abs(math.Abs(g.Estimate)-0.4) > 1e-9 {
			t.Errorf("error rate %v: two of five had failed", g.Estimate)
		}
		out, _, _ := cli(t, "export", "--what", "observations", "--config", tn.config)
		if n := len(lines[judgedLine](t, out)); n != 5 {
			t.Errorf("%d observations of 5 pairs", n)
		}
	}
	evidence()
	tn.again(nil) // and so it is when all is read anew
	evidence()
}

// What the budget does not hold ends a backfill incomplete, and says so.
func TestBackfillWithoutMoney(t *testing.T) {
	tn := newPoorTown(t, townConfig{}, 4)
	tn.again(nil, "replay.daily_usd=0")
	p := tn.plan("--candidate", "llama-3.3")
	if p.ToTry != 4 || p.Budget.LeftUSD != 0 {
		t.Errorf("plan %+v", p)
	}
	out, errs, code := tn.replay("--candidate", "llama-3.3", "--yes")
	if code != exitInconclusive || !strings.Contains(errs, "the budget did not hold 4 exchanges") || !strings.Contains(errs, "that is less than the price") || !strings.Contains(out, "4 over budget") {
		t.Errorf("exit %d, %s\n%s", code, out, errs)
	}
	if b := tn.bucketsOf(); b != (journal.Buckets{OverBudget: 4}) {
		t.Errorf("accounts %+v", b)
	}
}

// A backfill is paused, shown, resumed and cancelled from the command line.
func TestBackfillByHand(t *testing.T) {
	tn := newPoorTown(t, townConfig{bedrock: sim.Config{Personas: quick(150 * time.Millisecond)}}, 60, `endpoint."llama-3.3".concurrency=1`)
	out, errs, code := tn.replay("--candidate", "llama-3.3", "--yes", "--detach")
	id := strings.TrimSpace(out)
	if code != exitOK || len(id) != 26 || !strings.Contains(errs, "60 to try: 60 were over budget") {
		t.Fatalf("exit %d, %q\n%s", code, out, errs)
	}
	if _, errs, code := tn.replay("--candidate", "llama-3.3", "--yes"); code != exitFailed || !strings.Contains(errs, id+" of the same exchanges is running") {
		t.Errorf("ordered twice: exit %d, %s", code, errs)
	}
	eventually(t, 10*time.Second, "some are done", func() bool { return tn.backfills()[0].Progress.Done > 2 })
	if out, _, code := tn.replay("--pause", id); code != exitOK || !strings.Contains(out, "is paused") {
		t.Errorf("pause: exit %d, %s", code, out)
	}
	time.Sleep(2 * time.Second) // as long as it may take
	stood := tn.bedrock.Stats()[townModel].Calls
	time.Sleep(time.Second) // time for what must not come
	if n := tn.bedrock.Stats()[townModel].Calls; n != stood || n >= 60 {
		t.Errorf("%d calls, %d a second before", n, stood)
	}
	status, _, _ := cli(t, "status", "--config", tn.config)
	if !strings.Contains(status, "backfill "+id+" of llama-3.3, paused") {
		t.Errorf("status:\n%s", status)
	}
	if s := mustJSON[Status](t, "status", "--config", tn.config, "-o", "json"); len(s.Backfills) != 1 || s.Backfills[0].ID != id || s.Backfills[0].State != journal.BackfillPaused || s.Backfills[0].Progress.SpentUSD <= 0 {
		t.Errorf("%+v", s.Backfills)
	}
	if _, _, code := tn.replay("--resume", id); code != exitOK {
		t.Errorf("resume: exit %d", code)
	}
	eventually(t, 10*time.Second, "it goes on", func() bool { return tn.bedrock.Stats()[townModel].Calls > stood+2 })
	watched := make(chan int)
	go func() {
		_, _, code := tn.replay("--watch", id)
		watched <- code
	}()
	if out, _, code := tn.replay("--cancel", id); code != exitOK || !strings.Contains(out, "is cancelled") {
		t.Errorf("cancel: exit %d, %s", code, out)
	}
	if code := <-watched; code != exitInconclusive {
		t.Errorf("whoever watched saw exit %d", code)
	}
	if _, errs, code := tn.replay("--resume", id); code != exitFailed || !strings.Contains(errs, "is cancelled") {
		t.Errorf("resume: exit %d, %s", code, errs)
	}
	if _, errs, code := tn.replay("--pause", "06bq3v0x9m1kz4t8r2yw5nhc7e"); code != exitFailed || !strings.Contains(errs, "not stored") {
		t.Errorf("unknown: exit %d, %s", code, errs)
	}
	s := mustJSON[Status](t, "status", "--config", tn.config, "-o", "json")
	if b := s.Accounts.Candidates["llama-3.3"]; len(s.Backfills) != 0 || b.Trial+b.OverBudget != 60 || b.Pending != 0 || b.OverBudget == 0 {
		t.Errorf("%+v, accounts %+v", s.Backfills, b)
	}
	// What is left can be ordered anew, and is then done.
	tn.again(nil, "replay.daily_usd=25") // the last calls of before have ended
	left := tn.plan("--candidate", "llama-3.3").ToTry
	if got := tn.replayed(exitOK, "--candidate", "llama-3.3"); got.Progress.Answers != left {
		t.Errorf("%d of %d", got.Progress.Answers, left)
	}
	if n := tn.bedrock.Stats()[townModel].Calls; n != 60 {
		t.Errorf("%d calls for 60 exchanges", n)
	}
}

// kill -9 in the middle of a backfill: it goes on with the next start, and stores each
// trial once.
func TestBackfillSurvivesAKill(t *testing.T) {
	tn := newPoorTown(t, townConfig{bedrock: sim.Config{Personas: quick(100 * time.Millisecond)}}, 60)
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "--config", tn.config, "--set", "replay.ack_wait=1s", "--set", `endpoint."llama-3.3".concurrency=4`}
	ready := func() *proc {
		d := launch(t, run...)
		eventually(t, 20*time.Second, "the daemon answers", func() bool { _, _, code := tn.replay("--list"); return code == exitOK })
		return d
	}
	d := ready()
	out, errs, code := tn.replay("--candidate", "llama-3.3", "--yes", "--detach")
	if code != exitOK {
		t.Fatal(errs)
	}
	id := strings.TrimSpace(out)
	for round := 1; round <= 3; round++ {
		eventually(t, 20*time.Second, "some are done", func() bool { return tn.backfills()[0].Progress.Done >= 10*round })
		d.kill()
		d = ready()
	}
	out, errs, code = tn.replay("--watch", id)
	if code != exitOK || !strings.Contains(out, "is done: 60 answers") {
		t.Errorf("exit %d, %s\n%s", code, out, errs)
	}
	if b := tn.bucketsOf(); b != (journal.Buckets{Trial: 60}) {
		t.Errorf("accounts %+v", b)
	}
	if n := len(tn.trialLines()); n != 60 {
		t.Errorf("%d trials of 60 exchanges", n)
	}
	if n := tn.bedrock.Stats()[townModel].Calls; n < 60 || n > 60+3*4 {
		t.Errorf("%d calls: at most 12 were under way at the kills", n)
	}
	if code := d.term(20 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// The broker is killed in the middle of a backfill, and with it the daemon that whoever
// watches it asks: both go on.
func TestBackfillSurvivesItsBroker(t *testing.T) {
	tn := newPoorTown(t, townConfig{bedrock: sim.Config{Personas: quick(100 * time.Millisecond)}}, 60)
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	broker := freePort(t)
	run := func() *proc {
		d := launch(t, "run", "--config", tn.config, "--stages", "capture", "--set", "nats.listen="+broker, "--set", "nats.sync=always")
		eventually(t, 20*time.Second, "the daemon answers", func() bool { _, _, code := tn.replay("--list"); return code == exitOK })
		return d
	}
	d := run()
	out, errs, code := tn.replay("--candidate", "llama-3.3", "--yes", "--detach")
	if code != exitOK {
		t.Fatal(errs)
	}
	tn.join(broker, "replay")
	watched := make(chan string)
	go func() {
		out, errs, code := tn.replay("--watch", strings.TrimSpace(out))
		watched <- fmt.Sprintf("exit %d, %s %s", code, out, errs)
	}()
	eventually(t, 20*time.Second, "some are done", func() bool { return tn.backfills()[0].Progress.Done >= 10 })
	d.kill()
	run()
	if got := <-watched; !strings.HasPrefix(got, "exit 0,") || !strings.Contains(got, "60 answers") {
		t.Error(got)
	}
	if b := tn.bucketsOf(); b != (journal.Buckets{Trial: 60}) {
		t.Errorf("accounts %+v", b)
	}
	if n := len(tn.trialLines()); n != 60 {
		t.Errorf("%d trials of 60 exchanges", n)
	}
}

// Only what was stored in between is tried.
func TestBackfillBetweenTimes(t *testing.T) {
	tn := newTown(t, townConfig{sets: []string{"replay.daily_usd=0"}})
	var borders []string
	border := func() {
		time.Sleep(20 * time.Millisecond) // the clock goes on
		borders = append(borders, time.Now().UTC().Format(time.RFC3339Nano))
		time.Sleep(20 * time.Millisecond)
	}
	sent := 0
	for part := range 3 {
		border()
		for range part + 1 {
			tn.mustPost(chat(fmt.Sprint("question ", sent)))
			sent++
		}
		tn.settled(sent)
	}
	border()
	tn.again(nil, "replay.daily_usd=25")
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 6}, {[]string{"--since", borders[1]}, 5}, {[]string{"--until", borders[1]}, 1}, {[]string{"--since", borders[1], "--until", borders[2]}, 2},
		{[]string{"--since", borders[3]}, 0}, {[]string{"--since", "1h"}, 6}, {[]string{"--until", "1h"}, 0}, {[]string{"--submodule", "a/b"}, 6},
	} {
		if p := tn.plan(append(c.args, "--candidate", "llama-3.3")...); p.InRange != c.want || p.ToTry != c.want {
			t.Errorf("%v: %d in range, %d to try, want %d", c.args, p.InRange, p.ToTry, c.want)
		}
	}
	got := tn.replayed(exitOK, "--candidate", "llama-3.3", "--since", borders[1], "--until", borders[2])
	if got.Progress.Done != 2 {
		t.Errorf("%+v", got)
	}
	if b := tn.bucketsOf(); b != (journal.Buckets{Trial: 2, OverBudget: 4}) {
		t.Errorf("accounts %+v", b)
	}
}

// Two processes share one backfill, and one that does not run the stage may order it.
func TestBackfillOfTwoProcesses(t *testing.T) {
	broker := freePort(t)
	tn := newPoorTown(t, townConfig{bedrock: sim.Config{Personas: quick(20 * time.Millisecond)}}, 120)
	tn.again([]string{"capture"}, "nats.listen="+broker) // orders, and does not replay
	p := tn.plan("--candidate", "llama-3.3")
	if p.ToTry != 120 || p.Budget.LeftUSD != 25 {
		t.Errorf("plan %+v", p)
	}
	out, errs, code := tn.replay("--candidate", "llama-3.3", "--yes", "--detach")
	if code != exitOK {
		t.Fatal(errs)
	}
	id := strings.TrimSpace(out)
	var others []*process
	for range 2 {
		others = append(others, tn.join(broker, "replay"))
	}
	if out, errs, code := tn.replay("--watch", id); code != exitOK || !strings.Contains(out, "120 answers") {
		t.Errorf("exit %d, %s\n%s", code, out, errs)
	}
	if b := tn.bucketsOf(); b != (journal.Buckets{Trial: 120}) {
		t.Errorf("accounts %+v", b)
	}
	if n := tn.bedrock.Stats()[townModel].Calls; n != 120 {
		t.Errorf("%d calls for 120 exchanges", n)
	}
	for i, p := range others {
		if usd := p.currentWorkers().replay.SpentToday(); usd <= 0 {
			t.Errorf("process %d did nothing", i)
		}
	}
}

// join starts another process with the stages on the town's broker.
func (tn *town) join(broker string, stages ...string) *process {
	tn.t.Helper()
	cfg, err := loadConfig(tn.config, []string{"nats.mode=external", "nats.url=nats://" + broker, "nats.dir=" + tn.t.TempDir(), "replay.ack_wait=2s", `endpoint."llama-3.3".concurrency=2`})
	if err != nil {
		tn.t.Fatal(err)
	}
	p, err := newProcessWith(cfg, stages, nil, slog.New(slog.DiscardHandler), demoCredentials)
	if err != nil {
		tn.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	tn.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tn.t.Error(err)
		}
	})
	return p
}

// Nobody works at it: whoever watches is told so.
func TestBackfillThatNobodyWorksAt(t *testing.T) {
	tn := newPoorTown(t, townConfig{}, 2)
	tn.again([]string{"capture"})
	out, _, _ := tn.replay("--candidate", "llama-3.3", "--yes", "--detach")
	id := strings.TrimSpace(out)
	var s backfillStatus
	eventually(t, 15*time.Second, "it is told", func() bool {
		err := tn.admin().get(t.Context(), backfillPath(id), decodeTo(&s))
		return err == nil && s.Waiting != ""
	})
	if !strings.Contains(s.Waiting, "one that runs the stage replay with the candidate llama-3.3 must be up") {
		t.Error(s.Waiting)
	}
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	if out, _, _ := cli(t, "status", "--config", tn.config); !strings.Contains(out, "backfill "+id+" of llama-3.3, running") {
		t.Errorf("status without a daemon:\n%s", out)
	}
}

func (tn *town) admin() *admin { return newAdmin(tn.p.config()) }

// Ctrl-C leaves the backfill alone.
func TestWatchingEndsWithoutIt(t *testing.T) {
	tn := newPoorTown(t, townConfig{bedrock: sim.Config{Personas: quick(100 * time.Millisecond)}}, 40, `endpoint."llama-3.3".concurrency=1`)
	d := launch(t, "replay", "--config", tn.config, "--candidate", "llama-3.3", "--yes")
	eventually(t, 20*time.Second, "it is under way", func() bool { list := tn.backfills(); return len(list) == 1 && list[0].Progress.Done > 0 })
	id := tn.backfills()[0].ID
	d.cmd.Process.Signal(syscall.SIGINT)
	if code := d.exit(10 * time.Second); code != exitOK || !strings.Contains(d.err.String(), "backfill "+id+" goes on") || !strings.Contains(d.err.String(), "--cancel") {
		t.Errorf("exit %d, %s", code, d.err.String())
	}
	if s := tn.backfills()[0]; s.State != journal.BackfillRunning {
		t.Errorf("it is %s", s.State)
	}
	if _, _, code := tn.replay("--watch", id); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if b := tn.bucketsOf(); b != (journal.Buckets{Trial: 40}) {
		t.Errorf("accounts %+v", b)
	}
}

func TestReplayCommandLines(t *testing.T) {
	tn := newPoorTown(t, townConfig{}, 1)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":            {nil, exitUsage, "give one of"},
		"too much":           {[]string{"--list", "--candidate", "x"}, exitUsage, "give one of"},
		"flag of an order":   {[]string{"--list", "--failed"}, exitUsage, "--failed goes with --candidate"},
		"unknown candidate":  {[]string{"--candidate", "claude", "--dry-run"}, exitUsage, "candidates are: llama-3.3"},
		"baseline":           {[]string{"--candidate", "gpt", "--dry-run"}, exitUsage, "candidates are: llama-3.3"},
		"unknown sub-module": {[]string{"--candidate", "llama-3.3", "--submodule", "a/b,c/d"}, exitUsage, "llama-3.3 is not a candidate for c/d; it is one for: a/b"},
		"no time":            {[]string{"--candidate", "llama-3.3", "--since", "yesterday"}, exitUsage, `--since "yesterday" is neither`},
		"future":             {[]string{"--candidate", "llama-3.3", "--since", "-1h"}, exitUsage, "neither"},
		"no share":           {[]string{"--candidate", "llama-3.3", "--sample", "0"}, exitUsage, "the sample is 0"},
		"backwards":          {[]string{"--candidate", "llama-3.3", "--since", "1h", "--until", "2h"}, exitUsage, "is not before"},
		"nobody to ask":      {[]string{"--candidate", "llama-3.3"}, exitUsage, "try 1 exchange for about $0.0"},
		"an argument":        {[]string{"--candidate", "llama-3.3", "x"}, exitUsage, "arguments given"},
	} {
		out, errs, code := tn.replay(c.args...)
		if code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%s: exit %d, %q, %s", name, code, out, errs)
		}
	}
	if list := tn.backfills(); len(list) != 0 {
		t.Errorf("something was ordered: %+v", list)
	}
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := tn.replay("--candidate", "llama-3.3", "--dry-run"); code != exitUnreachable || !strings.Contains(errs, "start understudy run") {
		t.Errorf("without a daemon: exit %d, %s", code, errs)
	}
}

// Orders come over the socket alone.
func TestBackfillsAreNotOpen(t *testing.T) {
	tn := newTown(t, townConfig{})
	for method, path := range map[string]string{http.MethodGet: "/api/v1/backfills", http.MethodPost: "/api/v1/backfills", "PLAN": "/api/v1/backfills/plan"} {
		if method == "PLAN" {
			method = http.MethodPost
		}
		req, _ := http.NewRequest(method, "http://"+tn.p.admin.Addr()+path, strings.NewReader(`{"candidate":"llama-3.3","sample":1}`))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s %s: HTTP %d", method, path, resp.StatusCode)
		}
	}
}

// Whoever is asked may say no.
func TestAccept(t *testing.T) {
	plan := &replay.Plan{ToTry: 12, Cost: replay.PlanCost{ExpectedUSD: 1.5, AtMostUSD: 20}}
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "n\n": false, "\n": false, "": false, "yeah\n": false} {
		var errs bytes.Buffer
		o := &replayOrder{e: &env{stderr: &errs}, in: strings.NewReader(answer), asks: true}
		err := o.accept(plan)
		var coded *codedError
		if (err == nil) != want || err != nil && (!errors.As(err, &coded) || coded.code != exitInconclusive) {
			t.Errorf("%q: %v", answer, err)
		}
		if got := errs.String(); got != "try 12 exchanges for about $1.50, at most $20.00? [y/N] " {
			t.Errorf("asked %q", got)
		}
	}
}

// Where nobody watches a line comes now and then; on a terminal one is written over.
func TestProgressLines(t *testing.T) {
	s := &backfillStatus{Backfill: journal.Backfill{ID: "x", State: journal.BackfillRunning, Planned: 100}}
	now := time.Now()
	show := func(w *watcher) {
		for i := range 40 {
			s.Progress.Done, s.Progress.SpentUSD = i, float64(i)/100
			w.show(s, now.Add(time.Duration(i)*500*time.Millisecond))
		}
		w.end()
	}
	var plain, bar bytes.Buffer
	show(&watcher{w: &plain})
	if n := strings.Count(plain.String(), "\n"); n != 4 {
		t.Errorf("%d lines in 20 seconds:\n%s", n, plain.String())
	}
	if !strings.Contains(plain.String(), "30 of 100, $0.3000, 2.0/s, about 35s left\n") {
		t.Errorf("lines:\n%s", plain.String())
	}
	show(&watcher{w: &bar, bar: true})
	if n := strings.Count(bar.String(), "\n"); n != 1 || !strings.Contains(bar.String(), "\r[###########...................] 39 of 100") {
		t.Errorf("bar:\n%q", tail(bar.String(), 200))
	}
}
