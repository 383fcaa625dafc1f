package replay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/internal/journal"
	"understudy/llm"
)

// However calls come, end and are throttled, never more are in flight than allowed, and
// none waits while a slot is free.
func TestLimitIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 20).Draw(t, "most")
		l := newLimit(most)
		clock := time.Unix(0, 0)
		l.now = func() time.Time { clock = clock.Add(time.Second); return clock }
		running, waiting := 0, 0
		taken := make(chan struct{}, 1000)
		turns := func() { // counts those whose turn it was
			for waiting > 0 {
				if _, busy := l.state(); busy <= running {
					return
				}
				<-taken
				running, waiting = running+1, waiting-1
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				l.mu.Lock()
				free := len(l.waiting) == 0 && l.busy < int(l.allowed)
				l.mu.Unlock()
				if free {
					if err := l.acquire(context.Background()); err != nil {
						t.Fatal(err)
					}
					running++
					continue
				}
				before := queued(l)
				go func() { l.acquire(context.Background()); taken <- struct{}{} }()
				for queued(l) == before { // it stands in line at once
					time.Sleep(time.Microsecond)
				}
				waiting++
			case 1:
				if running > 0 {
					l.release()
					running--
				}
			case 2:
				l.throttled(l.now())
			case 3:
				l.worked()
			}
			turns()
			allowed, busy := l.state()
			if busy != running || allowed > most || allowed < 1 {
				t.Fatalf("%d allowed of %d, %d busy, %d running", allowed, most, busy, running)
			}
			if waiting > 0 && busy < allowed {
				t.Fatalf("%d wait, and only %d of %d are busy", waiting, busy, allowed)
			}
		}
		for waiting > 0 {
			l.release()
			running--
			turns()
		}
	})
}

func queued(l *limit) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

