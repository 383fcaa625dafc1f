package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openJournal(t *testing.T) *journal.Journal {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.MaxStore = t.TempDir(), "interval", 256<<20
	j, err := journal.Open(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// run runs a stage over a source until the test ends or stop is called.
func run(t *testing.T, source Source, log *slog.Logger) (set *metrics.Set, stop func()) {
	t.Helper()
	set = metrics.NewSet()
	s, err := New(DefaultConfig(), source, log, set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return set, stop
}

// verdicts waits until n verdicts are stored and reads them, by trial.
func verdicts(t *testing.T, j *journal.Journal, n int) map[string]*journal.Verdict {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		all := map[string]*journal.Verdict{}
		err := j.Read(t.Context(), journal.StreamVerdicts, nil, func(m *journal.Message) error {
			v := &journal.Verdict{}
			if err := m.Decode(v); err != nil {
				return err
			}
			all[v.TrialID] = v
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) >= n {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d verdicts stored, want %d", len(all), n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func metricsText(set *metrics.Set) string {
	var b bytes.Buffer
	set.WritePrometheus(&b)
	return b.String()
}

func store(t *testing.T, j *journal.Journal, tr *journal.Trial) {
	t.Helper()
	if stored, err := j.StoreTrial(t.Context(), tr); err != nil || !stored {
		t.Fatal(stored, err)
	}
}

func TestStage(t *testing.T) {
	j := openJournal(t)
	ex, tr := pairRecords()
	seq, err := j.PublishExchanges(t.Context(), ex.Submodule, []*journal.Exchange{ex})
	if err != nil {
		t.Fatal(err)
	}
	made := func(id string, change func(*journal.Trial)) {
		one := *tr
		one.ID, one.ExchangeSeq = id, seq
		if change != nil {
			change(&one)
		}
		store(t, j, &one)
	}
	made("differs", nil)
	made("failed", func(t *journal.Trial) { t.Class, t.ToolCalls = llm.ClassTimeout, nil })
	made("over-budget", func(t *journal.Trial) { t.Disposition = journal.OverBudget })
	made("no-message", func(t *journal.Trial) { t.ExchangeSeq = 999 })
	made("no-record", func(t *journal.Trial) { t.ExchangeID = "never" })
	for i := range 30 {
		made(fmt.Sprint("same-", i), func(t *journal.Trial) { t.ToolCalls = calls(`weather {"city":"Bern"}`) })
	}
	set, stop := run(t, j, quiet())
	all := verdicts(t, j, 34)
	stop()
	if _, ok := all["over-budget"]; ok || len(all) != 34 {
		t.Errorf("%d verdicts; one for a trial that was not tried: %v", len(all), ok)
	}
	for id, want := range map[string]checkRow{
		"differs":    {"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": false},
		"failed":     {"nonempty": false, "complete": false, "refusal": false, "schema": false, "tool_calls": false},
		"same-7":     {"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": true},
		"no-message": nil, "no-record": nil,
	} {
		if d := cmp.Diff(want, all[id].Trial.Checks); d != "" {
			t.Errorf("%s (-want +got)\n%s", id, d)
		}
		if all[id].JudgedAt.IsZero() || *all[id].Trial.LatencyMS != 450 {
			t.Errorf("%s: judged at %v, latency %v", id, all[id].JudgedAt, *all[id].Trial.LatencyMS)
		}
	}
	for _, line := range []string{
		"understudy_judge_verdicts_total 34", "understudy_judge_without_exchange_total 2", "understudy_judge_duplicates_total 0",
		`understudy_judge_check_failures_total{check="complete",side="trial"} 1`, `understudy_judge_check_failures_total{check="json",side="live"} 0`,
		"understudy_judge_seconds_count 34",
	} {
		if !strings.Contains(metricsText(set), line+"\n") {
			t.Errorf("metrics lack %q:\n%s", line, metricsText(set))
		}
	}
}

// A stage that begins again, as after a kill, stores no second verdict.
func TestStageStoresOnce(t *testing.T) {
	j := openJournal(t)
	ex, tr := pairRecords()
	seq, err := j.PublishExchanges(t.Context(), ex.Submodule, []*journal.Exchange{ex})
	if err != nil {
		t.Fatal(err)
	}
	tr.ExchangeSeq = seq
	store(t, j, tr)
	_, stop := run(t, j, quiet())
	verdicts(t, j, 1)
	stop()
	set := metrics.NewSet()
	s, err := New(DefaultConfig(), j, quiet(), set)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.handle(t.Context(), tr); err != nil {
		t.Errorf("a redelivered trial: %v", err)
	}
	if n := len(verdicts(t, j, 1)); n != 1 {
		t.Errorf("%d verdicts", n)
	}
	if !strings.Contains(metricsText(set), "understudy_judge_duplicates_total 1\n") {
		t.Error("the duplicate was not counted")
	}
}

// away is a journal whose NATS has gone.
type away struct {
	*journal.Journal
	err error
}

func (a away) Exchange(context.Context, uint64, string) (*journal.Exchange, error) { return nil, a.err }

func TestStageWaitsForNATS(t *testing.T) {
	j := openJournal(t)
	_, tr := pairRecords()
	skipped := *tr
	skipped.Disposition = journal.NotComparable
	s, err := New(DefaultConfig(), away{j, journal.ErrUnavailable}, quiet(), metrics.NewSet())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.handle(t.Context(), &skipped); err != nil {
		t.Errorf("a trial without a verdict comes again: %v", err)
	}
	for _, tt := range []struct {
		name  string
		err   error
		again bool
	}{
		{"unavailable", fmt.Errorf("read: %w", journal.ErrUnavailable), true},
		{"deadline", context.DeadlineExceeded, true},
		{"broken record", errors.New("record is cut"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(DefaultConfig(), away{j, tt.err}, quiet(), metrics.NewSet())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.handle(t.Context(), tr); (err != nil) != tt.again {
				t.Errorf("error %v, want the trial to come again: %v", err, tt.again)
			}
		})
	}
}

// Neither what people wrote nor what models answered may reach the log.
func TestStageLogsNoText(t *testing.T) {
	j := openJournal(t)
	var out bytes.Buffer
	s, err := New(DefaultConfig(), j, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), metrics.NewSet())
	if err != nil {
		t.Fatal(err)
	}
	ex, tr := pairRecords()
	tr.ExchangeSeq = 999
	if err := s.handle(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	ex.Request = []byte(`{"secret prompt`)
	if _, _, err := s.judge(ex, tr); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "trial_id=t1") {
		t.Errorf("a missing exchange is not in the log: %s", out.String())
	}
	for _, word := range []string{"Bern", "Basel", "Weather", "secret"} {
		if strings.Contains(out.String(), word) {
			t.Errorf("the log holds %q: %s", word, out.String())
		}
	}
}
