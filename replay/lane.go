package replay

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// A lane works off the exchanges of one endpoint in one role: its durable
// consumer, its concurrency, its pauses. Lanes never wait for each other.
type lane struct {
	r     *Replay
	c     Candidate
	name  string // of its durable, of its claims and of its schedule
	money *purse
	log   *slog.Logger
	// limit is of calls in flight; ready of those for which money is set aside, a few
	// more, so that no slot waits for the broker.
	limit   *limit
	ready   *limit
	quota   *journal.Quota
	pace    *pace
	lengths *lengths
	windows []window

	mu          sync.Mutex
	pausedUntil time.Time
	pausedFor   string
	fault       bool // of ours, and perhaps of this host alone
	faults      int  // our own faults in a row
	// proposals are changes of capabilities that refusals have suggested.
	proposals []string

	claims *journal.Claims
	// tooDear says once that calls are bound above a day's budget.
	tooDear sync.Once
}

func newLane(r *Replay, c Candidate) *lane {
	n := c.Endpoint.Concurrency
	l := &lane{r: r, c: c, limit: newLimit(n), ready: newLimit(n + max(2, n/4)), lengths: newLengths(), windows: r.windows}
	l.name = journal.LaneName(c.Role, c.Endpoint.Name)
	l.money, l.log = r.money[journal.RoleCandidate], r.log.With("candidate", c.Endpoint.Name)
	if l.control() {
		l.money, l.log = r.money[journal.RoleControl], r.log.With("control", c.Endpoint.Name)
	}
	l.quota = r.j.NewQuota(c.Endpoint.QuotaKey(), c.Endpoint.RPM, c.Endpoint.TPM)
	l.pace = newPace(r.j, l.name, r.cfg.Speed)
	l.declare()
	return l
}

func (l *lane) control() bool { return l.c.Role == journal.RoleControl }

// A feed brings a lane its messages: those of its durable, or of a backfill.
type feed struct {
	l    *lane
	open func(ctx context.Context, inHand int) (*journal.Consumer, error)
	// job is the backfill, nil of the lane's own durable. over is closed once the job is
	// to go no further, and fetched once nothing is fetched for it any more.
	job     *journal.Backfill
	over    <-chan struct{}
	fetched chan<- struct{}
}

// halted tells that a backfill was paused or ended: calls that run may end, and none
// begins.
func (f *feed) halted() bool {
	select {
	case <-f.over:
		return true
	default:
		return false
	}
}

// live is the feed of the lane's own durable, which every process shares.
func (l *lane) live() *feed {
	return &feed{l: l, open: func(ctx context.Context, inHand int) (*journal.Consumer, error) {
		open := l.r.j.ExchangeConsumer
		if l.control() {
			open = l.r.j.ControlConsumer
		}
		return open(ctx, l.c.Endpoint.Name, l.c.Submodules, inHand, l.r.cfg.MaxDeliver, l.r.cfg.AckWait)
	}}
}

// run fetches until ctx ends and waits for the work in hand, which runs under work.
func (f *feed) run(ctx, work context.Context) {
	l := f.l
	var wg sync.WaitGroup
	defer wg.Wait()
	if f.fetched != nil {
		defer close(f.fetched)
	}
	hand := newHand(l.c.Endpoint.Concurrency + l.prefetch())
	var cons *journal.Consumer
	for ctx.Err() == nil {
		if cons == nil {
			var err error
			if cons, err = f.open(ctx, hand.most); err != nil {
				l.log.Warn("open consumer; trying again", "err", err)
				sleep(ctx, time.Second)
				continue
			}
		}
		if l.waits() {
			sleep(ctx, 50*time.Millisecond)
			continue
		}
		room, ok := hand.room(ctx)
		if !ok {
			return
		}
		err := cons.Fetch(ctx, room, time.Second, func(d *journal.Delivery) {
			places := hand.take(d.Records())
			wg.Go(func() {
				defer places.giveAll()
				f.deliver(work, d, places)
			})
		})
		if err != nil && ctx.Err() == nil {
			l.log.Debug("fetch; opening the consumer again", "err", err)
			cons = nil
			sleep(ctx, 500*time.Millisecond)
		}
	}
}

// prefetch is how many exchanges the lane holds beyond its concurrency: no more than two
// seconds of its quota, since other hosts may have them.
func (l *lane) prefetch() int {
	n := l.r.cfg.Prefetch
	if rpm := l.c.Endpoint.RPM; rpm > 0 {
		n = min(n, max(1, rpm/30))
	}
	return n
}

// waits tells whether the lane takes nothing new at the moment.
func (l *lane) waits() bool {
	if left := closedFor(l.windows, time.Now()); left > 0 {
		l.hold(left, reasonWindow)
	}
	return l.pauseLeft() > 0
}

// propose tells the operator, once, of a change of capabilities that a refusal
// suggests. Nothing is changed: the refused trial stands as one.
func (l *lane) propose(change string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if change == "" || slices.Contains(l.proposals, change) {
		return
	}
	l.proposals = append(l.proposals, change)
	l.log.Warn("the model refused what the family table says it takes; consider the endpoint's capabilities", "proposal", change)
}

func (l *lane) status() LaneStatus {
	allowed, busy := l.limit.state()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LaneStatus{InFlight: busy, Concurrency: allowed, Configured: l.c.Endpoint.Concurrency, Proposals: slices.Clone(l.proposals)}
	if until := l.pausedUntil; time.Now().Before(until) {
		s.PausedUntil, s.PausedFor = &until, l.pausedFor
	}
	return s
}

// A hand is how many records a feed holds. A message may bring more than there is room
// for: how many it has is known only then.
//
// Until it is known how many they have, they are taken to have sizeFirst.
type hand struct {
	most int

	mu    sync.Mutex
	held  int
	size  float64 // records a message, lately
	freed chan struct{}
}

func newHand(most int) *hand {
	return &hand{most: most, size: sizeFirst, freed: make(chan struct{}, 1)}
}

const sizeFirst = 64

// room waits until there is some and gives it in messages; false when ctx ends.
func (h *hand) room(ctx context.Context) (messages int, ok bool) {
	for {
		h.mu.Lock()
		left, size := h.most-h.held, h.size
		h.mu.Unlock()
		if left > 0 {
			return max(1, int(float64(left)/size)), true
		}
		select {
		case <-h.freed:
		case <-ctx.Done():
			return 0, false
		}
	}
}

func (h *hand) take(records int) *places {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += records
	h.size += (float64(records) - h.size) / 8
	return &places{hand: h, left: records}
}

// places are those of one message's records in the hand, given back one by one: while
// the last of a message run, the next message is on its way.
type places struct {
	hand *hand
	left int // under the hand's lock
}

// give gives one back.
func (p *places) give() { p.giveN(func() int { return min(1, p.left) }) }

// giveAll gives back those that are left.
func (p *places) giveAll() { p.giveN(func() int { return p.left }) }

func (p *places) giveN(records func() int) {
	h := p.hand
	h.mu.Lock()
	defer h.mu.Unlock()
	n := records()
	p.left -= n
	h.held -= n
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// asError is the client's error, or one that stands for it.
func asError(err error) *llm.Error {
	if e := errorOf(err); e != nil {
		return e
	}
	return &llm.Error{Class: llm.ClassMalformed, Err: err}
}
