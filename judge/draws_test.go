package judge

import (
	"fmt"
	"testing"
	"time"

	"understudy/internal/journal"
)

// Of a conversation that goes on for hours one exchange is drawn, of its first window.
func TestLongConversationIsDrawnOnce(t *testing.T) {
	const window = 30 * time.Minute
	d := newDraws(nil, window, quiet())
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	d.from = start.Add(-time.Hour)
	drawn := map[string]bool{}
	for i := range 60 {
		x := &journal.Exchange{ID: fmt.Sprint("e", i), At: start.Add(time.Duration(i) * 5 * time.Minute), Source: journal.SourceCapture, Submodule: "a/b", Conversation: "c"}
		d.add(x)
		now := x.At.Add(window + longestGrace)
		d.current = now
		trial := &journal.Trial{Submodule: "a/b", Conversation: "c", ExchangeID: x.ID, At: x.At}
		if found := d.look(trial, now, now); found.drawn {
			drawn[x.ID] = true
			if x.At.Sub(start) >= window {
				t.Errorf("%s is drawn, %v after the conversation began", x.ID, x.At.Sub(start))
			}
		}
		d.forget(x.At) // the oldest in hand
	}
	d.forget(start.Add(24 * time.Hour))
	if len(d.convs) != 0 {
		t.Error("it is remembered for ever")
	}
	if len(drawn) == 0 {
		t.Error("nothing is drawn")
	}
}
