package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// closes checks the sum of a budget.
func closes(t *testing.T, name string, b *SpendBudget) {
	t.Helper()
	if sum := b.SettledUSD + b.ReservedUSD + b.HeldUSD + b.LostUSD; math.Abs(sum-b.ChargedUSD) > 1e-9 {
		t.Errorf("%s: %+v: the parts come to %v", name, b, sum)
	}
	if left := max(0, b.CapUSD-b.ChargedUSD); math.Abs(left-b.LeftUSD) > 1e-9 {
		t.Errorf("%s: left %v of cap %v, charged %v", name, b.LeftUSD, b.CapUSD, b.ChargedUSD)
	}
}

// spendOf reads the day and checks every sum in it.
func spendOf(t *testing.T, args ...string) (s Spend, accounts map[string]*SpendAccount) {
	t.Helper()
	s = mustJSON[Spend](t, append([]string{"spend", "-o", "json"}, args...)...)
	accounts = map[string]*SpendAccount{}
	for i := range s.Accounts {
		a := &s.Accounts[i]
		accounts[a.Account] = a
		closes(t, a.Account, &a.SpendBudget)
		for _, b := range a.Budgets {
			closes(t, a.Account+" "+b.name(), &b.SpendBudget)
		}
	}
	return s, accounts
}

const spendBudgets = "[replay]\ndaily_usd = 3\ncontrol_daily_usd = 4\n"

// What trials, controls and judgements cost is told by account, budget and cell, by the
// daemon, by a process without stages over the same NATS, and from the store alone.
func TestSpendTellsWhereTheMoneyIs(t *testing.T) {
	tn := newTown(t, townConfig{judge: true, criteria: judgedCriteria, extra: spendBudgets, sets: []string{`endpoint."llama-3.3".daily_usd=2`, "submodule.\"a/b\".daily_usd=1.5", "nats.listen=" + freePort(t)}})
	for i := range 6 {
		tn.mustPost(chat(fmt.Sprint("question ", i)))
	}
	tn.settled(6)
	config := []string{"--config", tn.config, "--set", `endpoint."llama-3.3".daily_usd=2`, "--set", `submodule."a/b".daily_usd=1.5`}
	var s Spend
	var accounts map[string]*SpendAccount
	eventually(t, 30*time.Second, "all trials and judgements are booked, and allowances given back", func() bool {
		s, accounts = spendOf(t, config...)
		judge := accounts["judge"]
		return len(judge.Cells) == 1 && judge.Cells[0].Trials >= 6 && len(accounts["control"].Cells) == 1 && accounts["control"].Cells[0].Trials == 6 &&
			accounts["candidates"].HeldUSD == 0 && judge.HeldUSD == 0 && accounts["control"].HeldUSD == 0 && accounts["candidates"].ReservedUSD == 0
	})
	if s.UsualDays != 0 || s.DueShare != nil || accounts["candidates"].Forecast != nil {
		t.Errorf("no usual traffic is known yet: %+v", s)
	}
	var spent float64
	for name, cap := range map[string]float64{"candidates": 3, "control": 4, "judge": 10} {
		a := accounts[name]
		if a.CapUSD != cap || a.SettledUSD <= 0 || a.State != "ok" || a.Hosts != 1 || a.SilentHosts != 0 || a.LostCalls != 0 {
			t.Errorf("%s: %+v", name, a)
		}
		c := a.Cells[0]
		if math.Abs(c.BookedUSD-a.SettledUSD) > 1e-9 || c.MeanUSD == nil || c.Submodule != "a/b" {
			t.Errorf("%s: settled $%v, and its one cell is %+v", name, a.SettledUSD, c)
		}
		spent += a.SettledUSD
	}
	var names []string
	for _, b := range accounts["candidates"].Budgets {
		names = append(names, fmt.Sprint(b.name(), " ", b.CapUSD))
		if math.Abs(b.SettledUSD-accounts["candidates"].SettledUSD) > 1e-9 {
			t.Errorf("%s: settled %v", b.name(), b.SettledUSD)
		}
	}
	if want := []string{"llama-3.3 2", "a/b 1.5"}; !slices.Equal(names, want) {
		t.Errorf("budgets %v, want %v", names, want)
	}
	out, _, code := cli(t, append([]string{"spend"}, config...)...)
	for _, want := range []string{"candidates", "control", "judge", "no usual traffic known yet", "llama-3.3"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, without %q:\n%s", code, want, out)
		}
	}

	// Without a stage, over the same NATS.
	other := append(slices.Clone(config), "--set", "nats.mode=external", "--set", "nats.url="+tn.p.j.URL(), "--set", "nats.dir="+t.TempDir())
	_, far := spendOf(t, other...)
	// Another day, and without the daemon.
	if _, before := spendOf(t, append(slices.Clone(config), "--day", "2020-01-31")...); before["candidates"].ChargedUSD != 0 || before["candidates"].Cells[0].Trials != 0 {
		t.Errorf("on a day of old: %+v", before["candidates"])
	}
	if err := tn.stop(); err != nil {
		t.Fatal(err)
	}
	_, offline := spendOf(t, config...)
	for _, accounts := range []map[string]*SpendAccount{far, offline} {
		sum := 0.0
		for _, a := range accounts {
			sum += a.Cells[0].BookedUSD
			if math.Abs(a.SettledUSD-a.Cells[0].BookedUSD) > 1e-9 {
				t.Errorf("%s: %+v", a.Account, a)
			}
		}
		if math.Abs(sum-spent) > 1e-9 {
			t.Errorf("spent %v, want %v", sum, spent)
		}
	}
	if offline["candidates"].Hosts != 0 {
		t.Error("a host that ended is still there")
	}
}

