package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"understudy/internal/journal"
	"understudy/llm"
)

// talks makes conversations of three exchanges each; from keeps rounds apart.
func talks(from int) func(int, *journal.Exchange) {
	return func(i int, e *journal.Exchange) { e.Conversation = fmt.Sprint("talk-", from+i/3) }
}

func inShare(submodule, cluster string, share float64) bool {
	return journal.Share("control", submodule+"\x00"+cluster) < share
}

func (b *bench) prove(submodule string, proven bool) {
	b.t.Helper()
	if err := b.j.PutControl(b.t.Context(), submodule, journal.ControlState{Proven: proven}); err != nil {
		b.t.Fatal(err)
	}
}

func forgetful(r *Replay) { r.proofs.life = 0 }

func TestControlIsAskedInFullUntilProvenThenByShare(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.cfg.ControlShare = 0.3
	b.run("one", forgetful, b.as(journal.RoleControl, "a/b"))
	before := publish(t, b.j, 30, talks(0))
	for _, tr := range b.trials(len(before)) {
		if tr.Disposition != journal.Tried || tr.Role != journal.RoleControl || tr.Candidate != b.ep.Name {
			t.Errorf("before it is proven: %s as %q of %s (%s)", tr.Disposition, tr.Role, tr.Candidate, tr.Reason)
		}
	}
	b.prove("a/b", true)
	after := publish(t, b.j, 90, talks(100))
	got := b.trials(len(before) + len(after))
	asked := int64(len(before))
	for _, e := range after {
		tr, want := got[e.ID], journal.NotDrawn
		if inShare("a/b", e.Conversation, 0.3) {
			want = journal.Tried
			asked++
		}
		if tr.Disposition != want || tr.Role != journal.RoleControl {
			t.Errorf("%s: %s, want %s", e.Conversation, tr.Disposition, want)
		}
		if want == journal.NotDrawn && (tr.Reason == "" || len(tr.Attempts) > 0 || tr.CostUSD != nil) {
			t.Errorf("not drawn: %+v", tr)
		}
	}
	if n := b.client.calls.Load(); n != asked || asked == 30 || asked == 120 {
		t.Errorf("%d calls, want %d", n, asked)
	}
	b.prove("a/b", false) // the judge is no longer shown to be fair
	again := publish(t, b.j, 30, talks(200))
	got = b.trials(len(before) + len(after) + len(again))
	for _, e := range again {
		if got[e.ID].Disposition != journal.Tried {
			t.Errorf("after the proof was lost: %s", got[e.ID].Disposition)
		}
	}
}

func TestControlDrawsExchangesWithoutConversationOneByOne(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	b.cfg.ControlShare = 0.5
	b.prove("a/b", true)
	all := publish(t, b.j, 40, func(_ int, e *journal.Exchange) { e.Conversation = "" })
	b.run("one", nil, b.as(journal.RoleControl, "a/b"))
	got, seen := b.trials(len(all)), map[journal.Disposition]int{}
	for _, e := range all {
		d := got[e.ID].Disposition
		seen[d]++
		if (d == journal.Tried) != inShare("a/b", e.ID, 0.5) {
			t.Errorf("%s: %s", e.ID, d)
		}
	}
	if len(seen) != 2 {
		t.Errorf("all in one bucket: %v", seen)
	}
}

