package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"understudy/internal/journal"
)

// How often progress is asked for, how often it is printed where nobody watches, and for
// how long a daemon may be away meanwhile.
const (
	watchEvery = 500 * time.Millisecond
	watchPrint = 5 * time.Second
	watchAway  = time.Minute
)

// A watcher shows the progress of one backfill.
type watcher struct {
	w   io.Writer
	bar bool // a line that is written over

	began   time.Time
	first   int // done when it began
	printed time.Time
	line    string
	said    string // why it does not go on
}

// follow shows the progress of a backfill until it is over, or until somebody stops
// watching, which changes nothing about it.
func (o *replayOrder) follow(ctx context.Context, id string) error {
	watching, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	w := &watcher{w: o.e.stderr, bar: isTerminal(o.e.stderr)}
	s, err := o.ended(watching, id, w)
	w.end()
	if watching.Err() != nil {
		fmt.Fprintf(o.e.stderr, "backfill %s goes on: understudy replay --watch %s shows it again, --pause and --cancel hold or end it\n", id, id)
		return nil
	}
	if err != nil {
		return err
	}
	if o.e.output == "json" {
		err = printJSON(o.e.stdout, s)
	} else {
		_, err = fmt.Fprintln(o.e.stdout, s.summary())
	}
	return errors.Join(err, s.verdict())
}

// ended asks for the backfill until it is over. A daemon that is started anew meanwhile
// is waited for.
func (o *replayOrder) ended(ctx context.Context, id string, w *watcher) (*backfillStatus, error) {
	last := time.Now()
	for {
		var s backfillStatus
		err := o.admin.do(ctx, http.MethodGet, backfillPath(id), nil, decodeTo(&s))
		var coded *codedError
		switch {
		case err == nil:
			last = time.Now()
			if !s.Active() {
				return &s, nil
			}
			w.show(&s, last)
		case !errors.As(err, &coded) || coded.code != exitUnreachable:
			return nil, err
		case time.Since(last) > watchAway:
			return nil, &codedError{code: exitUnreachable, err: fmt.Errorf("%w; backfill %s goes on once the daemon does", err, id)}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// show writes where the backfill stands, over the line before or now and then.
func (w *watcher) show(s *backfillStatus, now time.Time) {
	if w.began.IsZero() {
		w.began, w.first = now, s.Progress.Done
	}
	if s.Waiting != "" && s.Waiting != w.said {
		w.end()
		fmt.Fprintln(w.w, s.Waiting)
		w.said = s.Waiting
	}
	line := w.progress(s, now)
	if w.bar {
		fmt.Fprintf(w.w, "\r%s\x1b[K", line)
		w.line = line
		return
	}
	if line != w.line && now.Sub(w.printed) >= watchPrint {
		fmt.Fprintln(w.w, line)
		w.line, w.printed = line, now
	}
}

// end leaves the line that is written over.
func (w *watcher) end() {
	if w.bar && w.line != "" {
		fmt.Fprintln(w.w)
		w.line = ""
	}
}

const barWidth = 30

func (w *watcher) progress(s *backfillStatus, now time.Time) string {
	done, total := s.Progress.Done, max(s.Planned, s.Progress.Done)
	var b strings.Builder
	if w.bar && total > 0 {
		full := barWidth * done / total
		fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full))
	}
	fmt.Fprintf(&b, "%d of %d, %s", done, total, dollars(s.Progress.SpentUSD))
	if s.State == journal.BackfillPaused {
		return b.String() + ", paused"
	}
	rate := float64(done-w.first) / max(now.Sub(w.began).Seconds(), 1e-3)
	if rate > 0 && done < total {
		fmt.Fprintf(&b, ", %.1f/s, about %s left", rate, seconds(float64(total-done)/rate))
	}
	return b.String()
}

// summary says what a backfill came to.
func (s *backfillStatus) summary() string {
	p := &s.Progress
	parts := []string{countOf(p.Answers, "answer")}
	for _, class := range slices.Sorted(maps.Keys(p.Failures)) {
		parts = append(parts, fmt.Sprintf("%d failed (%s)", p.Failures[class], class))
	}
	for _, k := range []struct {
		n    int
		what string
	}{{p.NotComparable, "not comparable"}, {p.OverBudget, "over budget"}, {p.DeadLetter, "dead letters"}} {
		if k.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k.n, k.what))
		}
	}
	if n := s.Planned - p.Done; n > 0 && s.State == journal.BackfillDone {
		parts = append(parts, fmt.Sprintf("%d had a trial by then, or have aged out", n))
	}
	return fmt.Sprintf("backfill %s is %s: %s; %s", s.ID, s.State, strings.Join(parts, ", "), dollars(p.SpentUSD))
}

// verdict is the exit code of a backfill that is over.
func (s *backfillStatus) verdict() error {
	var why string
	switch {
	case s.State == journal.BackfillCancelled:
		why = fmt.Sprintf("it was cancelled after %d of %d", s.Progress.Done, s.Planned)
	case s.Progress.OverBudget > 0:
		why = fmt.Sprintf("the budget did not hold %s: raise it, or order them again on another day", countOf(s.Progress.OverBudget, "exchange"))
	case s.Progress.DeadLetter > 0:
		why = fmt.Sprintf("%s could not be tried; the daemon's log says why", countOf(s.Progress.DeadLetter, "exchange"))
	default:
		return nil
	}
	return &codedError{code: exitInconclusive, err: errors.New(why)}
}
