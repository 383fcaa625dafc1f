package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"understudy/internal/journal"
	"understudy/replay"
)

var replayVerb = &verb{
	name: "replay", short: "try stored exchanges on a candidate: a backfill, counted and priced first",
	args: "--candidate NAME [--since 24h|TIME] [--until TIME] [--submodule NAME] [--sample 0..1] [--failed] [--dry-run] [--yes] [--detach] [-o text|json]\n" +
		"           --list | --watch ID | --pause ID | --resume ID | --cancel ID",
	examples: "understudy replay --candidate llama-3.3-70b --since 24h --dry-run\n" +
		"understudy replay --candidate llama-3.3-70b --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z --failed\n" +
		"understudy replay --list\nunderstudy replay --cancel 06bq3v0x9m1kz4t8r2yw5nhc7e",
	run: func(ctx context.Context, e *env, args []string) error {
		o := newReplayOrder(e)
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return err
		}
		a := e.running(ctx)
		if a == nil {
			return &codedError{code: exitUnreachable, err: errors.New("no daemon answers on the admin socket of the configured [nats] dir; start understudy run with the stage replay, and order it again")}
		}
		defer a.close()
		o.admin = a
		return o.run(ctx)
	},
}

// A replayOrder is one command line of the verb.
type replayOrder struct {
	e     *env
	admin *admin
	in    io.Reader
	asks  bool // somebody can be asked

	candidate, since, until  string
	submodules               []string
	sample                   float64
	failed, dryRun, yes      bool
	detach, list             bool
	watch                    string
	pause, resume, cancelled string
}

func newReplayOrder(e *env) *replayOrder {
	o := &replayOrder{e: e, in: os.Stdin, asks: isTerminal(os.Stdin) && isTerminal(e.stderr)}
	e.withConfig()
	e.withOutput("text", "json")
	f := e.flags
	f.StringVar(&o.candidate, "candidate", "", "the `endpoint` that is tried")
	f.StringVar(&o.since, "since", "", "exchanges stored since a `time` (RFC 3339), or so long ago (24h); the whole store without it")
	f.StringVar(&o.until, "until", "", "exchanges stored before a `time`; now without it")
	f.Func("submodule", "only this `sub-module` (repeatable, or a list with commas); all of the candidate's without it", func(s string) error {
		o.submodules = append(o.submodules, strings.Split(s, ",")...)
		return nil
	})
	f.Float64Var(&o.sample, "sample", 1, "the `share` of conversations that is tried, the same ones each time")
	f.BoolVar(&o.failed, "failed", false, "try those again, too, whose trial failed")
	f.BoolVar(&o.dryRun, "dry-run", false, "count and price, and order nothing")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.detach, "detach", false, "print the backfill's id and do not wait for its end")
	f.BoolVar(&o.list, "list", false, "list the backfills")
	f.StringVar(&o.watch, "watch", "", "show the progress of the backfill with this `id`")
	f.StringVar(&o.pause, "pause", "", "pause the backfill with this `id`: calls that run end, and none begins")
	f.StringVar(&o.resume, "resume", "", "go on with the backfill with this `id`")
	f.StringVar(&o.cancelled, "cancel", "", "end the backfill with this `id` for good; its trials stay")
	return o
}

