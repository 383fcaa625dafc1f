package canary

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

// readStreams are what the stage reads, from their start.
var readStreams = [...]string{journal.StreamExchanges, journal.StreamTrials, journal.StreamVerdicts}

// A Stage feeds an Analyzer from the journal and appends its decisions. It keeps
// no state of its own: a restart reads the streams again.
type Stage struct {
	config   Config
	journal  *journal.Journal
	decides  bool
	log      *slog.Logger
	analyzer *Analyzer
	gauges   *gauges

	// published is what the controls were last said to be.
	published map[string]bool

	mu   sync.Mutex
	seen [len(readStreams)]uint64
}

// NewStage makes the stage. With decides false it only reads, for a process that
// reports and leaves decisions to another. Its metrics go into set.
func NewStage(c Config, s []Submodule, j *journal.Journal, decides bool, log *slog.Logger, set *metrics.Set) *Stage {
	return &Stage{config: c, journal: j, decides: decides, log: log.With("stage", "canary"),
		analyzer: NewAnalyzer(c, s), gauges: newGauges(set)}
}

// Analyzer is what the stage has read so far.
func (s *Stage) Analyzer() *Analyzer { return s.analyzer }

// Run reads and decides until ctx ends, which is no error. When reading fails it
// goes on where it was.
func (s *Stage) Run(ctx context.Context) error {
	s.journal.Keep(ctx, "canary", s.follow)
	return nil
}

// CaughtUp tells whether everything that the streams hold now has been read.
func (s *Stage) CaughtUp(ctx context.Context) (bool, error) {
	ends, err := s.ends(ctx)
	if err != nil {
		return false, err
	}
	return s.reached(ends) && s.analyzer.Current(), nil
}

func (s *Stage) ends(ctx context.Context) (ends [len(readStreams)]uint64, err error) {
	for i, stream := range readStreams {
		if ends[i], err = s.journal.LastSeq(ctx, stream); err != nil {
			return ends, err
		}
	}
	return ends, nil
}

func (s *Stage) reached(ends [len(readStreams)]uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, end := range ends {
		if s.seen[i] < end {
			return false
		}
	}
	return true
}

// follow is one life of the readers. They go on where the last life ended.
func (s *Stage) follow(ctx context.Context) error {
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	if err := s.restore(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	handlers := [...]func(*journal.Message) error{s.exchanges, s.trial, s.verdict}
	fail := make(chan error, len(handlers)+1)
	for i, handle := range handlers {
		go func() {
			fail <- s.journal.Follow(ctx, readStreams[i], seen[i], false, func(m *journal.Message) error {
				if err := handle(m); err != nil {
					return err
				}
				s.mu.Lock()
				s.seen[i] = m.Seq
				s.mu.Unlock()
				return nil
			})
		}()
	}
	go func() { fail <- s.decide(ctx) }()
	err := <-fail
	cancel()
	for range handlers {
		<-fail
	}
	return err
}

func (s *Stage) restore(ctx context.Context) error {
	return s.journal.Read(ctx, journal.StreamDecisions, nil, func(m *journal.Message) error {
		var d journal.Decision
		if s.decode(m, &d) {
			s.analyzer.Restore(&d)
		}
		return nil
	})
}

func (s *Stage) exchanges(m *journal.Message) error {
	list, err := journal.ReadExchanges(m.Subject, m.Data)
	if err != nil {
		s.log.Warn("message of exchanges cannot be read; its pairs are known by their trials only", "seq", m.Seq, "err", err)
	}
	for _, x := range list {
		s.analyzer.Exchange(x)
	}
	return nil
}

func (s *Stage) trial(m *journal.Message) error {
	var t journal.Trial
	if s.decode(m, &t) {
		s.analyzer.Trial(&t)
	}
	return nil
}

// verdict reads both kinds of record that the stream holds.
func (s *Stage) verdict(m *journal.Message) error {
	if isJudgement(m) {
		var j journal.Judgement
		if s.decode(m, &j) {
			s.analyzer.Judgement(&j)
		}
		return nil
	}
	var v journal.Verdict
	if s.decode(m, &v) {
		s.analyzer.Verdict(&v)
	}
	return nil
}

// decode reads a record. One that cannot be read is left out; its pair then lacks
// a verdict and counts as missing at the deadline.
func (s *Stage) decode(m *journal.Message, record any) bool {
	if err := m.Decode(record); err != nil {
		s.log.Warn("record cannot be read and is left out", "seq", m.Seq, "err", err)
		return false
	}
	return true
}

// decide looks every LookEvery, once the readers have come to the end of what the
// streams held at the beginning.
func (s *Stage) decide(ctx context.Context) error {
	ends, err := s.ends(ctx)
	if err != nil {
		return err
	}
	if err := s.until(ctx, 20*time.Millisecond, func() bool { return s.reached(ends) }); err != nil {
		return nil
	}
	s.analyzer.SetCurrent()
	s.published = map[string]bool{}
	tick := time.NewTicker(s.config.LookEvery)
	defer tick.Stop()
	for {
		if err := s.look(ctx, time.Now()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Stage) until(ctx context.Context, every time.Duration, done func() bool) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (s *Stage) look(ctx context.Context, now time.Time) error {
	if !s.decides {
		s.gauges.set(s.analyzer.Look(now))
		return nil
	}
	decisions, err := s.analyzer.Decide(now)
	if err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	for i := range decisions {
		d := &decisions[i]
		if err := s.journal.AppendDecision(ctx, d); err != nil {
			for k := range decisions[i:] {
				s.analyzer.forget(&decisions[i+k])
			}
			return err
		}
		s.log.Info("decision", "submodule", d.Submodule, "candidate", d.Candidate, "verdict", d.Verdict, "reasons", d.Reasons)
	}
	look := s.analyzer.Look(now)
	s.gauges.set(look)
	return s.publish(ctx, look)
}

// publish says of each sub-module's control whether it is proven, at the start and
// whenever that changes.
func (s *Stage) publish(ctx context.Context, look Look) error {
	for submodule, proven := range s.analyzer.submodules.controls(look) {
		if said, known := s.published[submodule]; known && said == proven {
			continue
		}
		if err := s.journal.PutControl(ctx, submodule, journal.ControlState{Proven: proven}); err != nil {
			return err
		}
		s.published[submodule] = proven
	}
	return nil
}