func TestControlShares(t *testing.T) {
	cases := map[string]struct {
		share  float64
		full   func(string) bool
		change func(int, *journal.Exchange)
		want   journal.Disposition
	}{
		"none":            {share: 0, full: func(string) bool { return true }, want: journal.NotDrawn},
		"all":             {share: 1, want: journal.Tried},
		"a gate needs it": {share: 1e-9, full: func(s string) bool { return s == "a/b" }, want: journal.Tried},
		"another's gate":  {share: 1e-9, full: func(s string) bool { return s != "a/b" }, want: journal.NotDrawn},
		"client left":     {share: 1, change: func(_ int, e *journal.Exchange) { e.Aborted = true }, want: journal.NotComparable},
		"live refused":    {share: 1, change: func(_ int, e *journal.Exchange) { e.Class = llm.ClassInvalid }, want: journal.NotComparable},
		"outside before all else": {share: 1e-9, change: func(_ int, e *journal.Exchange) { e.Aborted, e.Request = true, []byte("{") },
			want: journal.NotDrawn},
		"unreadable": {share: 1, change: func(_ int, e *journal.Exchange) { e.Request = []byte("{") }, want: journal.DeadLetter},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, &scripted{answer: fine})
			b.cfg.ControlShare = c.share
			b.prove("a/b", true)
			all := publish(t, b.j, 6, c.change)
			control := b.as(journal.RoleControl, "a/b")
			control.Full = c.full
			b.run("one", nil, control)
			calls := int64(0)
			for _, tr := range b.trials(len(all)) {
				if tr.Disposition != c.want {
					t.Errorf("%s (%s), want %s", tr.Disposition, tr.Reason, c.want)
				}
				if tr.Disposition == journal.Tried {
					calls++
				}
			}
			if n := b.client.calls.Load(); n != calls {
				t.Errorf("%d calls for %d trials", n, calls)
			}
		})
	}
}

