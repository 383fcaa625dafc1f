package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"understudy/llm"
)

// A life is all that is stored of one conversation, with a text of its own in each field.
type life struct {
	ex      *Exchange
	seq     uint64
	trial   *Trial
	tokens  [][]byte
	secrets [][]byte
}

// token cannot be compressed, so that a search of the raw files would find it.
func token() string {
	b := make([]byte, 24)
	for i := range b {
		b[i] = byte(rand.N(256))
	}
	return hex.EncodeToString(b)
}

func (l *life) token() string {
	s := token()
	l.tokens = append(l.tokens, []byte(s))
	return s
}

// store stores the whole life of a unit's conversation; size is the answer's.
func store(t *testing.T, j *Journal, unit, conversation string, size int) *life {
	t.Helper()
	ctx := t.Context()
	l := &life{ex: exchange("a/b", 1)}
	e := l.ex
	e.Unit, e.Conversation = unit, conversation
	e.Request, e.Response = []byte(l.token()), append(noise(size), l.token()...)
	var err error
	if l.seq, err = j.PublishExchanges(ctx, "a/b", []*Exchange{e}); err != nil {
		t.Fatal(err)
	}
	l.storeTrial(t, j)
	for _, name := range (&Owners{Unit: unit, Conversation: conversation}).names() {
		s, err := j.keys.current(ctx, name, e.At)
		if err != nil {
			t.Fatal(err)
		}
		l.secrets = append(l.secrets, []byte(s.bytes))
	}
	return l
}

