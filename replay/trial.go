package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// The machine parts of reasons; that of a blocking gap is "gap:" and its path.
const (
	codePanic       = "panic"
	codeUnreadable  = "unreadable"
	codeLost        = "attempt_lost"
	codeRejected    = "rejected"
	codeAborted     = "live_aborted"
	codeRefused     = "live_refused"
	codeMedia       = "media_dropped"
	codeUntranslate = "untranslatable"
	codeDay         = "daily_budget"
	codeTooDear     = "call_above_budget"
	codeShare       = "outside_share" // of conversations that the day's budget reaches for
	codeUnpriced    = "unpriced_tier"
	codeControl     = "control_share"
	codeGivenUp     = "max_deliver"
	codeForgotten   = "forgotten"
)

// try takes one exchange to its one disposition. again above 0 asks for it to
// come again later; an error says that it could not be finished now.
func (m *message) try(ctx context.Context, i int) (again time.Duration, err error) {
	l, d, ex := m.f.l, m.d, m.list[i]
	t := l.newTrial(ex, d.Seq, m.set[i])
	t.Replaces = m.replaces[i]
	if m.f.job != nil {
		t.Backfill = m.f.job.ID
	}
	a := &attempt{f: m.f, t: t, ex: ex}
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic while trying an exchange", "exchange_id", ex.ID, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			a.booked()
			again, err = 0, l.finish(ctx, t, journal.DeadLetter, codePanic, "panic: this is a fault of understudy; the log has its stack")
			if err == nil {
				a.end()
			}
		}
	}()
	if l.control() {
		if reason := l.leftOut(ctx, ex, d.Seq); reason != "" {
			return 0, l.finish(ctx, t, journal.NotDrawn, codeControl, reason)
		}
	}
	if err := l.unseal(ctx, ex); err != nil {
		return 0, err
	}
	p := l.prepare(ex)
	t.Gaps, t.Tier = p.gaps()
	if p.disposition != "" {
		return 0, l.finish(ctx, t, p.disposition, p.code, p.reason)
	}
	if ex.Usage != nil {
		l.lengths.saw(ex.Submodule, ex.Usage.OutputTokens)
	}
	if n := m.lost[m.subject(i)]; n > 0 {
		t.LostAttempts = n
		l.count("lost_attempts")
		if l.r.cfg.OnLost == OnLostGiveUp {
			return 0, l.finish(ctx, t, journal.DeadLetter, codeLost, "the process died while the call was in flight; it may have been billed")
		}
	}
	if again, err := m.f.admit(ctx, t, ex, d); again > 0 || err != nil || t.Disposition != "" {
		return again, err
	}
	a.req, a.call = p.req, p.call
	return l.call(ctx, a)
}

// A prepared exchange is ready to be called, or has a disposition without that.
type prepared struct {
	req  *llm.Request
	call *llm.Call // nil where there is none

	disposition  journal.Disposition
	code, reason string
}

func (p *prepared) gaps() ([]llm.Gap, llm.Tier) {
	if p.call == nil {
		return nil, ""
	}
	return p.call.Gaps, p.call.Tier
}

// unseal opens the bodies of an exchange. A forgotten one is not comparable, and one that
// cannot be opened is unreadable; the error says that it is to be tried later.
func (l *lane) unseal(ctx context.Context, ex *journal.Exchange) error {
	err := l.r.j.Unseal(ctx, ex)
	switch {
	case err == nil, errors.Is(err, journal.ErrForgotten):
		return nil
	case errors.Is(err, journal.ErrSeal):
		l.log.Error("exchange cannot be opened; it is a dead letter", "exchange_id", ex.ID, "err", err)
		ex.Request, ex.Response = nil, nil
		return nil
	}
	return err
}

