package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// A siege is a proxy whose NATS comes and goes, and which is killed again and again, while
// clients ask.
type siege struct {
	t      *testing.T
	broker *broker
	relay  *relay
	rng    *rand.Rand

	mu       sync.Mutex
	answered map[string]time.Time // conversation → when its answer was whole
	next     atomic.Int64
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &siege{t: t, broker: plainBroker(t), rng: rand.New(rand.NewPCG(11, seed)), answered: map[string]time.Time{}}
	openai, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: quick(2 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := openai.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { openai.Close() })
	s.relay = startRelay(t, openai.URL(), "", fmt.Sprintf("url = %q\nmax_store = 1610612736", s.broker.url())) // each request is a conversation, with a secret of its own
	return s
}

// load asks until ctx ends, from four clients.
func (s *siege) load(ctx context.Context) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if !s.ask(fmt.Sprint("c", s.next.Add(1))) {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

func (s *siege) ask(conversation string) bool {
	req, _ := http.NewRequest("POST", "http://"+s.relay.data+"/v1/chat/completions", strings.NewReader(chat("How long is the bridge of "+conversation+"?")))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-test-0123456789")
	req.Header.Set("X-Understudy-Conversation", conversation)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered[conversation] = time.Now()
	return true
}

func (s *siege) pause(most int) {
	time.Sleep(time.Duration(s.rng.IntN(most)) * time.Millisecond) // the random moment
}

// storm kills the proxy so many times, with NATS there, gone or silent, and gives when.
func (s *siege) storm(kills int) (at []time.Time) {
	for range kills {
		switch s.rng.IntN(3) {
		case 0:
			s.broker.kill()
			s.pause(2500)
			if s.rng.IntN(2) == 0 {
				s.broker.start()
				s.pause(300)
			}
		case 1:
			s.broker.proc.cmd.Process.Signal(syscall.SIGSTOP)
			s.pause(2500)
			if s.rng.IntN(2) == 0 {
				s.broker.proc.cmd.Process.Signal(syscall.SIGCONT)
				s.pause(300)
			}
		default:
			s.pause(500)
		}
		at = append(at, time.Now())
		s.relay.kill()
		s.relay.start(s.t)
		s.pause(300)
		select {
		case <-s.broker.proc.done:
			s.broker.start()
		default:
			s.broker.proc.cmd.Process.Signal(syscall.SIGCONT)
		}
		s.pause(800)
	}
	return at
}

// verify holds the proxy to its promises: everything that was answered a second before a
// kill is captured, and all that is captured is stored, once.
func (s *siege) verify(kills []time.Time) {
	t := s.t
	t.Helper()
	var st Status
	defer func() {
		if t.Failed() {
			t.Logf("NATS %s, spool %+v, accounts %+v", st.Stages.NATS, *st.Stages.Spool, st.Accounts.Accounts)
		}
	}()
	eventually(t, 90*time.Second, "the spool is empty and the accounts close", func() bool {
		getJSON(t, "http://"+s.relay.admin+"/api/v1/status", &st)
		return st.Stages.NATS == "up" && st.Stages.Spool.Records == 0 && st.Accounts.Pending == 0
	})
	time.Sleep(time.Second) // one save more
	a := s.relay.accounts(t)
	cfg := journal.DefaultConfig()
	cfg.Mode, cfg.URL, cfg.Dir, cfg.MaxStore = "external", s.broker.url(), t.TempDir(), 1<<28
	j, err := journal.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored := map[string]int{}
	err = j.Read(t.Context(), journal.StreamExchanges, nil, func(m *journal.Message) error {
		list, err := journal.ReadExchanges(m.Subject, m.Data)
		for _, e := range list {
			stored[e.Conversation]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for c, n := range stored {
		total += n
		if n != 1 {
			t.Errorf("%s is stored %d times", c, n)
		}
	}
	missing, early := 0, 0
	for c, at := range s.answered {
		if stored[c] > 0 {
			continue
		}
		missing++
		near := false
		for _, k := range kills {
			near = near || at.After(k.Add(-time.Second)) && at.Before(k.Add(time.Second))
		}
		if !near {
			early++
			t.Errorf("%s was answered at %v, no second before a kill, and is not stored", c, at)
		}
	}
	t.Logf("%d kills: %d answered, %d stored, %d not (all near a kill but %d); accounts %+v", len(kills), len(s.answered), total, missing, early, a)
	if int64(total) != a.Captured {
		t.Errorf("%d are stored and %d captured", total, a.Captured)
	}
	sum := a.Captured + a.Excluded + a.SampledOut + a.Unaccounted
	for _, n := range a.Dropped {
		sum += n
	}
	if sum != a.Received || a.Dropped["spool_damaged"] != 0 {
		t.Errorf("the accounts do not close: %+v", a)
	}
}

func (s *siege) run(kills int) {
	ctx, stop := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.load(ctx) })
	at := s.storm(kills)
	stop()
	wg.Wait()
	s.verify(at)
}

// The proxy is killed while it spools and while it empties its spool: nothing that was
// captured is lost or stored twice.
func TestSpoolSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes and kills them")
	}
	newSiege(t).run(4)
}
