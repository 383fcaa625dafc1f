package replay

import (
	"context"
	"sync"
	"time"

	"understudy/internal/journal"
)

// Why a control leaves an exchange out.
const (
	reasonNoControl = "control_share is 0"
	reasonForeign   = "not captured: only our own exchanges are asked again"
	reasonShare     = "outside the control's share"
)

// leftOut tells why the lane's control does not ask an exchange, "" if it does. It is
// asked under the claim on the message: another host may see it otherwise.
//
// What is drawn at a share depends on the conversation's name alone, never on an
// outcome. When the share changes, conversations under way may be asked in part.
func (l *lane) leftOut(ctx context.Context, ex *journal.Exchange, seq uint64) (reason string) {
	share := l.r.cfg.ControlShare
	switch {
	case !(share > 0):
		return reasonNoControl
	case ex.Source != journal.SourceCapture:
		return reasonForeign
	case share >= 1, l.c.Full != nil && l.c.Full(ex.Submodule), drawn(ex, seq, share):
		return ""
	case !l.r.proofs.proven(ctx, ex.Submodule):
		return ""
	}
	return reasonShare
}

// drawn tells whether the exchange belongs to the share: whole conversations, and
// where an exchange has none it is one of its own.
func drawn(ex *journal.Exchange, seq uint64, share float64) bool {
	return journal.Share("control", ex.Submodule+"\x00"+cluster(ex, seq)) < share
}

// How long the state of a control is remembered, and waited for.
const (
	proofLife = 3 * time.Second
	proofWait = 2 * time.Second
)

// proofs remembers for a moment what the deciding stage says of each sub-module's
// control. What is not known, or cannot be read, is not proven.
type proofs struct {
	read func(ctx context.Context, submodule string) (journal.ControlState, error)
	life time.Duration
	fail func(submodule string, err error)

	mu    sync.Mutex
	known map[string]proof
}

type proof struct {
	proven bool
	until  time.Time
}

// proven may wait for the broker, and lets the others wait meanwhile: they would
// ask the same, and an answer given without it costs a call.
func (p *proofs) proven(ctx context.Context, submodule string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.known[submodule]; time.Now().Before(k.until) {
		return k.proven
	}
	reading, cancel := context.WithTimeout(ctx, proofWait)
	defer cancel()
	s, err := p.read(reading, submodule)
	if ctx.Err() != nil {
		return false // the stage ends, and so does whatever is called now
	}
	if err != nil {
		p.fail(submodule, err)
	}
	proven := err == nil && s.Proven
	p.known[submodule] = proof{proven, time.Now().Add(p.life)}
	return proven
}
