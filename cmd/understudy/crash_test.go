//go:build crash

package main

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

const kills = 10

// TestCrashOfWorkers kills the stages behind the journal ten times while they
// work off the recorded traffic; the accounts must be those of an undisturbed run.
func TestCrashOfWorkers(t *testing.T) {
	t.Run("embedded NATS", func(t *testing.T) {
		s := newSite(t, loadRecorded(t), "")
		front := launch(t, "run", "--config", s.config, "--stages", "capture")
		front.up("http://" + s.admin + "/readyz")
		s.send()
		if code := front.term(20 * time.Second); code != 0 {
			t.Fatalf("capture: exit %d", code)
		}
		s.crash([]string{"run", "--config", s.config, "--stages", "replay,judge,canary"}, "http://"+s.admin, func() Status { return s.status() })
	})
	t.Run("external NATS", func(t *testing.T) {
		s := newSite(t, loadRecorded(t), "")
		broker, admin := freePort(t), freePort(t)
		front := launch(t, "run", "--config", s.config, "--stages", "capture", "--set", "nats.listen="+broker)
		front.up("http://" + s.admin + "/readyz")
		s.send()
		args := []string{"run", "--config", s.config, "--stages", "replay,judge,canary", "--set", "nats.mode=external",
			"--set", "nats.url=nats://" + broker, "--set", "nats.dir=" + t.TempDir(), "--set", "admin.listen=" + admin}
		s.crash(args, "http://"+admin, func() Status { return s.status() })
	})
}

// crash runs the workers, killing them at random moments, then lets them end
// their work and checks what is stored and what was paid for.
func (s *site) crash(args []string, admin string, status func() Status) {
	t := s.t
	total, _ := s.trialsWanted()
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for i := range kills {
		w := launch(t, args...)
		w.up(admin + "/healthz")
		wait := time.Duration(300+rng.IntN(1500)) * time.Millisecond
		time.Sleep(wait) // the random moment of the kill
		w.kill()
		t.Logf("kill %d after %s: %d calls so far", i+1, wait, s.calls())
	}
	w := launch(t, args...)
	w.up(admin + "/healthz")
	s.verify(s.settle(10 * time.Minute))
	calls := s.calls()
	inFlight := kills * 16 * len(candidateModels)
	t.Logf("%d calls for %d trials: %d paid twice, at most %d were in flight at the kills", calls, total, calls-total, inFlight)
	if calls-total > inFlight {
		t.Errorf("%d calls for %d trials", calls, total)
	}
	if code := w.term(20 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// calls is the simulated Bedrock's own count.
func (s *site) calls() int {
	resp, err := http.Get("http://" + s.bedrok + "/__stats")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var st struct {
		Models map[string]struct{ Calls int }
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, m := range st.Models {
		n += m.Calls
	}
	return n
}
