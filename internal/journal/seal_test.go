package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"understudy/llm"
)

// TestTextsAreSealedWhereTheyAreStored: what the streams hold shows no text, and whoever
// reads through the journal has all of it.
func TestTextsAreSealedWhereTheyAreStored(t *testing.T) {
	j := openTest(t, testConfig(t))
	ctx := t.Context()
	const token = "quokka-7318-waltz"
	e := exchange("a/b", 1)
	e.Unit, e.Conversation = "interview-1", "talk-1"
	e.Request, e.Response = []byte(`{"q":"`+token+`"}`), []byte(token)
	big := exchange("a/b", 1)
	big.Unit, big.Response = "interview-1", append(noise(1<<20), token...)
	seq, err := j.PublishExchanges(ctx, "a/b", []*Exchange{e, big})
	if err != nil {
		t.Fatal(err)
	}
	tr := &Trial{ID: TrialID(e.ID, "x", "m", "", 0), ExchangeID: e.ID, At: e.At, Submodule: "a/b", Candidate: "x", Unit: e.Unit, Conversation: e.Conversation,
		Disposition: Tried, Class: llm.ClassOK, Text: token, Refusal: token, ToolCalls: []llm.ToolCall{{Name: token, Arguments: token}}}
	v := &Verdict{TrialID: tr.ID, At: e.At, Submodule: "a/b", Candidate: "x", Unit: e.Unit, Conversation: e.Conversation, Diff: []Change{{Path: "/" + token, Live: token}}}
	say := &Judgement{TrialID: tr.ID, At: e.At, Submodule: "a/b", Candidate: "x", Unit: e.Unit, Conversation: e.Conversation,
		Live: map[string]Rating{"style": {Label: "good", Reason: token}}, Pairwise: &Pairwise{LiveFirst: Rating{Reason: token}, TrialFirst: Rating{Reason: token}}}
	for _, err := range []error{second(j.StoreTrial(ctx, tr)), second(j.StoreVerdict(ctx, v)), second(j.StoreJudgement(ctx, say)),
		j.Remember(ctx, "k", e.owners(), []byte(token))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if tr.Text != token || len(v.Diff) != 1 || say.Live["style"].Reason != token || say.Pairwise.LiveFirst.Reason != token {
		t.Error("storing a record changed the caller's")
	}
	everything(t, j, func(where string, data []byte) {
		if bytes.Contains(data, []byte(token)) {
			t.Errorf("%s shows a text", where)
		}
	})

	got, err := j.Exchange(ctx, seq-1, e.ID)
	if err != nil || !bytes.Equal(got.Request, e.Request) || !bytes.Equal(got.Response, e.Response) {
		t.Errorf("exchange %+v, %v", got, err)
	}
	if got, err := j.Exchange(ctx, seq, big.ID); err != nil || !bytes.Equal(got.Response, big.Response) {
		t.Errorf("large exchange: %v", err)
	}
	if got, err := j.Trial(ctx, "a/b", "x", tr.ID); err != nil || got.Text != token || got.Refusal != token || len(got.ToolCalls) != 1 || got.ToolCalls[0].Arguments != token {
		t.Errorf("trial %+v, %v", got, err)
	}
	if got, err := j.Verdict(ctx, "a/b", "x", tr.ID); err != nil || len(got.Diff) != 1 || got.Diff[0].Live != token {
		t.Errorf("verdict %+v, %v", got, err)
	}
	if got, err := j.Judgement(ctx, "a/b", "x", tr.ID); err != nil || got.Live["style"].Reason != token || got.Pairwise.TrialFirst.Reason != token {
		t.Errorf("judgement %+v, %v", got, err)
	}
	if got, err := j.Cached(ctx, "k"); err != nil || string(got) != token {
		t.Errorf("cached %q, %v", got, err)
	}
}

func second(_ bool, err error) error { return err }

// everything hands every message of every stream to see, objects and buckets with them,
// as the server gives them.
func everything(t *testing.T, j *Journal, see func(where string, data []byte)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list := j.js.ListStreams(ctx)
	for info := range list.Info() {
		s, err := j.js.Stream(ctx, info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq && seq > 0; seq++ {
			m, err := s.GetMsg(ctx, seq)
			if err != nil {
				continue // deleted
			}
			see(info.Config.Name+" "+m.Subject, m.Data)
			for name, values := range m.Header {
				see(info.Config.Name+" "+m.Subject+" "+name, []byte(strings.Join(values, " ")))
			}
		}
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestSealedTextIsBoundToItsRecord: a body under another id, in another field, or changed
// does not open.
func TestSealedTextIsBoundToItsRecord(t *testing.T) {
	secrets := [][]byte{noise(32)}
	s, err := newSealer(secrets, "exchange", "1")
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("a text")
	sealed := s.seal("request", text)
	if !bytes.Equal(sealed, s.seal("request", text)) {
		t.Error("the same text is sealed otherwise when it is published again")
	}
	if got, err := s.open("request", sealed); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%q, %v", got, err)
	}
	other, _ := newSealer(secrets, "exchange", "2")
	foreign, _ := newSealer([][]byte{make([]byte, 32)}, "exchange", "1")
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another record": func() ([]byte, error) { return other.open("request", sealed) },
		"another field":  func() ([]byte, error) { return s.open("response", sealed) },
		"another secret": func() ([]byte, error) { return foreign.open("request", sealed) },
		"changed":        func() ([]byte, error) { return s.open("request", changed) },
		"cut":            func() ([]byte, error) { return s.open("request", sealed[:20]) },
	} {
		if got, err := open(); !errors.Is(err, ErrSeal) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestRecordsOfBeforeStayReadable: those that an earlier version stored are not sealed.
func TestRecordsOfBeforeStayReadable(t *testing.T) {
	j := openTest(t, testConfig(t))
	e := exchange("a", 7)
	e.Schema = 1
	data, err := AppendExchange(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.js.Publish(t.Context(), ExchangeSubject("a"), data); err != nil {
		t.Fatal(err)
	}
	if _, err := j.js.Publish(t.Context(), TrialSubject("a", "x", "1"), []byte(`{"schema":1,"id":"1","text":"plain"}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := j.Exchange(t.Context(), 1, e.ID); err != nil || !bytes.Equal(got.Response, e.Response) {
		t.Errorf("exchange: %+v, %v", got, err)
	}
	if got, err := j.Trial(t.Context(), "a", "x", "1"); err != nil || got.Text != "plain" {
		t.Errorf("trial: %+v, %v", got, err)
	}
}

// TestTwoProcessesAgreeOnASecret: of several that need one for the same name at once, all
// have the same.
func TestTwoProcessesAgreeOnASecret(t *testing.T) {
	j := openTest(t, testConfig(t))
	const n = 8
	got := make(chan uint64, n)
	for range n {
		go func() {
			k := &keyring{j: j}
			s, err := k.current(t.Context(), unitName("u"), time.Now())
			if err != nil {
				t.Error(err)
				got <- 0
				return
			}
			got <- s.seq
		}()
	}
	first := <-got
	for range n - 1 {
		if seq := <-got; seq != first {
			t.Errorf("secrets %d and %d", first, seq)
		}
	}
}

// BenchmarkPublish compares in one run what it costs to store and read exchanges of 20 kB,
// sealed and plain; conversations have eight turns.
func BenchmarkPublish(b *testing.B) {
	for _, sealed := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "sealed"}[sealed]
		b.Run(name, func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.Dir, cfg.MaxStore = b.TempDir(), 8<<30
			j, err := Open(cfg, quiet())
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			n := 0
			for b.Loop() {
				list := make([]*Exchange, 16)
				for i := range list {
					list[i] = exchange("a", 1)
					list[i].Conversation, list[i].Request = fmt.Sprint("c", n/8), text20k
					n++
				}
				if sealed {
					_, err = j.PublishExchanges(b.Context(), "a", list)
				} else {
					err = plainly(b.Context(), j, list)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/exchange")
		})
	}
}

// text20k is as compressible as prose.
var text20k = []byte(strings.Repeat("Which bridge did you build, and what held it up when the river rose in spring? ", 256))

// plainly is PublishExchanges as it was without seals.
func plainly(ctx context.Context, j *Journal, list []*Exchange) error {
	var data []byte
	var err error
	for _, e := range list {
		if data, err = AppendExchange(data, e); err != nil {
			return err
		}
	}
	_, err = j.publishBatch(ctx, "a", list, data)
	return err
}

// BenchmarkSeal compares in one run what a record of 120 kB costs to write and to read,
// plain and sealed, without NATS.
func BenchmarkSeal(b *testing.B) {
	e := exchange("a", 1)
	e.Request = bytes.Repeat(text20k, 6)
	s, err := newSealer([][]byte{noise(32), noise(32)}, "exchange", e.ID)
	if err != nil {
		b.Fatal(err)
	}
	for _, sealed := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "sealed"}[sealed], func(b *testing.B) {
			b.SetBytes(int64(len(e.Request)))
			var data []byte
			for b.Loop() {
				c := *e
				if sealed {
					c.Request, c.Response = s.seal("request", e.Request), s.seal("response", e.Response)
				}
				if data, err = AppendExchange(data[:0], &c); err != nil {
					b.Fatal(err)
				}
				list, err := DecodeExchanges(data)
				if err != nil {
					b.Fatal(err)
				}
				if sealed {
					if _, err := s.open("request", list[0].Request); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
