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
	step := &step{call: &Call{Streamed: true}, behind: 1}

	seen := 0
	call := &Call{Emit: func(Event) { seen++ }}
	w := c.watch(context.Background(), call, step)
	w.state.Store(committed) // the content has just been passed on, and the timer was not stopped yet
	time.Sleep(60 * time.Millisecond)
	if w.ctx.Err() != nil {
		t.Error("an answer that the caller sees was cancelled")
	}
	w.end()

	w = c.watch(context.Background(), call, step)
	<-w.ctx.Done()
	w.event(Event{Kind: EventText, Text: "late"})
	if seen != 0 || w.committed() {
		t.Errorf("%d events of an answer that was given up were passed on", seen)
	}
	w.complete(&Response{Text: "whole all the same", Finish: FinishStop})
	if seen != 2 {
		t.Errorf("%d events of an answer that came in the moment when its time was over", seen)
	}
	w.end()
}

// TestWatchOfABufferedAnswer: what gives no event before it is whole has its share of the
// time, and is neither quick nor slow.
func TestWatchOfABufferedAnswer(t *testing.T) {
	c := &Chain{cfg: ChainConfig{FirstContent: 20 * time.Millisecond}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w := c.watch(ctx, &Call{}, &step{call: &Call{Streamed: true, Buffered: true}, behind: 1})
	time.Sleep(60 * time.Millisecond)
	if w.ctx.Err() != nil || w.first() != 0 {
		t.Errorf("%v, first content after %s", w.ctx.Err(), w.first())
	}
	w.end()
}

// A late client is done when its time is over.
type late struct{}

func (late) Prepare(*Request) (*Call, error) { return &Call{Body: []byte("{}"), Streamed: true}, nil }

func (late) Do(ctx context.Context, _ *Call) (*Response, error) {
	<-ctx.Done()
	return &Response{Text: "whole all the same", Finish: FinishStop}, nil
}

// TestChainShowsWhatCameInTime: an answer that is whole counts, and is shown.
func TestChainShowsWhatCameInTime(t *testing.T) {
	cfg := DefaultChainConfig()
	cfg.FirstContent = 20 * time.Millisecond
	c, err := NewChain([]Link{{Name: "late", Client: late{}}, {Name: "other", Client: late{}}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	call, err := c.Prepare(&Request{})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	call.Emit = func(e Event) { text += e.Text }
	resp, err := c.Do(context.Background(), call)
	if err != nil || resp.Endpoint != "late" || text != resp.Text || len(c.Counts()) > 0 {
		t.Errorf("%+v, %v; shown %q", resp, err, text)
	}
}
