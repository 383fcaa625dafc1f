package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"understudy/internal/journal"
	"understudy/replay"
)

// Spend is what `spend -o json` prints: one UTC day of money, over all processes. Its
// fields are a contract.
type Spend struct {
	At  time.Time `json:"at"`
	Day string    `json:"day"`
	// UsualDays is how many whole days the usual traffic is known from, 0 to 7. DueShare
	// is the part of a day's budgets that may be spent by now; null where they are not
	// spread, and of another day.
	UsualDays int            `json:"usual_days"`
	DueShare  *float64       `json:"due_share"`
	Accounts  []SpendAccount `json:"accounts"`
}

// A SpendAccount is the money of one role.
type SpendAccount struct {
	Account string `json:"account"` // "candidates", "control" or "judge"
	SpendBudget
	// Hosts have an entry in the account now; SilentHosts of them have said nothing for a
	// minute.
	Hosts       int `json:"hosts"`
	SilentHosts int `json:"silent_hosts"`
	// Budgets are those of endpoints and sub-modules inside the account.
	Budgets []SpendScope `json:"budgets"`
	Cells   []SpendCell  `json:"cells"`
}

// A SpendScope is the budget of an endpoint or of a sub-module.
type SpendScope struct {
	Endpoint  string `json:"endpoint,omitempty"`
	Submodule string `json:"submodule,omitempty"`
	SpendBudget
}

// A SpendBudget closes: charged = settled + reserved + held + lost.
type SpendBudget struct {
	CapUSD      float64 `json:"cap_usd"`
	ChargedUSD  float64 `json:"charged_usd"`
	SettledUSD  float64 `json:"settled_usd"`
	ReservedUSD float64 `json:"reserved_usd"`
	HeldUSD     float64 `json:"held_usd"`
	LostUSD     float64 `json:"lost_usd"`
	LostCalls   int     `json:"lost_calls"`
	// OwedUSD was billed above what had been set aside, and is charged within a second.
	OwedUSD float64    `json:"owed_usd,omitempty"`
	LeftUSD float64    `json:"left_usd"`
	State   string     `json:"state"` // "ok", "near" or "ended"
	NearAt  *time.Time `json:"near_at,omitempty"`
	EndedAt *time.Time `json:"ended_at,omitempty"`
	// Forecast is null before a whole day of traffic was seen, and of another day.
	Forecast *SpendForecast `json:"forecast"`
}

// A SpendCell is what trials of one sub-module at one endpoint were booked with, or
// judgements of one judge, by the day on which they were stored.
type SpendCell struct {
	Submodule string  `json:"submodule"`
	Endpoint  string  `json:"endpoint"`
	Trials    int     `json:"trials"`
	BookedUSD float64 `json:"booked_usd"`
	// MeanUSD is of trials lately, not of the day alone; null before there was one.
	MeanUSD *float64 `json:"mean_usd"`
	// Reach is the share of the conversations still to come that the budgets pay for, null
	// where it is not known; judges have none.
	Reach *float64 `json:"reach"`
}

var spendVerb = &verb{
	name: "spend", short: "where the day's money is, and what the day will cost",
	args:     "[--day YYYY-MM-DD] [--config FILE] [-o text|json]",
	examples: "understudy spend\nunderstudy spend --day 2026-11-22\nunderstudy spend -o json",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		day := e.flags.String("day", "", "the UTC `day`, today where it is not given")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		if _, err := time.Parse(time.DateOnly, *day); *day != "" && err != nil {
			return fmt.Errorf("%w: --day %q is no day like 2026-11-22", errUsage, *day)
		}
		return e.ask(ctx, "/api/v1/spend?"+url.Values{"day": {*day}}.Encode(), func(r io.Reader) error {
			if e.output == "json" {
				return copyTo(e.stdout)(r)
			}
			var s Spend
			if err := json.NewDecoder(r).Decode(&s); err != nil {
				return fmt.Errorf("read the daemon's answer: %w", err)
			}
			return s.write(e.stdout)
		})
	},
}

// spend answers GET /api/v1/spend?day=2026-11-22.
func (p *process) spend(w http.ResponseWriter, r *http.Request) {
	now := time.Now().UTC()
	day := cmp.Or(r.URL.Query().Get("day"), now.Format(time.DateOnly))
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		fail(w, &refusal{http.StatusBadRequest, fmt.Sprintf("spend: %q is no day like 2026-11-22", day)})
		return
	}
	p.waitWarm(r.Context())
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	ledger, err := p.j.Spending(ctx, day)
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, newSpend(p.config(), ledger, p.accounts, now))
}

// spendAccounts are the accounts with their words for people, and whom each pays for.
var spendAccounts = []struct {
	account, word string
	role          journal.Role
}{
	{journal.AccountReplay, "candidates", journal.RoleCandidate},
	{journal.AccountControl, "control", journal.RoleControl},
	{journal.AccountJudge, "judge", journal.RoleJudge},
}

