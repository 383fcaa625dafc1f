package main

import (
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/replay"
)

// What was given up is listed, and said in status, until it is taken up again; diff then
// shows the last attempt set.
func TestDeadLettersAreListed(t *testing.T) {
	tn := newTown(t, townConfig{stages: []string{"replay"}})
	x := &journal.Exchange{Schema: journal.SchemaVersion, ID: journal.NewID(time.Now()), At: time.Now().UTC(), Submodule: "a/b", Class: llm.ClassOK, Status: 200,
		Request: []byte(`{"model":`), Response: []byte(`{}`)}
	seq, err := tn.p.j.PublishExchanges(t.Context(), "a/b", []*journal.Exchange{x})
	if err != nil {
		t.Fatal(err)
	}
	refused := *x
	refused.ID, refused.Class, refused.Status = journal.NewID(time.Now()), llm.ClassInvalid, 400
	if _, err := tn.p.j.PublishExchanges(t.Context(), "a/b", []*journal.Exchange{&refused}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "status says why it is not comparable", func() bool {
		s := mustJSON[Status](t, "status", "-o", "json", "--config", tn.config)
		return s.Accounts.Reasons["llama-3.3"]["live_refused"] == 1
	})
	var list []deadLetterLine
	eventually(t, 20*time.Second, "a dead letter", func() bool {
		out, _, code := cli(t, "export", "--what", "dead_letters", "--config", tn.config)
		list = lines[deadLetterLine](t, out)
		return code == 0 && len(list) == 1
	})
	l := list[0]
	if l.ExchangeID != x.ID || l.Submodule != "a/b" || l.Candidate != "llama-3.3" || l.Role != "" || l.AttemptSet != 0 || l.ReasonCode != "unreadable" || l.Reason == "" || l.At.IsZero() || l.StoredAt.IsZero() {
		t.Errorf("%+v", l)
	}
	var out string
	eventually(t, 10*time.Second, "status says it", func() bool {
		out, _, _ = cli(t, "status", "--config", tn.config)
		return strings.Contains(out, "understudy export --what dead_letters lists them, understudy replay --candidate llama-3.3 tries them again")
	})

	trial, err := tn.p.j.Trial(t.Context(), "a/b", "llama-3.3", l.ID)
	if err != nil {
		t.Fatal(err)
	}
	again := *trial
	again.AttemptSet, again.Replaces, again.Disposition, again.Class = 1, journal.DeadLetter, journal.Tried, llm.ClassOK
	again.ID = journal.TrialID(x.ID, "llama-3.3", townModel, "", 1)
	again.Text, again.ReasonCode, again.Reason, again.LostAttempts, again.Divergence = "at last", "", "", 1, journal.DivergedNoCall
	again.ExchangeSeq = seq
	again.Attempts = []journal.Attempt{{Class: llm.ClassOverloaded, Status: 503, Code: "busy"}, {Class: llm.ClassOK, LatencyMS: 321}}
	if _, err := tn.p.j.StoreTrial(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	if out, _, code := cli(t, "export", "--what", "dead_letters", "--config", tn.config); code != 0 || out != "" {
		t.Errorf("after it was taken up again: exit %d, %s", code, out)
	}
	out, _, _ = cli(t, "export", "--what", "trials", "--config", tn.config)
	tr := lines[trialLine](t, out)[0]
	if tr.Attempts != 2 || len(tr.AttemptList) != 2 || tr.AttemptList[0].LatencyMS != nil || tr.AttemptList[0].Status != 503 || tr.AttemptList[0].Code != "busy" ||
		*tr.AttemptList[1].LatencyMS != 321 || tr.AttemptSet != 1 || tr.LostAttempts != 1 || tr.Divergence != journal.DivergedNoCall {
		t.Errorf("%+v", tr)
	}
	out, _, _ = cli(t, "diff", x.ID, "--config", tn.config)
	for _, want := range []string{"at last", "attempt set 1; the one before was dead_letter", "attempt 1: overloaded  HTTP 503  busy\n", "attempt 2: ok  321 ms\n", "left the recorded path: live called tools, and it answered", "1 call was lost"} {
		if !strings.Contains(out, want) {
			t.Errorf("diff does not say %q:\n%s", want, out)
		}
	}
}

func TestStatusSaysWhatHoldsUpACandidate(t *testing.T) {
	s := Status{Accounts: StatusAccount{Candidates: map[string]journal.Buckets{"llama": {NotComparable: 26}, "claude": {Trial: 3}},
		Reasons: map[string]map[string]int{"llama": {"gap:/tools/0": 12, "live_aborted": 3, "rejected": 7, "gap:/n\x1b[1m": 3, "untranslatable": 1}}},
		Stages: StatusStages{Replay: map[string]replay.LaneStatus{"llama": {Concurrency: 2, Configured: 8}, "claude": {Concurrency: 8, Configured: 8}}}}
	var b strings.Builder
	s.write(&b)
	for _, want := range []string{"  not comparable: gap:/tools/0 12, rejected 7, gap:/n·[1m 3, others 4\n", "  2 calls at a time instead of 8: its provider throttles\n"} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("without %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "instead of 8") && strings.Count(b.String(), "instead of") != 1 {
		t.Errorf("of a lane that is not held up:\n%s", b.String())
	}
	if strings.Contains(b.String(), "dead letters:") {
		t.Errorf("there are none:\n%s", b.String())
	}
}
