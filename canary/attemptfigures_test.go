package canary

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/internal/journal"
	"understudy/llm"
)

func tried(i int, conversation string, change func(*journal.Trial)) *journal.Trial {
	t := &journal.Trial{ExchangeID: fmt.Sprint("e", i), Conversation: conversation, At: day, Source: journal.SourceCapture, Submodule: "a/b", Candidate: "cand",
		Disposition: journal.Tried, Class: llm.ClassOK, Attempts: []journal.Attempt{{Class: llm.ClassOK, LatencyMS: 100}}, LagMS: 40}
	if change != nil {
		change(t)
	}
	return t
}

// Trials' calls and where they left the recorded path are shown beside the evidence.
func TestAttemptFigures(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), judgedSubmodule())
	list := []*journal.Trial{
		tried(0, "c0", nil),
		tried(1, "c0", func(t *journal.Trial) { // called again after a failure
			t.Attempts = []journal.Attempt{{Class: llm.ClassOverloaded, Status: 503}, {Class: llm.ClassOK, LatencyMS: 900}}
		}),
		tried(2, "c1", func(t *journal.Trial) { // our own limit was in the way: no retry
			t.Attempts = []journal.Attempt{{Class: llm.ClassOK, LatencyMS: 10, Code: journal.CodeOwnLimit}, {Class: llm.ClassOK, LatencyMS: 300}}
		}),
		tried(3, "c1", func(t *journal.Trial) { // failed for good
			t.Class = llm.ClassTimeout
			t.Attempts = slices.Repeat([]journal.Attempt{{Class: llm.ClassTimeout, LatencyMS: 60_000}}, 3)
		}),
		tried(4, "c2", func(t *journal.Trial) { t.ToolCalls = []llm.ToolCall{{Name: "f"}} }),
		tried(5, "c2", func(t *journal.Trial) {
			t.ToolCalls, t.Divergence = []llm.ToolCall{{Name: "g"}}, journal.DivergedTools
		}),
		tried(6, "c2", func(t *journal.Trial) { t.Divergence = journal.DivergedNoCall }),
		tried(7, "", func(t *journal.Trial) { // live failed: its calls are no path
			t.ToolCalls, t.Live.Error = []llm.ToolCall{{Name: "f"}}, true
		}),
		tried(8, "c9", func(t *journal.Trial) { t.Disposition, t.Divergence = journal.OverBudget, journal.DivergedCall }),
		tried(9, "c9", func(t *journal.Trial) {
			t.Role, t.Candidate, t.Divergence = journal.RoleControl, "live", journal.DivergedCall
		}),
	}
	for range 2 { // redelivery counts once
		for _, tr := range list {
			a.Trial(tr)
		}
	}
	f := a.Snapshot(day).Figures[0]
	if diff := cmp.Diff(AttemptFigures{Trials: 8, RetriedShare: 0.25, FirstLatencyMS: (5*100 + 300) / 6.0, FirstAnswered: 6}, f.Attempts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(DivergenceFigures{Turns: 3, Share: 2.0 / 3, Conversations: 4, ConversationShare: 0.25}, f.Divergence); diff != "" {
		t.Error(diff)
	}
	if f.Lag.Count != 8 || f.Lag.P50 < 40 || f.Lag.P50 > 41 {
		t.Errorf("lag %+v", f.Lag)
	}
	none := NewAnalyzer(DefaultConfig(), judgedSubmodule()).Snapshot(day).Figures[0]
	if none.Attempts.RetriedShare.Known() || none.Divergence.Share.Known() || none.Lag.P99.Known() {
		t.Errorf("without a trial: %+v", none)
	}
}

// A quantile of lags is at most 2 % above the true one, from milliseconds to days.
func TestLags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l lags
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
			return math.Exp(rapid.Float64Range(0, math.Log(7*24*3600*1000)).Draw(t, "log ms"))
		}), 1, 50).Draw(t, "lags")
		for _, ms := range list {
			l.add(ms)
		}
		slices.Sort(list)
		for _, p := range []float64{0.5, 0.99} {
			want := list[int(math.Ceil(p*float64(len(list))-1e-9))-1]
			if got := float64(l.quantile(p)); got < want*(1-1e-9) || got > want*1.02*(1+1e-9) {
				t.Fatalf("p%v of %v: %v, want %v", 100*p, list, got, want)
			}
		}
	})
}
