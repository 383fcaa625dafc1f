package canary

import (
	"fmt"
	"math"
	"strings"
	"time"

	"understudy/canary/stats"
)

// tolerated is the share of missing or left-out pairs above which a cell holds.
const tolerated = 0.05

// A block of the day that carries blockShare of a cell's clusters needs
// blockClusters of them for a promotion.
const (
	blockShare    = 0.05
	blockClusters = 30
)

// A decision applies the rules to one cell: the first rule that has findings
// decides, and all its findings are the reasons.
type decision struct {
	config   *Config
	cell     *cell
	gates    []Finding
	control  *Control
	accepted bool // by e-Holm, among the candidates of the sub-module
	family   int
}

func (d *decision) verdict() (string, []string) {
	if r := d.violated(); len(r) > 0 {
		return Reject, r
	}
	enough := d.cell.clusters >= d.config.MinConversations
	r := d.controlFailed()
	if enough {
		r = append(r, d.holds()...)
		if len(r) == 0 {
			r = d.exhausted()
		}
	}
	if len(r) > 0 {
		return Hold, r
	}
	if r := d.open(); len(r) > 0 {
		return Collecting, r
	}
	if r := d.dominated(dominatesLate); len(r) > 0 {
		return Hold, r
	}
	return Promote, []string{fmt.Sprintf("proven %s, %s, since %s", allGates(len(d.gates)),
		count(d.cell.clusters, "conversation"), d.cell.first.UTC().Format(time.RFC3339))}
}

// violated lists the gates that reject. Those that a judge's preferences decide may
// not while the control shows that the judge is biased, nor those on live's cost while
// nothing shows that it was counted right.
func (d *decision) violated() []string {
	var r []string
	for i := range d.gates {
		f := &d.gates[i]
		if f.Status == Violated && !(f.quality() && d.control.Failed()) && f.LiveCost.Trusted() {
			r = append(r, "violated:"+f.Name+" "+f.Sentence())
		}
	}
	return r
}

// controlFailed needs no minimum of conversations.
func (d *decision) controlFailed() []string {
	if !d.cell.quality || !d.control.Failed() {
		return nil
	}
	return []string{fmt.Sprintf("judge_control_failed the judge prefers one of two answers of the same endpoint: %s, which must hold 50 %%", d.control)}
}

// holds lists what a person must look at, in the order of the contract.
func (d *decision) holds() []string {
	var r []string
	if d.cell.quality && d.control == nil {
		r = append(r, "no_control no pair has the baseline asked again, and nothing else shows that the judge is fair")
	}
	asked := d.cell.pairs - d.cell.unsampled
	for i := range d.gates {
		if f := &d.gates[i]; float64(f.Missing) > tolerated*float64(asked) {
			r = append(r, fmt.Sprintf("missing_judge_scores:%s %d pairs have no value, of %d that were not left unsampled; at most 5 %% may be missing", f.Name, f.Missing, asked))
		}
	}
	if all := d.cell.pairs + d.cell.leftOut; float64(d.cell.leftOut) > tolerated*float64(all) {
		r = append(r, fmt.Sprintf("left_out %d of %d pairs came after their conversation's window of %s; at most 5 %% may",
			d.cell.leftOut, all, span(d.config.ConversationWindow)))
	}
	r = append(r, d.estimated()...)
	for i := range d.gates {
		if f := &d.gates[i]; len(f.guards.strata) > 0 {
			r = append(r, fmt.Sprintf("stratum_violation:%s is violated in %s alone", f.Name, strings.Join(f.guards.strata, ", ")))
		}
	}
	for i := range d.gates {
		if f := &d.gates[i]; f.guards.recent {
			r = append(r, fmt.Sprintf("recent_violation:%s has lately been beyond its limit (%s)", f.Name, f.Sentence()))
		}
	}
	return append(r, d.dominated(dominates)...)
}

// estimated lists the gates on live's cost that our own count of tokens makes
// worthless: it is wrong, or unchecked where the gate would decide by it.
func (d *decision) estimated() []string {
	var r []string
	for i := range d.gates {
		f := &d.gates[i]
		decides := f.Status == Proven || f.Status == Violated
		if f.LiveCost.wrong() || f.LiveCost.unchecked() && decides {
			r = append(r, fmt.Sprintf("estimated_usage:%s %s: set [capture] ask_usage = true, or let some answers carry usage (stream_options.include_usage)",
				f.Name, f.LiveCost))
		}
	}
	return r
}

