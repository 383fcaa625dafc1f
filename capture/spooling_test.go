package capture

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
)

func withSpool(c *Config) { c.SpoolMax = 64 << 20 }

// away makes a journal that does not answer.
func (s *shelf) leave(err error) {
	s.set(func(s *shelf) { s.away, s.fault = true, func(context.Context) error { return err } })
}

func (s *shelf) comeBack(lose int) {
	s.set(func(s *shelf) { s.away, s.fault, s.lose = false, nil, lose })
}

// spooled waits until n exchanges are captured although the journal has not taken them.
func (r *rig) spooled(n int64) {
	r.t.Helper()
	if a := r.settled(n); a.Captured != n {
		r.t.Errorf("accounts %+v", a)
	}
	if s := r.Spool(); s.Records == 0 || s.Oldest.IsZero() {
		r.t.Errorf("nothing in the spool: %+v", s)
	}
}

// drained waits until the spool is empty.
func (r *rig) drained() {
	r.t.Helper()
	eventually(r.t, "the end of the spool", func() bool { s := r.Spool(); return s.Records == 0 && s.Bytes == 0 }, func() any { return *r.Spool() })
}

// once tells whether conversations 0 to n-1 are stored, once and, within a sub-module, in
// order.
func (s *shelf) once(t *testing.T, n int) {
	t.Helper()
	seen := map[string]int{}
	last := map[string]time.Time{}
	for _, e := range s.records() {
		seen[e.Conversation]++
		if e.At.Before(last[e.Submodule].Add(-500 * time.Millisecond)) { // workers may overtake each other a little
			t.Errorf("conversation %s comes late", e.Conversation)
		}
		last[e.Submodule] = e.At
	}
	for i := range n {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("exchange %d is stored %d times", i, seen[fmt.Sprint(i)])
		}
	}
	if len(seen) != n {
		t.Errorf("%d exchanges are stored, want %d", len(seen), n)
	}
}

func (r *rig) askMany(from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		ask(r.t, r.url+chatPath, question, "X-Understudy-Conversation", fmt.Sprint(i), "X-Understudy-Submodule", fmt.Sprint("m/", i%3))
	}
}

// Whatever the journal does not take goes to the disk and comes through later, once and in
// order, also when acknowledgements are lost on the way.
func TestSpoolOutlivesTheJournalsAbsence(t *testing.T) {
	silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, leave := range map[string]func(*shelf){
		"away":   func(s *shelf) { s.leave(journal.ErrUnavailable) },
		"full":   func(s *shelf) { s.leave(journal.ErrFull) },
		"silent": func(s *shelf) { s.set(func(s *shelf) { s.fault = silent }) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := start(t, provider(t, answering), rigConfig{dir: dir, cfg: withSpool})
			r.askMany(0, 20)
			r.settled(20)
			leave(r.shelf)
			r.askMany(20, 120)
			r.spooled(120)
			for path, text := range filesIn(t, dir) {
				if strings.Contains(text, "How are you") {
					t.Errorf("%s holds a text", path)
				}
			}
			r.shelf.comeBack(2)
			r.askMany(120, 140)
			r.drained()
			if a := r.settled(140); a.Captured != 140 {
				t.Errorf("accounts %+v", a)
			}
			eventually(t, "the last", func() bool { return len(r.shelf.records()) >= 140 }, func() any { return len(r.shelf.records()) })
			r.shelf.once(t, 140)
		})
	}
}

// What is in hand at the end goes to the disk; the next life stores it.
func TestEndWithTheJournalAwayLosesNothing(t *testing.T) {
	dir := t.TempDir()
	up := provider(t, answering)
	r := start(t, up, rigConfig{dir: dir, cfg: withSpool})
	r.askMany(0, 10)
	r.settled(10)
	r.shelf.leave(journal.ErrUnavailable)
	r.askMany(10, 40)
	r.stop()
	if a := r.Accounts(); a.Captured != 40 || a.Pending != 0 {
		t.Errorf("accounts %+v", a)
	}
	_, a, err := ReadAccounts(t.Context(), &Config{SpoolMax: 1 << 20}, dir, &shelf{messages: r.shelf.messages})
	if err != nil || a.Captured != 40 {
		t.Errorf("read while nobody runs: %+v, %v", a, err)
	}

	// The next life cannot reach the journal either, for a while.
	next := start(t, up, rigConfig{dir: dir, cfg: withSpool, pub: r.shelf})
	next.shelf = r.shelf
	next.askMany(40, 60)
	next.spooled(60)
	r.shelf.comeBack(1)
	next.drained()
	eventually(t, "all of them", func() bool { return len(r.shelf.records()) >= 60 }, func() any { return len(r.shelf.records()) })
	r.shelf.once(t, 60)
	next.stop()
	if a := next.Accounts(); a.Captured != 60 || a.Received != 60 {
		t.Errorf("accounts %+v", a)
	}
}

