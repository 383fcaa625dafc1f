package replay

import (
	"math/rand/v2"
	"time"

	"understudy/llm"
)

// pauseLeft is how much longer the lane waits, 0 when it does not.
func (l *lane) pauseLeft() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.pausedUntil))
}

// pause stops the lane after a fault that says nothing about the model, longer
// each time in a row, and gives how long.
func (l *lane) pause(err *llm.Error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := time.Until(l.pausedUntil); left > 0 {
		return max(left, time.Millisecond) // one of many calls that met the same fault
	}
	base, most := time.Second, 30*time.Second
	if !err.Class.Retryable() {
		base, most = 5*time.Second, 2*time.Minute
	}
	wait := min(base<<min(l.faults, 10), most)
	wait = wait/2 + rand.N(wait/2+1) // jitter
	wait = max(wait, min(err.RetryAfter, 10*time.Minute))
	l.faults++
	l.fault = err.Class != llm.ClassThrottled
	l.pausedUntil, l.pausedFor = time.Now().Add(wait), err.Summary()+"; "+hint(err)
	l.log.Warn("endpoint paused: this failure is no trial", "class", err.Class, "err", err.Summary(), "wait", wait.Round(time.Millisecond).String(), "hint", hint(err))
	l.count("pauses", "class", string(err.Class))
	return wait
}

// faulty tells whether the lane waits after a fault that may be this host's own, such as
// credentials that it lacks.
func (l *lane) faulty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault && time.Now().Before(l.pausedUntil)
}

// hold stops the lane for a reason that is no fault, and gives how long.
func (l *lane) hold(wait time.Duration, reason string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(wait); until.After(l.pausedUntil) {
		if l.pausedFor != reason || time.Until(l.pausedUntil) <= 0 {
			l.log.Info("endpoint waits", "reason", reason, "wait", wait.Round(time.Millisecond).String())
		}
		l.pausedUntil, l.pausedFor, l.fault = until, reason, false
	}
	return max(wait, time.Millisecond)
}

func hint(err *llm.Error) string {
	switch err.Class {
	case llm.ClassAccess:
		return "check credentials and that the account has access to the model"
	case llm.ClassNotFound:
		return "check the endpoint's model and region"
	case llm.ClassQuota:
		return "raise the quota, or wait until it is renewed"
	case llm.ClassThrottled:
		return "lower the endpoint's concurrency, set its rpm or tpm, or raise its quota"
	}
	return "check the endpoint's base_url and that it is reachable"
}

// worked ends a row of faults.
func (l *lane) worked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = 0
}
