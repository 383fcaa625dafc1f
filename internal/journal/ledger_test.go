package journal

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

func openLedger(t *testing.T, j *Journal, account string, dailyUSD float64) *Ledger {
	t.Helper()
	l, err := NewLedger(t.Context(), j, account, NewID(time.Now()), Caps{DailyUSD: dailyUSD, Endpoints: map[string]float64{"dear": dailyUSD / 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

func TestLedgerFiguresDoNotWaitForTheBroker(t *testing.T) {
	l := openLedger(t, openTest(t, testConfig(t)), AccountReplay, 1)
	l.gate <- struct{}{} // somebody waits for the broker
	defer l.leave()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Reserve(ctx, Spend{Endpoint: "llama-3.3"}, 0.1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Reserve: %v", err)
	}
	l.SpentToday()
	l.Charged()
}

// Judges cannot spend what candidates may, nor the other way round; an endpoint's
// own cap is of its account alone.
func TestAccountsAreApart(t *testing.T) {
	j := openTest(t, testConfig(t))
	for _, account := range []string{AccountReplay, AccountControl, AccountJudge} {
		l := openLedger(t, j, account, 1)
		for range 2 {
			r, err := l.Reserve(t.Context(), Spend{Endpoint: "dear"}, 0.25)
			if err != nil {
				t.Fatalf("%s: %v", account, err)
			}
			r.SettleFull()
		}
		if _, err := l.Reserve(t.Context(), Spend{Endpoint: "dear"}, 0.25); !errors.Is(err, ErrOverBudget) {
			t.Errorf("%s: above the endpoint's own cap: %v", account, err)
		}
		r, err := l.Reserve(t.Context(), Spend{Endpoint: "other"}, 0.5)
		if err != nil {
			t.Fatalf("%s: %v", account, err)
		}
		r.SettleFull()
		if _, err := l.Reserve(t.Context(), Spend{Endpoint: "other"}, 0.01); !errors.Is(err, ErrOverBudget) {
			t.Errorf("%s: above the cap: %v", account, err)
		}
	}
}

// A reservation may be spent in parts, and never twice.
func TestReservationIsSplit(t *testing.T) {
	l := openLedger(t, openTest(t, testConfig(t)), AccountJudge, 1)
	whole, err := l.Reserve(t.Context(), Spend{Endpoint: "a"}, 0.9)
	if err != nil {
		t.Fatal(err)
	}
	part := whole.Split(0.6)
	if part == nil || whole.Split(0.4) != nil {
		t.Fatal("a part is what the whole has left")
	}
	rest := whole.Split(0.3)
	if rest == nil || whole.Split(0.01) != nil {
		t.Fatal("the whole has nothing left")
	}
	part.Settle(0.1)
	rest.Settle(0.1)
	whole.Settle(0)
	if spent := l.SpentToday(); math.Abs(spent-0.2) > 1e-9 {
		t.Errorf("spent %v, want 0.2", spent)
	}
	again, err := l.Reserve(t.Context(), Spend{Endpoint: "a"}, 0.8)
	if err != nil {
		t.Fatalf("what was not spent is there again: %v", err)
	}
	again.Settle(0)
}

func TestSiteKeyIsOneForAll(t *testing.T) {
	j := openTest(t, testConfig(t))
	a, err := j.SiteKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := j.SiteKey(t.Context())
	if err != nil || string(a) != string(b) || len(a) != 32 {
		t.Errorf("keys %x and %x: %v", a, b, err)
	}
}

func TestControlStateAndCache(t *testing.T) {
	j := openTest(t, testConfig(t))
	if s, err := j.Control(t.Context(), "a/b.c"); err != nil || s.Proven {
		t.Errorf("before anything was said: %+v, %v", s, err)
	}
	if err := j.PutControl(t.Context(), "a/b.c", ControlState{Proven: true}); err != nil {
		t.Fatal(err)
	}
	if s, err := j.Control(t.Context(), "a/b.c"); err != nil || !s.Proven {
		t.Errorf("%+v, %v", s, err)
	}
	if data, err := j.Cached(t.Context(), "k"); err != nil || data != nil {
		t.Errorf("empty cache: %q, %v", data, err)
	}
	for _, v := range []string{"old", "new"} {
		if err := j.Remember(t.Context(), "k", Owners{Unit: "u"}, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := j.Cached(t.Context(), "k"); err != nil || string(data) != "new" {
		t.Errorf("cache: %q, %v", data, err)
	}
}

// A share is a part of any larger one, and is what it says.
func TestShare(t *testing.T) {
	n := 0
	for i := range 20_000 {
		x := Share("control", NewID(time.UnixMilli(int64(i))))
		if x < 0 || x >= 1 {
			t.Fatalf("%v is outside [0, 1)", x)
		}
		if x < 0.05 {
			n++
		}
	}
	if math.Abs(float64(n)/20_000-0.05) > 0.01 {
		t.Errorf("%d of 20000 are below 0.05", n)
	}
}

// A read leaves no consumer behind, however often it is made.
func TestReadLeavesNoConsumer(t *testing.T) {
	j := openTest(t, testConfig(t))
	if _, err := j.PublishExchanges(t.Context(), "a/b", []*Exchange{exchange("a/b", 1)}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		n := 0
		if err := j.Read(t.Context(), StreamExchanges, nil, func(*Message) error { n++; return nil }); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	info, err := j.streams[StreamExchanges].Info(t.Context())
	if err != nil || info.State.Consumers > 1 {
		t.Errorf("%d consumers are left, %v", info.State.Consumers, err)
	}
}

// What is not stored is told from what cannot be read.
func TestNotStoredIsSaid(t *testing.T) {
	j := openTest(t, testConfig(t))
	_, trial := j.Trial(t.Context(), "a/b", "llama", "x")
	_, verdict := j.Verdict(t.Context(), "a/b", "llama", "x")
	_, judgement := j.Judgement(t.Context(), "a/b", "llama", "x")
	for _, err := range []error{trial, verdict, judgement} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
}
