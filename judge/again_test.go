package judge

import (
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// Of several trials of an exchange the first that was tried is judged, whatever became
// of the later ones; a trial that came when the window was over is not.
func TestSecondTriesAreJudgedOnce(t *testing.T) {
	b := newPanelBench(t, fair)
	again := func(id string, replaces journal.Disposition, after time.Duration) {
		e, seq := b.exchange("c-"+id, id, "good")
		first := b.trialOf("llama", e, seq, "")
		first.Disposition = replaces
		if replaces == journal.Tried {
			first.Class = llm.ClassTimeout
		}
		store(t, b.j, first)
		then := b.trialOf("llama", e, seq, "good as well")
		then.ID, then.AttemptSet, then.Replaces, then.StoredAt = first.ID+"-1", 1, replaces, e.At.Add(after)
		store(t, b.j, then)
	}
	again("failed", journal.Tried, 10*time.Millisecond)
	again("unpaid", journal.OverBudget, 10*time.Millisecond)
	again("unpaid-late", journal.OverBudget, time.Second)
	last, seq := b.exchange("c-last", "last", "good")
	b.trial(last, seq, "llama", "x")
	b.start(b.j, "one")
	b.judgements(3)
	b.quietFor(500 * time.Millisecond)
	got := b.stored()
	if len(got) != 3 || got["llama-failed"] == nil || got["llama-unpaid-1"] == nil || got["llama-last"] == nil {
		t.Errorf("judged: %v", keys(got))
	}
	if v := got["llama-failed"]; v != nil && (v.Trial != nil || v.Replaces != "") {
		t.Errorf("the failed trial is judged as %+v", v)
	}
	if v := got["llama-unpaid-1"]; v != nil && v.Replaces != journal.OverBudget {
		t.Errorf("replaces %q", v.Replaces)
	}
}

// The checks look at every trial, each verdict says which set it is of, and no verdict
// stands in another's place.
func TestVerdictsOfAttemptSets(t *testing.T) {
	j := openJournal(t)
	ex, tr := pairRecords()
	seq, err := j.PublishExchanges(t.Context(), ex.Submodule, []*journal.Exchange{ex})
	if err != nil {
		t.Fatal(err)
	}
	first, then := *tr, *tr
	first.ID, first.ExchangeSeq, first.Class, first.Text, first.ToolCalls = "zero", seq, llm.ClassTimeout, "", nil
	then.ID, then.ExchangeSeq, then.AttemptSet, then.Replaces, then.StoredAt = "one", seq, 1, journal.Tried, time.Now().UTC().Round(0)
	store(t, j, &then) // in this order: the later one's verdict is there first
	run(t, j, quiet())
	verdicts(t, j, 1)
	store(t, j, &first)
	got := verdicts(t, j, 2)
	if v := got["zero"]; !v.Trial.Error || v.AttemptSet != 0 || v.Replaces != "" || !v.TriedAt.IsZero() {
		t.Errorf("set 0: %+v", v)
	}
	if v := got["one"]; v.Trial.Error || v.AttemptSet != 1 || v.Replaces != journal.Tried || !v.TriedAt.Equal(then.StoredAt) {
		t.Errorf("set 1: %+v", v)
	}
}
