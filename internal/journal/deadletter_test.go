package journal

import (
	"fmt"
	"slices"
	"testing"
)

// A dead letter is listed until a later attempt set stands in its place, of candidates
// and controls, of our own exchanges and of others'.
func TestDeadLettersAreThoseThatStand(t *testing.T) {
	j := openTest(t, testConfig(t))
	list := func() (ids []string) {
		if err := j.DeadLetters(t.Context(), func(tr *Trial) error {
			ids = append(ids, fmt.Sprint(tr.ExchangeID, " ", tr.Candidate, " ", tr.AttemptSet))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if got := list(); len(got) != 0 {
		t.Errorf("an empty stream has %v", got)
	}
	store := func(exchange, candidate, source string, set int, d Disposition) {
		e := Exchange{ID: exchange, Source: source}
		tr := &Trial{ID: TrialID(e.Key(7), candidate, "m", "", set), ExchangeID: exchange, ExchangeSeq: 7, Source: source, Submodule: "a/b", Candidate: candidate, Model: "m",
			AttemptSet: set, Disposition: d, Reason: "why"}
		if stored, err := j.StoreTrial(t.Context(), tr); err != nil || !stored {
			t.Fatal(stored, err)
		}
	}
	store("e1", "llama", SourceCapture, 0, DeadLetter)
	store("e1", "claude", SourceCapture, 0, Tried)
	store("e2", "llama", SourceCapture, 0, DeadLetter)
	store("e3", "llama", "import", 0, DeadLetter)
	store("e4", "llama", SourceCapture, 0, OverBudget)
	store("e2", "llama", SourceCapture, 1, Tried)
	if got, want := list(), []string{"e1 llama 0", "e3 llama 0"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	store("e1", "llama", SourceCapture, 1, DeadLetter)
	store("e3", "llama", "import", 1, Tried)
	if got, want := list(), []string{"e1 llama 1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
