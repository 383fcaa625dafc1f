package replay

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// taken delivers the first message n times to somebody who never finishes it.
func (b *bench) taken(n int) {
	b.t.Helper()
	cons, err := b.j.ExchangeConsumer(b.t.Context(), b.ep.Name, []string{"a/b"}, 16, b.cfg.MaxDeliver, b.cfg.AckWait)
	if err != nil {
		b.t.Fatal(err)
	}
	for range n {
		d, err := cons.Next(b.t.Context(), 5*time.Second)
		if err != nil || d == nil {
			b.t.Fatalf("delivery %v, %v", d, err)
		}
		if err := d.Nak(0); err != nil {
			b.t.Fatal(err)
		}
	}
}

// flying leaves a call for the exchange on record, as a process does that dies in it.
func (b *bench) flying(ex *journal.Exchange) {
	b.t.Helper()
	l, err := journal.NewLedger(b.t.Context(), b.j, journal.AccountReplay, "dead", journal.Caps{DailyUSD: 1})
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := l.Reserve(b.t.Context(), journal.Spend{Endpoint: b.ep.Name, Submodule: ex.Submodule,
		Record: journal.TrialSubject(ex.Submodule, b.ep.Name, journal.TrialID(ex.Key(1), b.ep.Name, b.ep.Model, "", 0))}, 0.1)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Keep()
}

func TestLostCallsFollowThePolicy(t *testing.T) {
	for policy, want := range map[string]struct {
		disposition journal.Disposition
		calls       int64
	}{OnLostRetry: {journal.Tried, 4}, OnLostGiveUp: {journal.DeadLetter, 3}} {
		t.Run(policy, func(t *testing.T) {
			b := newBench(t, &scripted{answer: fine})
			b.cfg.OnLost = policy
			all := publish(t, b.j, 4, func(_ int, e *journal.Exchange) { e.Source = journal.SourceCapture })
			b.flying(all[2])
			b.taken(1)
			b.start("one")
			got := b.trials(4)
			if tr := got[all[2].ID]; tr.Disposition != want.disposition || tr.LostAttempts != 1 {
				t.Errorf("the lost one: %s (%s), %d lost", tr.Disposition, tr.Reason, tr.LostAttempts)
			}
			if tr := got[all[1].ID]; tr.Disposition != journal.Tried || tr.LostAttempts != 0 {
				t.Errorf("its neighbour: %s, %d lost", tr.Disposition, tr.LostAttempts)
			}
			if n := b.client.calls.Load(); n != want.calls {
				t.Errorf("%d calls, want %d", n, want.calls)
			}
		})
	}
}

