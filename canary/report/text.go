package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"understudy/canary"
)

// WriteText writes the report for a terminal: the decisions first, the evidence
// second, the numbers behind it last. The wording may change; scripts read JSON.
func (r *Report) WriteText(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "Report of %s: %s over %s, %s.\n\n", r.At.Format("2006-01-02 15:04:05 UTC"),
		count(r.Pairs, "pair"), count(r.Clusters, "conversation"), count(len(r.Cells), "cell"))
	for i := range r.Cells {
		c := &r.Cells[i]
		fmt.Fprintf(w, "%-10s  %s × %s: %s\n", c.Verdict, c.Submodule, c.Candidate, strings.Join(c.Reasons, "; "))
	}
	if len(r.Cells) == 0 {
		fmt.Fprintln(w, "No cell yet: no sub-module with candidates is configured by name, and no traffic has come for \"*\".")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "Note: %s\n", n)
	}
	for i := range r.Cells {
		r.cell(w, &r.Cells[i])
	}
	r.matrix(w)
	writeAccounts(w, r.Accounts)
	return w.Flush()
}

func (r *Report) cell(w io.Writer, c *Cell) {
	fmt.Fprintf(w, "\n%s × %s: %s\n\n  Can I trust this?\n", c.Submodule, c.Candidate, c.Verdict)
	for _, t := range r.trust(c) {
		fmt.Fprintf(w, "    %-4s %s\n", mark(t.ok), t.text)
	}
	fmt.Fprintln(w)
	gates(w, c)
	fmt.Fprintln(w)
	if c.Compared == 0 {
		fmt.Fprintln(w, "  No pair has been compared yet.")
	} else {
		sides(w, c)
	}
	if len(c.Gaps) > 0 {
		fmt.Fprintln(w)
		gaps(w, c.Gaps)
	}
}

// A trustLine answers one question about the evidence itself.
type trustLine struct {
	ok   bool
	text string
}

func mark(ok bool) string {
	if ok {
		return "ok"
	}
	return "NOT"
}

func (r *Report) trust(c *Cell) []trustLine {
	observed := c.LastAt.Sub(c.FirstAt)
	missing := 0
	for i := range c.Gates {
		missing = max(missing, c.Gates[i].Missing)
	}
	failed := 0
	for _, n := range c.Failures {
		failed += n
	}
	lines := []trustLine{
		{c.Clusters >= r.config.MinConversations, fmt.Sprintf("%d of %s needed", c.Clusters, count(r.config.MinConversations, "conversation"))},
		{observed >= r.config.MinSpan, fmt.Sprintf("%s from the first to the last, %s needed", span(observed), span(r.config.MinSpan))},
		{20*c.LeftOut <= c.Pairs+c.LeftOut, fmt.Sprintf("%d of %s left out, after their conversation's window (at most 5 %%)", c.LeftOut, count(c.Pairs+c.LeftOut, "pair"))},
		{20*missing <= c.Pairs, fmt.Sprintf("%d of %s without a value at the gate that lacks most (at most 5 %%)", missing, count(c.Pairs, "pair"))},
	}
	apart := fmt.Sprintf("%d not comparable, %d over budget, %d dead letters: counted apart, never averaged in", c.NotComparable, c.OverBudget, c.DeadLetter)
	lines = append(lines, trustLine{c.OverBudget+c.DeadLetter == 0, apart})
	if failed > 0 {
		lines = append(lines, trustLine{true, fmt.Sprintf("%s failed: %s", count(failed, "trial"), classes(c))})
	}
	if c.LagMS.Known() {
		lines = append(lines, trustLine{true, fmt.Sprintf("replayed %s after the live call on average", span(time.Duration(float64(c.LagMS)*1e6)))})
	}
	return lines
}

func gates(w io.Writer, c *Cell) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  gate\testimate\tbound that decides\tinterval\tlimit\tstatus\tconversations\tmissing\tstill needed")
	for i := range c.Gates {
		f := &c.Gates[i]
		interval := fmt.Sprintf("[%s, %s]", f.Show(f.Interval[0]), f.Show(f.Interval[1]))
		if !f.Interval[0].Known() {
			interval = "unknown"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", f.Name, f.Show(f.Estimate), f.Show(f.Bound),
			interval, f.ShowLimit(), strings.ReplaceAll(f.Status, "_", " "), f.Clusters, f.Missing, needed(f))
	}
	t.Flush()
}

func needed(f *canary.Finding) string {
	switch {
	case f.Status == canary.Proven:
		return "0"
	case f.Status == canary.NoData || f.Status == canary.Violated:
		return "-"
	case !f.Remaining.Known():
		return "not on course"
	}
	return "~" + strconv.Itoa(int(f.Remaining))
}

func sides(w io.Writer, c *Cell) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  measured\tlive\ttrial\tcounted\n")
	for _, row := range []struct {
		name        string
		live, trial canary.Times
	}{{"response time", c.Live.LatencyMS, c.Trial.LatencyMS}, {"time to first token", c.Live.TTFTMS, c.Trial.TTFTMS}} {
		if row.live.Count+row.trial.Count == 0 {
			fmt.Fprintf(t, "  %s\t-\t-\tnot measured: no streams\n", row.name)
			continue
		}
		for _, q := range []struct {
			name        string
			live, trial canary.Number
		}{{"mean", row.live.Mean, row.trial.Mean}, {"p50", row.live.P50, row.trial.P50}, {"p95", row.live.P95, row.trial.P95}, {"p99", row.live.P99, row.trial.P99}} {
			fmt.Fprintf(t, "  %s, %s\t%s\t%s\t%d live, %d trial answers\n", row.name, q.name, ms(q.live), ms(q.trial), row.live.Count, row.trial.Count)
		}
	}
	fmt.Fprintf(t, "  cost per exchange\t%s\t%s\t%s with both costs\n", usd(c.Live.CostUSDPerExchange), usd(c.Trial.CostUSDPerExchange), count(c.Costs, "pair"))
	fmt.Fprintf(t, "  cost per unit\t%s\t%s\t%s\n", usd(c.Live.CostUSDPerUnit), usd(c.Trial.CostUSDPerUnit), count(c.Units, "unit"))
	fmt.Fprintf(t, "  failed calls\t%s\t%s\t%s\n", percent(c.Live.ErrorRate), percent(c.Trial.ErrorRate), count(c.Compared, "pair"))
	t.Flush()
}

func gaps(w io.Writer, list []canary.GapCount) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  gap (what the candidate cannot express)\tseverity\ttrials")
	for _, g := range list {
		fmt.Fprintf(t, "  %s\t%s\t%d\n", g.Path, g.Severity, g.Count)
	}
	t.Flush()
}

func (r *Report) matrix(w io.Writer) {
	if len(r.Matrix) == 0 {
		return
	}
	fmt.Fprintln(w, "\nDecision matrix")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  sub-module\tpriority\tselected\tsaving a month\twhy")
	for _, m := range r.Matrix {
		saves := "not stated"
		if m.SavingUSDMonth.Known() {
			saves = usd(m.SavingUSDMonth)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", m.Submodule, orDash(m.Priority), m.Selected, saves, m.Rationale)
	}
	t.Flush()
}
