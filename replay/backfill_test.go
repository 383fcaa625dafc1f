package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"understudy/internal/journal"
	"understudy/llm"
)

// order stores a backfill of everything in the store, as change alters it.
func (b *bench) order(change func(*journal.Backfill)) *journal.Backfill {
	b.t.Helper()
	first, last, err := b.j.ExchangeSpan(b.t.Context(), time.Time{}, time.Time{})
	if err != nil {
		b.t.Fatal(err)
	}
	job := &journal.Backfill{ID: journal.NewID(time.Now()), Candidate: b.ep.Name, Submodules: []string{"a/b"}, First: first, Last: last, Sample: 1,
		State: journal.BackfillRunning, Created: time.Now()}
	if change != nil {
		change(job)
	}
	if err := b.j.PutBackfill(b.t.Context(), job); err != nil {
		b.t.Fatal(err)
	}
	return job
}

// turn brings a backfill into a state.
func (b *bench) turn(id string, state journal.BackfillState) {
	b.t.Helper()
	for {
		job, err := b.j.Backfill(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		job.State = state
		err = b.j.PutBackfill(b.t.Context(), job)
		if err == nil {
			return
		}
		if !errors.Is(err, journal.ErrContested) {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) until(what string, cond func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not in time: %s", what)
		}
	}
}

func (b *bench) done(id string) {
	b.t.Helper()
	b.until("the backfill is done", func() bool {
		job, err := b.j.Backfill(b.t.Context(), id)
		return err == nil && job.State == journal.BackfillDone
	})
}

// sets gives all trials by exchange, in the order of their attempt sets.
func (b *bench) sets() map[string][]*journal.Trial {
	b.t.Helper()
	all := map[string][]*journal.Trial{}
	err := b.j.Read(b.t.Context(), journal.StreamTrials, nil, func(m *journal.Message) error {
		var tr journal.Trial
		if err := m.Decode(&tr); err != nil {
			return err
		}
		if tr.AttemptSet != len(all[tr.ExchangeID]) {
			b.t.Errorf("%s: set %d comes behind %d others", tr.ExchangeID, tr.AttemptSet, len(all[tr.ExchangeID]))
		}
		all[tr.ExchangeID] = append(all[tr.ExchangeID], &tr)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// buckets are the accounts of the candidate, read anew.
func (b *bench) buckets() journal.Buckets {
	b.t.Helper()
	a := journal.NewAccounts(b.j, func(string) []string { return []string{b.ep.Name} })
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { a.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	b.until("the accounts are read", func() bool { ok, err := a.CaughtUp(ctx); return ok && err == nil })
	return a.Candidates()[b.ep.Name]
}

// failing fails every call until it is healed.
type failing struct {
	mu     sync.Mutex
	healed bool
}

func (f *failing) heal() { f.mu.Lock(); f.healed = true; f.mu.Unlock() }

func (f *failing) answer(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.healed {
		return fine(ctx, n, call)
	}
	return fault(llm.ClassInvalid, 400)(ctx, n, call)
}

// Failed trials are tried again once for each order, however often their messages are
// given out; whoever failed stays counted as tried.
func TestBackfillTriesFailuresAgainOnce(t *testing.T) {
	f := &failing{}
	b := newBench(t, &scripted{answer: f.answer})
	all := publish(t, b.j, 20, nil)
	_, stop := b.start("one")
	b.trials(len(all))
	without := b.order(nil) // failures are not its business
	b.done(without.ID)
	job := b.order(func(job *journal.Backfill) { job.Failed = true })
	b.done(job.ID)
	for range 2 { // the broker has forgotten how far it was
		b.until("the durable is forgotten", func() bool { begun, _, err := b.j.BackfillLeft(t.Context(), job); return err == nil && !begun })
		b.turn(job.ID, journal.BackfillRunning)
		b.done(job.ID)
	}
	f.heal()
	second := b.order(func(job *journal.Backfill) { job.Failed = true })
	b.done(second.ID)
	stop()
	if n := b.client.calls.Load(); n != 60 {
		t.Errorf("%d calls, want 20 for each of three sets", n)
	}
	for id, sets := range b.sets() {
		var got []string
		for _, tr := range sets {
			got = append(got, fmt.Sprint(tr.Disposition, " ", tr.Class, " ", tr.Replaces, " ", tr.Backfill))
		}
		want := []string{"trial invalid  ", "trial invalid trial " + job.ID, "trial ok trial " + second.ID}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	if got := b.buckets(); got != (journal.Buckets{Trial: 20}) {
		t.Errorf("accounts %+v", got)
	}
}

// A failure that could not be tried again for want of money is still a failed trial.
func TestBackfillWithoutMoneyTakesNoTrialAway(t *testing.T) {
	f := &failing{}
	b := newBench(t, &scripted{answer: f.answer})
	all := publish(t, b.j, 8, nil)
	_, stop := b.start("one")
	b.trials(len(all))
	stop()
	daily := b.cfg.DailyUSD
	b.cfg.DailyUSD = 0
	_, stop = b.start("two")
	b.done(b.order(func(job *journal.Backfill) { job.Failed = true }).ID)
	stop()
	if got := b.buckets(); got != (journal.Buckets{Trial: 8}) {
		t.Errorf("accounts %+v", got)
	}
	b.cfg.DailyUSD = daily + 1 // raised: the day is not over any more
	f.heal()
	b.start("three")
	b.done(b.order(func(job *journal.Backfill) { job.Failed = true }).ID)
	for id, sets := range b.sets() {
		if len(sets) != 3 || sets[1].Disposition != journal.OverBudget || sets[2].Class != llm.ClassOK || sets[2].Replaces != journal.Tried {
			t.Errorf("%s: %+v", id, sets)
		}
	}
	if got := b.buckets(); got != (journal.Buckets{Trial: 8}) {
		t.Errorf("accounts %+v", got)
	}
}

// held holds every call until it is let go.
type held struct{ gate chan struct{} }

func (h *held) answer(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
	select {
	case <-h.gate:
		return fine(ctx, n, call)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unpaid makes n exchanges that are over budget.
func (b *bench) unpaid(n int, change func(int, *journal.Exchange)) []*journal.Exchange {
	b.t.Helper()
	all := publish(b.t, b.j, n, change)
	daily := b.cfg.DailyUSD
	b.cfg.DailyUSD = 0
	_, stop := b.start("poor")
	b.trials(n)
	stop()
	b.cfg.DailyUSD = daily
	return all
}

// Pausing ends no call and begins none, on no host; resuming goes on; each exchange is
// tried once.
func TestBackfillPausesAndGoesOn(t *testing.T) {
	h := &held{gate: make(chan struct{})}
	b := newBench(t, &scripted{answer: h.answer})
	b.ep.Concurrency = 2
	b.unpaid(200, nil)
	b.start("one")
	b.start("two")
	job := b.order(nil)
	b.until("calls run", func() bool { return b.client.calls.Load() == 4 })
	b.turn(job.ID, journal.BackfillPaused)
	time.Sleep(1500 * time.Millisecond) // it is promised within a second or two
	close(h.gate)
	b.until("the calls have ended", func() bool {
		n := 0
		for _, sets := range b.sets() {
			n += len(sets) - 1
		}
		return n == 4
	})
	time.Sleep(500 * time.Millisecond) // time for what must not come
	if n := b.client.calls.Load(); n != 4 {
		t.Errorf("%d calls: %d began while it was paused", n, n-4)
	}
	b.turn(job.ID, journal.BackfillRunning)
	b.done(job.ID)
	if n := b.client.calls.Load(); n != 200 {
		t.Errorf("%d calls for 200 exchanges", n)
	}
	if got := b.buckets(); got != (journal.Buckets{Trial: 200}) {
		t.Errorf("accounts %+v", got)
	}
}

// What is cancelled leaves nothing at the broker, paused before or not, and stays so.
func TestBackfillCancelled(t *testing.T) {
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprint("paused ", paused), func(t *testing.T) {
			h := &held{gate: make(chan struct{})}
			b := newBench(t, &scripted{answer: h.answer})
			b.ep.Concurrency = 2
			b.unpaid(200, nil)
			b.start("one")
			b.start("two")
			job := b.order(nil)
			b.until("calls run", func() bool { return b.client.calls.Load() == 4 })
			if paused {
				b.turn(job.ID, journal.BackfillPaused)
			}
			b.turn(job.ID, journal.BackfillCancelled)
			b.until("the durable is forgotten", func() bool { begun, _, err := b.j.BackfillLeft(t.Context(), job); return err == nil && !begun })
			close(h.gate)
			time.Sleep(1500 * time.Millisecond) // time for what must not come
			if begun, _, err := b.j.BackfillLeft(t.Context(), job); begun || err != nil {
				t.Errorf("the durable is back: %v", err)
			}
			if n := b.client.calls.Load(); n != 4 {
				t.Errorf("%d calls, 4 were under way", n)
			}
			if got := b.buckets(); got != (journal.Buckets{Trial: 4, OverBudget: 196}) {
				t.Errorf("accounts %+v", got)
			}
		})
	}
}

// A process whose configuration has not all that is ordered leaves it to others: what it
// does not try must not pass for done.
func TestBackfillOfAnotherConfiguration(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.unpaid(4, nil)
	publishAs(t, b.j, "c/d", 4, nil)
	job := b.order(func(job *journal.Backfill) { job.Submodules = []string{"a/b", "c/d"} })
	_, stop := b.start("one")           // a/b alone
	time.Sleep(1500 * time.Millisecond) // time for what must not come
	if now, err := b.j.Backfill(t.Context(), job.ID); err != nil || now.State != journal.BackfillRunning || b.client.calls.Load() > 0 {
		t.Errorf("%+v after %d calls, %v", now, b.client.calls.Load(), err)
	}
	stop()
	both := b.as(journal.RoleCandidate, "a/b")
	both.Submodules, both.Wants = []string{"a/b", "c/d"}, func(s string) bool { return s == "a/b" || s == "c/d" }
	b.run("two", nil, both)
	b.done(job.ID)
	if got := b.buckets(); got != (journal.Buckets{Trial: 8}) {
		t.Errorf("accounts %+v", got)
	}
}

// A candidate of every sub-module has a backfill of every sub-module, and none of those
// that its configuration leaves out.
func TestBackfillOfAllSubmodules(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	publish(t, b.j, 4, nil)
	publishAs(t, b.j, "c/d", 4, nil)
	publishAs(t, b.j, "e/f", 4, nil)
	all := b.as(journal.RoleCandidate, "a/b")
	all.Submodules, all.Wants = nil, func(s string) bool { return s != "e/f" }
	daily := b.cfg.DailyUSD
	b.cfg.DailyUSD = 0
	_, stop := b.run("poor", nil, all)
	b.trials(8)
	stop()
	b.cfg.DailyUSD = daily
	order := &journal.Backfill{Candidate: b.ep.Name, Sample: 1}
	r := b.planner(all)
	if err := r.Complete(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	p, err := r.Plan(t.Context(), order)
	if err != nil || p.InRange != 8 || p.ToTry != 8 || p.Submodules != nil {
		t.Errorf("plan %+v, %v", p, err)
	}
	b.run("one", nil, all)
	b.done(b.order(func(job *journal.Backfill) { job.Submodules = nil }).ID)
	if n := b.client.calls.Load(); n != 8 {
		t.Errorf("%d calls, want 8", n)
	}
}

// Only the messages in range are tried.
func TestBackfillKeepsToItsRange(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.unpaid(12, nil) // in three messages
	b.start("one")
	b.done(b.order(func(job *journal.Backfill) { job.First, job.Last = 2, 2 }).ID)
	tried := map[uint64]int{}
	for _, sets := range b.sets() {
		if len(sets) > 1 {
			tried[sets[1].ExchangeSeq]++
		}
	}
	if d := cmp.Diff(map[uint64]int{2: 4}, tried); d != "" {
		t.Error(d)
	}
}

// A feed that lags behind does not bring the durable of a cancelled backfill back.
func TestBackfillOpensOnlyWhatRuns(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.unpaid(4, nil)
	job := b.order(func(job *journal.Backfill) { job.State = journal.BackfillCancelled })
	if _, err := newBackfills(b.planner()).open(t.Context(), job, 8); err == nil {
		t.Error("opened")
	}
	if begun, _, err := b.j.BackfillLeft(t.Context(), job); begun || err != nil {
		t.Errorf("the durable is back: %v", err)
	}
}

// A sample draws whole conversations, the same ones each time, and more of them with
// a larger share.
func TestBackfillSamplesConversations(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	all := b.unpaid(60, talks(20))
	b.start("one")
	tried := func(share float64) (in map[string]int, n int) {
		job := b.order(func(job *journal.Backfill) { job.Sample = share })
		b.done(job.ID)
		in = map[string]int{}
		for _, sets := range b.sets() {
			if len(sets) > 1 {
				in[sets[0].Conversation]++
				n++
			}
		}
		return in, n
	}
	third, n := tried(0.3)
	if len(third) < 2 || len(third) > 12 {
		t.Errorf("%d of 20 conversations at a share of 0.3", len(third))
	}
	for c, n := range third {
		if n != 3 {
			t.Errorf("%d of 3 exchanges of conversation %s", n, c)
		}
	}
	if again, m := tried(0.3); m != n || !cmp.Equal(third, again) {
		t.Errorf("the same share drew %d, and then %d", n, m)
	}
	more, _ := tried(0.7)
	for c := range third {
		if more[c] != 3 {
			t.Errorf("%s is in 0.3 and not in 0.7", c)
		}
	}
	if len(more) <= len(third) || len(more) == 20 {
		t.Errorf("%d conversations at 0.7", len(more))
	}
	if _, n := tried(1); n != len(all) {
		t.Errorf("%d of %d at 1", n, len(all))
	}
}

// Two stages and the lanes of both work at the same exchanges; each is tried once.
func TestBackfillBesideTheLane(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	all := publish(t, b.j, 200, nil)
	job := b.order(nil)
	b.start("one")
	b.start("two")
	b.done(job.ID)
	b.trials(len(all))
	if n := b.client.calls.Load(); n != int64(len(all)) {
		t.Errorf("%d calls for %d exchanges", n, len(all))
	}
	if got := b.buckets(); got != (journal.Buckets{Trial: len(all)}) {
		t.Errorf("accounts %+v", got)
	}
}

// planner is a stage that does not run.
func (b *bench) planner(candidates ...Candidate) *Replay {
	if candidates == nil {
		candidates = []Candidate{b.as(journal.RoleCandidate, "a/b")}
	}
	return New(b.cfg, b.j, candidates, func(string) (llm.Rates, bool) { return llm.Rates{}, false }, "planner", quiet(), metrics.NewSet())
}

func (b *bench) plan(order *journal.Backfill) *Plan {
	b.t.Helper()
	r := b.planner()
	if err := r.Complete(b.t.Context(), order); err != nil {
		b.t.Fatal(err)
	}
	p, err := r.Plan(b.t.Context(), order)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// A plan says what then happens, and calls nobody.
func TestPlanIsWhatHappens(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	all := b.unpaid(30, func(i int, e *journal.Exchange) {
		talks(0)(i, e)
		if i%10 == 3 {
			e.Aborted = true // not comparable from the first set on
		}
	})
	all = append(all, publish(t, b.j, 40, func(i int, e *journal.Exchange) { // no lane has seen these
		talks(100)(i, e)
		switch i % 4 {
		case 1:
			e.Class = llm.ClassInvalid
		case 2:
			e.Request = []byte("{")
		}
	})...)
	p := b.plan(&journal.Backfill{Candidate: b.ep.Name, Sample: 0.6})
	if n := b.client.calls.Load(); n != 0 {
		t.Fatalf("planning made %d calls", n)
	}
	if sum := p.NotDrawn + p.Stored.Answered + p.Stored.NotComparable + p.Planned(); p.InRange != len(all) || sum != len(all) || p.NotDrawn == 0 {
		t.Errorf("%d in range of %d, parts add up to %d: %+v", p.InRange, len(all), sum, p)
	}
	if !slices.Equal(p.Submodules, []string{"a/b"}) || p.First != 1 || p.Last == 0 {
		t.Errorf("completed to %v, %d to %d", p.Submodules, p.First, p.Last)
	}
	job := b.order(func(job *journal.Backfill) {
		id := job.ID
		*job = *p.Backfill()
		job.ID, job.State = id, journal.BackfillRunning
	})
	b.start("one")
	b.done(job.ID)
	b.trials(len(all))
	happened := Plan{NotComparable: map[string]int{}}
	for _, sets := range b.sets() {
		last := sets[len(sets)-1]
		if e := (&journal.Exchange{ID: last.ExchangeID, Source: last.Source, Submodule: last.Submodule, Conversation: last.Conversation}); !job.Drawn(e, last.ExchangeSeq) {
			happened.NotDrawn++
			continue
		}
		switch {
		case last.Disposition == journal.Tried:
			happened.ToTry++
			if len(sets) > 1 {
				happened.Again.OverBudget++
			}
			happened.Cost.OneCallEachUSD += last.BookedUSD
		case last.ReasonCode == codeAborted:
			happened.Stored.NotComparable++
		case last.Disposition == journal.NotComparable:
			happened.NotComparable[last.ReasonCode]++
		case last.Disposition == journal.DeadLetter:
			happened.Unreadable++
		}
	}
	planned := Plan{NotDrawn: p.NotDrawn, ToTry: p.ToTry, Again: p.Again, Stored: p.Stored, NotComparable: p.NotComparable, Unreadable: p.Unreadable}
	planned.Cost.OneCallEachUSD = happened.Cost.OneCallEachUSD
	if d := cmp.Diff(planned, happened); d != "" {
		t.Errorf("planned, and then: %s", d)
	}
	if got := happened.Cost.OneCallEachUSD; !(got > 0 && got <= p.Cost.OneCallEachUSD && p.Cost.OneCallEachUSD*3 <= p.Cost.AtMostUSD+1e-9) {
		t.Errorf("booked %v, planned %+v", got, p.Cost)
	}
	again := b.plan(&journal.Backfill{Candidate: b.ep.Name, Sample: 0.6})
	if again.ToTry != 0 || again.Stored.Answered != p.ToTry || again.Again.DeadLetter != 0 {
		t.Errorf("a second plan: %+v", again)
	}
}

// What money, quotas and concurrency make of the calls.
func TestPlanPricesAndTimes(t *testing.T) {
	b := newBench(t, &scripted{answer: fine, gaps: []llm.Gap{{Path: "/messages/3/name", Severity: llm.Semantic}, {Path: "/messages/4/name", Severity: llm.Semantic}}})
	b.ep.Concurrency, b.ep.RPM, b.ep.TPM, b.ep.DailyUSD, b.cfg.DailyUSD = 2, 30, 600, 7, 20
	publish(t, b.j, 10, nil)
	p := b.plan(&journal.Backfill{Candidate: b.ep.Name, Sample: 1})
	// The bench's calls are bound by 100 tokens of input and 100 of output at $1,000 a
	// million; 25 and 10, live's own, are expected.
	want := PlanCost{ExpectedUSD: 0.35, OneCallEachUSD: 2, AtMostUSD: 6, Attempts: 3}
	if d := cmp.Diff(want, p.Cost, cmpopts.EquateApprox(1e-9, 0)); d != "" {
		t.Error(d)
	}
	if p.Budget.LeftUSD != 20 || p.Budget.EndpointLeftUSD == nil || *p.Budget.EndpointLeftUSD != 7 || p.Budget.Least() != 7 {
		t.Errorf("budget %+v", p.Budget)
	}
	if p.Time.Seconds != nil || *p.Time.RPM != 20 || *p.Time.TPM != 35 {
		t.Errorf("time without any trial: %+v", p.Time)
	}
	if d := cmp.Diff([]PlanGap{{"/messages/*/name", llm.Semantic, 10}}, p.Gaps); d != "" {
		t.Error(d)
	}
	b.ep.RPM, b.ep.TPM = 0, 0
	_, stop := b.run("one", nil, b.as(journal.RoleCandidate, "a/b"))
	b.trials(10)
	stop()
	publish(t, b.j, 7, nil)
	p = b.plan(&journal.Backfill{Candidate: b.ep.Name, Sample: 1})
	if p.ToTry != 7 || p.Time.Seconds == nil || *p.Time.Seconds != 7*0.002/2 || *p.Time.MeanLatencyMS != 2 {
		t.Errorf("%d to try, time %+v", p.ToTry, p.Time)
	}
	if spent := 10 * 0.015; p.Budget.LeftUSD > 20-spent+1e-9 || p.Budget.LeftUSD < 19 {
		t.Errorf("%v is left", p.Budget.LeftUSD)
	}
}

// Orders that make no sense are refused with a sentence that helps.
func TestOrdersAreChecked(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	publish(t, b.j, 1, nil)
	r := b.planner()
	now := time.Now()
	for name, c := range map[string]struct {
		order journal.Backfill
		want  string
	}{
		"nobody":    {journal.Backfill{Candidate: "gpt", Sample: 1}, "candidates are: llama-3.3"},
		"elsewhere": {journal.Backfill{Candidate: "llama-3.3", Sample: 1, Submodules: []string{"a/b", "c/d"}}, "llama-3.3 is not a candidate for c/d; it is one for: a/b"},
		"nothing":   {journal.Backfill{Candidate: "llama-3.3"}, "sample is 0"},
		"too much":  {journal.Backfill{Candidate: "llama-3.3", Sample: 1.5}, "sample is 1.5"},
		"backwards": {journal.Backfill{Candidate: "llama-3.3", Sample: 1, Since: now, Until: now}, "is not before"},
	} {
		var wrong *OrderError
		if err := r.Complete(t.Context(), &c.order); !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