func (d *decision) dominated(share float64) []string {
	for i := range d.gates {
		if got := d.gates[i].guards.largest; got > share {
			return []string{fmt.Sprintf("cost_dominated_by_one_conversation it carries %.0f %% of the variation of cost; at most %.0f %% may", 100*got, 100*share)}
		}
	}
	return nil
}

func (d *decision) exhausted() []string {
	if d.config.MaxConversations == 0 || d.cell.clusters < d.config.MaxConversations {
		return nil
	}
	var r []string
	for i := range d.gates {
		if f := &d.gates[i]; f.Status != Proven {
			r = append(r, d.stillOpen(f.Name))
		}
	}
	if d.controlOpen() {
		r = append(r, d.stillOpen("judge_control"))
	}
	return r
}

func (d *decision) stillOpen(what string) string {
	return fmt.Sprintf("budget_exhausted:%s is still open after %s of at most %d", what, count(d.cell.clusters, "conversation"), d.config.MaxConversations)
}

// controlOpen tells that a promotion still lacks a proven control.
func (d *decision) controlOpen() bool { return d.cell.quality && !d.control.Proven() }

func (d *decision) controlNeed() string {
	if d.control == nil {
		return "has no pair yet"
	}
	return fmt.Sprintf("must be shown to lie between 40 %% and 60 %%: %s", d.control)
}

// open lists what a promotion still lacks.
func (d *decision) open() []string {
	var r []string
	for i := range d.gates {
		if f := &d.gates[i]; f.Status != Proven {
			r = append(r, "open:"+f.Name+" "+d.need(f))
		}
	}
	proven := len(r) == 0
	if d.controlOpen() {
		r = append(r, "open:judge_control "+d.controlNeed())
	}
	if proven && !d.accepted {
		r = append(r, fmt.Sprintf("open:e_holm all gates are proven, but not yet firmly enough for one of %s", count(d.family, "competing candidate")))
	}
	if d.cell.clusters < d.config.MinConversations {
		r = append(r, fmt.Sprintf("open:min_conversations %d of %s", d.cell.clusters, count(d.config.MinConversations, "conversation")))
	}
	if got := d.cell.last.Sub(d.cell.first); got < d.config.MinSpan {
		r = append(r, fmt.Sprintf("open:min_span %s of %s between the first conversation and the last", span(got), span(d.config.MinSpan)))
	}
	if short := d.thinBlocks(); len(short) > 0 {
		r = append(r, "open:blocks "+strings.Join(short, ", "))
	}
	return r
}

// need says how far an open gate is from proven.
func (d *decision) need(f *Finding) string {
	switch {
	case f.Status == NoData:
		return "has no data yet"
	case !f.Remaining.Known() && f.onCost() && f.Clusters < stats.RatioStart:
		return fmt.Sprintf("has evidence from %s on: %s", count(stats.RatioStart, "conversation"), f.Sentence())
	case !f.Remaining.Known():
		return "is not on course: " + f.Sentence()
	}
	text := fmt.Sprintf("needs ~%s more", count(int(f.Remaining), "conversation"))
	if took := d.cell.last.Sub(d.cell.first); took > 0 && f.Remaining > 0 {
		wait := float64(took) / float64(d.cell.clusters) * float64(f.Remaining)
		if wait < float64(math.MaxInt64)/4 {
			text += fmt.Sprintf(" (~%s at this pace)", span(time.Duration(wait)))
		}
	}
	return text
}

// thinBlocks are the blocks of the day that matter and have too few clusters.
func (d *decision) thinBlocks() []string {
	var short []string
	for i, n := range d.cell.blocks {
		if n > 0 && float64(n) >= blockShare*float64(d.cell.clusters) && n < blockClusters {
			short = append(short, fmt.Sprintf("%s has %d of %s", blockName(i), n, count(blockClusters, "conversation")))
		}
	}
	return short
}

func allGates(n int) string {
	if n == 1 {
		return "the only gate"
	}
	return fmt.Sprintf("all %d gates", n)
}
