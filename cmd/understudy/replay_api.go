package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
	"understudy/llm/bedrock"
	"understudy/replay"
)

// backfillStatus is a backfill with what became of it. Its fields are a contract.
type backfillStatus struct {
	journal.Backfill
	Progress backfillProgress `json:"progress"`
	// Waiting is why it does not go on at the moment, as far as this process knows.
	Waiting string `json:"waiting,omitempty"`
}

type backfillProgress struct {
	// Done is how many exchanges have a record of the backfill.
	Done int `json:"done"`
	journal.BackfillCount
}

type backfillList struct {
	Backfills []backfillStatus `json:"backfills"`
}

// write is its line for people.
func (s *backfillStatus) write(w io.Writer) {
	again := ""
	if s.Failed {
		again = ", failed ones again"
	}
	fmt.Fprintf(w, "backfill %s of %s, %s, %s%s: %d of %d, %s\n", s.ID, s.Candidate, s.State, span(s.Since, s.Until, "until it was ordered"), again, s.Progress.Done, s.Planned, dollars(s.Progress.SpentUSD))
}

func backfillPath(id string) string { return "/api/v1/backfills/" + url.PathEscape(id) }

// backfillRoutes are on the admin socket alone: they spend money.
func (p *process) backfillRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/backfills", p.listBackfills)
	mux.HandleFunc("GET /api/v1/backfills/{id}", p.showBackfill)
	mux.HandleFunc("POST /api/v1/backfills/plan", p.planBackfill)
	mux.HandleFunc("POST /api/v1/backfills", p.orderBackfill)
	for what, change := range map[string]func(*journal.Backfill) error{"pause": pauseBackfill, "resume": resumeBackfill, "cancel": cancelBackfill} {
		mux.HandleFunc("POST /api/v1/backfills/{id}/"+what, func(w http.ResponseWriter, r *http.Request) { p.changeBackfill(w, r, change) })
	}
}

// backfillStatus puts together what is known of a backfill, from memory.
func (p *process) backfillStatus(b *journal.Backfill) backfillStatus {
	count := p.accounts.Backfill(b.ID)
	s := backfillStatus{Backfill: *b, Progress: backfillProgress{Done: count.Done(), BackfillCount: count}}
	if r := p.currentWorkers().replay; r != nil && b.State == journal.BackfillRunning {
		s.Waiting = r.Status()[b.Candidate].PausedFor
	}
	return s
}