func (l *life) storeTrial(t *testing.T, j *Journal) {
	t.Helper()
	ctx, e := t.Context(), l.ex
	l.trial = &Trial{ID: TrialID(e.ID, "x", "m", "", 0), ExchangeID: e.ID, ExchangeSeq: l.seq, At: e.At, Source: e.Source, Submodule: "a/b", Candidate: "x",
		Unit: e.Unit, Conversation: e.Conversation, Disposition: Tried, Class: llm.ClassOK, Text: l.token()}
	v := &Verdict{TrialID: l.trial.ID, At: e.At, Submodule: "a/b", Candidate: "x", Unit: e.Unit, Conversation: e.Conversation, Diff: []Change{{Live: l.token()}}}
	say := &Judgement{TrialID: l.trial.ID, At: e.At, Submodule: "a/b", Candidate: "x", Unit: e.Unit, Conversation: e.Conversation,
		Trial: map[string]Rating{"style": {Label: "good", Reason: l.token()}}}
	for _, err := range []error{second(j.StoreTrial(ctx, l.trial)), second(j.StoreVerdict(ctx, v)), second(j.StoreJudgement(ctx, say)),
		j.Remember(ctx, l.trial.ID, e.owners(), []byte(l.token()))} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readable checks that all texts of a life are there.
func (l *life) readable(t *testing.T, j *Journal) {
	t.Helper()
	ctx := t.Context()
	e, err := j.Exchange(ctx, l.seq, l.ex.ID)
	if err != nil || !bytes.Equal(e.Request, l.ex.Request) || !bytes.Equal(e.Response, l.ex.Response) {
		t.Errorf("exchange of %s is not readable: %v", l.ex.Unit, err)
	}
	if tr, err := j.Trial(ctx, "a/b", "x", l.trial.ID); err != nil || tr.Text != l.trial.Text {
		t.Errorf("trial of %s is not readable: %v", l.ex.Unit, err)
	}
	if v, err := j.Judgement(ctx, "a/b", "x", l.trial.ID); err != nil || v.Trial["style"].Reason == "" {
		t.Errorf("judgement of %s is not readable: %v", l.ex.Unit, err)
	}
}

// rawFiles hands every file below dir to see.
func rawFiles(t *testing.T, dir string, see func(path string, data []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		see(path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// absent checks that nothing in the raw files of a closed store, nor what a server on a
// copy of it gives out, shows one of the values.
func absent(t *testing.T, cfg Config, what string, values [][]byte) {
	t.Helper()
	seek := func(where string, data []byte) {
		for _, v := range values {
			for _, form := range [][]byte{v, []byte(hex.EncodeToString(v)), base64Of(v)} {
				if bytes.Contains(data, form) {
					t.Errorf("%s: %s is found in %s", cfg.KeyFile, what, where)
				}
			}
		}
	}
	rawFiles(t, cfg.Dir, seek)
	copied := cfg
	copied.Dir = t.TempDir()
	if err := os.CopyFS(copied.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	j, err := Open(copied, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	everything(t, j, seek)
}

func base64Of(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }

func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(token()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestForgottenIsGone: nothing that is left in the store, opened with all keys that there
// are, gives a text of the forgotten unit back, nor its secret; others' are readable.
func TestForgottenIsGone(t *testing.T) {
	for _, key := range []string{"", keyFile(t)} {
		t.Run(fmt.Sprintf("key file %t", key != ""), func(t *testing.T) {
			cfg := testConfig(t)
			cfg.KeyFile = key
			j := openTest(t, cfg)
			ctx := t.Context()
			gone, large := store(t, j, "gone", "talk-1", 10), store(t, j, "gone", "talk-2", 700<<10)
			stays := store(t, j, "stays", "talk-3", 10)
			for _, l := range []*life{gone, large, stays} {
				l.readable(t, j)
			}
			// Of two in one message one is forgotten: the message stays.
			a, b := exchange("a/b", 5), exchange("a/b", 6)
			a.Unit, b.Unit = "gone", "stays"
			shared, err := j.PublishExchanges(ctx, "a/b", []*Exchange{a, b})
			if err != nil {
				t.Fatal(err)
			}
			texts := append(append([][]byte{}, gone.tokens...), large.tokens...)
			if j.Close(); key == "" {
				absent(t, cfg, "a sealed text", append(texts, stays.tokens...))
			}
			j = openTest(t, cfg)

			order := &Forgetting{Units: []string{"gone"}}
			inHand, err := j.Exchange(ctx, gone.seq, gone.ex.ID)
			if err != nil {
				t.Fatal(err)
			}
			want := ForgetCount{Exchanges: 3, Trials: 2, Verdicts: 2, Judgements: 2, Kept: 1}
			if n, err := j.CountForgotten(ctx, order); err != nil || n != want {
				t.Fatalf("counted %+v, %v; want %+v", n, err, want)
			}
			if n, err := j.Forget(ctx, order); err != nil || n != want {
				t.Fatalf("forgot %+v, %v; want %+v", n, err, want)
			}
			if n, err := j.Forget(ctx, order); err != nil || n != (ForgetCount{Exchanges: 1, Kept: 1}) {
				t.Errorf("forgot again %+v, %v", n, err)
			}
			stays.readable(t, j)
			if err := j.Unseal(ctx, inHand); !errors.Is(err, ErrForgotten) || inHand.Request != nil {
				t.Errorf("what was in hand: %v, %q", err, inHand.Request)
			}
			if _, err := j.Exchange(ctx, shared, a.ID); !errors.Is(err, ErrForgotten) {
				t.Errorf("read of the forgotten in a shared message: %v", err)
			}
			if e, err := j.Exchange(ctx, shared, b.ID); err != nil || !bytes.Equal(e.Response, b.Response) {
				t.Errorf("its neighbour: %v", err)
			}
			for _, l := range []*life{gone, large} {
				if _, err := j.Exchange(ctx, l.seq, l.ex.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("exchange: %v", err)
				}
				if _, err := j.Trial(ctx, "a/b", "x", l.trial.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("trial: %v", err)
				}
				if said, err := j.Cached(ctx, l.trial.ID); said != nil || err != nil {
					t.Errorf("judges' memory: %q, %v", said, err)
				}
			}
			j.Close()
			absent(t, cfg, "a forgotten text", append(texts, a.Request))
			absent(t, cfg, "the unit's secret", gone.secrets[:1])
		})
	}
}

// TestForgottenIsNotStoredAgain: what comes late of a forgotten unit has no texts and no
// names; what comes of it anew has.
func TestForgottenIsNotStoredAgain(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	ctx := t.Context()
	l := store(t, j, "u", "c", 10)
	late, late2 := exchange("a/b", 4), *l.trial
	late.Unit = "u"
	late2.ID = "later"
	if _, err := j.Forget(ctx, &Forgetting{Units: []string{"u"}}); err != nil {
		t.Fatal(err)
	}
	seq, err := j.PublishExchanges(ctx, "a/b", []*Exchange{late})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.StoreTrial(ctx, &late2); err != nil {
		t.Fatal(err)
	}
	if e, err := j.Exchange(ctx, seq, late.ID); !errors.Is(err, ErrForgotten) {
		t.Errorf("late exchange: %+v, %v", e, err)
	}
	if tr, err := j.Trial(ctx, "a/b", "x", "later"); err != nil || !tr.Forgotten || tr.Text != "" || tr.Unit+tr.Conversation != "" || tr.Class != llm.ClassOK {
		t.Errorf("late trial: %+v, %v", tr, err)
	}
	time.Sleep(2 * time.Millisecond)
	anew := exchange("a/b", 9)
	anew.Unit = "u"
	if seq, err = j.PublishExchanges(ctx, "a/b", []*Exchange{anew}); err != nil {
		t.Fatal(err)
	}
	if e, err := j.Exchange(ctx, seq, anew.ID); err != nil || !bytes.Equal(e.Response, anew.Response) {
		t.Errorf("new exchange: %v", err)
	}
	if late.ID = NewID(time.Now()); second2(j.PublishExchanges(ctx, "a/b", []*Exchange{late})) != nil {
		t.Fatal(err)
	}
	if e, _, err := j.FindExchange(ctx, late.ID); err != nil || !e.Forgotten || e.Unit != "" {
		t.Errorf("late exchange after a new one: %+v, %v", e, err)
	}
}

func second2(_ uint64, err error) error { return err }

// TestForgettingIsHeardByOthers: another process goes on with a secret that it knows for
// a few seconds at most.
func TestForgettingIsHeardByOthers(t *testing.T) {
	j := openTest(t, testConfig(t))
	l := store(t, j, "u", "c", 10)
	other := &keyring{j: j}
	e, err := other.current(t.Context(), unitName("u"), l.ex.At)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Forget(t.Context(), &Forgetting{Conversations: []string{"c"}, Units: []string{"u"}}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, read := other.read(t.Context(), e.seq)
		_, write := other.current(t.Context(), unitName("u"), l.ex.At)
		if errors.Is(read, ErrForgotten) && errors.Is(write, ErrForgotten) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("another process still reads (%v) and writes (%v) with the secret", read, write)
		}
	}
}

// TestForgettingCompletes: an order that ended anywhere is completed by the next one.
func TestForgettingCompletes(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	ctx := t.Context()
	l, large := store(t, j, "u", "c", 10), store(t, j, "u", "d", 700<<10)
	order := &Forgetting{Units: []string{"u"}}
	// As after a kill behind the tombstone, and then behind half of the records.
	subject := secretSubject(unitName("u"))
	last, _ := j.lastSecret(ctx, subject)
	if _, stored, err := j.appendSecret(ctx, subject, last, &secretRecord{Forgotten: true, Made: time.Now(), Since: time.Now()}); !stored || err != nil {
		t.Fatal(stored, err)
	}
	s, err := j.survey(ctx, order)
	if err != nil {
		t.Fatal(err)
	}
	for i, one := range s.erase {
		if i%2 == 0 {
			if err := j.erase(ctx, one); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.eraseObject(ctx, large.ex.ID); err != nil { // no such name
		t.Fatal(err)
	}
	j.Close()
	j = openTest(t, cfg)
	if _, err := j.Forget(ctx, order); err != nil {
		t.Fatal(err)
	}
	if n, err := j.CountForgotten(ctx, order); err != nil || n != (ForgetCount{}) {
		t.Errorf("left: %+v, %v", n, err)
	}
	j.Close()
	absent(t, cfg, "a text", append(l.tokens, large.tokens...))
	absent(t, cfg, "the secret", l.secrets[:1])
}

// TestPlainTextsAreOverwritten: what another program published is not sealed, and erased
// all the same, also from a block that the server has compressed.
func TestPlainTextsAreOverwritten(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	var texts [][]byte
	publish := func(unit string) {
		e := exchange("a", 100<<10)
		e.Unit, e.Request = unit, []byte(token())
		if unit == "gone" {
			texts = append(texts, e.Request)
		}
		data, err := AppendExchange(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.js.Publish(t.Context(), IngestSubject("gateway", "a"), data); err != nil {
			t.Fatal(err)
		}
	}
	publish("gone")
	for range 50 { // 10 MB: the first block is full, and is compressed
		publish("stays")
	}
	publish("gone")
	j.Close()
	for _, text := range texts {
		if found(t, cfg.Dir, text) == "" {
			t.Fatal("a plain text is not found in a plain store: the test is blind")
		}
	}
	j = openTest(t, cfg)
	if n, err := j.Forget(t.Context(), &Forgetting{Units: []string{"gone"}}); err != nil || n.Exchanges != 2 {
		t.Fatalf("%+v, %v", n, err)
	}
	j.Close()
	absent(t, cfg, "a plain text", texts)
}
