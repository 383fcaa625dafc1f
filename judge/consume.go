package judge

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"understudy/internal/journal"
)

// consumeAll works off the trials of every judge until ctx ends, or until one of them
// cannot go on.
func (p *Panel) consumeAll(ctx, work context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, 0, len(p.askers))
	var mu sync.Mutex
	for _, a := range p.askers {
		scope := p.scope.Submodules(a.judge.Endpoint.Name)
		if scope != nil && len(scope) == 0 {
			continue // it judges nothing
		}
		wg.Go(func() {
			err := p.consume(ctx, work, a, scope)
			cancel()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	if len(p.askers) > 0 {
		<-ctx.Done()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// consume fetches a judge's trials until ctx ends and waits for the work in hand.
func (p *Panel) consume(ctx, work context.Context, a *asker, submodules []string) error {
	limit := handPerJudge * a.judge.Endpoint.Concurrency
	cons, err := p.j.TrialConsumer(ctx, durableModels+journal.Escape(a.judge.Endpoint.Name), submodules, limit, modelsAckWait)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	hand := make(chan struct{}, limit)
	var wg sync.WaitGroup
	defer wg.Wait()
	// Also where fetching fails: what waits for a window must not hold up a new start.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case hand <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		d, err := cons.Next(ctx, time.Second)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if d == nil {
			<-hand
			continue
		}
		wg.Go(func() {
			defer func() { <-hand }()
			p.deliver(ctx, work, a, d)
		})
	}
	return nil
}

// deliver takes one trial to its end: acknowledged when it is judged or will not
// be, else given back.
func (p *Panel) deliver(ctx, work context.Context, a *asker, d *journal.Delivery) {
	alive, stop := context.WithCancel(work)
	defer stop()
	go func() {
		tick := time.NewTicker(modelsAckWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-alive.Done():
				return
			case <-tick.C:
				if err := d.InProgress(); err != nil {
					p.log.Debug("heartbeat", "err", err)
				}
			}
		}
	}()
	again, err := p.handle(ctx, work, a, d)
	stop()
	p.release(d)
	if err == nil && again == 0 {
		if err := d.Ack(context.WithoutCancel(work)); err != nil { // it comes again and is then found judged
			p.log.Debug("ack", "err", err)
		}
		return
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errAway) {
		p.log.Warn("pair not judged; it comes again", "subject", d.Subject, "err", err)
	}
	if err := d.Nak(max(again, time.Second)); err != nil {
		p.log.Debug("nak", "err", err)
	}
}

// handle waits until the trial's conversation is over and judges the trial if it is
// the drawn one. again above 0 asks for it to come again after that time.
func (p *Panel) handle(ctx, work context.Context, a *asker, d *journal.Delivery) (again time.Duration, err error) {
	if d.Err != nil {
		if errors.Is(d.Err, journal.ErrNotFound) {
			return 0, nil // the object has aged out before its message
		}
		return 0, d.Err
	}
	var t journal.Trial
	if err := json.Unmarshal(d.Data, &t); err != nil {
		p.log.Error("trial cannot be read; it is not judged", "subject", d.Subject, "err", err)
		return 0, nil
	}
	if !p.wants(a, &t) {
		return 0, nil
	}
	if err := p.j.UnsealTrial(ctx, &t); err != nil {
		return 0, err
	}
	arrived := time.Now()
	if arrived.After(t.At.Add(p.scope.Deadline)) {
		return 0, nil // whenever its conversation began
	}
	p.hold(d, t.At)
	for {
		found := p.draws.look(&t, arrived, time.Now())
		if found.wait == 0 {
			if !found.drawn || p.late(&t, found.start) {
				return 0, nil
			}
			return p.judge(work, a, &t, d.Deliveries)
		}
		select {
		case <-ctx.Done():
			return time.Second, nil
		case <-time.After(min(found.wait, time.Minute)):
		}
	}
}

// late tells that a trial came too late for the evidence of its conversation: after the
// deadline, or by a second try that came after the window.
func (p *Panel) late(t *journal.Trial, start time.Time) bool {
	return time.Now().After(start.Add(p.scope.Deadline)) || t.Replaces != "" && !t.StoredAt.Before(start.Add(p.scope.Window))
}

// wants tells whether a trial is for this judge. A candidate's failed trial is: it
// belongs to the sample as an answer would, and live's side is rated. Of an exchange
// that was tried several times only the first trial is.
func (p *Panel) wants(a *asker, t *journal.Trial) bool {
	if t.Disposition != journal.Tried || t.Replaces == journal.Tried || t.Source != journal.SourceCapture || t.Live.Error || t.Role == journal.RoleControl && trialFailed(t) {
		return false
	}
	judge, ok := p.scope.Judge(t.Submodule)
	return ok && judge.Endpoint.Name == a.judge.Endpoint.Name && p.scope.Compared(t.Submodule, t.Candidate)
}

const (
	// awayAgain is when a pair comes again whose judge is paused, or that another
	// process has in hand.
	awayAgain = 2 * time.Second
	// A pair at which the judge fails comes again later each time, at most
	// longestAgain, and is given up at the giveUpAfter-th delivery.
	longestAgain = 10 * time.Minute
	giveUpAfter  = 10
)

// judge makes and stores the judgement of a drawn trial, under a claim so that no
// other process pays for the same.
func (p *Panel) judge(ctx context.Context, a *asker, t *journal.Trial, deliveries uint64) (again time.Duration, err error) {
	if left := a.pauseLeft(); left > 0 {
		return max(awayAgain, left), nil
	}
	claim, err := p.memory.claims.Take(ctx, "pair-"+t.ID)
	if claim == nil || err != nil {
		return awayAgain, err
	}
	release := claim.Hold(ctx)
	defer func() {
		if err := release(); err != nil {
			p.log.Debug("release claim", "err", err)
		}
	}()
	if _, err := p.j.Judgement(ctx, t.Submodule, t.Candidate, t.ID); !errors.Is(err, journal.ErrNotFound) {
		return 0, err // it is judged already, or NATS is away
	}
	v, err := p.judgement(ctx, a, t, deliveries >= giveUpAfter)
	switch {
	case errors.Is(err, errAway):
		return max(awayAgain, a.pauseLeft()), nil
	case errors.Is(err, errFailing):
		p.log.Warn("the judge fails at a pair; it comes again", "trial_id", t.ID, "endpoint", a.judge.Endpoint.Name, "deliveries", deliveries)
		return min(awayAgain<<min(deliveries, 10), longestAgain), nil
	case err != nil:
		return 0, err
	}
	v.JudgedAt = time.Now().UTC()
	stored, err := p.j.StoreJudgement(ctx, v)
	if err == nil && stored {
		p.counts.judged(v)
	}
	return 0, err
}

// hold and release keep track of the oldest exchange in hand, for forget.
func (p *Panel) hold(d *journal.Delivery, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inHand[d] = at
}

func (p *Panel) release(d *journal.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inHand, d)
}
