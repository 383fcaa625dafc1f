package journal

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// An exchange is found by each of its names, also once the index has forgotten it and
// only the headers of the stream know it.
func TestExchangesAreFoundByWhatOthersCallThem(t *testing.T) {
	j := openTest(t, testConfig(t))
	var batch []*Exchange
	for i := range 20 {
		e := exchange("a/b", i)
		e.Conversation, e.Unit = fmt.Sprint("conversation-", i/4), fmt.Sprint("unit-", i/10)
		e.ProviderRequestID, e.AnswerID = fmt.Sprint("req_", i), fmt.Sprint("chatcmpl-", i)
		e.Traceparent = fmt.Sprintf("00-%032x-00f067aa0ba902b7-01", i+1)
		batch = append(batch, e)
	}
	batch[4].Conversation = batch[4].ID // a first turn that opened one, and the next
	batch[5].Conversation = batch[4].ID
	for i := 0; i < len(batch); i += 5 {
		if _, err := j.PublishExchanges(t.Context(), "a/b", batch[i:i+5]); err != nil {
			t.Fatal(err)
		}
	}
	a := NewAccounts(j, func(string) []string { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go a.Run(ctx)
	for ok := false; !ok; { // the test's own time limit bounds it
		ok, _ = a.CaughtUp(t.Context())
	}

	look := func(id string, limit int, want ...int) {
		t.Helper()
		found, err := a.FindExchanges(t.Context(), id, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, f := range found {
			got = append(got, slices.IndexFunc(batch, func(e *Exchange) bool { return e.ID == f.ID }))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", id, got, want)
		}
	}
	all := func() {
		t.Helper()
		look("req_7", 10, 7)
		look("chatcmpl-12", 10, 12)
		look(fmt.Sprintf("%032x", 3), 10, 2)
		look(fmt.Sprintf("00-%032x-aaaaaaaaaaaaaaaa-00", 3), 10, 2)
		look("conversation-3", 10, 15, 14, 13, 12)
		look("unit-1", 3, 19, 18, 17)
		look(batch[9].ID, 10, 9)
		look(batch[4].ID, 10, 4, 5)
		look("req_99", 10)
		look("", 10)
	}
	all()
	a.index.mu.Lock() // as if the ring had gone round between the second and the third message
	a.index.entries = slices.DeleteFunc(a.index.entries, func(e idEntry) bool { return e.seq < 3 })
	a.index.from = 3
	a.index.mu.Unlock()
	all()
}

func TestIndexOfIDsIsARing(t *testing.T) {
	x := &idIndex{entries: make([]idEntry, indexMost)}
	for i := range x.entries {
		x.entries[i] = idEntry{idHash(i), uint64(i)}
	}
	e := exchange("a", 1)
	e.Conversation, e.Unit = "", "u"
	m := &Message{Seq: indexMost, Header: map[string][]string{HeaderIDs: {idsHeader([]*Exchange{e})}}}
	x.add(m)
	if seqs, from := x.find(hashID("u")); len(seqs) != 1 || seqs[0] != indexMost || from != 1 || len(x.entries) != indexMost {
		t.Errorf("found %v, whole from %d on, %d entries", seqs, from, len(x.entries))
	}
}

// A proxy whose clock is ahead of the broker's has ids that are younger than their messages.
func TestExchangeOfAClockThatIsAheadIsFound(t *testing.T) {
	j := openTest(t, testConfig(t))
	e := exchange("a/b", 1)
	e.ID = NewID(time.Now().Add(time.Hour))
	if _, err := j.PublishExchanges(t.Context(), "a/b", []*Exchange{e}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := j.FindExchange(t.Context(), e.ID); err != nil || got.ID != e.ID {
		t.Errorf("%v, %v", got, err)
	}
}
