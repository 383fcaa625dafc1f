package judge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// A Judge is an endpoint in the role of a judge.
type Judge struct {
	Endpoint llm.Endpoint
	Client   llm.Client
	Rates    llm.Rates
}

var (
	// errAway tells that a judge cannot be asked now: it is down, throttles, or lets
	// us not in. The pair is judged later.
	errAway = errors.New("the judge cannot be asked now")
	// errFailing tells that a judge fails at this question, and may do well at
	// others. The pair is judged later, a few times.
	errFailing = errors.New("the judge fails at this question")
)

// failuresInRow are the pairs at which a judge may fail without answering anything in
// between: with the last of them it is taken for being away. An answer that no judge
// can cope with must not switch the judge off for all others.
const failuresInRow = 3

// An asker puts questions to one judge: within the budget and its concurrency,
// with retries, and with a pause after a fault that is not the question's.
type asker struct {
	judge    Judge
	attempts int
	ledger   *journal.Ledger
	quota    *journal.Quota // shared with whoever else calls the model
	slots    chan struct{}  // one for each call that may run
	rounds   chan struct{}  // one for each pair whose money is set aside
	cap      float64        // what a day allows
	counts   *counts
	log      *slog.Logger

	mu          sync.Mutex
	pausedUntil time.Time
	pausedFor   string
	faults      int // pauses in a row
	failures    int // failed pairs in a row

	spent    atomic.Pointer[string] // the day whose money is spent
	inFlight atomic.Int64
}

func newAsker(j Judge, cfg *Config, counts *counts, log *slog.Logger) *asker {
	a := &asker{judge: j, attempts: cfg.Attempts, slots: make(chan struct{}, j.Endpoint.Concurrency),
		rounds: make(chan struct{}, max(2, j.Endpoint.Concurrency/3)), cap: cfg.DailyUSD, counts: counts, log: log}
	if own := j.Endpoint.DailyUSD; own > 0 {
		a.cap = min(a.cap, own)
	}
	return a
}

// A saying is what a judge said to one question.
type saying struct {
	Label  string `json:"label"`
	Reason string `json:"reason"`
	Parse  string `json:"parse"`
	// usd is what it cost, known false where a bill is unknown; calls were made.
	usd   float64
	known bool
	calls int
}

// ask puts the question, a second time in a shorter form where the reply holds no
// verdict. A saying without a label is missing, never a number. The error is errAway,
// errFailing, journal.ErrOverBudget, or of ctx or the broker. purse holds the money
// that was set aside for the question.
func (a *asker) ask(ctx context.Context, q *question, purse *journal.Reservation) (saying, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return saying{}, ctx.Err()
	}
	said := saying{known: true}
	for _, short := range []bool{false, true} {
		resp, tool, err := a.call(ctx, q, short, purse, &said)
		if err != nil {
			return said, err
		}
		if resp == nil { // this question cannot be put to this judge
			said.Parse = parseFailed
			break
		}
		said.Label, said.Reason, said.Parse = readVerdict(resp, q.metric.labels(), tool)
		if said.Label != "" {
			break
		}
	}
	a.counts.verdict(a.judge.Endpoint.Name, said.Parse)
	return said, nil
}

// call makes up to the configured attempts. A nil response without an error says
// that the judge refuses the question itself.
func (a *asker) call(ctx context.Context, q *question, short bool, purse *journal.Reservation, said *saying) (*llm.Response, bool, error) {
	call, tool, err := a.prepare(q, short)
	if err != nil {
		return nil, false, nil
	}
	for n := 1; ; n++ {
		if left := a.pauseLeft(); left > 0 {
			return nil, false, errAway
		}
		bound, priced := a.bound(call)
		if !priced {
			return nil, false, nil
		}
		money, err := a.money(ctx, bound, purse)
		if err != nil {
			return nil, false, err
		}
		tokens := call.MaxInputTokens/4 + call.MaxOutputTokens
		if err := a.quota.Take(ctx, tokens); err != nil {
			money.Settle(0)
			return nil, false, err
		}
		a.inFlight.Add(1)
		resp, err := a.judge.Client.Do(ctx, call)
		a.inFlight.Add(-1)
		if resp != nil && resp.Usage != nil {
			a.quota.Return(tokens - resp.Usage.InputTokens - resp.Usage.OutputTokens)
		}
		usd, known := money.Book(&a.judge.Rates, call.ServiceTier, resp, err)
		said.calls, said.usd, said.known = said.calls+1, said.usd+usd, said.known && known
		class := llm.ClassOf(err)
		a.counts.call(a.judge.Endpoint.Name, string(class))
		switch {
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		case class == llm.ClassOK:
			a.worked()
			return resp, tool, nil
		case class.OurFault():
			return nil, false, a.pause(err)
		case !class.Retryable():
			return nil, false, nil
		case n >= a.attempts && (class == llm.ClassNetwork || class == llm.ClassOverloaded):
			return nil, false, a.pause(err)
		case n >= a.attempts:
			return nil, false, fmt.Errorf("%w: %w", errFailing, err)
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(rand.N(200*time.Millisecond<<n) + 50*time.Millisecond):
		}
	}
}

// bound is the most that a call may cost; false where it has no known price.
func (a *asker) bound(call *llm.Call) (float64, bool) {
	return a.judge.Rates.Bound(call.ServiceTier, call.MaxInputTokens, call.MaxOutputTokens)
}

