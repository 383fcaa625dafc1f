package canary

import (
	"fmt"
	"math"
	"testing"
	"time"

	"understudy/internal/journal"
)

// A pair without a verdict at the deadline is missing in every gate, whatever the
// gate reads.
func TestLostPairIsMissingInEveryGate(t *testing.T) {
	s := sixGates()
	a := NewAnalyzer(DefaultConfig(), s)
	a.SetCurrent()
	a.Exchange(&journal.Exchange{ID: "e", At: day, Source: journal.SourceCapture, Submodule: s[0].Name, Conversation: "c"})
	for _, f := range a.Look(day.Add(24 * time.Hour)).Cells[0].Gates {
		if f.Missing != 1 || f.Status != NoData {
			t.Errorf("%s: %d missing, %s", f.Name, f.Missing, f.Status)
		}
	}
}

// An exchange is stored when its answer has ended; one that began inside the
// window and is read shortly after it still belongs to the conversation.
func TestExchangeThatEndsAfterTheWindow(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	a.SetCurrent()
	x, _, v := records(steady(2, func(i int, o *Observation) { o.Conversation, o.At = "c", day.Add(time.Duration(i)*29*time.Minute) }))
	a.Exchange(x[0])
	a.Verdict(v[0])
	a.Look(day.Add(30*time.Minute + 5*time.Second))
	a.Exchange(x[1])
	a.Verdict(v[1])
	if c := a.Look(day.Add(time.Hour)).Cells[0]; c.Pairs != 2 || c.LeftOut != 0 {
		t.Errorf("%d pairs, %d left out, want both in", c.Pairs, c.LeftOut)
	}
}

func TestRedeliveredVerdictIsCounted(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	a.SetCurrent()
	_, _, v := records(steady(1, nil))
	a.Verdict(v[0])
	a.Verdict(v[0])
	a.Look(day.Add(time.Hour))
	a.Verdict(v[0])
	s := a.Snapshot(day.Add(time.Hour))
	if s.Look.Duplicates != 2 || s.Figures[0].Compared != 1 {
		t.Errorf("%d duplicates, %d compared, want 2 and 1", s.Look.Duplicates, s.Figures[0].Compared)
	}
}

// A decision is due when verdict or codes change, not when numbers do.
func TestNewNumbersAreNoNewDecision(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), oneGate())
	a.SetCurrent()
	list := steady(500, nil)
	for half := range 2 {
		for _, feed := range feeds(a, list[250*half:250*half+250]) {
			for _, f := range feed {
				f()
			}
		}
		d, err := a.Decide(day.Add(1000 * time.Hour))
		if err != nil || len(d) != 1-half {
			t.Errorf("half %d: %d decisions, %v", half, len(d), err)
		}
	}
}

// Rejection needs one gate only, so each gate has a part of alpha.
func TestRejectionSharesAlphaOverGates(t *testing.T) {
	status := func(gates int) (string, float64) {
		cell := newCell("s", "c", &Submodule{Criteria: Criteria{Gates: []Gate{{"error_rate", 0.01}, {"check.json", 0.9}, {"check.schema", 0.9}, {"check.refusal", 0.9}}[:gates]}})
		for i := range 7 {
			o := Observation{At: day, ExchangeID: fmt.Sprint(i), Trial: journal.Side{Error: true}}
			if err := cell.fold(newCluster([]Observation{o}, time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		cfg := DefaultConfig()
		f := cell.findings(&cfg)[0]
		return f.Status, float64(f.LogViolated)
	}
	one, e := status(1)
	four, _ := status(4)
	if e < math.Log(20) || e > math.Log(80) {
		t.Fatalf("the case does not tell: log evidence %v", e)
	}
	if one != Violated || four == Violated {
		t.Errorf("alone %s, one of four %s; want violated and not", one, four)
	}
}

// The drift detector is fed the worst case of what is missing, as the promotion is.
func TestDriftSeesTheWorstCase(t *testing.T) {
	for _, g := range []Gate{{"latency_mean_ms", 500}, {"check.json", 0.05}} {
		cell := newCell("s", "c", &Submodule{Criteria: Criteria{Gates: []Gate{g}}})
		for i := range 60 {
			o := Observation{At: day, ExchangeID: fmt.Sprint(i), lost: true}
			if err := cell.fold(newCluster([]Observation{o}, time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		cfg := DefaultConfig()
		if f := cell.findings(&cfg)[0]; !f.guards.recent {
			t.Errorf("%s: sixty missing values did not raise the drift guard", g.Name)
		}
	}
}

// A configured candidate counts among the competitors also before it has a cell,
// as those of "*" have none without traffic.
func TestFamilyCountsConfiguredCandidates(t *testing.T) {
	for n, want := range map[int]string{1: Promote, 5: Collecting} {
		s := Submodules{{Name: Any, Baseline: "live", Candidates: []string{"cand", "v", "w", "x", "y"}[:n], Criteria: Criteria{Gates: []Gate{{"error_rate", 0.02}}}}}
		looks, err := Analyze(DefaultConfig(), s, steady(230, nil), 0)
		if err != nil {
			t.Fatal(err)
		}
		if c := looks[0].Cells[0]; c.Verdict != want {
			t.Errorf("one of %d: got %s %v, want %s", n, c.Verdict, c.Reasons, want)
		}
	}
}

// A look comes before the next conversation enters, so all candidates of the last
// one are in it.
func TestLooksHoldAllCandidatesOfAConversation(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand", "other"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.05}}}}}
	looks, err := Analyze(DefaultConfig(), s, append(steady(10, nil), steady(10, func(_ int, o *Observation) { o.Candidate = "other" })...), 5)
	if err != nil {
		t.Fatal(err)
	}
	if c := looks[0].Cells; len(looks) != 2 || c[0].Clusters != 5 || c[1].Clusters != 5 {
		t.Errorf("%d looks, the first with %d and %d conversations; want 2 looks, 5 and 5", len(looks), c[0].Clusters, c[1].Clusters)
	}
}

// A cell's memory does not grow with its days.
func TestDaysAreForgotten(t *testing.T) {
	m, _ := measureOf(Gate{"error_rate", 0.05})
	e := newMeanGate(Gate{"error_rate", 0.05}, m)
	for _, o := range steady(3000, nil) { // a month
		if err := e.fold(newCluster([]Observation{o}, time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.byDay) != days {
		t.Errorf("%d days are kept, want %d", len(e.byDay), days)
	}
}
