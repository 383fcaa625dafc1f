package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// An attempt is one trial on its way: what is asked, and what has come of it so far.
type attempt struct {
	f    *feed
	t    *journal.Trial
	ex   *journal.Exchange
	req  *llm.Request
	call *llm.Call

	flight *journal.Flight // once money was set aside
	cost   float64
	known  bool
	// short is how often the endpoint was throttled meanwhile.
	throttles int
}

// throttlesMost is how many throttled calls in a row an exchange waits for itself
// before the whole endpoint pauses.
const throttlesMost = 6

// call makes up to the configured attempts and stores the trial.
func (l *lane) call(ctx context.Context, a *attempt) (again time.Duration, err error) {
	a.known = true
	a.t.LagMS = ms(time.Since(a.t.At))
	for n := 1; ; n++ {
		resp, err := l.once(ctx, a)
		var stopped *stopped
		if errors.As(err, &stopped) {
			return l.stop(ctx, a, stopped)
		}
		if ctx.Err() != nil {
			return 0, ctx.Err() // the flight stays on record: the call may have been billed
		}
		class := llm.ClassOf(err)
		if class == llm.ClassThrottled && a.throttles < throttlesMost {
			a.throttles++
			if !sleep(ctx, l.throttled(asError(err), a.throttles)) {
				return 0, errors.Join(ctx.Err(), a.end())
			}
			n--
			continue
		}
		if class.OurFault() {
			return l.pause(asError(err)), a.end()
		}
		l.propose(asError(err).Proposal)
		fill(a.t, a.call, resp, err)
		if l.cutShort(a) {
			continue
		}
		if class.Retryable() && n < l.r.cfg.Attempts {
			if !sleep(ctx, max(backoff(n), min(asError(err).RetryAfter, retryAfterMost))) {
				return 0, errors.Join(ctx.Err(), a.end())
			}
			continue
		}
		if class == llm.ClassNetwork { // an endpoint that is not there says nothing about its model
			return l.pause(asError(err)), a.end()
		}
		return 0, l.tried(ctx, a)
	}
}

// retryAfterMost bounds how long a provider may hold up one exchange.
const retryAfterMost = time.Minute

// stopped says that a call was not made.
type stopped struct {
	err  error
	wait time.Duration
}

func (s *stopped) Error() string { return "not called" }

// stop ends a trial whose next call was not made.
func (l *lane) stop(ctx context.Context, a *attempt, s *stopped) (time.Duration, error) {
	switch {
	case s.wait > 0:
		return s.wait, a.end()
	case errors.Is(s.err, journal.ErrFull):
		return l.hold(fullWait, reasonFull), a.end()
	case errors.Is(s.err, errUnpriced):
		return 0, l.finish(ctx, a.t, journal.OverBudget, codeUnpriced, s.err.Error())
	case !errors.Is(s.err, journal.ErrOverBudget):
		return 0, errors.Join(s.err, a.end())
	case len(a.t.Attempts) == 0:
		code, reason := codeDay, "the call may cost more than the day's budget still holds"
		if errors.Is(s.err, journal.ErrTooDear) {
			code, reason = codeTooDear, "the call may cost more than a whole day's budget"
			l.tooDear.Do(func() {
				l.log.Warn("a call may cost more than a whole day's budget; raise daily_usd, or lower the endpoint's max_output_tokens", "exchange_id", a.ex.ID)
			})
		}
		return 0, errors.Join(l.finish(ctx, a.t, journal.OverBudget, code, reason), a.end())
	case llm.Class(a.t.Class) == llm.ClassNetwork:
		return l.pause(&llm.Error{Class: llm.ClassNetwork}), a.end()
	}
	return 0, l.tried(ctx, a) // no money for a further attempt: the last one stands
}

