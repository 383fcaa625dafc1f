package llm

import (
	"context"
	"testing"
	"time"
)

// TestWatchDecidesOnce: content and the end of the patience may come in the same moment;
// one of them counts, and the other has no effect.
func TestWatchDecidesOnce(t *testing.T) {
	c := &Chain{cfg: ChainConfig{FirstContent: 20 * time.Millisecond}}
	step := &step{call: &Call{Streamed: true}}

	seen := 0
	call := &Call{Emit: func(Event) { seen++ }}
	w := c.watch(context.Background(), call, step, 1)
	w.state.Store(committed) // the content has just been passed on, and the timer was not stopped yet
	time.Sleep(60 * time.Millisecond)
	if w.ctx.Err() != nil {
		t.Error("an answer that the caller sees was cancelled")
	}
	w.end()

	w = c.watch(context.Background(), call, step, 1)
	<-w.ctx.Done()
	w.event(Event{Kind: EventText, Text: "late"})
	if seen != 0 || w.committed() {
		t.Errorf("%d events of an answer that was given up were passed on", seen)
	}
	w.end()
}