func (p *process) listBackfills(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	list, err := p.j.Backfills(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	out := backfillList{Backfills: []backfillStatus{}}
	for _, b := range list {
		out.Backfills = append(out.Backfills, p.backfillStatus(b))
	}
	writeJSON(w, out)
}

// begunLate is after what time it is told that nobody works at a backfill.
const begunLate = 5 * time.Second

func (p *process) showBackfill(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	b, err := p.j.Backfill(ctx, r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	if !b.Active() {
		p.waitCounted(ctx)
	}
	s := p.backfillStatus(b)
	if b.State == journal.BackfillRunning && time.Since(b.Changed) > begunLate {
		begun, _, err := p.j.BackfillLeft(ctx, b)
		if err == nil && !begun {
			s.Waiting = fmt.Sprintf("no process works at it: one that runs the stage replay with the candidate %s must be up", b.Candidate)
		}
	}
	writeJSON(w, s)
}

// waitCounted waits a moment until the accounts hold what the streams do.
func (p *process) waitCounted(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		if done, err := p.accounts.CaughtUp(ctx); done || err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// planner is the stage replay, or one like it that does not run: it knows clients, prices
// and rules, and calls nobody.
func (p *process) planner() (*replay.Replay, error) {
	if r := p.currentWorkers().replay; r != nil {
		return r, nil
	}
	cfg, who := p.config(), p.who
	if who == nil {
		who = bedrock.LoadCredentials
	}
	return newReplay(cfg, p, who, bedrock.NewRegionPolicy(cfg.Replay.AllowedRegions), metrics.NewSet())
}

// readOrder reads a backfill from a request and completes it.
func (p *process) readOrder(r *http.Request) (*journal.Backfill, *replay.Replay, error) {
	var b journal.Backfill
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&b); err != nil {
		return nil, nil, &refusal{http.StatusBadRequest, "the order cannot be read: " + err.Error()}
	}
	planner, err := p.planner()
	if err != nil {
		return nil, nil, err
	}
	err = planner.Complete(r.Context(), &b)
	var wrong *replay.OrderError
	if errors.As(err, &wrong) {
		err = &refusal{http.StatusBadRequest, wrong.Error()}
	}
	return &b, planner, err
}

func (p *process) planBackfill(w http.ResponseWriter, r *http.Request) {
	b, planner, err := p.readOrder(r)
	if err != nil {
		fail(w, err)
		return
	}
	p.waitWarm(r.Context())
	plan, err := planner.Plan(r.Context(), b)
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, plan)
}

func (p *process) orderBackfill(w http.ResponseWriter, r *http.Request) {
	b, _, err := p.readOrder(r)
	if err == nil {
		err = p.free(r.Context(), b)
	}
	if err != nil {
		fail(w, err)
		return
	}
	now := time.Now().UTC()
	b.ID, b.State, b.Created = journal.NewID(now), journal.BackfillRunning, now
	if err := p.j.PutBackfill(r.Context(), b); err != nil {
		fail(w, err)
		return
	}
	p.log.Info("backfill was ordered", "id", b.ID, "candidate", b.Candidate, "planned", b.Planned)
	if err := p.j.PruneBackfills(r.Context()); err != nil {
		p.log.Debug("forget old backfills", "err", err)
	}
	writeJSON(w, p.backfillStatus(b))
}

// free refuses an order of which a part is ordered already: its plan would not hold, and
// failed trials would be paid for twice.
func (p *process) free(ctx context.Context, b *journal.Backfill) error {
	list, err := p.j.Backfills(ctx)
	if err != nil {
		return err
	}
	for _, other := range list {
		if other.Active() && other.Overlaps(b) {
			return &refusal{http.StatusConflict, fmt.Sprintf("backfill %s of the same exchanges is %s; wait for its end, or cancel it", other.ID, other.State)}
		}
	}
	return nil
}

// changeMost is how often a change is tried that somebody else was faster with.
const changeMost = 5

func (p *process) changeBackfill(w http.ResponseWriter, r *http.Request, change func(*journal.Backfill) error) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	var b *journal.Backfill
	err := error(journal.ErrContested)
	for n := 0; n < changeMost && errors.Is(err, journal.ErrContested); n++ {
		if b, err = p.j.Backfill(ctx, r.PathValue("id")); err == nil {
			before := b.State
			if err = change(b); err == nil && b.State != before {
				err = p.j.PutBackfill(ctx, b)
			}
		}
	}
	if err == nil && b.State == journal.BackfillCancelled {
		err = p.j.EndBackfill(ctx, b.ID) // also where no process works at it
	}
	if err != nil {
		fail(w, err)
		return
	}
	p.log.Info("backfill was changed", "id", b.ID, "state", b.State)
	writeJSON(w, p.backfillStatus(b))
}

func pauseBackfill(b *journal.Backfill) error  { return turnTo(b, journal.BackfillPaused) }
func resumeBackfill(b *journal.Backfill) error { return turnTo(b, journal.BackfillRunning) }

// turnTo changes the state of a backfill that is not over.
func turnTo(b *journal.Backfill, to journal.BackfillState) error {
	if !b.Active() {
		return &refusal{http.StatusConflict, fmt.Sprintf("backfill %s is %s", b.ID, b.State)}
	}
	b.State = to
	return nil
}

func cancelBackfill(b *journal.Backfill) error {
	if b.State == journal.BackfillCancelled {
		return nil
	}
	return turnTo(b, journal.BackfillCancelled)
}

// watchBackfills keeps those in memory that are not over, for the status.
func (p *process) watchBackfills(ctx context.Context) error {
	p.j.Keep(ctx, "backfills", func(ctx context.Context) error {
		return p.j.WatchBackfills(ctx, func() {
			list, err := p.j.Backfills(ctx)
			if err != nil {
				return // the next change shows it
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.backfills = append([]*journal.Backfill{}, list...)
		})
	})
	return nil
}

// sawBackfills tells whether they have been read.
func (p *process) sawBackfills() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backfills != nil
}

// activeBackfills are those that are not over, from memory.
func (p *process) activeBackfills() []backfillStatus {
	p.mu.Lock()
	list := p.backfills
	p.mu.Unlock()
	out := []backfillStatus{}
	for _, b := range list {
		if b.Active() {
			out = append(out, p.backfillStatus(b))
		}
	}
	return out
}
