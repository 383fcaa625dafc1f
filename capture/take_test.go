package capture

import (
	"bytes"
	"testing"
	"time"
)

func newTestTake(limit, maxBody int64) *take {
	b := &budget{}
	b.limit.Store(limit)
	return &take{budget: b, maxBody: maxBody}
}

func TestSealedTakeStaysAsItIs(t *testing.T) {
	k := newTestTake(1<<20, 1<<20)
	k.addRequest([]byte("abc"), 6, false)
	k.addResponse([]byte("x"), -1, time.Millisecond)
	k.seal()
	k.addRequest([]byte("def"), 6, true)
	k.addResponse([]byte("y"), -1, time.Second)
	if string(k.request) != "abc" || string(k.response) != "x" || len(k.frames) != 1 || k.whole {
		t.Errorf("request %q, response %q, frames %v, whole %v", k.request, k.response, k.frames, k.whole)
	}
}

func TestTakeChargesWhatItHolds(t *testing.T) {
	for name, length := range map[string]int64{"length unknown": -1, "length known": 300_000} {
		t.Run(name, func(t *testing.T) {
			k := newTestTake(4<<20, 1<<20)
			piece := bytes.Repeat([]byte("z"), 1000)
			for i := range 300 {
				k.addResponse(piece, length, time.Duration(i)*time.Millisecond)
				held := int64(cap(k.response) + cap(k.frames)*frameSize)
				if k.charged != held || k.budget.used.Load() != held {
					t.Fatalf("after %d pieces %d bytes are held, %d charged, %d taken from the budget", i, held, k.charged, k.budget.used.Load())
				}
			}
			if length > 0 && int64(cap(k.response)) > length*5/4 {
				t.Errorf("%d bytes are held for an answer of %d", cap(k.response), length)
			}
			k.release()
			if k.budget.used.Load() != 0 {
				t.Errorf("%d bytes stay charged", k.budget.used.Load())
			}
		})
	}
}

func TestFramesAreBounded(t *testing.T) {
	k := newTestTake(4<<20, 1<<20)
	const n = maxFrames + 500
	for i := range n {
		k.addResponse([]byte("ab"), -1, time.Duration(i)*time.Millisecond)
	}
	sum := 0
	for _, f := range k.frames {
		sum += f.Bytes
	}
	last := k.frames[len(k.frames)-1]
	if len(k.frames) != maxFrames || sum != 2*n || last.AtMS != n-1 {
		t.Errorf("%d frames with %d bytes, the last at %v ms", len(k.frames), sum, last.AtMS)
	}
}
