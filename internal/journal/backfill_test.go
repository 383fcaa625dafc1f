package journal

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/llm"
)

// storedTimes publishes n messages and gives when the broker stored each, by sequence - 1.
func storedTimes(t *testing.T, j *Journal, n int) (at []time.Time) {
	t.Helper()
	for i := range n {
		if _, err := j.PublishExchanges(t.Context(), "a/b", []*Exchange{exchange("a/b", i)}); err != nil {
			t.Fatal(err)
		}
	}
	err := j.Read(t.Context(), StreamExchanges, nil, func(m *Message) error { at = append(at, m.At); return nil })
	if err != nil || len(at) != n {
		t.Fatal(len(at), err)
	}
	return at
}

func TestExchangeSpan(t *testing.T) {
	j := openTest(t, testConfig(t))
	if first, last, err := j.ExchangeSpan(t.Context(), time.Time{}, time.Time{}); last >= first || err != nil {
		t.Errorf("of an empty store: %d to %d, %v", first, last, err)
	}
	at := storedTimes(t, j, 5)
	const tick = time.Nanosecond
	var none time.Time
	for name, c := range map[string]struct {
		since, until time.Time
		first, last  uint64
	}{
		"all":                 {none, none, 1, 5},
		"since is in":         {at[1], none, 2, 5},
		"just behind since":   {at[1].Add(tick), none, 3, 5},
		"until is out":        {none, at[3], 1, 3},
		"just before until":   {none, at[3].Add(tick), 1, 4},
		"one":                 {at[2], at[2].Add(tick), 3, 3},
		"none in between":     {at[2], at[2], 3, 2},
		"before all":          {none, at[0], 1, 0},
		"behind all":          {at[4].Add(time.Hour), none, 6, 5},
		"until in the future": {at[0].Add(-time.Hour), at[4].Add(time.Hour), 1, 5},
	} {
		first, last, err := j.ExchangeSpan(t.Context(), c.since, c.until)
		if err != nil || first != c.first || last != c.last {
			t.Errorf("%s: %d to %d, want %d to %d (%v)", name, first, last, c.first, c.last, err)
		}
		var seen, want []uint64
		for seq := c.first; seq <= c.last; seq++ {
			want = append(want, seq)
		}
		if err := j.ReadSpan(t.Context(), []string{"a/b"}, first, last, func(m *Message) error { seen = append(seen, m.Seq); return nil }); err != nil || !slices.Equal(seen, want) {
			t.Errorf("%s: read %v, want %v (%v)", name, seen, want, err)
		}
	}
}

