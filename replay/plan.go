package replay

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// A Plan says what a backfill would do, and for what price. in_range = not_drawn + all
// of stored + not_comparable + unreadable + unpriced + to_try.
type Plan struct {
	Candidate string `json:"candidate"`
	// Submodules are those that are looked at, nil for all of the candidate's.
	Submodules []string  `json:"submodules"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	First      uint64    `json:"first_seq"`
	Last       uint64    `json:"last_seq"`
	Sample     float64   `json:"sample"`
	Failed     bool      `json:"failed"`

	InRange  int `json:"in_range"`
	NotDrawn int `json:"not_drawn"`
	// Stored are exchanges of which a trial is stored that stays: nothing is done.
	Stored PlanStored `json:"stored"`
	// NotComparable are those that would end so, by reason; the path of a blocking gap
	// has "*" for its numbers.
	NotComparable map[string]int `json:"not_comparable"`
	// Unreadable would be dead letters, Unpriced have a service tier without a price:
	// what has none is not called.
	Unreadable int `json:"unreadable"`
	Unpriced   int `json:"unpriced"`
	// ToTry would be called; Again are those of them that have a trial already.
	ToTry int       `json:"to_try"`
	Again PlanAgain `json:"again"`
	// Gaps of the requests that would be tried, or would be but for one that blocks.
	Gaps []PlanGap `json:"gaps"`

	Cost   PlanCost   `json:"cost"`
	Budget PlanBudget `json:"budget"`
	Time   PlanTime   `json:"time"`
}

// PlanStored counts stored trials by what they came to.
type PlanStored struct {
	Answered      int `json:"answered"`
	Failed        int `json:"failed"`
	NotComparable int `json:"not_comparable"`
	// Exhausted were tried again too often, Unreadable lie in messages that cannot be read.
	Exhausted  int `json:"exhausted"`
	Unreadable int `json:"unreadable"`
}

// PlanAgain counts what would be tried again, by what it came to before.
type PlanAgain struct {
	OverBudget int `json:"over_budget"`
	DeadLetter int `json:"dead_letter"`
	Failed     int `json:"failed"`
}

// A PlanGap is a gap with the number of requests that have it. Numbers in its path are
// written "*".
type PlanGap struct {
	Path     string       `json:"path"`
	Severity llm.Severity `json:"severity"`
	Count    int          `json:"count"`
}

// Planned is how many exchanges would get a record.
func (p *Plan) Planned() int {
	n := p.ToTry + p.Unreadable + p.Unpriced
	for _, k := range p.NotComparable {
		n += k
	}
	return n
}

// Backfill is the order that the plan is of.
func (p *Plan) Backfill() *journal.Backfill {
	return &journal.Backfill{Candidate: p.Candidate, Submodules: p.Submodules, Since: p.Since, Until: p.Until, First: p.First, Last: p.Last,
		Sample: p.Sample, Failed: p.Failed, Planned: p.Planned()}
}

// An OrderError says what is wrong with an order, for whoever gave it.
type OrderError struct{ sentence string }

func (e *OrderError) Error() string { return e.sentence }

func refuse(format string, a ...any) error { return &OrderError{fmt.Sprintf(format, a...)} }

// Complete checks an order and fills in what it leaves open: the candidate's own
// sub-modules, and the messages between its times. What cannot be done is an OrderError.
func (r *Replay) Complete(ctx context.Context, b *journal.Backfill) error {
	if !(b.Sample > 0 && b.Sample <= 1) {
		return refuse("the sample is %v; it is a share of the conversations, above 0 and up to 1", b.Sample)
	}
	if !b.Since.IsZero() && !b.Until.IsZero() && !b.Since.Before(b.Until) {
		return refuse("since (%s) is not before until (%s)", b.Since.Format(time.RFC3339), b.Until.Format(time.RFC3339))
	}
	if err := r.scope(b); err != nil {
		return err
	}
	if b.Last == 0 {
		var err error
		if b.First, b.Last, err = r.j.ExchangeSpan(ctx, b.Since, b.Until); err != nil {
			return err
		}
	}
	return nil
}

// scope checks candidate and sub-modules.
func (r *Replay) scope(b *journal.Backfill) error {
	l := r.candidate(b.Candidate)
	if l == nil {
		var names []string
		for _, l := range r.lanes {
			if !l.control() {
				names = append(names, l.c.Endpoint.Name)
			}
		}
		return refuse("%q is not a candidate of any sub-module; candidates are: %s", b.Candidate, listed(names))
	}
	if len(b.Submodules) == 0 {
		b.Submodules = l.c.Submodules
		return nil
	}
	var not []string
	for _, s := range b.Submodules {
		if !l.c.Wants(s) {
			not = append(not, s)
		}
	}
	if len(not) > 0 {
		return refuse("%s is not a candidate for %s; it is one for: %s", b.Candidate, listed(not), listed(l.c.Submodules))
	}
	slices.Sort(b.Submodules)
	b.Submodules = slices.Compact(b.Submodules)
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none by name"
	}
	return strings.Join(names, ", ")
}

// How much a planning holds in memory before it asks the broker about it.
const (
	planRecords = 256
	planBytes   = 8 << 20
)

// planning makes a plan from the stored exchanges, a few of them at a time.
type planning struct {
	r     *Replay
	l     *lane
	f     *feed
	plan  *Plan
	price *pricing
	gaps  map[PlanGap]int

	batch          []*message
	records, bytes int
}

// Plan says what a complete order would do. It reads the store, calls no provider and
// writes nothing.
func (r *Replay) Plan(ctx context.Context, b *journal.Backfill) (*Plan, error) {
	if !r.decided.Load() { // this stage does not run, and has read no decision
		if err := r.rejected.read(ctx, r.j); err != nil {
			return nil, err
		}
	}
	l := r.candidate(b.Candidate)
	p := &planning{r: r, l: l, f: &feed{l: l, job: b}, gaps: map[PlanGap]int{}, price: newPricing(r, l),
		plan: &Plan{Candidate: b.Candidate, Submodules: b.Submodules, Since: b.Since, Until: b.Until, First: b.First, Last: b.Last,
			Sample: b.Sample, Failed: b.Failed, NotComparable: map[string]int{}, Gaps: []PlanGap{}}}
	if err := r.j.ReadSpan(ctx, b.Submodules, b.First, b.Last, func(m *journal.Message) error { return p.read(ctx, m) }); err != nil {
		return nil, err
	}
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	p.plan.Gaps = sorted(p.gaps)
	p.plan.Cost = p.price.cost()
	var err error
	if p.plan.Budget, err = r.planBudget(ctx, l, b.Submodules); err != nil {
		return nil, err
	}
	p.plan.Time, err = p.time(ctx)
	return p.plan, err
}

func (p *planning) read(ctx context.Context, msg *journal.Message) error {
	submodule, _, ok := journal.SubjectOf(msg.Subject)
	if !ok || !p.l.c.Wants(submodule) {
		return nil
	}
	d := &journal.Delivery{Seq: msg.Seq, Subject: msg.Subject, Header: msg.Header, Data: msg.Data}
	m := &message{f: p.f, d: d}
	if err := m.read(); err != nil {
		p.plan.InRange += d.Records()
		p.plan.Stored.Unreadable += d.Records()
		return nil
	}
	p.plan.InRange += len(m.list)
	for _, done := range m.done {
		if done { // by the sample: all else was asked for
			p.plan.NotDrawn++
		}
	}
	p.batch, p.records, p.bytes = append(p.batch, m), p.records+len(m.list), p.bytes+len(msg.Data)
	if p.records >= planRecords || p.bytes >= planBytes {
		return p.flush(ctx)
	}
	return nil
}

// flush finds out what is stored of the batch and plans the rest of it.
func (p *planning) flush(ctx context.Context) error {
	batch := p.batch
	p.batch, p.records, p.bytes = nil, 0, 0
	if err := lookUp(ctx, p.r.j, batch, false); err != nil {
		return err
	}
	for _, m := range batch {
		for i := range m.list {
			switch {
			case !m.done[i]:
				if err := p.l.unseal(ctx, m.list[i]); err != nil {
					return err
				}
				p.exchange(m, i)
			case p.f.wants(m.list[i], m.d.Seq):
				p.plan.Stored.count(m.stored[i])
			}
		}
	}
	return ctx.Err()
}

func (s *PlanStored) count(was journal.Stored) {
	switch {
	case was.Disposition == journal.Tried && was.Class == llm.ClassOK:
		s.Answered++
	case was.Disposition == journal.Tried:
		s.Failed++
	case was.Disposition == journal.NotComparable:
		s.NotComparable++
	default:
		s.Exhausted++
	}
}

// exchange plans one that would be taken up.
func (p *planning) exchange(m *message, i int) {
	made := p.prepare(m.list[i])
	p.gapsOf(&made)
	switch made.disposition {
	case journal.NotComparable:
		p.plan.notComparable(made.code)
		return
	case journal.DeadLetter:
		p.plan.Unreadable++
		return
	}
	if !p.price.add(m.list[i], &made) {
		p.plan.Unpriced++
		return
	}
	p.plan.ToTry++
	if m.set[i] == 0 {
		return
	}
	switch m.stored[i].Disposition {
	case journal.OverBudget:
		p.plan.Again.OverBudget++
	case journal.DeadLetter:
		p.plan.Again.DeadLetter++
	case journal.Tried:
		p.plan.Again.Failed++
	}
}

// prepare is the lane's, for input that may make it panic: that would be a dead letter.
func (p *planning) prepare(ex *journal.Exchange) (made prepared) {
	defer func() {
		if r := recover(); r != nil {
			p.r.log.Error("panic while planning an exchange", "exchange_id", ex.ID, "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			made = prepared{disposition: journal.DeadLetter, code: codePanic}
		}
	}()
	return p.l.prepare(ex)
}

// planKinds bounds the different reasons and gaps that a plan tells apart.
const planKinds = 200

func (p *Plan) notComparable(code string) {
	code = general(code)
	if _, known := p.NotComparable[code]; !known && len(p.NotComparable) >= planKinds {
		code = "other"
	}
	p.NotComparable[code]++
}

// gapsOf counts each gap of a request once.
func (p *planning) gapsOf(made *prepared) {
	list, _ := made.gaps()
	seen := map[PlanGap]bool{}
	for _, g := range list {
		k := PlanGap{Path: general(g.Path), Severity: g.Severity}
		if _, known := p.gaps[k]; !known && len(p.gaps) >= planKinds {
			k.Path = "/…"
		}
		if !seen[k] {
			seen[k] = true
			p.gaps[k]++
		}
	}
}

func sorted(gaps map[PlanGap]int) []PlanGap {
	out := make([]PlanGap, 0, len(gaps))
	for g, n := range gaps {
		g.Count = n
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b PlanGap) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Path+string(a.Severity), b.Path+string(b.Severity))
	})
	return out
}

// general replaces the numbers in a path by "*".
func general(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if p != "" && strings.Trim(p, "0123456789") == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}
