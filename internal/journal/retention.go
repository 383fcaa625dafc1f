package journal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Records leave by age. What is kept for how long is said for all, for kinds of records,
// and for the records of a sub-module.

// keeps is how long records of one kind are kept.
func (c *Config) keeps(own time.Duration) time.Duration {
	if own > 0 {
		return own
	}
	return c.Retention
}

// longest is how long any record with texts is kept.
func (c *Config) longest() time.Duration {
	return max(c.Retention, c.RetentionExchanges, c.RetentionTrials, c.RetentionVerdicts)
}

// sweepEvery is how often the records of sub-modules with an age of their own are looked
// at.
const sweepEvery = 10 * time.Minute

// KeepAges removes, now and then until ctx ends, the records of sub-modules that are kept
// for a shorter time than all. ages tells how long a sub-module's are, 0 for as long as
// all; named are sub-modules that may have records. Where this process may not make
// streams it does nothing.
func (j *Journal) KeepAges(ctx context.Context, named func() []string, age func(submodule string) time.Duration) error {
	if !j.cfg.Create || j.WaitReady(ctx) != nil {
		return nil
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	seen := map[string]bool{}
	for {
		for _, name := range named() {
			seen[name] = true
		}
		err := j.submodules(ctx, seen)
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			if a := age(name); a > 0 && err == nil {
				err = j.sweep(ctx, name, time.Now().Add(-a))
			}
		}
		if err != nil && ctx.Err() == nil {
			j.log.Warn("old records of sub-modules could not be removed; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// submodules adds those that have exchanges.
func (j *Journal) submodules(ctx context.Context, seen map[string]bool) error {
	info, err := j.streams[StreamExchanges].Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return classify("look at "+StreamExchanges, err)
	}
	for subject := range info.State.Subjects {
		if name, _, ok := SubjectOf(subject); ok {
			seen[name] = true
		}
	}
	return nil
}

// sweep removes a sub-module's records that were stored before a time.
func (j *Journal) sweep(ctx context.Context, submodule string, before time.Time) error {
	token := Escape(submodule)
	for stream, subjects := range map[string][]string{
		StreamExchanges: {ExchangeSubject(submodule), "understudy.ingest.*." + token},
		StreamTrials:    {"understudy.trial." + token + ".>"},
		StreamVerdicts:  {"understudy.verdict." + token + ".>", judgementPrefix + token + ".>"},
	} {
		last, err := j.LastSeq(ctx, stream)
		if err != nil || last == 0 {
			return err
		}
		end, err := j.firstFrom(ctx, stream, before, last+1)
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			if err := j.purge(ctx, stream, subject, end); err != nil {
				return classify("remove old records of "+stream, err)
			}
		}
	}
	return nil
}

// purge removes the messages of a subject in front of a sequence, their objects first.
func (j *Journal) purge(ctx context.Context, stream, subject string, end uint64) error {
	first, err := j.askLeader(ctx, stream, map[string]any{"seq": 1, "next_by_subj": subject})
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && first.Sequence >= end {
		return nil
	}
	if err != nil {
		return err
	}
	err = j.followSubject(ctx, stream, subject, first.Sequence-1, func(m *Message) error {
		if m.Seq >= end {
			return errEnough
		}
		if name := m.Header.Get(HeaderObject); name != "" {
			if err := j.bodies.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
				return err
			}
		}
		if m.Behind == 0 {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return j.streams[stream].Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(end))
}