// Another process stores what a proxy left behind.
func TestSettleStoresWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	r := start(t, provider(t, answering), rigConfig{dir: dir, cfg: withSpool})
	r.shelf.leave(journal.ErrUnavailable)
	r.askMany(0, 30)
	r.spooled(30)
	r.stop()
	cfg := DefaultConfig()
	home := Home{Shared: dir, Own: dir}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := Settle(ctx, &cfg, home, r.shelf, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("settled with the journal away")
	}
	r.shelf.comeBack(1)
	_, a, err := Settle(t.Context(), &cfg, home, r.shelf, slog.New(slog.DiscardHandler))
	if err != nil || a.Captured != 30 || a.Received != 30 {
		t.Errorf("accounts %+v, %v", a, err)
	}
	r.shelf.once(t, 30)
	if left, _ := filepath.Glob(filepath.Join(dir, "capture-spool", "*.spool")); left != nil {
		t.Errorf("left: %v", left)
	}
}

// What does not fit is dropped and counted; what was taken before stays.
func TestFullSpoolDropsAndCounts(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{cfg: func(c *Config) { c.SpoolMax = 1 << 20 }})
	r.shelf.leave(journal.ErrUnavailable)
	body := long(100_000)
	const n = 30
	for i := range n {
		ask(t, r.url+chatPath, body, "X-Understudy-Conversation", fmt.Sprint(i))
	}
	a := r.settled(n)
	if a.Captured == 0 || a.Captured > 10 || a.Captured+a.Dropped[reasonSpoolFull] != n {
		t.Errorf("accounts %+v", a)
	}
	r.shelf.comeBack(0)
	r.drained()
	if got := len(r.shelf.records()); int64(got) != a.Captured {
		t.Errorf("%d stored, %d captured", got, a.Captured)
	}
}

// A disk that takes nothing leaves records in memory, and the live path alone.
func TestSpoolThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	r := start(t, provider(t, answering), rigConfig{dir: dir, cfg: withSpool})
	r.askMany(0, 5)
	r.settled(5)
	spool := filepath.Join(dir, "capture-spool") // a file in its place stops root as well
	if err := os.RemoveAll(spool); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(spool, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.shelf.leave(journal.ErrUnavailable)
	r.askMany(5, 25)
	eventually(t, "the spool's failure", r.publisher.spool.broken.Load, func() any { return r.Accounts() })
	if a := r.Accounts(); a.Pending == 0 || a.Captured != 5 {
		t.Errorf("accounts %+v", a)
	}
	r.shelf.comeBack(1)
	if a := r.settled(25); a.Captured != 25 {
		t.Errorf("accounts %+v", a)
	}
	r.shelf.once(t, 25)
}

// A journal that is slower than the traffic does not fill the memory.
func TestBacklogGoesToTheSpool(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{cfg: func(c *Config) { withSpool(c); c.Memory, c.MaxBody = 8<<20, 1<<20 }})
	hold := make(chan struct{})
	r.shelf.set(func(s *shelf) {
		s.fault = func(ctx context.Context) error {
			select {
			case <-hold:
			case <-time.After(100 * time.Millisecond): // it is slow, not away
			case <-ctx.Done():
			}
			return nil
		}
	})
	body := long(200_000)
	for i := range 40 {
		ask(t, r.url+chatPath, body, "X-Understudy-Conversation", fmt.Sprint(i))
		time.Sleep(5 * time.Millisecond)
	}
	if a := r.settled(40); a.Captured != 40 {
		t.Errorf("accounts %+v", a)
	}
	close(hold)
	r.drained()
	eventually(t, "all of them", func() bool { return len(r.shelf.records()) >= 40 }, func() any { return len(r.shelf.records()) })
	r.shelf.once(t, 40)
}

// A lost accounts file costs the counts of before, not what waits.
func TestSpoolWithoutItsAccounts(t *testing.T) {
	dir := t.TempDir()
	up := provider(t, answering)
	r := start(t, up, rigConfig{dir: dir, cfg: withSpool})
	r.shelf.leave(journal.ErrUnavailable)
	r.askMany(0, 12)
	r.spooled(12)
	r.stop()
	if err := os.Remove(filepath.Join(dir, accountsFile)); err != nil {
		t.Fatal(err)
	}
	r.shelf.comeBack(0)
	next := start(t, up, rigConfig{dir: dir, cfg: withSpool, pub: r.shelf})
	next.drained()
	r.shelf.once(t, 12)
	if a := next.Accounts(); a.Received != 12 || a.Captured != 12 {
		t.Errorf("accounts %+v", a)
	}
}