// prepare translates an exchange for the lane's endpoint.
func (l *lane) prepare(ex *journal.Exchange) prepared {
	if code, reason := l.incomparable(ex); code != "" {
		return prepared{disposition: journal.NotComparable, code: code, reason: reason}
	}
	req, err := openai.Decode(ex.Request)
	if err != nil {
		return prepared{disposition: journal.DeadLetter, code: codeUnreadable, reason: "request: " + summary(err)}
	}
	req.UsualTokens = l.lengths.limit(ex.Submodule)
	call, err := l.c.Client.Prepare(req)
	if err != nil {
		return prepared{disposition: journal.NotComparable, code: codeUntranslate, reason: "translate: " + summary(err)}
	}
	p := prepared{req: req, call: call}
	if !call.Comparable() {
		p.disposition, p.code, p.reason = journal.NotComparable, "gap:"+blocking(call.Gaps), "blocking gap"
	}
	return p
}

// incomparable names what keeps the exchange from being compared whatever the
// candidate says.
func (l *lane) incomparable(ex *journal.Exchange) (code, reason string) {
	switch {
	case ex.Forgotten:
		return codeForgotten, "its unit or conversation was forgotten"
	case ex.Aborted:
		return codeAborted, "live: the client left before the answer's end"
	case ex.MediaDropped > 0:
		return codeMedia, "images, audio or files of the request were not recorded ([capture.redact] media = \"drop\")"
	}
	switch ex.Class {
	case llm.ClassInvalid, llm.ClassAccess, llm.ClassNotFound:
		return codeRefused, "live: the provider refused the request (" + string(ex.Class) + ")"
	}
	if !l.control() && l.r.rejected.holds(ex.Submodule, l.c.Endpoint.Name, ex.At) {
		return codeRejected, "the candidate was rejected for this sub-module before; keep = true would go on trying it"
	}
	return "", ""
}

// blocking is the path of the first gap that blocks.
func blocking(gaps []llm.Gap) string {
	for _, g := range gaps {
		if g.Severity == llm.Blocking {
			return g.Path
		}
	}
	return ""
}

// errorOf is the client's error in the chain of err, nil without one.
func errorOf(err error) *llm.Error {
	var e *llm.Error
	errors.As(err, &e)
	return e
}

// summary is the text of an error that may stand in a record.
func summary(err error) string {
	if e := errorOf(err); e != nil {
		return e.Summary()
	}
	return "unreadable"
}

func (l *lane) newTrial(ex *journal.Exchange, seq uint64, set int) *journal.Trial {
	ep := &l.c.Endpoint
	t := &journal.Trial{
		Schema: journal.SchemaVersion, ID: journal.TrialID(ex.Key(seq), ep.Name, ep.Model, "", set), AttemptSet: set,
		ExchangeID: ex.ID, ExchangeSeq: seq, At: ex.At, Source: ex.Source,
		Submodule: ex.Submodule, Conversation: ex.Conversation, ConversationSource: ex.ConversationSource, Unit: ex.Unit,
		Candidate: ep.Name, Role: l.c.Role, Model: ep.Model,
		Live: journal.Side{Error: ex.LiveError()},
	}
	if !ex.ClientSlow {
		t.Live.LatencyMS, t.Live.TTFTMS = &ex.LatencyMS, ex.TTFTMS
	}
	if rates, ok := l.r.baseline(ex.Submodule); ok {
		t.Live.CostUSD, t.Live.EstimateUSD = ex.Cost(&rates), ex.EstimatedCost(&rates)
		t.Live.Estimated = t.Live.CostUSD != nil && ex.Usage.Estimated
	}
	return t
}

// finish stores the trial, and keeps trying while NATS is away: the answer may
// have been paid for.
func (l *lane) finish(ctx context.Context, t *journal.Trial, d journal.Disposition, code, reason string) error {
	t.Disposition, t.ReasonCode, t.Reason, t.StoredAt = d, code, reason, time.Now().UTC()
	for {
		stored, err := l.r.j.StoreTrial(context.WithoutCancel(ctx), t)
		if err == nil {
			if stored {
				l.count("trials", "outcome", string(d), "class", string(t.Class))
			}
			return nil
		}
		if !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrFull) {
			return err
		}
		l.log.Warn("trial not stored; trying again", "trial_id", t.ID, "err", err)
		if !sleep(ctx, time.Second) {
			return err
		}
	}
}
