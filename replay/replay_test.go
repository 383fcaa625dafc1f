package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

// scripted is a client whose every attempt is what answer says.
type scripted struct {
	calls  atomic.Int64
	gaps   []llm.Gap
	output int // tokens that a call may be billed for
	answer func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error)
}

func (s *scripted) Prepare(req *llm.Request) (*llm.Call, error) {
	return &llm.Call{Body: req.Raw, Gaps: s.gaps, Tier: llm.TierTool, MaxInputTokens: 100, MaxOutputTokens: s.output}, nil
}

func (s *scripted) Do(ctx context.Context, call *llm.Call) (*llm.Response, error) {
	return s.answer(ctx, s.calls.Add(1), call)
}

func fine(context.Context, int64, *llm.Call) (*llm.Response, error) {
	return &llm.Response{Text: "yes", Finish: llm.FinishStop, Usage: &llm.Usage{InputTokens: 10, OutputTokens: 5},
		Timing: llm.Timing{FirstToken: time.Millisecond, Total: 2 * time.Millisecond}}, nil
}

func fault(class llm.Class, status int) func(context.Context, int64, *llm.Call) (*llm.Response, error) {
	return func(context.Context, int64, *llm.Call) (*llm.Response, error) {
		return nil, &llm.Error{Op: "converse", Class: class, Status: status}
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openJournal(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.MaxStore = dir, "interval", 256<<20
	j, err := journal.Open(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func publish(t *testing.T, j *journal.Journal, n int, change func(int, *journal.Exchange)) []*journal.Exchange {
	t.Helper()
	return publishAs(t, j, "a/b", n, change)
}

func publishAs(t *testing.T, j *journal.Journal, submodule string, n int, change func(int, *journal.Exchange)) []*journal.Exchange {
	t.Helper()
	var all []*journal.Exchange
	for i := range n {
		e := &journal.Exchange{
			Schema: journal.SchemaVersion, ID: journal.NewID(time.Now()), At: time.Now().UTC(), Instance: "p",
			Submodule: submodule, Conversation: fmt.Sprint(i), Class: llm.ClassOK, Status: 200, LatencyMS: 50,
			Usage:   &llm.Usage{InputTokens: 10, OutputTokens: 10},
			Request: []byte(`{"model":"gpt","messages":[{"role":"user","content":"hello"}]}`),
		}
		if change != nil {
			change(i, e)
		}
		all = append(all, e)
	}
	for i := 0; i < len(all); i += 4 { // several records a message
		if _, err := j.PublishExchanges(t.Context(), submodule, all[i:min(i+4, len(all))]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

type bench struct {
	t      *testing.T
	j      *journal.Journal
	client *scripted
	cfg    Config
	ep     llm.Endpoint
}

func newBench(t *testing.T, client *scripted) *bench {
	cfg := DefaultConfig()
	cfg.AckWait, cfg.DrainTimeout = 2*time.Second, 200*time.Millisecond
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Model = "llama-3.3", "m"
	if client.output == 0 {
		client.output = 100
	}
	return &bench{t: t, j: openJournal(t, t.TempDir()), client: client, cfg: cfg, ep: ep}
}

// start runs a stage; stop ends it and waits.
func (b *bench) start(instance string) (r *Replay, stop func()) {
	return b.run(instance, nil, b.as(journal.RoleCandidate, "a/b"))
}

// as gives the bench's endpoint a role in one sub-module.
func (b *bench) as(role journal.Role, submodule string) Candidate {
	return Candidate{Endpoint: b.ep, Role: role, Client: b.client, Rates: llm.NewRates(llm.Price{Input: 1000, Output: 1000}),
		Submodules: []string{submodule}, Wants: func(s string) bool { return s == submodule }}
}

// run runs a stage; before, where given, is called with it first.
func (b *bench) run(instance string, before func(*Replay), candidates ...Candidate) (r *Replay, stop func()) {
	r = New(b.cfg, b.j, candidates, func(string) (llm.Rates, bool) { return llm.NewRates(llm.Price{Input: 1, Output: 1}), true },
		instance, quiet(), metrics.NewSet())
	if before != nil {
		before(r)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(stop)
	return r, stop
}

// trials waits until n are stored and gives all.
func (b *bench) trials(n int) map[string]*journal.Trial {
	b.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := map[string]*journal.Trial{}
		err := b.j.Read(b.t.Context(), journal.StreamTrials, nil, func(m *journal.Message) error {
			var tr journal.Trial
			if err := json.Unmarshal(m.Data, &tr); err != nil {
				return err
			}
			got[tr.ExchangeID] = &tr
			return b.j.UnsealTrial(b.t.Context(), &tr)
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(got) >= n {
			return got
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%d of %d trials stored", len(got), n)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestEveryExchangeIsTriedOnce(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	all := publish(t, b.j, 50, nil)
	b.start("one")
	b.start("two") // two hosts share the work
	got := b.trials(len(all))
	if n := b.client.calls.Load(); n != int64(len(all)) {
		t.Errorf("%d calls for %d exchanges", n, len(all))
	}
	tr := got[all[7].ID]
	if tr.Text != "yes" || tr.Class != llm.ClassOK || tr.Disposition != journal.Tried || len(tr.Attempts) != 1 || tr.Tier != llm.TierTool {
		t.Errorf("trial = %+v", tr)
	}
	if d := cmp.Diff(15.0*1000/1e6, *tr.CostUSD); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(20.0/1e6, *tr.Live.CostUSD); d != "" {
		t.Error(d)
	}
}

func TestDispositions(t *testing.T) {
	cases := map[string]struct {
		change func(int, *journal.Exchange)
		gaps   []llm.Gap
		answer func(context.Context, int64, *llm.Call) (*llm.Response, error)
		want   journal.Disposition
		class  llm.Class
		calls  int64
	}{
		"client left":      {change: func(_ int, e *journal.Exchange) { e.Aborted = true }, want: journal.NotComparable},
		"live refused":     {change: func(_ int, e *journal.Exchange) { e.Class = llm.ClassInvalid }, want: journal.NotComparable},
		"live failed":      {change: func(_ int, e *journal.Exchange) { e.Class = llm.ClassTruncated }, want: journal.Tried, class: llm.ClassOK, calls: 1},
		"blocking gap":     {gaps: []llm.Gap{{Path: "/logprobs", Severity: llm.Blocking}}, want: journal.NotComparable},
		"semantic gap":     {gaps: []llm.Gap{{Path: "/seed", Severity: llm.Semantic}}, want: journal.Tried, class: llm.ClassOK, calls: 1},
		"unreadable":       {change: func(_ int, e *journal.Exchange) { e.Request = []byte("{") }, want: journal.DeadLetter},
		"provider refuses": {answer: fault(llm.ClassInvalid, 400), want: journal.Tried, class: llm.ClassInvalid, calls: 1},
		"provider is down": {answer: fault(llm.ClassOverloaded, 503), want: journal.Tried, class: llm.ClassOverloaded, calls: 3},
		"panic":            {answer: func(context.Context, int64, *llm.Call) (*llm.Response, error) { panic("x") }, want: journal.DeadLetter, calls: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := c.answer
			if answer == nil {
				answer = fine
			}
			b := newBench(t, &scripted{answer: answer, gaps: c.gaps})
			all := publish(t, b.j, 1, c.change)
			b.start("one")
			tr := b.trials(1)[all[0].ID]
			if tr.Disposition != c.want || tr.Class != c.class {
				t.Errorf("disposition %s class %q, want %s %q (%s)", tr.Disposition, tr.Class, c.want, c.class, tr.Reason)
			}
			if got := b.client.calls.Load(); got != c.calls {
				t.Errorf("%d calls, want %d", got, c.calls)
			}
			if tr.Disposition != journal.Tried && tr.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}

func TestOurFaultIsNoTrial(t *testing.T) {
	for _, class := range []llm.Class{llm.ClassAccess, llm.ClassThrottled, llm.ClassNetwork} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			var healed atomic.Bool
			b := newBench(t, &scripted{answer: func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
				if healed.Load() {
					return fine(ctx, n, call)
				}
				return fault(class, 0)(ctx, n, call)
			}})
			publish(t, b.j, 4, nil)
			r, _ := b.start("one")
			deadline := time.Now().Add(10 * time.Second)
			for r.Status()["llama-3.3"].PausedFor == "" {
				if time.Now().After(deadline) {
					t.Fatal("the endpoint never paused")
				}
				<-time.After(time.Millisecond)
			}
			healed.Store(true)
			for _, tr := range b.trials(4) { // nothing was lost, nothing counted as the model's failure
				if tr.Class != llm.ClassOK {
					t.Errorf("class %s", tr.Class)
				}
			}
		})
	}
}

func TestBudgetStopsBeforeTheCap(t *testing.T) {
	// A call is bound by 200 tokens = $0.20 and costs 15 = $0.015.
	b := newBench(t, &scripted{answer: fine})
	b.cfg.DailyUSD = 0.5
	all := publish(t, b.j, 60, nil)
	r, stop := b.start("one")
	over := 0
	for _, tr := range b.trials(len(all)) {
		if tr.Disposition == journal.OverBudget {
			over++
		}
	}
	bill := float64(b.client.calls.Load()) * 0.015
	if over == 0 || bill > 0.5 || int64(len(all)-over) != b.client.calls.Load() {
		t.Errorf("%d over budget, %d calls, bill $%.3f of $0.50", over, b.client.calls.Load(), bill)
	}
	// What was set aside is used: the last call that fits still goes out.
	if bill < 0.5-0.2-0.015 {
		t.Errorf("stopped at $%.3f of $0.50, though a call needs at most $0.20", bill)
	}
	if spent := r.SpentToday(); spent < bill-1e-9 || spent > 0.5 {
		t.Errorf("ledger %v, bill %v", spent, bill)
	}
	stop()
	b.start("two") // another process finds the same account
	publish(t, b.j, 4, nil)
	b.trials(len(all) + 4)
	if bill := float64(b.client.calls.Load()) * 0.015; bill > 0.5 {
		t.Errorf("after a restart the bill is $%.3f", bill)
	}
}

func TestBillAboveTheBoundIsBookedAndStops(t *testing.T) {
	// A call is bound by $0.20 and billed $2: an endpoint that does not keep to its limit.
	b := newBench(t, &scripted{answer: func(context.Context, int64, *llm.Call) (*llm.Response, error) {
		return &llm.Response{Text: "much", Finish: llm.FinishStop, Usage: &llm.Usage{OutputTokens: 2000}}, nil
	}})
	b.cfg.DailyUSD, b.ep.Concurrency = 5, 1
	publish(t, b.j, 20, nil)
	r, _ := b.start("one")
	b.trials(20)
	// After two of $2, $1 is left, which allows one more of at most $0.20, and the two for
	// which money may have stood on record before the bill came.
	n := b.client.calls.Load()
	if n < 3 || n > 5 {
		t.Errorf("%d calls of $2 on a budget of $5", n)
	}
	bill := 2 * float64(n)
	if spent := r.SpentToday(); spent != bill {
		t.Errorf("ledger %v", spent)
	}
	if _, charged, _ := r.Charged(); charged < bill || charged > bill+0.1 {
		t.Errorf("the day's account says %v of a bill of %v", charged, bill)
	}
}

func TestAbsurdBoundIsOverBudgetNotCredit(t *testing.T) {
	b := newBench(t, &scripted{answer: fine, output: math.MaxInt})
	publish(t, b.j, 3, nil)
	r, _ := b.start("one")
	for _, tr := range b.trials(3) {
		if tr.Disposition != journal.OverBudget {
			t.Errorf("%s: %s", tr.Disposition, tr.Reason)
		}
	}
	if _, charged, _ := r.Charged(); charged != 0 {
		t.Errorf("charged %v", charged)
	}
}

func TestPauseHoldsBackEveryCall(t *testing.T) {
	b := newBench(t, &scripted{answer: func(context.Context, int64, *llm.Call) (*llm.Response, error) {
		return nil, &llm.Error{Class: llm.ClassThrottled, Status: 429, RetryAfter: time.Hour}
	}})
	b.ep.Concurrency = 4
	publish(t, b.j, 60, nil)
	r, _ := b.start("one")
	deadline := time.Now().Add(10 * time.Second)
	for r.Status()["llama-3.3"].PausedFor == "" || r.Status()["llama-3.3"].InFlight > 0 {
		if time.Now().After(deadline) {
			t.Fatal("never paused")
		}
		<-time.After(time.Millisecond)
	}
	seen := b.client.calls.Load()
	<-time.After(300 * time.Millisecond) // a pause that does not hold would show by now
	if n := b.client.calls.Load(); n != seen || n > 8 {
		t.Errorf("%d calls, then %d: at most those in flight may meet the fault", seen, n)
	}
}

func TestUnknownBillIsBookedInFull(t *testing.T) {
	b := newBench(t, &scripted{answer: func(context.Context, int64, *llm.Call) (*llm.Response, error) {
		return &llm.Response{Text: "par"}, &llm.Error{Class: llm.ClassTruncated}
	}})
	b.cfg.Attempts = 1
	publish(t, b.j, 1, nil)
	r, _ := b.start("one")
	for _, tr := range b.trials(1) {
		if tr.CostUSD != nil || tr.Class != llm.ClassTruncated {
			t.Errorf("cost %v, class %s: a cut answer's cost is unknown", tr.CostUSD, tr.Class)
		}
	}
	if d := cmp.Diff(0.2, r.SpentToday()); d != "" {
		t.Error("ledger: " + d)
	}
}

func TestCallThatWasNeverSentCostsNothing(t *testing.T) {
	b := newBench(t, &scripted{answer: func(context.Context, int64, *llm.Call) (*llm.Response, error) {
		return nil, &llm.Error{Class: llm.ClassNetwork, NotSent: true, Err: errors.New("connection refused")}
	}})
	publish(t, b.j, 4, nil)
	r, _ := b.start("one")
	deadline := time.Now().Add(10 * time.Second)
	for b.client.calls.Load() < 6 || r.Status()["llama-3.3"].PausedFor == "" {
		if time.Now().After(deadline) {
			t.Fatal("never paused")
		}
		<-time.After(time.Millisecond)
	}
	if why := r.Status()["llama-3.3"].PausedFor; !strings.Contains(why, "connection refused") || !strings.Contains(why, "base_url") {
		t.Errorf("paused for %q", why)
	}
	if spent := r.SpentToday(); spent != 0 {
		t.Errorf("ledger %v", spent)
	}
}

func TestEndpointThatIsNotThereIsNoTrialWithoutMoneyEither(t *testing.T) {
	b := newBench(t, &scripted{answer: fault(llm.ClassNetwork, 0)})
	b.cfg.DailyUSD = 0.35 // one call of $0.20 may be booked in full, a second may not be made
	publish(t, b.j, 1, nil)
	r, _ := b.start("one")
	deadline := time.Now().Add(10 * time.Second)
	for r.Status()["llama-3.3"].PausedFor == "" {
		if time.Now().After(deadline) {
			t.Fatal("never paused")
		}
		<-time.After(time.Millisecond)
	}
	err := b.j.Read(t.Context(), journal.StreamTrials, nil, func(m *journal.Message) error {
		t.Errorf("stored: %s", m.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStopGivesBackWhatIsInHand(t *testing.T) {
	release := make(chan struct{})
	b := newBench(t, &scripted{answer: func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		select {
		case <-ctx.Done():
			return nil, &llm.Error{Class: llm.ClassCancelled, Err: ctx.Err()}
		case <-release:
			return fine(ctx, n, call)
		}
	}})
	all := publish(t, b.j, 8, nil)
	_, stop := b.start("one")
	for b.client.calls.Load() < 8 {
		<-time.After(time.Millisecond)
	}
	stop() // calls in flight are cancelled and their records given back
	close(release)
	b.start("two")
	for _, tr := range b.trials(len(all)) {
		if tr.Class != llm.ClassOK {
			t.Errorf("class %s", tr.Class)
		}
	}
}

// TestProposalIsShownAndNothingChanges: a refusal that names an ability is a failed
// trial, and the operator is told once what might be set.
func TestProposalIsShownAndNothingChanges(t *testing.T) {
	b := newBench(t, &scripted{answer: func(context.Context, int64, *llm.Call) (*llm.Response, error) {
		return nil, &llm.Error{Class: llm.ClassInvalid, Status: 400, Code: "ValidationException", Proposal: "!stop_sequences"}
	}})
	publish(t, b.j, 3, nil)
	r, _ := b.start("one")
	for _, tr := range b.trials(3) {
		if tr.Disposition != journal.Tried || tr.Class != llm.ClassInvalid || len(tr.Attempts) != 1 || tr.Attempts[0].Proposal != "!stop_sequences" {
			t.Errorf("trial %+v", tr)
		}
	}
	if got := r.Status()["llama-3.3"].Proposals; !cmp.Equal(got, []string{"!stop_sequences"}) {
		t.Errorf("proposals %v", got)
	}
}
