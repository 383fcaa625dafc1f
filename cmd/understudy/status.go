package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"understudy/capture"
	"understudy/internal/journal"
	"understudy/judge"
	"understudy/replay"
)

// Status is what `status -o json` prints. Its fields are a contract.
type Status struct {
	Version  string        `json:"version"`
	At       time.Time     `json:"at"`
	Accounts StatusAccount `json:"accounts"`
	Stages   StatusStages  `json:"stages"`
	// Backfills are those that run or are paused.
	Backfills []backfillStatus `json:"backfills"`
}

// StatusAccount closes: received = captured + sampled_out + excluded + pending +
// unaccounted + the sum of dropped; and the exchanges in a candidate's scope are
// the sum of its six buckets.
type StatusAccount struct {
	capture.Accounts
	Ingested   int                        `json:"ingested"`
	Candidates map[string]journal.Buckets `json:"candidates"`
	// OwnOnly tells that this process does not read what others store: it shows its
	// own proxy's accounts, and none of the candidates.
	OwnOnly bool `json:"own_only,omitempty"`
	// Reasons say by candidate why exchanges are not comparable, and how many.
	Reasons map[string]map[string]int `json:"candidates_reasons"`
	// Controls are the baselines that are asked again, by endpoint.
	Controls map[string]journal.ControlBuckets `json:"controls,omitempty"`
}

// StatusStages says how each stage of this process is doing.
type StatusStages struct {
	Running []string `json:"running"`
	NATS    string   `json:"nats"` // "up" or "away"
	// Bypass says since when and why this process's proxy is a plain relay; nil where it
	// records.
	Bypass *capture.Bypass `json:"bypass,omitempty"`
	// Spool is nil without a proxy, or where it has none.
	Spool *SpoolStatus `json:"spool,omitempty"`
	// Store is the disk of the embedded NATS; nil with an external one.
	Store  *StoreStatus                 `json:"store,omitempty"`
	Replay map[string]replay.LaneStatus `json:"replay,omitempty"`
	// SpentTodayUSD is what this process spent on candidates since 00:00 UTC;
	// Budget the account of all processes.
	SpentTodayUSD *float64      `json:"spent_today_usd,omitempty"`
	Budget        *BudgetStatus `json:"budget,omitempty"`
	// Control is Replay's for the baselines asked again; ControlBudget their account.
	Control       map[string]replay.LaneStatus `json:"control,omitempty"`
	ControlBudget *BudgetStatus                `json:"control_budget,omitempty"`
	// Judge says how each judge model is doing; JudgeBudget is the account of all.
	Judge       map[string]judge.JudgeStatus `json:"judge,omitempty"`
	JudgeBudget *BudgetStatus                `json:"judge_budget,omitempty"`
}

// SpoolStatus is what this process's proxy keeps on disk until NATS takes it.
type SpoolStatus struct {
	Bytes   int64 `json:"bytes"`
	Records int   `json:"records"`
	// OldestAt is since when the oldest of them waits; null without any.
	OldestAt *time.Time `json:"oldest_at"`
	// Damaged counts segments that the disk damaged.
	Damaged int `json:"damaged_segments"`
}

func orNoTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// StoreStatus is what the embedded store's file system had left a moment ago. Below
// the reserve it is full, and nothing is stored.
type StoreStatus struct {
	FreeBytes    int64 `json:"free_bytes"`
	ReserveBytes int64 `json:"reserve_bytes"`
	Full         bool  `json:"full"`
}

// BudgetStatus is the day's account as this process last saw it. Charged is what
// all processes have taken as allowances and not given back: never less than the
// providers' bill.
type BudgetStatus struct {
	Day        string  `json:"day"`
	CapUSD     float64 `json:"cap_usd"`
	ChargedUSD float64 `json:"charged_usd"`
}

