package llm_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"understudy/llm"
)

func TestAttemptClass(t *testing.T) {
	broken := errors.New("connection reset")
	cases := []struct {
		name  string
		run   func(a *llm.Attempt, cancel context.CancelFunc)
		begun bool
		want  llm.Class
	}{
		{"broken before an answer", func(*llm.Attempt, context.CancelFunc) {}, false, llm.ClassNetwork},
		{"broken in the answer", func(*llm.Attempt, context.CancelFunc) {}, true, llm.ClassTruncated},
		{"caller left", func(_ *llm.Attempt, cancel context.CancelFunc) { cancel() }, true, llm.ClassCancelled},
		{"deadline", func(*llm.Attempt, context.CancelFunc) { time.Sleep(11 * time.Second) }, true, llm.ClassTimeout},
		{"silence before the answer is no stall", func(*llm.Attempt, context.CancelFunc) { time.Sleep(9 * time.Second) }, false, llm.ClassNetwork},
		{"silence in the answer", func(a *llm.Attempt, _ context.CancelFunc) { a.Heard(); time.Sleep(4 * time.Second) }, true, llm.ClassTimeout},
		{"pieces keep it alive", func(a *llm.Attempt, _ context.CancelFunc) {
			for range 4 {
				a.Heard()
				time.Sleep(2 * time.Second)
			}
		}, true, llm.ClassTruncated},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				a := llm.StartAttempt(ctx, 10*time.Second, 3*time.Second)
				defer a.End()
				c.run(a, cancel)
				synctest.Wait()
				if got := a.Class(broken, c.begun); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestAttemptDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := llm.StartAttempt(t.Context(), time.Minute, time.Minute)
		defer a.End()
		r, w := io.Pipe()
		context.AfterFunc(a.Context(), func() { _ = w.CloseWithError(context.Canceled) })
		start := time.Now()
		a.Drain(r)
		if took := time.Since(start); took > time.Second {
			t.Errorf("drain took %s", took)
		}
	})
}