// newSpend puts together what the ledger, the accounts and the configuration say of the
// ledger's day.
func newSpend(cfg *Config, ledger *journal.Spending, accounts *journal.Accounts, now time.Time) *Spend {
	s := &Spend{At: now, Day: ledger.Day, UsualDays: accounts.UsualDays(now), Accounts: []SpendAccount{}}
	spent := accounts.Spent(ledger.Day)
	today := ledger.Day == now.Format(time.DateOnly)
	share, known := replay.DueShare(accounts, now)
	if known && today {
		s.DueShare = &share
	}
	for _, a := range spendAccounts {
		balances, cells := balancesOf(cfg, ledger, a.account, today), cfg.cells(a.role)
		var reach map[journal.Cell]float64
		if today && a.role != journal.RoleJudge {
			reach = replay.Reach(accounts, cells, budgetsOf(balances), now)
		}
		list := spendCells(cells, spent, a.role, accounts, reach)
		var coming *forecaster
		if today && known {
			coming = newForecaster(accounts, list, a.role, now)
		}
		account := newSpendAccount(a.word, balances, coming)
		account.Cells = list
		account.Hosts, account.SilentHosts = ledger.Hosts[a.account].Alive+ledger.Hosts[a.account].Silent, ledger.Hosts[a.account].Silent
		s.Accounts = append(s.Accounts, account)
	}
	return s
}

// newSpendAccount shows the balances of an account, the account's own first.
func newSpendAccount(word string, balances []journal.Balance, coming *forecaster) SpendAccount {
	a := SpendAccount{Account: word, Budgets: []SpendScope{}}
	for _, b := range balances {
		budget := newSpendBudget(b, coming)
		if b.Endpoint == "" && b.Submodule == "" {
			a.SpendBudget = budget
		} else {
			a.Budgets = append(a.Budgets, SpendScope{b.Endpoint, b.Submodule, budget})
		}
	}
	return a
}

func newSpendBudget(b journal.Balance, coming *forecaster) SpendBudget {
	s := SpendBudget{
		CapUSD: b.CapUSD, ChargedUSD: b.ChargedUSD, SettledUSD: b.SettledUSD, ReservedUSD: b.ReservedUSD, HeldUSD: b.HeldUSD,
		LostUSD: b.LostUSD, LostCalls: b.LostCalls, OwedUSD: b.OwedUSD, LeftUSD: b.LeftUSD(), State: "ok", NearAt: b.Near, EndedAt: b.Ended,
	}
	switch {
	case b.Ended != nil:
		s.State = "ended"
	case b.Near != nil:
		s.State = "near"
	}
	if coming != nil {
		s.Forecast = coming.of(&b)
	}
	return s
}

// balancesOf are the balances of an account, the account's own first. The caps of today
// are the configured ones, also of what nothing was charged to yet.
func balancesOf(cfg *Config, ledger *journal.Spending, account string, today bool) []journal.Balance {
	var list []journal.Balance
	for _, b := range cfg.budgets() {
		if b.Account == account {
			list = append(list, journal.Balance{Budget: b})
		}
	}
	for _, b := range ledger.Balances {
		if b.Account != account {
			continue
		}
		i := slices.IndexFunc(list, func(o journal.Balance) bool { return o.Endpoint == b.Endpoint && o.Submodule == b.Submodule })
		if i < 0 { // a budget of its own that it had
			list = append(list, b)
			continue
		}
		if cap := list[i].CapUSD; today && cap != b.CapUSD {
			if cap > b.CapUSD { // what was raised is not spent any more
				b.Near, b.Ended = nil, nil
			}
			b.CapUSD = cap
		}
		list[i] = b
	}
	return list
}

func budgetsOf(list []journal.Balance) []journal.Budget {
	out := make([]journal.Budget, len(list))
	for i := range list {
		out[i] = list[i].Budget
	}
	return out
}

// spendCells are the configured cells of a role, and those that something was booked for.
func spendCells(configured []journal.Cell, spent map[journal.Cell]journal.Spent, role journal.Role, accounts *journal.Accounts, reach map[journal.Cell]float64) []SpendCell {
	all := map[journal.Cell]bool{}
	for _, c := range configured {
		all[c] = true
	}
	for c := range spent {
		if c.Role == role {
			all[c] = true
		}
	}
	out := []SpendCell{}
	for _, c := range slices.SortedFunc(maps.Keys(all), func(a, b journal.Cell) int {
		return cmp.Or(cmp.Compare(a.Submodule, b.Submodule), cmp.Compare(a.Endpoint, b.Endpoint))
	}) {
		cell := SpendCell{Submodule: c.Submodule, Endpoint: c.Endpoint, Trials: spent[c].Trials, BookedUSD: spent[c].USD}
		if mean, ok := accounts.MeanUSD(c); ok {
			cell.MeanUSD = &mean
		}
		if share, ok := reach[c]; ok {
			cell.Reach = &share
		}
		out = append(out, cell)
	}
	return out
}