// status answers from memory, so that it answers when NATS does not.
func (p *process) status() Status {
	cfg := p.config()
	s := Status{Version: version(), At: time.Now().UTC(), Backfills: p.activeBackfills()}
	s.Accounts = StatusAccount{Accounts: p.proxies.sum(p.capture), Ingested: p.accounts.Ingested(), Candidates: p.accounts.Candidates(), Reasons: p.accounts.Reasons(), Controls: p.accounts.Controls()}
	s.Accounts.OwnOnly = !p.books()
	for _, sub := range cfg.Submodules {
		for _, c := range sub.Candidates { // also without traffic
			if _, ok := s.Accounts.Candidates[c]; !ok && p.books() {
				s.Accounts.Candidates[c] = journal.Buckets{}
			}
		}
	}
	s.Stages = StatusStages{Running: append([]string{}, p.stages...), NATS: "away"}
	if p.j.Up() {
		s.Stages.NATS = "up"
	}
	if p.capture != nil {
		s.Stages.Bypass = p.capture.Bypassed()
		if sp := p.capture.Spool(); sp != nil {
			s.Stages.Spool = &SpoolStatus{Bytes: sp.Bytes, Records: sp.Records, Damaged: sp.Corrupt, OldestAt: orNoTime(sp.Oldest)}
		}
	}
	if free, reserve, full := p.j.Space(); reserve > 0 {
		s.Stages.Store = &StoreStatus{FreeBytes: free, ReserveBytes: reserve, Full: full}
	}
	if r := p.currentWorkers().replay; r != nil {
		s.Stages.Replay = r.Status()
		spent := r.SpentToday()
		s.Stages.SpentTodayUSD = &spent
		s.Stages.Control = r.Controls()
		if day, charged, ok := r.ControlCharged(); ok {
			s.Stages.ControlBudget = &BudgetStatus{Day: day, CapUSD: cfg.Replay.ControlDailyUSD, ChargedUSD: charged}
		}
		if day, charged, ok := r.Charged(); ok {
			s.Stages.Budget = &BudgetStatus{Day: day, CapUSD: cfg.Replay.DailyUSD, ChargedUSD: charged}
		}
	}
	if panel := p.currentWorkers().panel; panel != nil {
		s.Stages.Judge = panel.Status()
		if day, charged, ok := panel.Charged(); ok {
			s.Stages.JudgeBudget = &BudgetStatus{Day: day, CapUSD: cfg.Judge.DailyUSD, ChargedUSD: charged}
		}
	}
	return s
}