// tried stores what the last attempt came to.
func (l *lane) tried(ctx context.Context, a *attempt) error {
	l.worked()
	if a.known {
		a.t.CostUSD = &a.cost
	}
	a.booked()
	if u := a.t.Usage; u != nil && a.t.Class == llm.ClassOK {
		l.lengths.saw(a.t.Submodule, u.OutputTokens)
	}
	a.t.Divergence = divergence(a.ex, a.t)
	if err := l.finish(ctx, a.t, journal.Tried, "", ""); err != nil {
		return err
	}
	return a.end()
}

// booked writes into the trial what the ledger has booked for its calls.
func (a *attempt) booked() {
	if a.flight != nil {
		a.t.BookedUSD, a.t.BookedBy = a.flight.Booked(), a.flight.BookedBy()
	}
}

// end takes the trial's flight off the record: nothing of it is unknown any more.
func (a *attempt) end() error {
	if a.flight != nil {
		a.flight.Done()
		a.flight = nil
	}
	return nil
}

var errUnpriced = errors.New("its service tier has no known price, and what has none is not called")

// once makes one call, once there is money, a free slot and quota for it.
func (l *lane) once(ctx context.Context, a *attempt) (*llm.Response, error) {
	bound, priced := l.c.Rates.Bound(a.call.ServiceTier, a.call.MaxInputTokens, a.call.MaxOutputTokens)
	if !priced {
		return nil, &stopped{err: fmt.Errorf("%w: %q", errUnpriced, a.call.ServiceTier)}
	}
	if err := l.ready.acquire(ctx); err != nil {
		return nil, err
	}
	defer l.ready.release()
	if left := a.pauseLeft(); left > 0 {
		return nil, &stopped{wait: left}
	}
	if l.quota.Limited() {
		return l.onceInQuota(ctx, a, bound)
	}
	money, err := l.reserve(ctx, a, bound) // before there is a slot, so that none waits for the broker
	if err != nil {
		return nil, l.unfunded(err)
	}
	if err := l.limit.acquire(ctx); err != nil {
		money.Settle(0)
		return nil, &stopped{err: err}
	}
	defer l.limit.release()
	if left := a.pauseLeft(); left > 0 { // another call met a fault meanwhile
		money.Settle(0)
		return nil, &stopped{wait: left}
	}
	return l.ask(ctx, a, money, 0)
}

// onceInQuota is once for an endpoint with a quota: a call that waits for its turn stands
// on no record, since it may wait for long.
func (l *lane) onceInQuota(ctx context.Context, a *attempt, bound float64) (*llm.Response, error) {
	if err := l.limit.acquire(ctx); err != nil {
		return nil, &stopped{err: err}
	}
	defer l.limit.release()
	tokens := a.call.MaxInputTokens/4 + a.call.MaxOutputTokens
	if err := l.quota.Take(ctx, tokens); err != nil {
		return nil, &stopped{err: err}
	}
	if left := a.pauseLeft(); left > 0 {
		l.quota.Return(tokens)
		return nil, &stopped{wait: left}
	}
	money, err := l.reserve(ctx, a, bound)
	if err != nil {
		l.quota.Return(tokens)
		return nil, l.unfunded(err)
	}
	return l.ask(ctx, a, money, tokens)
}

// unfunded says that a call was not made for want of money.
func (l *lane) unfunded(err error) *stopped {
	if errors.Is(err, journal.ErrSubmoduleNotYet) {
		return &stopped{wait: asideFor}
	}
	if errors.Is(err, journal.ErrNotYet) {
		return &stopped{wait: l.hold(time.Minute, reasonSpread)}
	}
	return &stopped{err: err}
}

// asideFor is when exchanges come again that their sub-module's own budget does not pay
// for yet. It is longer than a message is kept in hand, where it would take the room of
// other sub-modules, which the endpoint goes on with.
const asideFor = holdMost + time.Second

