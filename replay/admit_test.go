package replay

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/internal/journal"
	"understudy/llm"
)

// usual is traffic of which everything is known.
type usual struct {
	due  float64
	rest map[string]float64       // by sub-module
	usd  map[journal.Cell]float64 // an exchange
}

func (u *usual) Due(time.Time) (float64, bool)              { return u.due, u.due >= 0 }
func (u *usual) Rest(submodule string, _ time.Time) float64 { return u.rest[submodule] }
func (u *usual) MeanUSD(c journal.Cell) (float64, bool)     { return u.PerExchangeUSD(c) }

func (u *usual) PerExchangeUSD(c journal.Cell) (float64, bool) {
	usd, ok := u.usd[c]
	return usd, ok
}

func cellOf(submodule, endpoint string) journal.Cell {
	return journal.Cell{Submodule: submodule, Endpoint: endpoint}
}

func TestDueShare(t *testing.T) {
	for _, c := range []struct {
		traffic Traffic
		share   float64
		known   bool
	}{{nil, 1, false}, {&usual{due: -1}, 1, false}, {&usual{}, early, true}, {&usual{due: 0.5}, 0.55, true}, {&usual{due: 0.97}, 1, true}, {&usual{due: 1}, 1, true}} {
		if share, known := DueShare(c.traffic, time.Now()); share != c.share || known != c.known {
			t.Errorf("%+v: %v, %v", c.traffic, share, known)
		}
	}
}

func TestReach(t *testing.T) {
	all := func(capUSD, charged float64) journal.Budget {
		return journal.Budget{CapUSD: capUSD, ChargedUSD: charged}
	}
	u := &usual{rest: map[string]float64{"a": 100, "b": 300}, usd: map[journal.Cell]float64{cellOf("a", "x"): 0.1, cellOf("b", "x"): 0.1, cellOf("a", "y"): 0.2}}
	cells := []journal.Cell{cellOf("a", "x"), cellOf("b", "x"), cellOf("a", "y"), cellOf("c", "x")} // of c nothing is known
	for name, c := range map[string]struct {
		budgets []journal.Budget
		want    map[journal.Cell]float64
	}{
		"enough":                {[]journal.Budget{all(60, 0)}, map[journal.Cell]float64{cellOf("a", "x"): 1, cellOf("b", "x"): 1, cellOf("a", "y"): 1}},
		"half of what it costs": {[]journal.Budget{all(40, 10)}, map[journal.Cell]float64{cellOf("a", "x"): 0.5, cellOf("b", "x"): 0.5, cellOf("a", "y"): 0.5}},
		"spent":                 {[]journal.Budget{all(40, 41)}, map[journal.Cell]float64{cellOf("a", "x"): 0, cellOf("b", "x"): 0, cellOf("a", "y"): 0}},
		"an endpoint's own":     {[]journal.Budget{all(60, 0), {Endpoint: "x", CapUSD: 10}}, map[journal.Cell]float64{cellOf("a", "x"): 0.25, cellOf("b", "x"): 0.25, cellOf("a", "y"): 1}},
		"a sub-module's own":    {[]journal.Budget{all(30, 0), {Submodule: "a", CapUSD: 6}}, map[journal.Cell]float64{cellOf("a", "x"): 0.2, cellOf("b", "x"): 0.5, cellOf("a", "y"): 0.2}},
	} {
		got := Reach(u, cells, c.budgets, time.Now())
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := Reach(&usual{due: -1}, cells, []journal.Budget{all(1, 1)}, time.Now()); got != nil {
		t.Errorf("where no usual traffic is known: %v", got)
	}
}

// Whatever the budgets are, what is drawn costs no more than what is left of each, and
// more money never draws less.
func TestReachKeepsEveryBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := &usual{rest: map[string]float64{}, usd: map[journal.Cell]float64{}}
		var cells []journal.Cell
		for _, s := range []string{"a", "b", "c"} {
			u.rest[s] = rapid.Float64Range(0, 1e5).Draw(t, "rest")
			for _, e := range []string{"x", "y"} {
				cells = append(cells, cellOf(s, e))
				u.usd[cellOf(s, e)] = rapid.Float64Range(0, 1).Draw(t, "usd")
			}
		}
		budgets := []journal.Budget{{}, {Endpoint: "x"}, {Submodule: "b"}}
		for i := range budgets {
			budgets[i].CapUSD = rapid.Float64Range(0, 1e4).Draw(t, "cap")
			budgets[i].ChargedUSD = rapid.Float64Range(0, 1e4).Draw(t, "charged")
		}
		got := Reach(u, cells, budgets, time.Now())
		for i := range budgets {
			cost := 0.0
			for c, share := range got {
				if share < 0 || share > 1 {
					t.Fatalf("%v: %v", c, share)
				}
				if budgets[i].Pays(c) {
					cost += share * u.usd[c] * u.rest[c.Submodule]
				}
			}
			if cost > budgets[i].LeftUSD()*(1+1e-9) {
				t.Fatalf("%+v: what is drawn costs %v", budgets[i], cost)
			}
		}
		budgets[0].CapUSD *= 2
		for c, share := range Reach(u, cells, budgets, time.Now()) {
			if share < got[c] {
				t.Fatalf("%v: with more money %v instead of %v", c, share, got[c])
			}
		}
	})
}

