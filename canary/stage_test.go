package canary

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

// eventually polls until done, or fails the test after ten seconds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}

// The stage over a real embedded NATS: it decides from the streams, appends each
// decision once, and a restart neither loses evidence nor decides again.
func TestStageOverNATS(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	nats := journal.DefaultConfig()
	nats.Dir, nats.Sync, nats.MaxStore = t.TempDir(), "interval", 256<<20
	j, err := journal.Open(nats, log)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	list := steady(250, nil)
	x, tr, v := records(list)
	for i := range x {
		x[i].Schema, x[i].Instance, x[i].Request, x[i].Response = journal.SchemaVersion, "proxy-1", []byte("{}"), []byte("{}")
	}
	for i := 0; i < len(x); i += 50 {
		if _, err := j.PublishExchanges(ctx, "a/b", x[i:i+50]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range tr {
		if _, err := j.StoreTrial(ctx, tr[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := j.StoreVerdict(ctx, v[i]); err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	cfg.LookEvery = 20 * time.Millisecond
	set := metrics.NewSet()
	life := func(decides bool, until func(s *Stage) bool) {
		s := NewStage(cfg, oneGate(), j, decides, log, set)
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(ctx) }()
		eventually(t, "caught up", func() bool { ok, err := s.CaughtUp(ctx); return err == nil && ok })
		eventually(t, "decided", func() bool { return until(s) })
		stop()
		<-ended
	}
	decisions := func() (out []string) {
		err := j.Read(ctx, journal.StreamDecisions, nil, func(m *journal.Message) error {
			var d journal.Decision
			if err := m.Decode(&d); err != nil {
				return err
			}
			out = append(out, d.Verdict)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return out
	}
	promoted := func(s *Stage) bool { return s.Analyzer().Look(time.Now()).Cells[0].Verdict == Promote }
	life(false, promoted)
	if got := decisions(); len(got) != 0 {
		t.Errorf("a stage that only reads appended %v", got)
	}
	life(true, func(s *Stage) bool { return promoted(s) && len(decisions()) > 0 })
	life(true, func(s *Stage) bool { return promoted(s) && s.gauges != nil })
	if got := strings.Join(decisions(), " "); got != Promote {
		t.Errorf("decisions in the stream: %q, want one PROMOTE", got)
	}
	var text bytes.Buffer
	set.WritePrometheus(&text)
	for _, want := range []string{
		`understudy_canary_verdict{submodule="a/b",candidate="cand",verdict="PROMOTE"} 1`,
		`understudy_canary_verdict{submodule="a/b",candidate="cand",verdict="REJECT"} 0`,
		`understudy_canary_clusters{submodule="a/b",candidate="cand"} 250`,
		`understudy_canary_pairs{submodule="a/b",candidate="cand"} 250`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("metrics lack %s:\n%s", want, text.String())
		}
	}
}

// The stage tells judgements from verdicts, joins the control, and says that the
// control is proven.
func TestStageWithJudgesAndControl(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	nats := journal.DefaultConfig()
	nats.Dir, nats.Sync, nats.MaxStore = t.TempDir(), "interval", 256<<20
	j, err := journal.Open(nats, log)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	x, _, v := records(steady(700, nil))
	for i := range x {
		x[i].Schema, x[i].Instance, x[i].Request, x[i].Response = journal.SchemaVersion, "proxy-1", []byte("{}"), []byte("{}")
	}
	if _, err := j.PublishExchanges(ctx, "a/b", x); err != nil {
		t.Fatal(err)
	}
	stored := func(ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	for i := range v {
		stored(j.StoreVerdict(ctx, v[i]))
		said := &journal.Judgement{TrialID: v[i].TrialID, ExchangeID: v[i].ExchangeID, At: v[i].At, Source: v[i].Source, Submodule: "a/b", Candidate: "cand",
			Conversation: v[i].Conversation, Pairwise: &journal.Pairwise{Preference: journal.Tie}, JudgedAt: v[i].At.Add(time.Hour)}
		stored(j.StoreJudgement(ctx, said))
		control, again := *v[i], *said
		control.Candidate, control.Role, again.Candidate, again.Role = "live", journal.RoleControl, "live", journal.RoleControl
		again.Pairwise = &journal.Pairwise{Preference: *even(i)}
		stored(j.StoreVerdict(ctx, &control))
		stored(j.StoreJudgement(ctx, &again))
	}
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Judged: true, Control: "live", Criteria: Criteria{Gates: []Gate{{"win_rate", 0.3}}}}}
	cfg := DefaultConfig()
	cfg.LookEvery = 20 * time.Millisecond
	stage := NewStage(cfg, s, j, true, log, metrics.NewSet())
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); stage.Run(running) }()
	eventually(t, "control published", func() bool {
		c, err := j.Control(ctx, "a/b")
		return err == nil && c.Proven
	})
	cell := stage.Analyzer().Look(time.Now()).Cells[0]
	if cell.Verdict != Promote || cell.Clusters != 700 || cell.Control == nil || cell.Control.Clusters != 700 {
		t.Errorf("%s %v, %d conversations, control %v", cell.Verdict, cell.Reasons, cell.Clusters, cell.Control)
	}
	stop()
	<-ended

	joined := NewJoined(cfg, s, time.Now())
	if err := j.Read(ctx, journal.StreamVerdicts, nil, joined.Read); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = j.Read(ctx, journal.StreamVerdicts, nil, func(m *journal.Message) error {
		o, ok, err := joined.Observation(m)
		if ok {
			if n++; o.Preference == nil || *o.Preference != journal.Tie || o.Control == nil || o.ControlPreference == nil || o.Judged != nil {
				t.Errorf("%+v", o)
			}
		}
		return err
	})
	if err != nil || n != 700 {
		t.Errorf("%d observations, %v", n, err)
	}
}