func TestRejectedCellIsTriedNoMore(t *testing.T) {
	decide := func(b *bench, verdict string) {
		d := &journal.Decision{ID: journal.NewID(time.Now()), At: time.Now(), Submodule: "a/b", Candidate: b.ep.Name, Verdict: verdict}
		if err := b.j.AppendDecision(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t, &scripted{answer: fine})
	before := publish(t, b.j, 4, nil)
	decide(b, verdictReject)
	first := publish(t, b.j, 4, nil)
	r, stop := b.start("one")
	got := b.trials(8)
	for i, ex := range first {
		if tr := got[ex.ID]; tr.Disposition != journal.NotComparable || tr.ReasonCode != codeRejected {
			t.Errorf("%s %s", tr.Disposition, tr.ReasonCode)
		}
		if tr := got[before[i].ID]; tr.Disposition != journal.Tried {
			t.Errorf("captured before the decision: %s", tr.Disposition)
		}
	}
	if n := b.client.calls.Load(); n != 4 {
		t.Errorf("%d calls, 4 were captured before the candidate was rejected", n)
	}
	decide(b, "COLLECTING") // the criteria were changed
	eventually(t, "the decision is known", func() bool { return !r.rejected.holds("a/b", b.ep.Name, time.Now()) })
	second := publish(t, b.j, 4, nil)
	if tr := b.trials(12)[second[0].ID]; tr.Disposition != journal.Tried {
		t.Errorf("after the new decision: %s", tr.Disposition)
	}
	decide(b, verdictReject)
	eventually(t, "the decision is known", func() bool { return r.rejected.holds("a/b", b.ep.Name, time.Now()) })
	stop()
	b.run("two", func(r *Replay) { r.KeepRejected(func(s string) bool { return s == "a/b" }) }, b.as(journal.RoleCandidate, "a/b"))
	third := publish(t, b.j, 4, nil)
	if tr := b.trials(16)[third[0].ID]; tr.Disposition != journal.Tried {
		t.Errorf("kept, and yet %s (%s)", tr.Disposition, tr.Reason)
	}
}

// Shadow calls leave an account to live traffic that is refused there, and no other.
func TestShadowYieldsToLive(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.ep.BaseURL = "https://shared.example"
	other := b.as(journal.RoleCandidate, "a/b")
	other.Endpoint.Name, other.Endpoint.BaseURL = "elsewhere", "https://other.example"
	if err := b.j.PutBusy(t.Context(), b.ep.Account(), time.Now()); err != nil {
		t.Fatal(err)
	}
	r, _ := b.run("one", nil, b.as(journal.RoleCandidate, "a/b"), other)
	eventually(t, "it yields", func() bool { return r.Status()[b.ep.Name].PausedFor == reasonYield })
	publish(t, b.j, 4, nil)
	eventually(t, "the other account goes on", func() bool { return b.client.calls.Load() == 4 })
	if s := r.Status()["elsewhere"]; s.PausedFor != "" {
		t.Errorf("the other account yields as well: %s", s.PausedFor)
	}
}

// A throttled call is no trial: the endpoint gets fewer calls at once, each exchange gets
// its answer, and the calls come back.
func TestThrottlingIsNoTrial(t *testing.T) {
	var inFlight, most atomic.Int64
	b := newBench(t, &scripted{answer: func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		now := inFlight.Add(1)
		defer inFlight.Add(-1)
		<-time.After(2 * time.Millisecond)
		if now > 3 {
			return nil, &llm.Error{Class: llm.ClassThrottled, Status: 429}
		}
		most.Store(max(most.Load(), now))
		return fine(ctx, n, call)
	}})
	all := publish(t, b.j, 120, nil)
	b.ep.Concurrency = 16
	b.start("one")
	for _, tr := range b.trials(len(all)) {
		if tr.Class != llm.ClassOK || len(tr.Attempts) != 1 {
			t.Fatalf("class %s after %d attempts", tr.Class, len(tr.Attempts))
		}
	}
	calls := b.client.calls.Load()
	t.Logf("%d calls for %d exchanges at an endpoint that takes 3 at once", calls, len(all))
	if calls > int64(len(all))*2 {
		t.Errorf("%d calls for %d exchanges: it does not back off", calls, len(all))
	}
}

// short is a client that sends the limit it is given, and whose answers need 500 tokens.
type short struct{ scripted }

func (s *short) Prepare(req *llm.Request) (*llm.Call, error) {
	limit := 4096
	if req.UsualTokens > 0 {
		limit = min(limit, req.UsualTokens)
	}
	return &llm.Call{Body: req.Raw, MaxInputTokens: 100, MaxOutputTokens: limit}, nil
}

func (s *short) Do(_ context.Context, call *llm.Call) (*llm.Response, error) {
	s.calls.Add(1)
	r := &llm.Response{Text: "yes", Finish: llm.FinishStop, Usage: &llm.Usage{InputTokens: 10, OutputTokens: min(500, call.MaxOutputTokens)}}
	if call.MaxOutputTokens < 500 {
		r.Finish = llm.FinishLength
	}
	return r, nil
}