func TestOldBackfillsAreForgotten(t *testing.T) {
	j := openTest(t, testConfig(t))
	var ids []string
	for i := range 3 * backfillsKept {
		b := &Backfill{ID: NewID(time.Now()), Candidate: "c", State: BackfillDone}
		if i%backfillsKept == 0 {
			b.State = BackfillPaused
		}
		if err := j.PutBackfill(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
		if err := j.PruneBackfills(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := j.Backfills(t.Context())
	if err != nil || len(list) != backfillsKept+3 {
		t.Fatalf("%d are remembered, %v", len(list), err)
	}
	if list[0].ID != ids[0] || list[len(list)-1].ID != ids[len(ids)-1] {
		t.Error("a paused one is forgotten, or the newest")
	}
	if _, err := j.Backfill(t.Context(), ids[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("the oldest: %v", err)
	}
	kv, err := j.js.KeyValue(t.Context(), BucketBackfills)
	if err != nil {
		t.Fatal(err)
	}
	st, err := kv.Status(t.Context())
	if err != nil || st.Values() != uint64(len(list)) {
		t.Errorf("the bucket holds %d messages for %d backfills, %v: it fills up", st.Values(), len(list), err)
	}
}

func TestBackfillsAreChangedByOneAtATime(t *testing.T) {
	j := openTest(t, testConfig(t))
	b := &Backfill{ID: NewID(time.Now()), Candidate: "c", State: BackfillRunning}
	if err := j.PutBackfill(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	one, _ := j.Backfill(t.Context(), b.ID)
	two, _ := j.Backfill(t.Context(), b.ID)
	one.State, two.State = BackfillPaused, BackfillDone
	if err := j.PutBackfill(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if err := j.PutBackfill(t.Context(), two); !errors.Is(err, ErrContested) {
		t.Errorf("the slower one: %v", err)
	}
	if err := j.PutBackfill(t.Context(), &Backfill{ID: b.ID}); !errors.Is(err, ErrContested) {
		t.Errorf("the same id again: %v", err)
	}
	if _, err := j.Backfill(t.Context(), "no such id/"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an id that is none: %v", err)
	}
}

func TestBackfillOverlaps(t *testing.T) {
	a := &Backfill{Candidate: "c", Submodules: []string{"a", "b"}, First: 10, Last: 20}
	for name, c := range map[string]struct {
		b    Backfill
		want bool
	}{
		"the same":          {*a, true},
		"another candidate": {Backfill{Candidate: "d", First: 10, Last: 20}, false},
		"all sub-modules":   {Backfill{Candidate: "c", First: 20, Last: 30}, true},
		"others":            {Backfill{Candidate: "c", Submodules: []string{"c"}, First: 10, Last: 20}, false},
		"before":            {Backfill{Candidate: "c", First: 1, Last: 9}, false},
		"behind":            {Backfill{Candidate: "c", First: 21, Last: 99}, false},
	} {
		if a.Overlaps(&c.b) != c.want || c.b.Overlaps(a) != c.want {
			t.Errorf("%s: not %v", name, c.want)
		}
	}
}

// Each exchange is in one bucket, as its attempt sets say, and a backfill is counted by
// its own trials.
func TestAccountsOfAttemptSets(t *testing.T) {
	j := openTest(t, testConfig(t))
	store := func(seq uint64, set int, d, replaces Disposition, class llm.Class, backfill string) {
		t.Helper()
		if stored, err := j.StoreTrial(t.Context(), &Trial{ID: fmt.Sprint(seq, "-", set), ExchangeSeq: seq, Submodule: "a/b", Candidate: "c", Source: SourceCapture,
			AttemptSet: set, Disposition: d, Replaces: replaces, Class: class, Backfill: backfill, BookedUSD: 0.5}); err != nil || !stored {
			t.Fatal(stored, err)
		}
	}
	storedTimes(t, j, 6)
	store(1, 0, OverBudget, "", "", "")
	store(1, 1, Tried, OverBudget, llm.ClassOK, "x")
	store(2, 0, Tried, "", llm.ClassTimeout, "")
	store(2, 1, OverBudget, Tried, "", "x") // no money to try the failure again
	store(2, 2, Tried, Tried, llm.ClassOK, "y")
	store(3, 0, DeadLetter, "", "", "")
	store(3, 1, OverBudget, DeadLetter, "", "x")
	store(3, 2, NotComparable, OverBudget, "", "x")
	store(4, 0, OverBudget, "", "", "")
	store(5, 0, Tried, "", llm.ClassOK, "x")
	a := NewAccounts(j, func(string) []string { return []string{"c"} })
	go a.Run(t.Context())
	for deadline := time.Now().Add(10 * time.Second); ; {
		if ok, err := a.CaughtUp(t.Context()); ok && err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the accounts are not read")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if d := cmp.Diff(Buckets{Trial: 3, NotComparable: 1, OverBudget: 1, Pending: 1}, a.Candidates()["c"]); d != "" {
		t.Error(d)
	}
	x := a.Backfill("x")
	if d := cmp.Diff(BackfillCount{Answers: 2, Failures: map[llm.Class]int{}, NotComparable: 1, OverBudget: 2, SpentUSD: 1}, x); d != "" || x.Done() != 5 {
		t.Error(d, x.Done())
	}
	if y := a.Backfill("y"); y.Answers != 1 || y.Done() != 1 {
		t.Errorf("%+v", y)
	}
	if z := a.Backfill("z"); z.Done() != 0 {
		t.Errorf("%+v", z)
	}
}

func TestBudgetLeft(t *testing.T) {
	j := openTest(t, testConfig(t))
	caps := Caps{DailyUSD: 10, Endpoints: map[string]float64{"e": 4}, Submodules: map[string]float64{"a/b": 3}}
	look := func() Left {
		t.Helper()
		_, left, err := j.BudgetLeft(t.Context(), AccountReplay, caps)
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	if d := cmp.Diff(Left{All: 10, Endpoints: map[string]float64{"e": 4}, Submodules: map[string]float64{"a/b": 3}}, look()); d != "" {
		t.Error(d)
	}
	l, err := NewLedger(t.Context(), j, AccountReplay, "one", caps)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Reserve(t.Context(), Spend{Endpoint: "e", Submodule: "a/b", Record: "r"}, 2.5)
	if err != nil {
		t.Fatal(err)
	}
	r.Settle(2)
	if left := look(); left.All > 8 || left.Endpoints["e"] > 2 || left.Submodules["a/b"] > 1 {
		t.Errorf("after 2 are spent: %+v", left)
	}
	if _, err := l.Reserve(t.Context(), Spend{Endpoint: "e", Submodule: "a/b", Record: "r"}, 1.5); !errors.Is(err, ErrOverBudget) {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := look(); left.Submodules["a/b"] != 0 || left.All != 8 {
		t.Errorf("after the sub-module's day is over: %+v", left)
	}
	caps.Submodules["a/b"] = 30
	if left := look(); left.Submodules["a/b"] != 28 {
		t.Errorf("after it was raised: %+v", left)
	}
}
