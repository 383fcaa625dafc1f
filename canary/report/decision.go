package report

import (
	"fmt"
	"slices"
	"strings"

	"understudy/canary"
)

// marks stand beside a verdict or a status, so that neither needs a colour.
var marks = map[string]string{
	canary.Promote: "✓", canary.Hold: "!", canary.Reject: "✗", canary.Collecting: "…",
	canary.Proven: "✓", canary.Violated: "✗", canary.Open: "…", canary.NoData: "?",
}

// decision is the sentence that a reader may stop after: the verdict, on what, and
// why.
func decision(c *Cell, config *canary.Config) string {
	head := fmt.Sprintf("%s %s for %s: ", c.Verdict, c.Candidate, c.Submodule)
	switch c.Verdict {
	case canary.Promote:
		return head + promoted(c)
	case canary.Reject:
		return head + strings.Join(plainReasons(c), "; ") + "."
	case canary.Hold:
		return head + "a person should look, and collecting goes on: " + strings.Join(plainReasons(c), "; ") + "."
	}
	return head + collecting(c, config)
}

func promoted(c *Cell) string {
	gates := fmt.Sprintf("all %d gates are proven", len(c.Gates))
	if len(c.Gates) == 1 {
		gates = "the only gate is proven"
	}
	text := fmt.Sprintf("%s over %s in %s; ", gates, count(c.Clusters, "conversation"), span(c.observed()))
	switch month := c.saves.month; {
	case !month.Known():
		return text + c.saves.why + "."
	case month < 0:
		return text + "about " + about(-month) + " a month dearer at the measured volume."
	default:
		return text + "about " + about(month) + " a month cheaper at the measured volume."
	}
}

func collecting(c *Cell, config *canary.Config) string {
	if c.Clusters == 0 {
		return nothingYet(c, config)
	}
	proven := 0
	for i := range c.Gates {
		if c.Gates[i].Status == canary.Proven {
			proven++
		}
	}
	return fmt.Sprintf("%d of %s proven over %s. Missing: %s. %s", proven, count(len(c.Gates), "gate"), count(c.Clusters, "conversation"),
		strings.Join(plainReasons(c), "; "), when(c))
}

// nothingYet says what is waited for before the first conversation.
func nothingYet(c *Cell, config *canary.Config) string {
	came := "no request of this sub-module has been captured yet"
	if c.Exchanges > 0 {
		came = fmt.Sprintf("%s captured, no conversation complete yet", count(c.Exchanges, "request"))
	}
	return fmt.Sprintf("%s. A conversation counts %s after its first request, once its answers are compared; a promotion needs %s over at least %s.",
		came, span(config.ConversationWindow), count(config.MinConversations, "conversation"), span(config.MinSpan))
}

// when says how long it may take, or why nobody can say.
func when(c *Cell) string {
	f := c.Forecast
	switch {
	case len(f.NotOnCourse) > 0:
		return fmt.Sprintf("At this rate %s will not be proven: no time can be said.", nouns(f.NotOnCourse))
	case len(f.NoData) > 0:
		return fmt.Sprintf("Nothing has been measured for %s, so no time can be said.", nouns(f.NoData))
	case f.wait() == "":
		return "Too little has come to say how long it may take."
	}
	if slices.ContainsFunc(c.Reasons, untimed) {
		return fmt.Sprintf("At this pace it takes at least %s.", f.wait())
	}
	return fmt.Sprintf("At this pace it may take about %s.", f.wait())
}

// untimed tells that a reason is none that the forecast covers.
func untimed(reason string) bool {
	return slices.Contains([]string{"open:judge_control", "open:e_holm", "open:blocks"}, canary.Code(reason))
}

func nouns(gates []string) string {
	out := make([]string, len(gates))
	for i, g := range gates {
		out[i] = noun(g)
	}
	return strings.Join(out, ", ")
}

func plainReasons(c *Cell) []string {
	out := make([]string, len(c.Reasons))
	for i, r := range c.Reasons {
		out[i] = plain(c, r)
	}
	return out
}

// plain is a reason without its code.
func plain(c *Cell, reason string) string {
	code, words, _ := strings.Cut(reason, " ")
	kind, of, _ := strings.Cut(code, ":")
	switch kind {
	case "violated":
		if f := c.finding(of); f != nil && f.Estimate.Known() {
			return broken(f)
		}
		return noun(of) + " is violated: " + words
	case "missing_judge_scores", "estimated_usage":
		return noun(of) + ": " + words
	case "stratum_violation", "recent_violation", "budget_exhausted":
		return subject(of) + " " + words
	case "cost_dominated_by_one_conversation":
		return "one conversation dominates the cost: " + words
	case "open":
		return missing(of, words)
	}
	if words == "" {
		return strings.ReplaceAll(code, "_", " ")
	}
	return words
}

// missing is what a promotion lacks.
func missing(what, words string) string {
	switch what {
	case "min_conversations":
		return words + " are in"
	case "min_span", "e_holm":
		return words
	case "blocks":
		return "parts of the day are thin: " + words
	}
	return subject(what) + " " + words
}

// subject is the gate, or whatever else can be open.
func subject(what string) string {
	if what == "judge_control" {
		return "the judge's preference for the control"
	}
	return noun(what)
}