func TestSpendOfABudgetThatIsSpent(t *testing.T) {
	tn := newTown(t, townConfig{extra: "[replay]\ndaily_usd = 0.0000001\n", bedrock: sim.Config{}})
	tn.mustPost(chat("too dear"))
	eventually(t, 20*time.Second, "the exchange is over budget", func() bool {
		return mustJSON[Status](t, "status", "--config", tn.config, "-o", "json").Accounts.Candidates["llama-3.3"].OverBudget == 1
	})
	_, accounts := spendOf(t, "--config", tn.config)
	if a := accounts["candidates"]; a.ChargedUSD != 0 || a.LeftUSD != 1e-7 {
		t.Errorf("%+v", a)
	}
}

func TestSpendRefusesWhatIsNoDay(t *testing.T) {
	if out, errs, code := cli(t, "spend", "--day", "yesterday"); code != exitUsage || out != "" || !strings.Contains(errs, "yesterday") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	file := writeFile(t, "config.toml", fmt.Sprintf("[nats]\ndir = %q\n", filepath.Join(t.TempDir(), "none")))
	if _, errs, code := cli(t, "spend", "--config", file); code == 0 || errs == "" {
		t.Errorf("without a store: exit %d, %q", code, errs)
	}
}

// known is traffic that brings so many exchanges in each hour that is still to come.
type known struct {
	hours [24]float64
	usd   float64
}

func (k known) Coming(_ string, now time.Time) (hours [24]float64) {
	for h := range hours {
		left := min(1, max(0, float64(h+1)-now.Sub(now.Truncate(24*time.Hour)).Hours()))
		hours[h] = k.hours[h] * left
	}
	return hours
}

func (k known) PerExchangeUSD(c journal.Cell) (float64, bool) { return k.usd, c.Endpoint != "new" }

// The forecast is what is settled and lost, and what the rest of a usual day costs; the
// cap is reached in the hour in which the money ends.
func TestForecast(t *testing.T) {
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	now := day.Add(9*time.Hour + 30*time.Minute)
	traffic := known{usd: 0.01}
	for h := 8; h < 18; h++ {
		traffic.hours[h] = 100 // a dollar an hour, from 8 to 18
	}
	cells := []SpendCell{{Submodule: "a/b", Endpoint: "llama"}, {Submodule: "a/b", Endpoint: "new"}}
	f := newForecaster(traffic, cells, journal.RoleCandidate, now)
	at := func(hour, minute int) *time.Time {
		v := day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
		return &v
	}
	balance := func(cap, settled, lost float64) journal.Balance {
		return journal.Balance{Budget: journal.Budget{CapUSD: cap, LostUSD: lost}, SettledUSD: settled}
	}
	ended := balance(20, 1, 0)
	ended.Ended = at(9, 10)
	other := balance(1, 0, 0)
	other.Endpoint = "claude"
	for name, c := range map[string]struct {
		balance journal.Balance
		want    SpendForecast
	}{
		"enough":          {balance(20, 1, 0.5), SpendForecast{USD: 10}},
		"until four":      {balance(8, 1, 0.5), SpendForecast{USD: 10, ReachesCap: true, At: at(16, 0)}},
		"until a quarter": {balance(4.25, 1, 0.5), SpendForecast{USD: 10, ReachesCap: true, At: at(12, 15)}},
		"this hour":       {balance(1.75, 1, 0.5), SpendForecast{USD: 10, ReachesCap: true, At: at(9, 45)}},
		"nothing left":    {balance(1, 1, 0.5), SpendForecast{USD: 10, ReachesCap: true, At: at(9, 30)}},
		"ended":           {ended, SpendForecast{USD: 9.5, ReachesCap: true, At: at(9, 10)}},
		"of another":      {other, SpendForecast{USD: 0}},
	} {
		got := f.of(&c.balance)
		if math.Abs(got.USD-c.want.USD) > 1e-9 || got.ReachesCap != c.want.ReachesCap || (got.At == nil) != (c.want.At == nil) || got.At != nil && !got.At.Equal(*c.want.At) {
			t.Errorf("%s: %+v at %v, want %+v at %v", name, got, got.At, c.want, c.want.At)
		}
	}
}

// A budget that was raised today is not spent any more, also before anything was charged
// to it; a former day stays as it was.
func TestSpendAfterTheBudgetWasRaised(t *testing.T) {
	cfg := &Config{}
	cfg.Replay.DailyUSD = 20
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ended := now.Add(-time.Hour)
	balance := journal.Balance{Budget: journal.Budget{Account: journal.AccountReplay, CapUSD: 10, ChargedUSD: 10, Near: &ended, Ended: &ended}, SettledUSD: 10}
	accounts := journal.NewAccounts(nil, func(string) []string { return nil })
	for day, want := range map[string]string{"2026-11-23": "ok 20", "2026-11-22": "ended 10"} {
		s := newSpend(cfg, &journal.Spending{Day: day, Balances: []journal.Balance{balance}}, accounts, now)
		if a := s.Accounts[0]; fmt.Sprint(a.State, " ", a.CapUSD) != want {
			t.Errorf("%s: %+v, want %s", day, a, want)
		}
	}
}