// sized answers at a price that grows with the request.
func sized(b *bench) {
	b.client.output = 100
	b.client.answer = func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		resp, err := fine(ctx, n, call)
		resp.Usage = &llm.Usage{InputTokens: len(call.Body) / 10, OutputTokens: 5}
		return resp, err
	}
}

// conversations publishes two turns of each of n conversations; every third has long
// texts.
func conversations(t *testing.T, j *journal.Journal, n int) (list []*journal.Exchange) {
	return publish(t, j, 2*n, func(i int, e *journal.Exchange) {
		e.Conversation = fmt.Sprint("c", i/2)
		if i/2%3 == 0 {
			e.Request = []byte(fmt.Sprintf(`{"model":"gpt","messages":[{"role":"user","content":%q}]}`, strings.Repeat("long ", 150)))
		}
	})
}

// asked runs hosts over a store until every exchange has its disposition, and gives the
// conversations that were asked.
func asked(t *testing.T, u *usual, hosts []string, dailyUSD float64, n int) (drawn map[string]bool, spent float64) {
	b := newBench(t, &scripted{})
	sized(b)
	b.cfg.DailyUSD = dailyUSD
	var stages []*Replay
	for _, host := range hosts {
		r, _ := b.run(host, func(r *Replay) { r.Spread(u, []string{"a/b"}) }, b.as(journal.RoleCandidate, "a/b"))
		eventually(t, host+" has its ledger", func() bool { return r.lanes[0].money.ledger.Load() != nil })
		if share := r.lanes[0].reach("a/b", time.Now()); share != dailyUSD/15 { // and it stands for a quarter of a minute
			t.Fatalf("%s reaches for %v of the conversations", host, share)
		}
		stages = append(stages, r)
	}
	list := conversations(t, b.j, n)
	drawn = map[string]bool{}
	turns := map[string]int{}
	for _, tr := range b.trials(len(list)) {
		switch {
		case tr.Disposition == journal.Tried:
			drawn[tr.Conversation] = true
			turns[tr.Conversation]++
		case tr.Disposition != journal.OverBudget || tr.ReasonCode != codeShare:
			t.Errorf("%s of conversation %s: %s", tr.Disposition, tr.Conversation, tr.Reason)
		}
	}
	for c, n := range turns {
		if n != 2 {
			t.Errorf("conversation %s was asked in part", c)
		}
	}
	for _, r := range stages {
		spent += r.SpentToday()
	}
	return drawn, spent
}

// Where the money does not reach for all, whole conversations are drawn by their names:
// the same at every host, whatever they cost, within the budget.
func TestAdmissionDrawsConversations(t *testing.T) {
	const n = 150
	// 300 exchanges are to come, and would cost $15.
	u := &usual{due: 1, rest: map[string]float64{"a/b": 2 * n}, usd: map[journal.Cell]float64{cellOf("a/b", "llama-3.3"): 0.05}}
	const dailyUSD, share = 7.5, 0.5
	want := map[string]bool{}
	for i := range n {
		if c := fmt.Sprint("c", i); journal.Share("budget", "a/b\x00"+c) < share {
			want[c] = true
		}
	}
	one, spentOne := asked(t, u, []string{"one"}, dailyUSD, n)
	two, spentTwo := asked(t, u, []string{"first", "second"}, dailyUSD, n)
	for _, got := range []map[string]bool{one, two} {
		if !maps.Equal(got, want) {
			t.Errorf("drawn are %d conversations, want the %d whose hash is below the share", len(got), len(want))
		}
	}
	long := 0
	for c := range want {
		var i int
		fmt.Sscanf(c, "c%d", &i)
		if i%3 == 0 {
			long++
		}
	}
	if part := float64(long) / float64(len(want)); part < 0.2 || part > 0.5 {
		t.Errorf("%v of those drawn are long, of all a third are", part)
	}
	for _, spent := range []float64{spentOne, spentTwo} {
		if spent > dailyUSD || spent == 0 {
			t.Errorf("spent $%v of $%v", spent, dailyUSD)
		}
	}
}

// Before anything is due the endpoint waits and says why; nothing is refused for good.
func TestBudgetIsNotDueYet(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.cfg.DailyUSD = 1 // a call sets $0.2 aside, and $0.05 is due
	publish(t, b.j, 4, nil)
	u := &usual{due: 0, rest: map[string]float64{}, usd: map[journal.Cell]float64{}}
	r, _ := b.run("one", func(r *Replay) { r.Spread(u, []string{"a/b"}) }, b.as(journal.RoleCandidate, "a/b"))
	eventually(t, "the endpoint waits", func() bool { return r.Status()["llama-3.3"].PausedFor == reasonSpread })
	if n := b.client.calls.Load(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
	stored := 0
	if err := b.j.Read(t.Context(), journal.StreamTrials, nil, func(*journal.Message) error { stored++; return nil }); err != nil || stored > 0 {
		t.Errorf("%d exchanges were given up, %v", stored, err)
	}
}

// Where no usual traffic is known all of the money is there from the day's beginning,
// and nothing is left out.
func TestBudgetWithoutUsualTraffic(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.cfg.DailyUSD = 1
	list := publish(t, b.j, 8, nil)
	b.run("one", func(r *Replay) { r.Spread(&usual{due: -1}, []string{"a/b"}) }, b.as(journal.RoleCandidate, "a/b"))
	for _, tr := range b.trials(len(list)) {
		if tr.Disposition != journal.Tried {
			t.Errorf("%s: %s", tr.Disposition, tr.Reason)
		}
	}
}