// Requests without a limit go out with what answers usually need; an answer that this
// cuts is asked for again.
func TestUsualLimitCutsNoAnswer(t *testing.T) {
	client := &short{}
	b := newBench(t, &scripted{answer: fine})
	b.cfg.DailyUSD = 1000
	c := b.as(journal.RoleCandidate, "a/b")
	c.Client = client
	all := publish(t, b.j, lengthsFirst, func(_ int, e *journal.Exchange) { e.Usage.OutputTokens = 100 })
	r, _ := b.run("one", nil, c)
	// The lane's own answers are longer: leave live's alone, as for another family.
	r.lanes[0].lengths.of["a/b"] = &sample{tokens: make([]int, lengthsFirst), limit: 300, fresh: -1 << 30}
	for _, tr := range b.trials(len(all)) {
		if tr.Finish != llm.FinishStop || tr.Usage.OutputTokens != 500 {
			t.Fatalf("finish %s after %d tokens", tr.Finish, tr.Usage.OutputTokens)
		}
		if len(tr.Attempts) == 2 && tr.Attempts[0].Code != journal.CodeOwnLimit {
			t.Fatalf("attempts %+v", tr.Attempts)
		}
	}
	if n := client.calls.Load(); n <= int64(len(all)) {
		t.Errorf("%d calls: no limit was tried", n)
	}
}

// What the broker gives out no more is a dead letter with its reason.
func TestBrokersDeadLettersAreStored(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.cfg.MaxDeliver, b.cfg.AckWait = 3, time.Second
	all := publish(t, b.j, 4, nil)
	b.taken(3)
	b.start("one")
	for _, tr := range b.trials(len(all)) {
		if tr.Disposition != journal.DeadLetter || tr.ReasonCode != codeGivenUp || !strings.Contains(tr.Reason, "given out 3 times") {
			t.Errorf("%s %s: %s", tr.Disposition, tr.ReasonCode, tr.Reason)
		}
	}
	if n := b.client.calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Outside the windows nothing is called, and nothing is lost.
func TestClosedWindowHoldsTheLane(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	now := time.Now().UTC()
	b.cfg.Windows = []string{now.Add(2*time.Hour).Format("15:04") + "-" + now.Add(3*time.Hour).Format("15:04")}
	publish(t, b.j, 4, nil)
	r, stop := b.start("one")
	eventually(t, "it waits", func() bool { return r.Status()[b.ep.Name].PausedFor == reasonWindow })
	if n := b.client.calls.Load(); n != 0 {
		t.Errorf("%d calls outside the window", n)
	}
	stop()
	b.cfg.Windows = nil
	b.start("two")
	b.trials(4)
}

// Who of a pair comes first is drawn, and both lanes draw alike.
func TestOrderInAPairIsDrawn(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	r, stop := b.run("one", nil, b.as(journal.RoleCandidate, "a/b"))
	defer stop()
	c := b.as(journal.RoleControl, "a/b")
	c.Paired = func(string) bool { return true }
	control := newLane(r, c)
	c.Role = journal.RoleCandidate
	candidate := newLane(r, c)
	first := 0
	for range 2000 {
		ex := &journal.Exchange{ID: journal.NewID(time.Now()), Submodule: "a/b", Source: journal.SourceCapture}
		if candidate.second(ex, 1) == control.second(ex, 1) {
			t.Fatal("both wait, or neither")
		}
		if !candidate.second(ex, 1) {
			first++
		}
	}
	if first < 900 || first > 1100 {
		t.Errorf("the candidate comes first in %d of 2000 pairs", first)
	}
}

// One quota holds for all hosts together, and nearly nothing of it is left unused.
func TestQuotaIsOneForAllHosts(t *testing.T) {
	var calls atomic.Int64
	b := newBench(t, &scripted{answer: fine})
	b.client.answer = func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		calls.Add(1)
		return fine(ctx, n, call)
	}
	b.ep.RPM = 6000 // one in 10 ms
	b.cfg.DailyUSD = 1000
	publish(t, b.j, 2000, nil)
	b.start("one")
	b.start("two")
	eventually(t, "it runs", func() bool { return calls.Load() > 20 })
	begin, from := time.Now(), calls.Load()
	<-time.After(4 * time.Second)
	n, took := calls.Load()-from, time.Since(begin)
	if want := took.Seconds() * 100; float64(n) < 0.93*want || float64(n) > 1.07*want {
		t.Errorf("%d calls in %s, the quota is %.0f", n, took, want)
	}
}
