package journal

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// TestSubmodulesAgeIsKept: what a sub-module keeps for a shorter time goes, with its
// objects; the accounts count what was never tried as expired, and others' records stay.
func TestSubmodulesAgeIsKept(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx := t.Context()
	publish := func(submodule string, size int) *Exchange {
		e := exchange(submodule, size)
		if _, err := j.PublishExchanges(ctx, submodule, []*Exchange{e}); err != nil {
			t.Fatal(err)
		}
		return e
	}
	tried := &Trial{ID: "1", ExchangeSeq: 1, Submodule: "short", Candidate: "x", Disposition: Tried, Text: "t", At: time.Now()}
	publish("short", 1)
	publish("other", 1)
	old := publish("short", 700<<10)
	if _, err := j.StoreTrial(ctx, tried); err != nil {
		t.Fatal(err)
	}
	acc := NewAccounts(j, func(string) []string { return []string{"x"} })
	running, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- acc.Run(running) }()
	defer func() { cancel(); <-done }()
	soon(t, "all is counted", func() bool { ok, err := acc.CaughtUp(ctx); return ok && err == nil })

	time.Sleep(5 * time.Millisecond)
	cut := time.Now()
	time.Sleep(5 * time.Millisecond)
	young := publish("short", 2)
	for range 2 { // the second finds nothing
		if err := j.sweep(ctx, "short", cut); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := j.FindExchange(ctx, old.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("old: %v", err)
	}
	if _, err := j.Trial(ctx, "short", "x", "1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("its trial: %v", err)
	}
	if _, _, err := j.FindExchange(ctx, young.ID); err != nil {
		t.Errorf("young: %v", err)
	}
	if n, last, err := j.CountSince(ctx, "proxy-1", 0); n != 2 || last != 4 || err != nil {
		t.Errorf("%d exchanges are left, the last is %d: %v", n, last, err)
	}
	if objects, err := j.bodies.List(ctx); err == nil {
		t.Errorf("%d objects are left", len(objects))
	}
	soon(t, "all four are in the accounts", func() bool { ok, err := acc.CaughtUp(ctx); return ok && err == nil && acc.Stored() == 4 })
	if err := acc.lookForGone(ctx); err != nil {
		t.Fatal(err)
	}
	if got := acc.Candidates()["x"]; got != (Buckets{Trial: 1, Expired: 1, Pending: 2}) {
		t.Errorf("accounts %+v", got)
	}
}

// TestErasedTailIsNoEnd: who reads up to a stream's last message does not wait for one
// that was erased.
func TestErasedTailIsNoEnd(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx := t.Context()
	store(t, j, "stays", "a", 1)
	store(t, j, "gone", "b", 1)
	if _, err := j.Forget(ctx, &Forgetting{Units: []string{"gone"}}); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]uint64{StreamExchanges: 1, StreamTrials: 1, StreamVerdicts: 2} {
		if last, err := j.LastSeq(ctx, stream); err != nil || last != want {
			t.Errorf("last of %s: %d, %v; want %d", stream, last, err, want)
		}
	}
	acc := NewAccounts(j, func(string) []string { return []string{"x"} })
	running, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- acc.Run(running) }()
	defer func() { cancel(); <-done }()
	soon(t, "all is counted", func() bool { ok, err := acc.CaughtUp(ctx); return ok && err == nil })
	if got := acc.Candidates()["x"]; got != (Buckets{Trial: 1}) {
		t.Errorf("accounts %+v", got)
	}
	l := store(t, j, "new", "c", 1)
	if last, err := j.LastSeq(ctx, StreamExchanges); err != nil || last != l.seq {
		t.Errorf("last after another: %d, %v; want %d", last, err, l.seq)
	}
}

// TestErasedTailAfterAKill: a server that was killed behind the erasing of the last
// message finds what is older by its time all the same.
func TestErasedTailAfterAKill(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	ctx := t.Context()
	l := store(t, j, "stays", "a", 1)
	store(t, j, "gone", "b", 1)
	if _, err := j.Forget(ctx, &Forgetting{Units: []string{"gone"}}); err != nil {
		t.Fatal(err)
	}
	killed := cfg
	killed.Dir = t.TempDir() // the files as they are, without what an orderly end writes
	if err := os.CopyFS(killed.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	k := openTest(t, killed)
	if _, _, err := k.FindExchange(ctx, l.ex.ID); err != nil {
		t.Error(err)
	}
	following, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	found := false
	err := k.FollowFrom(following, StreamExchanges, l.ex.At.Add(-time.Second), 0, func(*Message) error { found = true; return errEnough })
	if !found {
		t.Errorf("nothing follows from its time: %v", err)
	}
}

// TestKindsHaveAges: each stream keeps what its own key says, and secrets outlive all that
// they seal.
func TestKindsHaveAges(t *testing.T) {
	cfg := testConfig(t)
	cfg.Retention, cfg.RetentionTrials, cfg.RetentionDecisions = 48*time.Hour, 24*time.Hour, 1000*time.Hour
	cfg.RetentionVerdicts = 96 * time.Hour
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	j := openTest(t, cfg)
	for stream, want := range map[string]time.Duration{StreamExchanges: 48 * time.Hour, StreamTrials: 24 * time.Hour, StreamVerdicts: 96 * time.Hour,
		StreamDecisions: 1000 * time.Hour, StreamSecrets: 96*time.Hour + 2*secretUse, "OBJ_" + StoreBodies: 96 * time.Hour} {
		s, err := j.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.MaxAge; got != want {
			t.Errorf("%s keeps %s, want %s", stream, got, want)
		}
	}
	cfg.RetentionTrials = time.Minute
	if cfg.Validate() == nil {
		t.Error("an age of a minute passes")
	}
}
