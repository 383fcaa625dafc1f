package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"understudy/canary"
	"understudy/llm"
)

// describe is the evidence of one cell: whether to trust it, what was found, and
// the figures behind it.
func (c *Cell) describe(d *document) {
	d.heading(2, fmt.Sprintf("%s × %s: %s %s", c.Submodule, c.Candidate, marks[c.Verdict], c.Verdict))
	d.heading(3, "Can I trust this?")
	lines := make([]string, len(c.Trust))
	for i := range c.Trust {
		lines[i] = c.Trust[i].line()
	}
	d.list(lines)
	d.heading(3, "Findings")
	c.findings(d)
	d.heading(3, "Figures")
	if c.Compared == 0 {
		d.say("No pair has been compared yet: the first comes when a request of this sub-module has been captured and the candidate has answered it.")
		return
	}
	c.sides(d)
	c.calls(d)
	c.failed(d)
	c.scores(d)
	if len(c.Gaps) > 0 {
		d.heading(3, "Gaps: what the candidate cannot express")
		var rows [][]string
		for _, g := range c.Gaps {
			rows = append(rows, []string{g.Path, string(g.Severity), strconv.Itoa(g.Count)})
		}
		d.table(rows, code("path"), word("severity"), number("trials"))
	}
	c.worst(d)
}

func (c *Cell) findings(d *document) {
	var rows [][]string
	for i := range c.Gates {
		f := &c.Gates[i]
		rows = append(rows, []string{f.Name, marks[f.Status] + " " + strings.ReplaceAll(f.Status, "_", " "), f.Show(f.Estimate), f.Show(f.Bound), interval(f, f.Interval),
			f.ShowLimit(), noise(f), strconv.Itoa(f.Clusters), strconv.Itoa(f.Missing), needed(f)})
	}
	d.table(rows, code("gate"), word("status"), number("estimate"), number("bound that decides"), word("interval"), word("limit"), word("control (noise)"),
		number("conversations"), number("missing pairs"), number("still needed"))
	for i := range c.Gates {
		if f := &c.Gates[i]; f.LiveCost != nil {
			d.say(fmt.Sprintf("On %s: %s.", noun(f.Name), f.LiveCost))
		}
	}
}

func interval(f *canary.Finding, in [2]canary.Number) string {
	if !in[0].Known() || !in[1].Known() {
		return "unknown"
	}
	return fmt.Sprintf("[%s, %s]", f.Show(in[0]), f.Show(in[1]))
}

func noise(f *canary.Finding) string {
	if f.Noise == nil {
		return "-"
	}
	return fmt.Sprintf("%s %s, %s", f.Show(f.Noise.Estimate), interval(f, f.Noise.Interval), count(f.Noise.Clusters, "conversation"))
}

func needed(f *canary.Finding) string {
	switch {
	case f.Status == canary.Proven:
		return "0"
	case f.Status == canary.NoData || f.Status == canary.Violated:
		return "-"
	case !f.Remaining.Known() && startsLate(f):
		return "evidence starts later"
	case !f.Remaining.Known():
		return "not on course"
	}
	return "~" + strconv.Itoa(int(f.Remaining))
}

// sides sets live, control and candidate side by side.
func (c *Cell) sides(d *document) {
	rows := times("response time", c.Live.LatencyMS, c.Again.LatencyMS, c.Trial.LatencyMS)
	rows = append(rows, times("time to first token", c.Live.TTFTMS, c.Again.TTFTMS, c.Trial.TTFTMS)...)
	rows = append(rows,
		[]string{"cost per 1,000 exchanges", usd(1000 * c.Live.CostUSDPerExchange), usd(1000 * c.Again.CostUSDPerExchange), usd(1000 * c.Trial.CostUSDPerExchange), count(c.Costs, "pair") + " with both costs"},
		[]string{"cost per " + cmp.Or(c.unit, "unit"), usd(c.Live.CostUSDPerUnit), usd(c.Again.CostUSDPerUnit), usd(c.Trial.CostUSDPerUnit), count(c.Units, "unit")})
	if e := c.Expense; e != nil {
		target := "no target"
		if e.Target.Known() {
			target = "target at most " + percent(e.Target)
		}
		rows = append(rows, []string{fmt.Sprintf("AI's share of the cost of one %s (%s)", c.unit, target), percent(e.Live), percent(e.Control), percent(e.Trial),
			fmt.Sprintf("%s, %s each besides AI; this sub-module alone", count(c.Units, "unit"), usd(canary.Number(e.OtherCostUSD)))})
	}
	rows = append(rows, []string{"failed calls", percent(c.Live.ErrorRate), percent(c.Again.ErrorRate), percent(c.Trial.ErrorRate),
		fmt.Sprintf("%s, %s", count(c.Compared, "pair"), count(c.ControlPairs, "control"))})
	d.table(rows, word("measured"), number("live"), number("control"), number("candidate"), word("counted"))
}

