package report

import (
	"fmt"
	"strings"
	"time"

	"understudy/canary"
	"understudy/llm"
)

// The states of a Check.
const (
	trusted = "ok"
	noted   = "note"
	doubted = "not_ok"
)

// unhealthy is the share of a judge's replies without a verdict above which it is
// not trusted.
const unhealthy = 0.02

// stale is the age of the last conversation above which a reader is told.
const stale = 24 * time.Hour

// A Check answers one question about the evidence itself. It decides nothing; what
// must stop a promotion has a rule of its own.
type Check struct {
	Name  string `json:"name"`
	State string `json:"state"` // "ok", "note" or "not_ok"
	Text  string `json:"text"`
}

func (c *Check) line() string {
	mark := map[string]string{trusted: "✓ ok", noted: "! note", doubted: "✗ NOT ok"}[c.State]
	return mark + ": " + c.Text
}

// A checker gathers the checks of a cell.
type checker struct {
	cell   *Cell
	checks []Check
}

func (k *checker) add(name, state, format string, a ...any) {
	k.checks = append(k.checks, Check{name, state, fmt.Sprintf(format, a...)})
}

func ok(good bool) string {
	if good {
		return trusted
	}
	return doubted
}

func trust(c *Cell, config *canary.Config, now time.Time) []Check {
	k := &checker{cell: c}
	k.add("conversations", ok(c.Clusters >= config.MinConversations), "%d of %s needed", c.Clusters, count(config.MinConversations, "conversation"))
	k.add("span", ok(c.observed() >= config.MinSpan), "%s from the first conversation to the last, %s needed", span(c.observed()), span(config.MinSpan))
	if c.Clusters == 0 && c.Compared+c.NotComparable+c.OverBudget+c.DeadLetter == 0 {
		k.add("pairs", noted, "no pair yet, so that nothing else can be said of the evidence")
		return k.checks
	}
	all := c.Pairs + c.LeftOut
	k.add("left_out", ok(20*c.LeftOut <= all), "%d of %s left out, after their conversation's window (at most 5 %%)", c.LeftOut, count(all, "pair"))
	k.missing()
	k.liveCost()
	k.add("apart", ok(c.OverBudget+c.DeadLetter == 0), "%d not comparable, %d over budget, %d dead letters: counted apart, never averaged in", c.NotComparable, c.OverBudget, c.DeadLetter)
	if failed := total(c.Failures); failed > 0 {
		k.add("failures", noted, "%s failed: %s", count(failed, "trial"), classes(c.Failures))
	}
	k.judge()
	k.gaps()
	if c.LagMS.Known() {
		k.add("lag", trusted, "replayed %s after the live call on average", span(time.Duration(float64(c.LagMS)*float64(time.Millisecond))))
	}
	if c.Clusters > 0 {
		state := trusted
		if now.Sub(c.LastAt) > stale {
			state = noted
		}
		k.add("age", state, "the last conversation began %s before this report", span(now.Sub(c.LastAt)))
	}
	return k.checks
}

// missing looks at the gate that lacks most. What was not drawn for judging is not
// missing.
func (k *checker) missing() {
	c, lacks, most, asked := k.cell, "", 0, k.cell.Pairs
	for i := range c.Gates {
		f := &c.Gates[i]
		of := c.Pairs
		if c.Judged != nil && readsJudge(f.Name) {
			of = max(f.Missing, c.Pairs-c.Judged.Unsampled)
		}
		if f.Missing*max(1, asked) > most*max(1, of) {
			lacks, most, asked = f.Name, f.Missing, of
		}
	}
	if most == 0 {
		k.add("missing", trusted, "no value is missing in %s", count(c.Pairs, "pair"))
		return
	}
	k.add("missing", ok(20*most <= asked), "%d of %s without a value for %s, the gate that lacks most (at most 5 %%)", most, count(asked, "pair"), noun(lacks))
}