func TestLimitHalvesOnceAndRecovers(t *testing.T) {
	l := newLimit(16)
	began := time.Now()
	for range 16 { // all that were in flight together are one event
		l.throttled(began)
	}
	if allowed, _ := l.state(); allowed != 8 {
		t.Errorf("%d allowed after one row of throttled calls, want 8", allowed)
	}
	l.throttled(time.Now().Add(time.Second))
	if allowed, _ := l.state(); allowed != 4 {
		t.Errorf("%d allowed after the second, want 4", allowed)
	}
	n := 0
	for ; ; n++ {
		if allowed, _ := l.state(); allowed == 16 {
			break
		}
		l.worked()
	}
	if n < 100 || n > 200 { // one more for each round of calls: 4+5+…+15
		t.Errorf("recovered after %d calls", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 16 {
		l.acquire(ctx)
	}
	cancel()
	if err := l.acquire(ctx); !errors.Is(err, context.Canceled) || queued(l) != 0 {
		t.Errorf("%v, %d wait", err, queued(l))
	}
}

func TestWindows(t *testing.T) {
	night, err := parseWindow("20:00-06:30")
	if err != nil {
		t.Fatal(err)
	}
	noon, _ := parseWindow("12:00-13:00")
	at := func(clock string) time.Time {
		tm, err := time.Parse("2006-01-02 15:04:05", "2026-11-27 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return tm
	}
	for clock, want := range map[string]time.Duration{
		"20:00:00": 0, "23:59:59": 0, "00:00:00": 0, "06:29:59": 0, "06:30:00": 5*time.Hour + 30*time.Minute,
		"12:00:00": 0, "12:59:59": 0, "13:00:00": 7 * time.Hour, "19:59:30": 30 * time.Second,
	} {
		if got := closedFor([]window{night, noon}, at(clock)); got != want {
			t.Errorf("%s: closed for %s, want %s", clock, got, want)
		}
	}
	if closedFor(nil, time.Now()) != 0 {
		t.Error("without windows it is never closed")
	}
	for _, s := range []string{"", "20:00", "8-9", "20:00-20:00", "25:00-06:00"} {
		if _, err := parseWindow(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

// A schedule keeps the rhythm of capture, speed times as fast, for every host.
func TestPaceKeepsTheRhythm(t *testing.T) {
	var stored journal.Pace
	clock := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	host := func() *pace {
		return &pace{speed: 2, now: func() time.Time { return clock },
			read: func(context.Context) (journal.Pace, error) { return stored, nil },
			write: func(_ context.Context, p journal.Pace) error {
				if p.Revision != stored.Revision {
					return journal.ErrContested
				}
				p.Revision++
				stored = p
				return nil
			}}
	}
	a, b := host(), host()
	captured := clock.Add(-3 * time.Hour)
	due := func(p *pace, after time.Duration) time.Duration {
		d, err := p.due(t.Context(), captured.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return d.Sub(clock)
	}
	if got := due(a, 0); got != 0 {
		t.Errorf("the first is due in %s", got)
	}
	if got := due(b, 10*time.Minute); got != 5*time.Minute {
		t.Errorf("ten minutes later is due in %s at another host, want 5m", got)
	}
	clock = clock.Add(time.Hour) // nothing ran meanwhile
	if got := due(a, 20*time.Minute); got != 0 {
		t.Errorf("after an outage it is due in %s", got)
	}
	if got := due(b, 30*time.Minute); got != 5*time.Minute {
		t.Errorf("after an outage the rhythm is not kept: %s", got)
	}
	for _, odd := range []time.Duration{-50 * 365 * 24 * time.Hour, 0, 365 * 24 * time.Hour, 0} {
		if got := due(a, odd); got != 0 {
			t.Errorf("a time that makes no sense holds the lane up for %s", got)
		}
		clock = clock.Add(2 * anchorLife)
	}
}

func TestUsualLengths(t *testing.T) {
	l := newLengths()
	for i := range 99 {
		l.saw("a", 100+i)
	}
	if got := l.limit("a"); got != 0 {
		t.Errorf("limit %d from 99 answers", got)
	}
	l.saw("a", 1000)
	if got := l.limit("a"); got != 1280 { // 1000 × 1.25, up to a multiple of 64
		t.Errorf("limit %d, want 1280", got)
	}
	for range 5000 {
		l.saw("a", 50)
	}
	if got := l.limit("a"); got != lengthLeast {
		t.Errorf("limit %d of short answers, want %d", got, lengthLeast)
	}
	if l.limit("b") != 0 {
		t.Error("another sub-module's lengths count")
	}
}

func TestDivergence(t *testing.T) {
	live := func(calls string) []byte {
		return fmt.Appendf(nil, `{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[%s]}}]}`, calls)
	}
	call := func(name, args string) string {
		return fmt.Sprintf(`{"id":"x","type":"function","function":{"name":%q,"arguments":%q}}`, name, args)
	}
	for name, c := range map[string]struct {
		live []byte
		got  []llm.ToolCall
		want journal.Divergence
	}{
		"same call, other spacing":    {live(call("f", `{"a":1,"b":[2]}`)), []llm.ToolCall{{Name: "f", Arguments: `{ "b": [2], "a": 1 }`}}, ""},
		"same calls, other order":     {live(call("f", `{}`) + "," + call("g", `{}`)), []llm.ToolCall{{Name: "g", Arguments: `{}`}, {Name: "f", Arguments: `{}`}}, ""},
		"answered instead":            {live(call("f", `{}`)), nil, journal.DivergedNoCall},
		"called instead":              {live(""), []llm.ToolCall{{Name: "f"}}, journal.DivergedCall},
		"another tool":                {live(call("f", `{}`)), []llm.ToolCall{{Name: "g", Arguments: `{}`}}, journal.DivergedTools},
		"one call more":               {live(call("f", `{}`)), []llm.ToolCall{{Name: "f", Arguments: `{}`}, {Name: "f", Arguments: `{}`}}, journal.DivergedTools},
		"other arguments":             {live(call("f", `{"a":1}`)), []llm.ToolCall{{Name: "f", Arguments: `{"a":2}`}}, journal.DivergedArguments},
		"neither calls":               {live(""), nil, ""},
		"an answer that is not known": {[]byte("?"), []llm.ToolCall{{Name: "f"}}, ""},
		"an old function call":        {[]byte(`{"choices":[{"message":{"function_call":{"name":"f","arguments":"{}"}}}]}`), []llm.ToolCall{{Name: "f", Arguments: "{}"}}, ""},
	} {
		ex := &journal.Exchange{Class: llm.ClassOK, Response: c.live}
		if got := divergence(ex, &journal.Trial{Class: llm.ClassOK, ToolCalls: c.got}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if d := divergence(&journal.Exchange{Class: llm.ClassOK, Response: live(call("f", "{}"))}, &journal.Trial{Class: llm.ClassTimeout}); d != "" {
		t.Errorf("a failed trial diverges: %s", d)
	}
	if d := cmp.Diff(newCalling("f", "not json").args, any("not json")); d != "" {
		t.Error(d)
	}
}
