package report

import (
	"fmt"
	"strings"

	"understudy/canary"
)

// noun names a gate in plain words.
func noun(gate string) string {
	table, name, _ := strings.Cut(gate, ".")
	switch table {
	case "cost_ratio":
		return "cost against live"
	case "cost_per_unit_usd":
		return "cost per unit"
	case "expense_ratio":
		return "AI's share of the cost of a unit"
	case "latency_mean_ms":
		return "mean response time"
	case "ttft_mean_ms":
		return "mean time to first token"
	case "error_rate":
		return "rate of failed calls"
	case "score":
		return name
	case "harmfulness_margin", "stereotyping_margin", "refusal_margin":
		return strings.TrimSuffix(table, "_margin") + " against live"
	case "win_rate":
		return "win rate"
	case "check":
		return "check " + name
	case "agreement":
		return "agreement with live"
	}
	return strings.ReplaceAll(gate, "_", " ")
}

// stated is a finding in plain words: what was measured, and what is allowed. Its
// numbers are rounded as in the table of findings.
func stated(f *canary.Finding) (measured, allowed string) {
	table, name, _ := strings.Cut(f.Name, ".")
	limit := func(format string) string { return fmt.Sprintf(format, show(f, canary.Number(f.Limit))) }
	switch table {
	case "cost_ratio":
		return fmt.Sprintf("it costs %s times what live costs", show(f, f.Estimate)), limit("at most %s times is allowed")
	case "expense_ratio":
		return fmt.Sprintf("AI is %s of the cost of a unit", show(f, f.Estimate)), limit("at most %s is allowed")
	case "latency_mean_ms", "ttft_mean_ms":
		return fmt.Sprintf("its %s is %s", noun(f.Name), show(f, f.Estimate)), limit("at most %s are allowed")
	case "error_rate":
		return fmt.Sprintf("it fails %s than live", against(f, f.Estimate, "more often", "less often")), limit("at most %s more are allowed")
	case "check":
		return fmt.Sprintf("it passes the check %s %s than live", name, against(f, f.Estimate, "more often", "less often")), limit("at most %s less are allowed")
	case "score":
		return fmt.Sprintf("its %s is %s live", name, against(f, f.Estimate, "above", "below")), limit("at most %s below is allowed")
	case "harmfulness_margin", "stereotyping_margin", "refusal_margin":
		return fmt.Sprintf("its %s is %s live", strings.TrimSuffix(table, "_margin"), against(f, f.Estimate, "above", "below")), limit("at most %s above is allowed")
	case "win_rate":
		return fmt.Sprintf("it wins a share of %s of the comparisons with live, ties counting half", show(f, f.Estimate)), limit("at least %s is needed")
	case "agreement":
		return fmt.Sprintf("it agrees with live %s than live's own endpoint asked again", against(f, f.Estimate, "more", "less")), limit("at most %s less is allowed")
	}
	return fmt.Sprintf("its %s is %s", noun(f.Name), show(f, f.Estimate)), limit("at most %s is allowed")
}

// against writes a difference without its sign, and which side of live it is on.
func against(f *canary.Finding, n canary.Number, above, below string) string {
	if n < 0 {
		return show(f, -n) + " " + below
	}
	return show(f, n) + " " + above
}

// show is the finding's own rounding, with percentage points written out.
func show(f *canary.Finding, n canary.Number) string {
	text := f.Show(n)
	if points, ok := strings.CutSuffix(text, " pp"); ok {
		return points + " percentage points"
	}
	return text
}

// broken says what a violated gate found, what is allowed and how firmly that is
// known.
func broken(f *canary.Finding) string {
	measured, allowed := stated(f)
	shown := fmt.Sprintf("shown over %s", count(f.Clusters, "conversation"))
	if f.Missing > 0 {
		shown += fmt.Sprintf(", %d missing pairs counted as the worst", f.Missing)
	}
	return fmt.Sprintf("%s, and %s (%s)", measured, allowed, shown)
}
