package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// try takes one exchange to its one disposition. again above 0 asks for it to
// come again later; an error says that it could not be finished now.
func (l *lane) try(ctx context.Context, ex *journal.Exchange, d *journal.Delivery) (again time.Duration, err error) {
	t := l.newTrial(ex, d.Seq)
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic while trying an exchange", "exchange_id", ex.ID, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			again, err = 0, l.finish(ctx, t, journal.DeadLetter, "panic: this is a fault of understudy; the log has its stack")
		}
	}()
	if l.control() {
		if reason, settled := l.leftOut(ctx, ex, d.Seq); reason != "" {
			return l.leaveOut(ctx, t, reason, settled)
		}
	}
	if reason := incomparable(ex); reason != "" {
		return 0, l.finish(ctx, t, journal.NotComparable, reason)
	}
	req, err := openai.Decode(ex.Request)
	if err != nil {
		return 0, l.finish(ctx, t, journal.DeadLetter, "request: "+summary(err))
	}
	call, err := l.c.Client.Prepare(req)
	if err != nil {
		return 0, l.finish(ctx, t, journal.NotComparable, "translate: "+summary(err))
	}
	t.Gaps, t.Tier = call.Gaps, call.Tier
	if !call.Comparable() {
		return 0, l.finish(ctx, t, journal.NotComparable, "blocking gap")
	}
	if left := l.pauseLeft(); left > 0 {
		return max(left, time.Millisecond), nil
	}
	return l.claimed(ctx, t, func() (time.Duration, error) { return l.call(ctx, t, call) })
}

// incomparable names what makes a live side useless for a comparison.
func incomparable(ex *journal.Exchange) string {
	if ex.Aborted {
		return "live: the client left before the answer's end"
	}
	switch ex.Class {
	case llm.ClassInvalid, llm.ClassAccess, llm.ClassNotFound:
		return "live: the provider refused the request (" + string(ex.Class) + ")"
	}
	return ""
}

// summary is the text of an error that may stand in a record.
func summary(err error) string {
	var e *llm.Error
	if errors.As(err, &e) {
		return e.Summary()
	}
	return "unreadable"
}

// claimed does the work of a trial that is not stored yet under a claim, so that no
// other host does it as well.
func (l *lane) claimed(ctx context.Context, t *journal.Trial, work func() (time.Duration, error)) (time.Duration, error) {
	claim, err := l.claims.Take(ctx, t.ID)
	if err != nil {
		return 0, err
	}
	if claim == nil { // somebody else calls, or died while calling
		stored, err := l.r.j.HasTrial(ctx, t.Submodule, t.Candidate, t.ID)
		if stored || err != nil {
			return 0, err
		}
		return l.r.cfg.AckWait / 2, nil
	}
	release := claim.Hold(ctx)
	defer func() {
		if err := release(); err != nil {
			l.log.Debug("release claim", "err", err)
		}
	}()
	// Only now: whoever held the claim before may have stored the trial.
	stored, err := l.r.j.HasTrial(ctx, t.Submodule, t.Candidate, t.ID)
	if stored || err != nil {
		return 0, err
	}
	return work()
}

// call makes up to the configured attempts and stores the trial.
func (l *lane) call(ctx context.Context, t *journal.Trial, call *llm.Call) (time.Duration, error) {
	bound, priced := l.c.Rates.Bound(call.ServiceTier, call.MaxInputTokens, call.MaxOutputTokens)
	if !priced {
		return 0, l.finish(ctx, t, journal.OverBudget, fmt.Sprintf("the service tier %q has no known price, and what has none is not called", call.ServiceTier))
	}
	cost, known := 0.0, true
	t.LagMS = ms(time.Since(t.At))
	var last error
	for n := 1; ; n++ {
		money, err := l.money.ledger.Load().Reserve(ctx, l.c.Endpoint.Name, bound)
		if errors.Is(err, journal.ErrOverBudget) && len(t.Attempts) == 0 {
			return 0, l.finish(ctx, t, journal.OverBudget, fmt.Sprintf("the call may cost $%.4f, which the day's budget no longer holds", bound))
		}
		if errors.Is(err, journal.ErrOverBudget) {
			break // no money for a further attempt: the last one stands
		}
		if err != nil {
			return 0, err
		}
		if left := l.pauseLeft(); left > 0 { // another call met a fault meanwhile
			money.Settle(0)
			return max(left, time.Millisecond), nil
		}
		resp, err := l.attempt(ctx, call)
		last = err
		usd, sure := money.Book(&l.c.Rates, call.ServiceTier, resp, err)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		cost, known = cost+usd, known && sure
		class := llm.ClassOf(err)
		l.count("attempts", "class", string(class))
		if class.OurFault() {
			return l.pause(asError(err)), nil
		}
		l.propose(asError(err).Proposal)
		fill(t, call, resp, err)
		if !class.Retryable() || n >= l.r.cfg.Attempts {
			break
		}
		if !sleep(ctx, backoff(n)) {
			return 0, ctx.Err()
		}
	}
	if llm.ClassOf(last) == llm.ClassNetwork {
		return l.pause(asError(last)), nil // an endpoint that is not there says nothing about its model
	}
	l.worked()
	if known {
		t.CostUSD = &cost
	}
	return 0, l.finish(ctx, t, journal.Tried, "")
}