// moneyWait bounds how long a further attempt waits for money that others hold:
// they may be waiting in the same way.
const moneyWait = 5 * time.Second

// money is the call's share of the purse, or for further attempts new money.
func (a *asker) money(ctx context.Context, bound float64, purse *journal.Reservation) (*journal.Reservation, error) {
	if part := purse.Split(bound); part != nil {
		return part, nil
	}
	waiting, cancel := context.WithTimeout(ctx, moneyWait)
	defer cancel()
	more, err := a.ledger.Reserve(waiting, purse.Spend(), bound)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: no money for a further attempt yet", errFailing)
	}
	return more, err
}

// failed says what it means that the judge failed at a pair: the pair, until several
// fail in a row.
func (a *asker) failed(err error) error {
	a.mu.Lock()
	a.failures++
	many := a.failures >= failuresInRow
	a.mu.Unlock()
	if many {
		return a.pause(err)
	}
	return err
}

// prepare writes the question for the judge's wire: with a forced verdict tool
// where it can be forced, else as a demand for JSON.
func (a *asker) prepare(q *question, short bool) (call *llm.Call, tool bool, err error) {
	call, err = a.judge.Client.Prepare(newPrompt(q, true, short).req)
	if err == nil && forced(call.Gaps) {
		return call, true, nil
	}
	call, err = a.judge.Client.Prepare(newPrompt(q, false, short).req)
	if err == nil && !call.Comparable() {
		err = errors.New("the judge's wire cannot express the question")
	}
	return call, false, err
}

// forced tells that nothing is in the way of the forced tool call.
func forced(gaps []llm.Gap) bool {
	for _, g := range gaps {
		if g.Severity == llm.Blocking || g.Path == "/tools" || g.Path == "/tool_choice" {
			return false
		}
	}
	return true
}

// admit sets the money aside that all questions about a pair may cost, whatever of
// it is remembered or need not be asked: who is judged must not depend on the
// answers. Once the day's money does not reach for a pair, no further one is admitted
// that day: else short answers would go on being judged. A pair that is dearer than a
// whole day's budget is refused alone.
func (a *asker) admit(ctx context.Context, s journal.Spend, usd float64) (*journal.Reservation, error) {
	today := time.Now().UTC().Format(time.DateOnly)
	if a.overBudget(today) {
		return nil, journal.ErrOverBudget
	}
	purse, err := a.ledger.Reserve(ctx, s, usd)
	if errors.Is(err, journal.ErrOverBudget) && usd <= a.cap {
		if before := a.spent.Swap(&today); before == nil || *before != today {
			a.log.Warn("the judge's budget of the day is spent; what comes today is not judged", "endpoint", a.judge.Endpoint.Name)
		}
	}
	return purse, err
}

func (a *asker) overBudget(today string) bool {
	day := a.spent.Load()
	return day != nil && *day == today
}

func (a *asker) pauseLeft() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(0, time.Until(a.pausedUntil))
}

// pause stops asking for a while, longer each time in a row.
func (a *asker) pause(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Until(a.pausedUntil) > 0 {
		return errAway // one of many calls that met the same fault
	}
	wait := min(time.Second<<min(a.faults, 6), time.Minute)
	wait = wait/2 + rand.N(wait/2+1)
	what := string(llm.ClassOf(err))
	var e *llm.Error
	if errors.As(err, &e) {
		wait, what = max(wait, min(e.RetryAfter, 10*time.Minute)), e.Summary()
	}
	a.faults++
	a.failures = max(a.failures, failuresInRow-1) // after the pause one is enough
	a.pausedUntil, a.pausedFor = time.Now().Add(wait), what
	a.log.Warn("judge paused; pairs wait for it", "endpoint", a.judge.Endpoint.Name, "err", what, "wait", wait.Round(time.Millisecond).String(),
		"hint", "check its credentials, quota and base_url")
	a.counts.pause(a.judge.Endpoint.Name, string(llm.ClassOf(err)))
	return errAway
}

func (a *asker) worked() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults, a.failures = 0, 0
}

// A JudgeStatus says how one judge is doing.
type JudgeStatus struct {
	InFlight    int        `json:"in_flight"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	PausedFor   string     `json:"paused_for,omitempty"`
	// OverBudget: the day's money is spent.
	OverBudget bool `json:"over_budget,omitempty"`
}

func (a *asker) status() JudgeStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := JudgeStatus{InFlight: int(a.inFlight.Load())}
	if until := a.pausedUntil; time.Now().Before(until) {
		s.PausedUntil, s.PausedFor = &until, a.pausedFor
	}
	s.OverBudget = a.overBudget(time.Now().UTC().Format(time.DateOnly))
	return s
}

// summaryOf keeps a judge's reason to a length that a record may carry.
func summaryOf(reason string) string {
	const most = 600
	return plainText(shortened(reason, most), most+40)
}

// readVerdict reads what came on the verdict channel. Where a tool call was
// demanded its arguments are the channel; a judge that wrote text instead is read
// by the same ladder as one that has no tools.
func readVerdict(resp *llm.Response, labels []string, tool bool) (label, reason, parse string) {
	if calls := resp.ToolCalls; tool && len(calls) > 0 {
		v := ParseCalls(calls, labels)
		return v.Label, summaryOf(v.Reason), v.Parse
	}
	v := ParseText(resp.Text, labels)
	return v.Label, summaryOf(v.Reason), v.Parse
}
