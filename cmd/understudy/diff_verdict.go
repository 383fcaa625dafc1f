package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"understudy/internal/journal"
	"understudy/judge"
	"understudy/llm"
)

// leastCommon is the share of words that two texts must share for their difference
// to be shown word by word: else it is easier to read them one after the other.
const leastCommon = 0.25

// writeDifference prints where an answer differs from live's: the places of JSON,
// or the words, as [-live-] and {+its own+}. Calls are compared by the checks.
func writeDifference(w io.Writer, live *llm.Response, t *journal.Trial) {
	if live.Text == t.Text {
		if t.Text != "" {
			fmt.Fprintln(w, "text: the same as live's")
		}
		return
	}
	if changes, ok := judge.DiffJSON(live.Text, t.Text); ok {
		if len(changes) == 0 {
			fmt.Fprintln(w, "text: the same JSON as live's")
		}
		writeChanges(w, changes)
		return
	}
	if judge.Agreement(&judge.Answer{Text: live.Text}, &judge.Answer{Text: t.Text}) < leastCommon {
		fmt.Fprintln(w, "text: hardly a word in common with live's")
		return
	}
	fmt.Fprintln(w, "against live, [-live-] {+this+}:")
	var b strings.Builder
	for _, s := range judge.DiffWords(live.Text, t.Text) {
		switch s.Side {
		case "live":
			b.WriteString("[-" + s.Text + "-]")
		case "trial":
			b.WriteString("{+" + s.Text + "+}")
		default:
			b.WriteString(s.Text)
		}
	}
	for line := range strings.Lines(visible(b.String())) {
		fmt.Fprintln(w, "  "+strings.TrimRight(line, "\n"))
	}
}

func writeChanges(w io.Writer, changes []journal.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "differs at %s: live %s, this %s\n", visible(orRoot(c.Path)), shown(c.Live), shown(c.Trial))
	}
}

func orRoot(path string) string {
	if path == "" {
		return "the whole"
	}
	return path
}

func shown(v any) string {
	if v == nil {
		return "–"
	}
	return visible(fmt.Sprint(v))
}

// writeVerdict prints what the checks say.
func writeVerdict(w io.Writer, v *journal.Verdict) {
	names := maps.Clone(v.Trial.Checks)
	if names == nil {
		names = map[string]bool{}
	}
	maps.Copy(names, v.Live.Checks)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(w, "check %-10s live %-5s this %s\n", name, mark(v.Live.Checks, name), mark(v.Trial.Checks, name))
	}
	writeChanges(w, v.Diff)
	if v.Agree != nil {
		fmt.Fprintf(w, "agreement with live %.2f\n", *v.Agree)
	}
}

// writeJudgement prints what the judge says, with its reasons.
func writeJudgement(w io.Writer, v *journal.Judgement) {
	if v.Unasked != "" {
		fmt.Fprintf(w, "not judged: %s\n", v.Unasked)
		return
	}
	fmt.Fprintf(w, "judged by %s (%s), prompts %s\n", v.Judge, v.Model, v.Prompts)
	for _, name := range slices.Sorted(maps.Keys(v.Trial)) {
		fmt.Fprintf(w, "  %s: live %s, this %s\n", name, verdictWords(v.Live[name]), verdictWords(v.Trial[name]))
	}
	for side, flags := range map[string][]string{"live": v.LiveFlags, "this": v.TrialFlags} {
		if len(flags) > 0 {
			fmt.Fprintf(w, "  %s answer speaks to a judge (%s): its verdicts count as missing\n", side, strings.Join(flags, ", "))
		}
	}
	writePairwise(w, v.Pairwise)
}

func writePairwise(w io.Writer, p *journal.Pairwise) {
	if p == nil {
		return
	}
	words := map[string]string{journal.Win: "this answer is better", journal.Loss: "live's answer is better", journal.Tie: "neither is better", "": "no verdict"}
	switch {
	case p.Identical:
		fmt.Fprintln(w, "  preference: tie, the answers are identical (no judge was asked)")
		return
	case p.Preference != "" && !p.Consistent:
		fmt.Fprintln(w, "  preference: tie, as the two orders disagree")
	case p.Preference != "":
		fmt.Fprintf(w, "  preference: %s, in both orders\n", words[p.Preference])
	default:
		fmt.Fprintln(w, "  preference: missing, as an order has no verdict")
	}
	fmt.Fprintf(w, "    live shown as A: %s\n", verdictWords(p.LiveFirst))
	fmt.Fprintf(w, "    live shown as B: %s\n", verdictWords(p.TrialFirst))
}

// verdictWords is a label with the judge's reason.
func verdictWords(r journal.Rating) string {
	switch {
	case r.Parse == "":
		return "–"
	case r.Label == "":
		return "no verdict (" + r.Parse + ")"
	case r.Reason == "":
		return visible(r.Label)
	}
	return visible(r.Label) + " (" + visible(strings.Join(strings.Fields(r.Reason), " ")) + ")"
}