func times(name string, live, control, trial canary.Times) [][]string {
	if live.Count+control.Count+trial.Count == 0 {
		return [][]string{{name, "-", "-", "-", "not measured: no answer was a stream"}}
	}
	counted := fmt.Sprintf("%d live, %d control, %d candidate answers", live.Count, control.Count, trial.Count)
	return [][]string{
		{name + ", mean", ms(live.Mean), ms(control.Mean), ms(trial.Mean), counted},
		{name + ", p50", ms(live.P50), ms(control.P50), ms(trial.P50), counted},
		{name + ", p95", ms(live.P95), ms(control.P95), ms(trial.P95), counted},
		{name + ", p99", ms(live.P99), ms(control.P99), ms(trial.P99), counted},
	}
}

// calls says in a line each what the calls behind the trials looked like.
func (c *Cell) calls(d *document) {
	var lines []string
	if a := c.Attempts; a.Trials > 0 {
		lines = append(lines, fmt.Sprintf("attempts: %s of %s needed a further call after a failed one; a first call that was answered took %s in the mean (%d)",
			percent(a.RetriedShare), count(a.Trials, "trial"), ms(a.FirstLatencyMS), a.FirstAnswered))
	}
	if v := c.Divergence; v.Turns > 0 {
		lines = append(lines, fmt.Sprintf("recorded path: left in %s of %s with tool calls, and in %s of %s",
			percent(v.Share), count(v.Turns, "turn"), percent(v.ConversationShare), count(v.Conversations, "conversation")))
	}
	if l := c.Lag; l.Count > 0 {
		lines = append(lines, fmt.Sprintf("lag behind the live call: p50 %s, p99 %s", lag(l.P50), lag(l.P99)))
	}
	d.list(lines)
}

func lag(ms canary.Number) string {
	return span(time.Duration(float64(ms) * float64(time.Millisecond)))
}

// failed lists error rates by class.
func (c *Cell) failed(d *document) {
	seen := map[llm.Class]int{}
	maps.Copy(seen, c.Failures)
	maps.Copy(seen, c.LiveFailures)
	if len(seen) == 0 {
		return
	}
	rate := func(n, of int) string {
		if of == 0 {
			return "-"
		}
		return fmt.Sprintf("%d (%s)", n, percent(canary.Number(float64(n)/float64(of))))
	}
	d.heading(3, "Failed calls by class")
	var rows [][]string
	for _, class := range slices.Sorted(maps.Keys(seen)) {
		rows = append(rows, []string{string(class), rate(c.LiveFailures[class], c.Exchanges), rate(c.Failures[class], c.Compared)})
	}
	d.table(rows, code("class"), number(fmt.Sprintf("live, of %s", count(c.Exchanges, "exchange"))), number(fmt.Sprintf("candidate, of %s", count(c.Compared, "pair"))))
}

// scores are means and counts of what the judge said.
func (c *Cell) scores(d *document) {
	j := c.Judged
	if j == nil || j.Pairs == 0 {
		return
	}
	d.heading(3, "What the judge said")
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(j.Scores)) {
		s := j.Scores[name]
		rows = append(rows, []string{name, decimal(s.Live, 3), decimal(s.Control, 3), decimal(s.Trial, 3), count(s.N, "pair")})
	}
	d.table(rows, word("mean score, 0 to 1"), number("live"), number("control"), number("candidate"), word("counted"))
	if n := j.Wins + j.Ties + j.Losses; n > 0 {
		d.say(fmt.Sprintf("Of %s with live the candidate won %d, tied %d (%d of them identical answers) and lost %d. These are counts, they do not decide.",
			count(n, "comparison"), j.Wins, j.Ties, j.Identical, j.Losses))
	}
}

func (c *Cell) worst(d *document) {
	if len(c.Worst) == 0 {
		return
	}
	d.heading(3, "Worst exchanges")
	var rows [][]string
	for i := range c.Worst {
		w := &c.Worst[i]
		rows = append(rows, []string{w.ExchangeID, stamp(w.At), strings.Join(w.Why, "; ")})
	}
	d.table(rows, code("exchange"), word("began"), word("why"))
	d.say(fmt.Sprintf("All answers to one of them: understudy diff %s", c.Worst[0].ExchangeID))
}