func TestControlDoesNotAskForeignExchanges(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	b := &bench{t: t, client: &scripted{answer: fine, output: 100}, cfg: DefaultConfig(), ep: llm.DefaultEndpoint()}
	b.ep.Name, b.ep.Model, b.cfg.ControlShare = "gpt", "m", 1
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.MaxStore, cfg.Listen = t.TempDir(), "interval", 256<<20, addr
	if b.j, err = journal.Open(cfg, quiet()); err != nil {
		t.Fatal(err)
	}
	defer b.j.Close()
	own := publish(t, b.j, 1, nil)
	nc, err := nats.Connect("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	foreign := *own[0]
	foreign.ID = "theirs"
	data, err := journal.AppendExchange(nil, &foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Request(journal.IngestSubject("gateway", "a/b"), data, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	_, stop := b.run("one", nil, b.as(journal.RoleControl, "a/b"))
	defer stop() // before the journal closes
	got := b.trials(2)
	if got["theirs"].Disposition != journal.NotDrawn || got["theirs"].Source != "gateway" || got[own[0].ID].Disposition != journal.Tried {
		t.Errorf("foreign %+v, own %s", got["theirs"], got[own[0].ID].Disposition)
	}
	if n := b.client.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// The same endpoint serves one sub-module and is a candidate of another.
func TestEndpointInBothRoles(t *testing.T) {
	b := newBench(t, &scripted{answer: fine})
	served, tried := publishAs(t, b.j, "a/served", 12, nil), publishAs(t, b.j, "a/tried", 20, nil)
	r, _ := b.run("one", nil, b.as(journal.RoleControl, "a/served"), b.as(journal.RoleCandidate, "a/tried"))
	got := b.trials(len(served) + len(tried))
	for _, e := range served {
		if got[e.ID].Role != journal.RoleControl || got[e.ID].Disposition != journal.Tried {
			t.Errorf("%s as %q", got[e.ID].Disposition, got[e.ID].Role)
		}
	}
	for _, e := range tried {
		if got[e.ID].Role != journal.RoleCandidate || got[e.ID].Disposition != journal.Tried {
			t.Errorf("%s as %q", got[e.ID].Disposition, got[e.ID].Role)
		}
	}
	if d := cmp.Diff([]string{b.ep.Name}, slices.Collect(maps.Keys(r.Status()))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{b.ep.Name}, slices.Collect(maps.Keys(r.Controls()))); d != "" {
		t.Error(d)
	}
	near := func(what string, got, want float64) {
		if got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("candidates spent", r.SpentToday(), 20*0.015)
	near("controls spent", r.ControlSpentToday(), 12*0.015)
	if day, usd, ok := r.ControlCharged(); !ok || day == "" || usd < 12*0.015 {
		t.Errorf("charged to controls on %s: %v, %v", day, usd, ok)
	}
	for _, want := range []string{
		`understudy_control_trials_total{endpoint="llama-3.3",outcome="trial",class="ok"} 12`,
		`understudy_control_attempts_total{endpoint="llama-3.3",class="ok"} 12`,
		`understudy_replay_trials_total{candidate="llama-3.3",outcome="trial",class="ok"} 20`,
		`understudy_replay_attempts_total{candidate="llama-3.3",class="ok"} 20`,
	} {
		eventually(t, want, func() bool {
			var text bytes.Buffer
			r.set.WritePrometheus(&text)
			return strings.Contains(text.String(), want)
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestMoneyOfControlsAndCandidatesIsApart(t *testing.T) {
	cases := map[string]struct {
		change func(*Config, *llm.Endpoint, *llm.Endpoint)
		broke  journal.Role
	}{
		"controls' budget is spent":   {func(c *Config, _, _ *llm.Endpoint) { c.ControlDailyUSD = 0.3 }, journal.RoleControl},
		"candidates' budget is spent": {func(c *Config, _, _ *llm.Endpoint) { c.DailyUSD = 0.3 }, journal.RoleCandidate},
		"the control's own cap":       {func(_ *Config, control, _ *llm.Endpoint) { control.DailyUSD = 0.3 }, journal.RoleControl},
		"the candidate's own cap":     {func(_ *Config, _, candidate *llm.Endpoint) { candidate.DailyUSD = 0.3 }, journal.RoleCandidate},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, &scripted{answer: fine})
			control, candidate := b.as(journal.RoleControl, "a/served"), b.as(journal.RoleCandidate, "a/tried")
			c.change(&b.cfg, &control.Endpoint, &candidate.Endpoint)
			publishAs(t, b.j, "a/served", 30, nil)
			publishAs(t, b.j, "a/tried", 30, nil)
			r, _ := b.run("one", nil, control, candidate)
			over := map[journal.Role]int{}
			for _, tr := range b.trials(60) {
				if tr.Disposition == journal.OverBudget {
					over[tr.Role]++
				}
			}
			if over[c.broke] == 0 || len(over) != 1 {
				t.Errorf("over budget: %v", over)
			}
			spent := map[journal.Role]float64{journal.RoleCandidate: r.SpentToday(), journal.RoleControl: r.ControlSpentToday()}
			if spent[c.broke] > 0.3 {
				t.Errorf("spent %v", spent)
			}
		})
	}
}

// Hosts that see the state of the control differently store one trial all the
// same, and no call that was paid is refused by the stream.
func TestControlIsStoredOnceByHostsThatDisagree(t *testing.T) {
	b := newBench(t, &scripted{answer: func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		<-time.After(time.Millisecond)
		return fine(ctx, n, call)
	}})
	b.cfg.ControlShare = 1e-9
	all := publish(t, b.j, 80, nil)
	said := func(proven bool) func(*Replay) {
		return func(r *Replay) {
			r.proofs.read = func(context.Context, string) (journal.ControlState, error) {
				return journal.ControlState{Proven: proven}, nil
			}
		}
	}
	r1, _ := b.run("one", said(true), b.as(journal.RoleControl, "a/b"))
	r2, _ := b.run("two", said(false), b.as(journal.RoleControl, "a/b"))
	// Every exchange is also delivered to both, as after a broken connection.
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, e := range all {
		e.Source = journal.SourceCapture
	}
	for _, r := range []*Replay{r1, r2} {
		eventually(t, "start", func() bool { return r.money[journal.RoleControl].ledger.Load() != nil })
		l := newLane(r, b.as(journal.RoleControl, "a/b"))
		var err error
		if l.claims, err = b.j.Claims(t.Context(), journal.BucketClaims, r.instance, b.cfg.AckWait); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(all); i += 4 { // as they were published
			var data []byte
			for _, e := range all[i : i+4] {
				if data, err = journal.AppendExchange(data, e); err != nil {
					t.Fatal(err)
				}
			}
			d := &journal.Delivery{Seq: uint64(1 + i/4), Subject: journal.ExchangeSubject("a/b"), Data: data}
			wg.Go(func() { (&message{f: l.live(), d: d}).work(b.t.Context()) })
		}
	}
	wg.Wait()
	asked := int64(0)
	for _, tr := range b.trials(len(all)) {
		if tr.Disposition == journal.Tried {
			asked++
		}
	}
	if n := b.client.calls.Load(); n != asked {
		t.Errorf("%d calls, %d stored", n, asked)
	}
}

func TestControlGoesOnAfterARestart(t *testing.T) {
	release := make(chan struct{})
	b := newBench(t, &scripted{answer: func(ctx context.Context, n int64, call *llm.Call) (*llm.Response, error) {
		select {
		case <-ctx.Done():
			return nil, &llm.Error{Class: llm.ClassCancelled, Err: ctx.Err()}
		case <-release:
			return fine(ctx, n, call)
		}
	}})
	acc := journal.NewAccounts(b.j, func(string) []string { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- acc.Run(ctx) }()
	defer func() { cancel(); <-done }()

	all := publish(t, b.j, 8, nil)
	_, stop := b.run("one", nil, b.as(journal.RoleControl, "a/b"))
	eventually(t, "calls under way", func() bool { return b.client.calls.Load() == 8 })
	stop() // cancelled, and given back
	close(release)
	_, stop = b.run("two", nil, b.as(journal.RoleControl, "a/b"))
	b.trials(len(all))
	stop()
	b.prove("a/b", true)
	b.cfg.ControlShare = 1e-9
	more := publish(t, b.j, 5, nil)
	b.run("three", nil, b.as(journal.RoleControl, "a/b"))
	b.trials(len(all) + len(more))
	if n := b.client.calls.Load(); n != 16 { // 8 were cut off, 8 made again, 5 not drawn
		t.Errorf("%d calls", n)
	}
	want := map[string]journal.ControlBuckets{b.ep.Name: {Trial: 8, NotDrawn: 5}}
	eventually(t, "the accounts close", func() bool { return cmp.Equal(want, acc.Controls()) })
	if len(acc.Candidates()) != 0 {
		t.Errorf("candidates %v", acc.Candidates())
	}
}

func TestControlPausesByItself(t *testing.T) {
	b := newBench(t, &scripted{answer: fault(llm.ClassThrottled, 429)})
	control := b.as(journal.RoleControl, "a/served")
	fineClient := &scripted{answer: fine, output: 100}
	candidate := b.as(journal.RoleCandidate, "a/tried")
	candidate.Client = fineClient
	publishAs(t, b.j, "a/served", 4, nil)
	publishAs(t, b.j, "a/tried", 4, nil)
	r, _ := b.run("one", nil, control, candidate)
	eventually(t, "pause", func() bool { return r.Controls()[b.ep.Name].PausedFor != "" })
	for _, tr := range b.trials(4) {
		if tr.Role != journal.RoleCandidate || tr.Class != llm.ClassOK {
			t.Errorf("%q %s", tr.Role, tr.Class)
		}
	}
	if s := r.Status()[b.ep.Name]; s.PausedFor != "" {
		t.Errorf("the candidate pauses for %q", s.PausedFor)
	}
}

func TestProofIsReadNowAndThen(t *testing.T) {
	var reads, failed int
	state, fault := journal.ControlState{Proven: true}, error(nil)
	p := &proofs{life: time.Hour, known: map[string]proof{},
		read: func(context.Context, string) (journal.ControlState, error) { reads++; return state, fault },
		fail: func(string, error) { failed++ },
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if p.proven(gone, "a") {
		t.Error("proven, though the stage ends")
	}
	if first, cached := p.proven(t.Context(), "a"), p.proven(t.Context(), "a"); !first || !cached || reads != 2 {
		t.Errorf("%d reads", reads)
	}
	fault = errors.New("away")
	if first, cached := p.proven(t.Context(), "b"), p.proven(t.Context(), "b"); first || cached || reads != 3 || failed != 1 {
		t.Errorf("unreadable: %d reads, %d failures", reads, failed)
	}
	if !p.proven(t.Context(), "a") {
		t.Error("forgotten")
	}
}

func TestControlConfig(t *testing.T) {
	for _, share := range []float64{-0.1, 1.1} {
		c := DefaultConfig()
		c.ControlShare, c.ControlDailyUSD = share, -1
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), "control_share") || !strings.Contains(err.Error(), "control_daily_usd") {
			t.Errorf("share %v: %v", share, err)
		}
	}
	if c := DefaultConfig(); c.Validate() != nil || c.ControlShare != 0.05 || c.ControlDailyUSD != 10 {
		t.Errorf("%+v", c)
	}
}
