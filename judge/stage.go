package judge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

// workers is how many verdicts are in the making at once. A verdict is a read
// and a synced write; its checks take well under a millisecond.
const workers = 8

// durable names the stage's consumer of trials, shared by all its processes.
const durable = "judge"

// A Source is where the stage reads trials and exchanges and stores verdicts: a
// *journal.Journal.
type Source interface {
	// Trials hands every trial to handle, at most inHand at once, until ctx
	// ends. A trial whose handle returns an error comes again later.
	Trials(ctx context.Context, stage string, inHand int, handle func(context.Context, *journal.Trial) error) error
	// Exchange reads an exchange. journal.ErrUnavailable means that it may be
	// readable later; every other error is final.
	Exchange(ctx context.Context, seq uint64, id string) (*journal.Exchange, error)
	// StoreVerdict stores a verdict once; stored is false when the trial
	// already has one.
	StoreVerdict(ctx context.Context, v *journal.Verdict) (stored bool, err error)
}

// A Stage makes a verdict of every trial.
type Stage struct {
	source  Source
	log     *slog.Logger
	checker *Checker
	counts  *counts
	now     func() time.Time
}

// New makes the stage. Its metrics go into set.
func New(cfg Config, source Source, log *slog.Logger, set *metrics.Set) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure judge: %w", err)
	}
	return &Stage{
		source: source, log: log.With("stage", "judge"), checker: NewChecker(), counts: newCounts(set), now: time.Now,
	}, nil
}

// Run judges trials until ctx ends, which is no error.
func (s *Stage) Run(ctx context.Context) error {
	err := s.source.Trials(ctx, durable, workers, s.handle)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("judge trials: %w", err)
	}
	return nil
}

// handle makes and stores one verdict. An error brings the trial back.
func (s *Stage) handle(ctx context.Context, tr *journal.Trial) error {
	if tr.Disposition != journal.Tried {
		return nil
	}
	start := s.now()
	ex, err := s.source.Exchange(ctx, tr.ExchangeSeq, tr.ExchangeID)
	if err != nil {
		if retryable(ctx, err) {
			return fmt.Errorf("judge trial %s: %w", tr.ID, err)
		}
		// The numbers of the trial are good without its exchange; the checks
		// are missing, and missing is never a pass.
		s.counts.withoutExchange.Inc()
		s.log.Warn("exchange of a trial cannot be read; its verdict has no checks", "trial_id", tr.ID, "exchange_id", tr.ExchangeID, "err", err)
		ex = nil
	}
	v, unchecked, err := s.judge(ex, tr)
	if err != nil {
		return err
	}
	v.JudgedAt = s.now().UTC()
	stored, err := s.source.StoreVerdict(ctx, v)
	if err != nil {
		return fmt.Errorf("judge trial %s: %w", tr.ID, err)
	}
	if !stored {
		s.counts.duplicates.Inc()
		return nil
	}
	s.counts.note(v, unchecked, s.now().Sub(start))
	return nil
}

// judge is Checker.Judge for input that may make it panic: then the verdict has
// the numbers alone.
func (s *Stage) judge(ex *journal.Exchange, tr *journal.Trial) (v *journal.Verdict, unchecked []Unchecked, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("checks panicked; the verdict has no checks", "trial_id", tr.ID, "exchange_id", tr.ExchangeID)
			v, _, err = s.checker.Judge(nil, tr)
			unchecked = []Unchecked{{Check: "all", Side: "trial", Reason: "panic"}}
		}
	}()
	return s.checker.Judge(ex, tr)
}

func retryable(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, journal.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