func (s *Status) write(w io.Writer) {
	a := s.Accounts
	fmt.Fprintf(w, "understudy %s, %s\n\n", s.Version, s.At.Format(time.RFC3339))
	if b := s.Stages.Bypass; b != nil {
		fmt.Fprintf(w, "BYPASS since %s: the proxy is a plain relay, nothing is recorded. %s\n\n", b.Since.Format(time.RFC3339), b.Reason)
	}
	fmt.Fprintf(w, "received %d = captured %d + sampled out %d + excluded %d", a.Received, a.Captured, a.SampledOut, a.Excluded)
	for _, reason := range slices.Sorted(maps.Keys(a.Dropped)) {
		fmt.Fprintf(w, " + dropped (%s) %d", reason, a.Dropped[reason])
	}
	if a.Pending > 0 {
		fmt.Fprintf(w, " + in hand %d", a.Pending)
	}
	if a.Unaccounted > 0 {
		fmt.Fprintf(w, " + unaccounted after a kill %d", a.Unaccounted)
	}
	fmt.Fprintln(w)
	if sp := s.Stages.Spool; sp != nil && (sp.Records > 0 || sp.Damaged > 0) {
		fmt.Fprintf(w, "spool: %d of the captured wait on disk for NATS (%.1f MiB)", sp.Records, float64(sp.Bytes)/(1<<20))
		if sp.OldestAt != nil {
			fmt.Fprintf(w, ", the oldest since %s", sp.OldestAt.Format(time.RFC3339))
		}
		if sp.Damaged > 0 {
			fmt.Fprintf(w, "; %d segments were damaged", sp.Damaged)
		}
		fmt.Fprintln(w)
	}
	if a.Ingested > 0 {
		fmt.Fprintf(w, "from other publishers: %d\n", a.Ingested)
	}
	if len(a.Candidates) > 0 {
		fmt.Fprintf(w, "\n%-28s %8s %8s %14s %11s %11s %8s %8s\n", "candidate", "in scope", "trials", "not comparable", "over budget", "dead letter", "expired", "pending")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Candidates)) {
		b := a.Candidates[name]
		sum := b.Trial + b.NotComparable + b.OverBudget + b.DeadLetter + b.Expired + b.Pending
		fmt.Fprintf(w, "%-28s %8d %8d %14d %11d %11d %8d %8d\n", name, sum, b.Trial, b.NotComparable, b.OverBudget, b.DeadLetter, b.Expired, b.Pending)
		writeReasons(w, a.Reasons[name])
		if b.DeadLetter > 0 {
			fmt.Fprintf(w, "  dead letters: understudy export --what dead_letters lists them, understudy replay --candidate %s tries them again\n", name)
		}
		writeLane(w, s.Stages.Replay[name])
		if p := s.Stages.Replay[name].Proposals; len(p) > 0 {
			fmt.Fprintf(w, "  its model refused what the family table says it takes; consider capabilities = [%s]\n", quotedList(p))
		}
	}
	if a.OwnOnly {
		fmt.Fprintln(w, "this process reads no records of others ([nats] create = false): the one that runs canary shows the candidates")
		for _, name := range slices.Sorted(maps.Keys(s.Stages.Replay)) {
			if lane := s.Stages.Replay[name]; lane.PausedFor != "" {
				fmt.Fprintf(w, "candidate %s is paused until %s: %s\n", name, lane.PausedUntil.UTC().Format(time.TimeOnly), lane.PausedFor)
			}
		}
	}
	if b := s.Stages.Budget; b != nil {
		fmt.Fprintf(w, "\nbudget of %s UTC: $%.4f of %s is charged to candidates\n", b.Day, b.ChargedUSD, dollars(b.CapUSD))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Controls)) {
		c := a.Controls[name]
		fmt.Fprintf(w, "control %s: %d asked, %d not drawn, %d not comparable, %d over budget, %d dead letters\n", name, c.Trial, c.NotDrawn, c.NotComparable, c.OverBudget, c.DeadLetter)
		writeLane(w, s.Stages.Control[name])
	}
	if b := s.Stages.ControlBudget; b != nil {
		fmt.Fprintf(w, "budget of %s UTC: $%.4f of %s is charged to controls\n", b.Day, b.ChargedUSD, dollars(b.CapUSD))
	}
	if b := s.Stages.JudgeBudget; b != nil {
		fmt.Fprintf(w, "budget of %s UTC: $%.4f of %s is charged to judges\n", b.Day, b.ChargedUSD, dollars(b.CapUSD))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Stages.Judge)) {
		switch j := s.Stages.Judge[name]; {
		case j.PausedFor != "":
			fmt.Fprintf(w, "judge %s is paused until %s: %s\n", name, j.PausedUntil.UTC().Format(time.TimeOnly), j.PausedFor)
		case j.OverBudget:
			fmt.Fprintf(w, "judge %s: the day's budget is spent; what comes today is not judged\n", name)
		}
	}
	for i := range s.Backfills {
		s.Backfills[i].write(w)
	}
	fmt.Fprintf(w, "\nNATS is %s\n", s.Stages.NATS)
	if st := s.Stages.Store; st != nil {
		st.write(w)
	}
}

func (s *StoreStatus) write(w io.Writer) {
	const mib = 1 << 20
	fmt.Fprintf(w, "the store's disk has %d MiB free, %d MiB of it in reserve", s.FreeBytes/mib, s.ReserveBytes/mib)
	if s.Full {
		fmt.Fprint(w, ": it is full and NOTHING IS STORED until there is room again; delete what is not needed there")
	}
	fmt.Fprintln(w)
}

// reasonsShown is how many reasons stand in a line.
const reasonsShown = 3

// writeReasons says in a line why exchanges are not comparable, the most frequent first.
func writeReasons(w io.Writer, reasons map[string]int) {
	if len(reasons) == 0 {
		return
	}
	codes := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	var shown []string
	others := 0
	for i, code := range codes {
		if i < reasonsShown {
			shown = append(shown, fmt.Sprintf("%s %d", visible(code), reasons[code]))
		} else {
			others += reasons[code]
		}
	}
	if others > 0 {
		shown = append(shown, fmt.Sprintf("others %d", others))
	}
	fmt.Fprintf(w, "  not comparable: %s\n", strings.Join(shown, ", "))
}

// writeLane says what holds up an endpoint, where something does.
func writeLane(w io.Writer, lane replay.LaneStatus) {
	if lane.PausedFor != "" {
		fmt.Fprintf(w, "  paused until %s: %s\n", lane.PausedUntil.UTC().Format(time.TimeOnly), lane.PausedFor)
	}
	if lane.Concurrency < lane.Configured {
		fmt.Fprintf(w, "  %d calls at a time instead of %d: its provider throttles\n", lane.Concurrency, lane.Configured)
	}
}

// quotedList writes words as a TOML array has them.
func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, ", ")
}
