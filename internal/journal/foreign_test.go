package journal

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestForeignMessagesAreOneRecordAndNeverOurs: a publisher's header and record may
// claim anything; the subject decides.
func TestForeignMessagesAreOneRecordAndNeverOurs(t *testing.T) {
	j := openTest(t, testConfig(t))
	send := func(count int, data []byte) {
		t.Helper()
		m := nats.NewMsg(IngestSubject("gateway", "a"))
		m.Header.Set(HeaderCount, strconv.Itoa(count))
		m.Data = data
		if _, err := j.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	own := exchange("b", 1) // claims to be captured, in another sub-module
	one, _ := AppendExchange(nil, own)
	three, _ := AppendExchange(nil, exchange("a", 1))
	three, _ = AppendExchange(three, exchange("a", 2))
	send(1000, one)
	send(20_000_000, []byte("garbage"))
	send(1, three)

	list, err := ReadExchanges(IngestSubject("gateway", "a"), one)
	if err != nil || list[0].Source != "gateway" || list[0].Submodule != "a" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := ReadExchanges(IngestSubject("gateway", "a"), three); err == nil {
		t.Error("a foreign message of two records was read")
	}
	if list[0].Key(7) == own.ID || list[0].Key(7) == list[0].Key(8) {
		t.Error("a foreign id stands for one of ours, or for another message's")
	}
	if list, err := ReadExchanges(ExchangeSubject("a"), three); err != nil || len(list) != 2 || list[1].Source != SourceCapture {
		t.Errorf("our own: %d records, %v", len(list), err)
	}

	acc := NewAccounts(j, func(string) []string { return []string{"x"} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- acc.Run(ctx) }()
	defer func() { cancel(); <-done }()
	deadline := time.Now().Add(10 * time.Second)
	for acc.Ingested() != 3 {
		if time.Now().After(deadline) {
			t.Fatalf("%d ingested, want 3", acc.Ingested())
		}
		<-time.After(10 * time.Millisecond)
	}
	if b := acc.Candidates()["x"]; b != (Buckets{Pending: 3}) || acc.Stored() != 0 {
		t.Errorf("buckets %+v, stored %d", b, acc.Stored())
	}
}