func (l *lane) attempt(ctx context.Context, call *llm.Call) (*llm.Response, error) {
	l.inFlight.Add(1)
	defer l.inFlight.Add(-1)
	return l.c.Client.Do(ctx, call)
}

func asError(err error) *llm.Error {
	var e *llm.Error
	if errors.As(err, &e) {
		return e
	}
	return &llm.Error{Class: llm.ClassMalformed, Err: err}
}

// backoff before attempt n+1: exponential with full jitter.
func backoff(n int) time.Duration {
	return rand.N(min(200*time.Millisecond<<n, 5*time.Second))
}

func (l *lane) newTrial(ex *journal.Exchange, seq uint64) *journal.Trial {
	ep := &l.c.Endpoint
	t := &journal.Trial{
		Schema: journal.SchemaVersion, ID: journal.TrialID(ex.Key(seq), ep.Name, ep.Model, "", 0),
		ExchangeID: ex.ID, ExchangeSeq: seq, At: ex.At, Source: ex.Source,
		Submodule: ex.Submodule, Conversation: ex.Conversation, ConversationSource: ex.ConversationSource, Unit: ex.Unit,
		Candidate: ep.Name, Role: l.c.Role, Model: ep.Model,
		Live: journal.Side{LatencyMS: &ex.LatencyMS, TTFTMS: ex.TTFTMS, Error: ex.LiveError()},
	}
	if rates, ok := l.r.baseline(ex.Submodule); ok {
		t.Live.CostUSD, t.Live.EstimateUSD = ex.Cost(&rates), ex.EstimatedCost(&rates)
		t.Live.Estimated = t.Live.CostUSD != nil && ex.Usage.Estimated
	}
	return t
}

// fill writes the outcome of an attempt; the last one stands.
func fill(t *journal.Trial, call *llm.Call, resp *llm.Response, err error) {
	a := journal.Attempt{Class: llm.ClassOf(err)}
	if err != nil {
		e := asError(err)
		a.Status, a.Code, a.RequestID, a.Proposal = e.Status, e.Code, e.RequestID, e.Proposal
	}
	t.Gaps = slices.Clip(call.Gaps)
	t.Class, t.Text, t.Refusal, t.ToolCalls, t.Finish, t.NativeFinish, t.Usage, t.ServiceTier = a.Class, "", "", nil, "", "", nil, ""
	if resp != nil {
		a.LatencyMS = ms(resp.Timing.Total)
		if ft := resp.Timing.FirstToken; ft > 0 {
			v := ms(ft)
			a.TTFTMS = &v
		}
		if resp.RequestID != "" {
			a.RequestID = resp.RequestID
		}
		t.Text, t.Refusal, t.ToolCalls = resp.Text, resp.Refusal, resp.ToolCalls
		t.Finish, t.NativeFinish, t.Usage, t.ServiceTier = resp.Finish, resp.NativeFinish, resp.Usage, resp.ServiceTier
		t.Gaps = append(t.Gaps, resp.Gaps...)
	}
	t.Attempts = append(t.Attempts, a)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// finish stores the trial, and keeps trying while NATS is away: the answer may
// have been paid for.
func (l *lane) finish(ctx context.Context, t *journal.Trial, d journal.Disposition, reason string) error {
	t.Disposition, t.Reason, t.StoredAt = d, reason, time.Now().UTC()
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

// deadMessage gives every record of an unreadable message up. Where not even
// their number is known it is one.
func (l *lane) deadMessage(ctx context.Context, d *journal.Delivery, cause error) error {
	submodule, source, ok := journal.SubjectOf(d.Subject)
	if !ok || !l.c.Wants(submodule) {
		return nil
	}
	l.log.Error("message cannot be read; its records are dead letters", "seq", d.Seq, "err", cause)
	var errs []error
	for i := range d.Records() {
		id := fmt.Sprintf("message-%d-%d", d.Seq, i)
		t := l.newTrial(&journal.Exchange{ID: id, At: time.Now().UTC(), Source: source, Submodule: submodule}, d.Seq)
		errs = append(errs, l.finish(ctx, t, journal.DeadLetter, "message cannot be read: "+cause.Error()))
	}
	return errors.Join(errs...)
}
