package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// write shows the day for a terminal. Its words may change; scripts read JSON.
func (s *Spend) write(w io.Writer) error {
	fmt.Fprintf(w, "spend of %s UTC, at %s\n\n", s.Day, s.At.UTC().Format(time.RFC3339))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "budget\tcap\tcharged\tsettled\tin flight\tunused\tlost\tleft\tstate")
	for i := range s.Accounts {
		a := &s.Accounts[i]
		a.SpendBudget.writeRow(tw, a.Account)
		for _, b := range a.Budgets {
			b.SpendBudget.writeRow(tw, a.Account+" "+b.name())
		}
	}
	tw.Flush()
	fmt.Fprintln(w)
	for i := range s.Accounts {
		s.Accounts[i].writeNotes(w)
	}
	s.writeForecasts(w)
	return s.writeCells(w)
}

func (b *SpendScope) name() string {
	if b.Endpoint != "" {
		return b.Endpoint
	}
	return b.Submodule
}

func (b *SpendBudget) writeRow(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%s\n", name, dollars(b.CapUSD), b.ChargedUSD, b.SettledUSD, b.ReservedUSD, b.HeldUSD, b.LostUSD, b.LeftUSD, b.state())
}

// state says since when a budget is near its end, or at it.
func (b *SpendBudget) state() string {
	switch {
	case b.State == "ended" && b.EndedAt != nil:
		return "ended since " + clock(*b.EndedAt)
	case b.State == "near" && b.NearAt != nil:
		return "near since " + clock(*b.NearAt)
	}
	return b.State
}

func clock(t time.Time) string { return t.UTC().Format("15:04") }

func (a *SpendAccount) writeNotes(w io.Writer) {
	if a.LostCalls > 0 {
		fmt.Fprintf(w, "%s: %s in flight when the process died; what they may have cost stays charged\n", a.Account, calls(a.LostCalls))
	}
	if a.OwedUSD > 0 {
		fmt.Fprintf(w, "%s: $%.4f was billed above what had been set aside, and is not charged yet\n", a.Account, a.OwedUSD)
	}
	if a.SilentHosts > 0 {
		fmt.Fprintf(w, "%s: %d of %d processes have said nothing for a minute; once one that lives counts them anew, what they hold unused comes back and what they had in flight counts as lost\n",
			a.Account, a.SilentHosts, a.Hosts)
	}
}

func calls(n int) string {
	if n == 1 {
		return "1 call was"
	}
	return fmt.Sprintf("%d calls were", n)
}

// writeForecasts says what the day will come to, of every budget that something is spent
// from.
func (s *Spend) writeForecasts(w io.Writer) {
	if s.Day != s.At.UTC().Format(time.DateOnly) {
		return
	}
	if s.DueShare == nil {
		fmt.Fprintln(w, "no usual traffic known yet: the forecast, and the spreading of the budgets over the day, begin once a whole day (UTC) was seen")
		return
	}
	fmt.Fprintf(w, "as usual (known from %d days), %.0f %% of the candidates' and the control's budgets may be spent by now; by midnight UTC it will be\n", s.UsualDays, 100**s.DueShare)
	for i := range s.Accounts {
		a := &s.Accounts[i]
		a.SpendBudget.writeForecast(w, a.Account)
		for _, b := range a.Budgets {
			b.SpendBudget.writeForecast(w, a.Account+" "+b.name())
		}
	}
}

func (b *SpendBudget) writeForecast(w io.Writer, name string) {
	f := b.Forecast
	switch {
	case f == nil, f.USD == 0 && b.ChargedUSD == 0:
	case f.ReachesCap:
		fmt.Fprintf(w, "  %s: %s if every conversation were asked; the cap of %s is reached about %s\n", name, dollars(f.USD), dollars(b.CapUSD), clock(*f.At))
	default:
		fmt.Fprintf(w, "  %s: %s of %s\n", name, dollars(f.USD), dollars(b.CapUSD))
	}
}

func (s *Spend) writeCells(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	begun := false
	for _, a := range s.Accounts {
		for _, c := range a.Cells {
			if c.Trials == 0 && c.MeanUSD == nil {
				continue
			}
			if !begun {
				begun = true
				fmt.Fprintln(tw, "\nrole\tsub-module\tendpoint\ttrials\tbooked\tmean of a trial\tconversations")
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t$%.4f\t%s\t%s\n", a.Account, c.Submodule, c.Endpoint, c.Trials, c.BookedUSD, c.mean(), c.drawn())
		}
	}
	return tw.Flush()
}

func (c *SpendCell) mean() string {
	if c.MeanUSD == nil {
		return "–"
	}
	return fmt.Sprintf("$%.6f", *c.MeanUSD)
}

// drawn says which share of the conversations the day's budgets reach for.
func (c *SpendCell) drawn() string {
	switch {
	case c.Reach == nil:
		return "–"
	case *c.Reach >= 1:
		return "all"
	}
	return fmt.Sprintf("%.1f %% are drawn", 100**c.Reach)
}