// liveCost looks at what the live costs of a gate rest on.
func (k *checker) liveCost() {
	for i := range k.cell.Gates {
		if l := k.cell.Gates[i].LiveCost; l != nil {
			k.add("live_cost", ok(l.Trusted()), "%s", l)
			return // it is the cell's, the same for every gate
		}
	}
}

// readsJudge tells that a gate reads what judge models say.
func readsJudge(gate string) bool {
	table, _, _ := strings.Cut(gate, ".")
	switch strings.TrimSuffix(table, "_margin") {
	case "score", "win_rate", "harmfulness", "stereotyping", "refusal":
		return true
	}
	return false
}

// judge looks at the judge: whether it was paid for, could be read, agrees with
// itself, and is fair between two answers of the same endpoint.
func (k *checker) judge() {
	j := k.cell.Judged
	if j == nil {
		return
	}
	if j.OverBudget > 0 {
		k.add("judge_budget", doubted, "%s not judged: the day's budget for judges was spent", count(j.OverBudget, "drawn pair"))
	}
	if j.Pairs == 0 {
		k.add("judge", noted, "no pair has been judged yet: the drawn pair of a conversation is, once its window is over")
	} else {
		k.add("judge", trusted, "%s judged by %s (%s), %d not drawn; %d calls, %d verdicts known before, %s", count(j.Pairs, "pair"), j.Judge, j.Model,
			j.Unsampled, j.Calls, j.Cached, usd(canary.Number(j.CostUSD)))
	}
	if asked := j.Consistent + j.Inconsistent; asked > 0 {
		k.add("judge_consistency", noted, "the judge named the same answer in both orders for %d of %s; the others count as ties", j.Consistent, count(asked, "pair"))
	}
	if verdicts := j.Calls + j.Cached; verdicts > 0 {
		share := float64(j.Unparsed) / float64(verdicts)
		text := fmt.Sprintf("%d of %d replies (%.2f %%) had no verdict (at most 2 %%)", j.Unparsed, verdicts, 100*share)
		if share > unhealthy {
			text = "judge unhealthy: " + text
		}
		k.add("judge_replies", ok(share <= unhealthy), "%s", text)
	}
	if j.Flagged > 0 {
		k.add("judge_flags", noted, "%s had an answer that speaks to a judge; its verdicts count as missing", count(j.Flagged, "pair"))
	}
	k.control()
	k.add("judge_calibration", noted, "judge uncalibrated: no human labels")
}

func (k *checker) control() {
	c := k.cell.Control
	needed := false
	for i := range k.cell.Gates {
		name := k.cell.Gates[i].Name
		needed = needed || name == "win_rate" || strings.HasPrefix(name, "score.")
	}
	switch {
	case c == nil && needed:
		k.add("judge_control", doubted, "no pair has the baseline asked again, and nothing else shows that the judge is fair")
	case c != nil:
		state := doubted
		if c.Proven() {
			state = trusted
		}
		k.add("judge_control", state, "the judge preferred the control to live by %s, 99 %% interval [%s, %s], %s; a fair judge does by 50 %%, and the interval must lie within 40 %% to 60 %%",
			percent(c.Estimate), percent(c.Interval[0]), percent(c.Interval[1]), count(c.Clusters, "conversation"))
	}
}

// gaps counts what the candidate cannot express; only what changes an answer is
// noted.
func (k *checker) gaps() {
	if len(k.cell.Gaps) == 0 {
		if k.cell.Compared > 0 {
			k.add("gaps", trusted, "no gap: the candidate can express every request")
		}
		return
	}
	by := map[llm.Severity]int{}
	for _, g := range k.cell.Gaps {
		by[g.Severity]++
	}
	state := noted
	if by[llm.Semantic]+by[llm.Blocking] == 0 {
		state = trusted
	}
	k.add("gaps", state, "%s of requests that the candidate cannot express: %d blocking, %d semantic, %d cosmetic (listed below)",
		count(len(k.cell.Gaps), "feature"), by[llm.Blocking], by[llm.Semantic], by[llm.Cosmetic])
}

func total(failures map[llm.Class]int) int {
	n := 0
	for _, k := range failures {
		n += k
	}
	return n
}