// pauseLeft is how much longer the exchange waits for its first or next call. Where a
// backfill was halted it is not begun, and what was begun goes on to its end.
func (a *attempt) pauseLeft() time.Duration {
	if len(a.t.Attempts) == 0 && a.f.halted() {
		return haltedAgain
	}
	return a.f.l.pauseLeft()
}

// haltedAgain is when an exchange comes again that a halted backfill has given back.
const haltedAgain = time.Second

// reserve sets money aside, on record before the call begins.
func (l *lane) reserve(ctx context.Context, a *attempt, bound float64) (*journal.Reservation, error) {
	spend := journal.Spend{Endpoint: l.c.Endpoint.Name, Submodule: a.t.Submodule,
		Record: journal.TrialSubject(a.t.Submodule, a.t.Candidate, a.t.ID)}
	if a.flight != nil {
		return a.flight.More(ctx, spend, bound)
	}
	money, err := l.money.ledger.Load().Reserve(ctx, spend, bound)
	if err == nil {
		a.flight = money.Keep()
	}
	return money, err
}

// ask makes the call and books it.
func (l *lane) ask(ctx context.Context, a *attempt, money *journal.Reservation, tokens int) (*llm.Response, error) {
	began := time.Now()
	resp, err := l.do(ctx, a.call, money)
	usd, sure := money.Book(&l.c.Rates, a.call.ServiceTier, resp, err)
	a.cost, a.known = a.cost+usd, a.known && sure
	class := llm.ClassOf(err)
	l.count("attempts", "class", string(class))
	switch {
	case class == llm.ClassThrottled:
		l.limit.throttled(began)
		l.quota.Return(tokens)
	case resp != nil && resp.Usage != nil:
		l.quota.Return(tokens - resp.Usage.InputTokens - resp.Usage.OutputTokens)
	}
	if class == llm.ClassOK {
		l.limit.worked()
	}
	return resp, err
}

// do makes the call. One that panics may have been billed: were its money not settled,
// calls that find none free would wait for it for ever.
func (l *lane) do(ctx context.Context, call *llm.Call, money *journal.Reservation) (resp *llm.Response, err error) {
	returned := false
	defer func() {
		if !returned {
			money.SettleFull()
		}
	}()
	resp, err = l.c.Client.Do(ctx, call)
	returned = true
	return resp, err
}

// throttled is how long an exchange waits after its call was throttled. What the
// provider asks for holds for the whole endpoint.
func (l *lane) throttled(err *llm.Error, n int) time.Duration {
	if err.RetryAfter > 0 {
		return l.hold(min(err.RetryAfter, 10*time.Minute), reasonThrottled)
	}
	return 50*time.Millisecond + backoff(n)
}

// fullWait is how long a lane waits for room in the store.
const fullWait = 5 * time.Second

// Why a lane waits that has no fault.
const (
	reasonFull      = "the NATS store is full: no answer could be stored"
	reasonThrottled = "the provider throttles and says how long to wait"
	reasonSpread    = "the day's budget is spread over the day, and what is due until now is spent"
	reasonWindow    = "outside the windows of [replay]"
)

// cutShort tells whether the answer ended at a limit that was ours, and takes it away
// for the next attempt: a candidate is not to fail by our guess.
func (l *lane) cutShort(a *attempt) bool {
	if a.req.UsualTokens == 0 || a.t.Class != llm.ClassOK || a.t.Finish != llm.FinishLength || a.req.MaxTokens != nil && *a.req.MaxTokens > 0 {
		return false
	}
	a.req.UsualTokens = 0
	longer, err := l.c.Client.Prepare(a.req)
	if err != nil || longer.MaxOutputTokens <= a.call.MaxOutputTokens {
		return false
	}
	a.call = longer
	a.t.Attempts[len(a.t.Attempts)-1].Code = journal.CodeOwnLimit
	return true
}

// backoff before attempt n+1: exponential with full jitter.
func backoff(n int) time.Duration {
	return rand.N(min(200*time.Millisecond<<n, 5*time.Second))
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
