package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"understudy/replay"
)

// agreed reads one answer; none is no.
func agreed(r io.Reader) bool {
	line, _ := bufio.NewReader(r).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// countOf writes a number of things.
func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// dollars writes an amount with as many digits as it needs.
func dollars(usd float64) string {
	if usd != 0 && usd < 1 {
		return fmt.Sprintf("$%.4f", usd)
	}
	return fmt.Sprintf("$%.2f", usd)
}

func (o *replayOrder) printPlan(p *replay.Plan) error {
	if o.e.output == "json" {
		return printJSON(o.e.stdout, p)
	}
	writePlan(o.e.stdout, p)
	return nil
}

// writePlan writes a plan for people.
func writePlan(w io.Writer, p *replay.Plan) {
	on := "all its sub-modules"
	if len(p.Submodules) > 0 {
		on = strings.Join(p.Submodules, ", ")
	}
	fmt.Fprintf(w, "%s on %s, stored %s\n", p.Candidate, on, span(p.Since, p.Until, "until now"))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(n int, format string, a ...any) {
		if n > 0 {
			fmt.Fprintf(tw, "%d\t %s\n", n, fmt.Sprintf(format, a...))
		}
	}
	line(p.InRange, "in range")
	line(p.NotDrawn, "outside the sample of %g", p.Sample)
	line(p.Stored.Answered, "answered already")
	line(p.Stored.Failed, "failed, and are left so; --failed tries them again")
	line(p.Stored.NotComparable, "not comparable, as was found before")
	line(p.Stored.Exhausted, "tried again too often")
	line(p.Stored.Unreadable, "in messages that cannot be read")
	for _, code := range slices.SortedFunc(maps.Keys(p.NotComparable), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.NotComparable[b], p.NotComparable[a]), cmp.Compare(a, b))
	}) {
		line(p.NotComparable[code], "not comparable: %s", code)
	}
	line(p.Unreadable, "with a request that cannot be read: dead letters")
	line(p.Unpriced, "in a service tier without a known price: over budget")
	fmt.Fprintf(tw, "%d\t to try%s\n", p.ToTry, before(p))
	tw.Flush()
	writeGaps(w, p.Gaps)
	if p.ToTry > 0 {
		writePrice(w, p)
	}
}

// span says between which times; open stands for an end that is not given.
func span(since, until time.Time, open string) string {
	from, to := "from the store's beginning", open
	if !since.IsZero() {
		from = "since " + since.Format(time.RFC3339)
	}
	if !until.IsZero() {
		to = "before " + until.Format(time.RFC3339)
	}
	return from + ", " + to
}

// before says what the exchanges to try came to so far.
func before(p *replay.Plan) string {
	var parts []string
	for _, k := range []struct {
		n    int
		what string
	}{
		{p.ToTry - p.Again.OverBudget - p.Again.DeadLetter - p.Again.Failed, "for the first time"},
		{p.Again.OverBudget, "were over budget"}, {p.Again.DeadLetter, "were dead letters"}, {p.Again.Failed, "failed"},
	} {
		if k.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k.n, k.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// gapsShown is how many gaps a plan shows to people.
const gapsShown = 12

func writeGaps(w io.Writer, gaps []replay.PlanGap) {
	if len(gaps) == 0 {
		return
	}
	fmt.Fprintln(w, "gaps of their requests")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, g := range gaps[:min(len(gaps), gapsShown)] {
		fmt.Fprintf(tw, "  %s\t%s\t%d\n", visible(g.Path), g.Severity, g.Count)
	}
	tw.Flush()
	if more := len(gaps) - gapsShown; more > 0 {
		fmt.Fprintf(w, "  and %d more (-o json has all)\n", more)
	}
}

func writePrice(w io.Writer, p *replay.Plan) {
	c, b := &p.Cost, &p.Budget
	basis := "by the size of the requests and of live's answers"
	if c.FromTrials > 0 {
		basis = "by what trials cost lately"
	}
	fmt.Fprintf(w, "price: about %s %s; at most %s for one call each, and %s if all fail and are called %d times\n",
		dollars(c.ExpectedUSD), basis, dollars(c.OneCallEachUSD), dollars(c.AtMostUSD), c.Attempts)
	fmt.Fprintf(w, "budget of %s UTC: %s is left for candidates", b.Day, dollars(b.LeftUSD))
	if b.EndpointLeftUSD != nil {
		fmt.Fprintf(w, ", %s for %s", dollars(*b.EndpointLeftUSD), p.Candidate)
	}
	for _, name := range slices.Sorted(maps.Keys(b.SubmodulesLeftUSD)) {
		fmt.Fprintf(w, ", %s for %s", dollars(b.SubmodulesLeftUSD[name]), name)
	}
	fmt.Fprintln(w)
	if b.Least() < c.ExpectedUSD {
		fmt.Fprintln(w, "  that is less than the price: what it does not hold will be over budget; raise the budget, or order it in parts")
	}
	writeTime(w, &p.Time)
}

func writeTime(w io.Writer, t *replay.PlanTime) {
	if t.Seconds == nil {
		fmt.Fprintln(w, "time: unknown, since there is no recent trial")
	} else {
		bound := "concurrency"
		switch {
		case t.RPM != nil && *t.RPM == *t.Seconds:
			bound = "rpm"
		case t.TPM != nil && *t.TPM == *t.Seconds:
			bound = "tpm"
		}
		fmt.Fprintf(w, "time: at least %s, by the endpoint's %s; a trial takes %.0f ms\n", seconds(*t.Seconds), bound, *t.MeanLatencyMS)
	}
	if len(t.Windows) > 0 {
		fmt.Fprintf(w, "  only within %s UTC\n", strings.Join(t.Windows, ", "))
	}
}

// seconds writes a duration for people.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Second:
		return "a second"
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