// check refuses what makes no sense before the daemon is asked.
func (o *replayOrder) check() error {
	n := 0
	for _, given := range []bool{o.candidate != "", o.list, o.watch != "", o.pause != "", o.resume != "", o.cancelled != ""} {
		if given {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%w: give one of --candidate, --list, --watch, --pause, --resume and --cancel", errUsage)
	}
	if o.candidate == "" {
		for _, name := range visited(o.e) {
			switch name {
			case "since", "until", "submodule", "sample", "failed", "dry-run", "yes", "detach":
				return fmt.Errorf("%w: --%s goes with --candidate", errUsage, name)
			}
		}
	}
	return nil
}

func (o *replayOrder) run(ctx context.Context) error {
	switch {
	case o.list:
		return o.printList(ctx)
	case o.watch != "":
		return o.follow(ctx, o.watch)
	case o.pause != "":
		return o.change(ctx, o.pause, "pause")
	case o.resume != "":
		return o.change(ctx, o.resume, "resume")
	case o.cancelled != "":
		return o.change(ctx, o.cancelled, "cancel")
	}
	return o.order(ctx)
}

// order plans, asks and orders.
func (o *replayOrder) order(ctx context.Context) error {
	now := time.Now()
	want := &journal.Backfill{Candidate: o.candidate, Submodules: o.submodules, Sample: o.sample, Failed: o.failed}
	var err error
	if want.Since, err = moment("--since", o.since, now); err != nil {
		return err
	}
	if want.Until, err = moment("--until", o.until, now); err != nil {
		return err
	}
	var plan replay.Plan
	if o.asks {
		fmt.Fprintln(o.e.stderr, "reading the stored exchanges …")
	}
	if err := o.admin.do(ctx, http.MethodPost, "/api/v1/backfills/plan", want, decodeTo(&plan)); err != nil {
		return err
	}
	if o.dryRun {
		return o.printPlan(&plan)
	}
	writePlan(o.e.stderr, &plan)
	if plan.ToTry == 0 {
		fmt.Fprintln(o.e.stderr, "there is nothing to try; nothing was ordered")
		return nil
	}
	if err := o.accept(&plan); err != nil {
		return err
	}
	var made backfillStatus
	if err := o.admin.do(ctx, http.MethodPost, "/api/v1/backfills", plan.Backfill(), decodeTo(&made)); err != nil {
		return err
	}
	if !o.detach {
		return o.follow(ctx, made.ID)
	}
	if o.e.output == "json" {
		return printJSON(o.e.stdout, made)
	}
	_, err = fmt.Fprintln(o.e.stdout, made.ID)
	return err
}

// moment reads a time, or how long before now it is; the zero time where nothing is given.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC(), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w: %s %q is neither a time like 2026-11-20T08:00:00Z nor a duration like 24h", errUsage, flag, text)
}

// accept asks whether the calls may be paid.
func (o *replayOrder) accept(plan *replay.Plan) error {
	question := fmt.Sprintf("try %s for about %s, at most %s?", countOf(plan.ToTry, "exchange"), dollars(plan.Cost.ExpectedUSD), dollars(plan.Cost.AtMostUSD))
	if o.yes {
		return nil
	}
	if !o.asks {
		return fmt.Errorf("%w: %s Nobody can be asked here; say --yes to have it done", errUsage, question)
	}
	fmt.Fprintf(o.e.stderr, "%s [y/N] ", question)
	if agreed(o.in) {
		return nil
	}
	return &codedError{code: exitInconclusive, err: errors.New("nothing was ordered")}
}

// change pauses, resumes or cancels a backfill.
func (o *replayOrder) change(ctx context.Context, id, what string) error {
	var s backfillStatus
	if err := o.admin.do(ctx, http.MethodPost, backfillPath(id)+"/"+what, nil, decodeTo(&s)); err != nil {
		return err
	}
	if o.e.output == "json" {
		return printJSON(o.e.stdout, s)
	}
	_, err := fmt.Fprintf(o.e.stdout, "backfill %s is %s\n", s.ID, s.State)
	return err
}

func (o *replayOrder) printList(ctx context.Context) error {
	var list backfillList
	if err := o.admin.do(ctx, http.MethodGet, "/api/v1/backfills", nil, decodeTo(&list)); err != nil {
		return err
	}
	if o.e.output == "json" {
		return printJSON(o.e.stdout, list)
	}
	if len(list.Backfills) == 0 {
		fmt.Fprintln(o.e.stderr, "there are no backfills")
	}
	for i := range list.Backfills {
		list.Backfills[i].write(o.e.stdout)
	}
	return nil
}
