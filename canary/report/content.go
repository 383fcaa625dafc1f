package report

import "fmt"

// document puts the report in the order in which it is read: the decisions, the
// evidence of each, what follows from all of them, and what they depend on.
func (r *Report) document() *document {
	d := &document{}
	d.heading(1, fmt.Sprintf("Report of %s: %s over %s, %s", stamp(r.At), count(r.Pairs, "pair"), count(r.Clusters, "conversation"), count(len(r.Cells), "cell")))
	var decisions []string
	for i := range r.Cells {
		decisions = append(decisions, marks[r.Cells[i].Verdict]+" "+r.Cells[i].Sentence)
	}
	d.list(decisions)
	if len(r.Cells) == 0 {
		d.say("No cell yet: no sub-module with candidates is configured by name, and no traffic has come for \"*\". Decisions come with the first captured requests of a sub-module that has candidates.")
	}
	for _, n := range r.Notes {
		d.say("Note: " + n)
	}
	for i := range r.Cells {
		r.Cells[i].describe(d)
	}
	if len(r.Cells) > 0 {
		r.describeReading(d)
	}
	r.describeMatrix(d)
	r.describeUnits(d)
	r.describeRollout(d)
	describeEndpoints(r.Settings.Endpoints, d)
	r.Settings.describe(d)
	describeAccounts(d, r.Accounts)
	return d
}

// describeReading explains the columns once for all cells.
func (r *Report) describeReading(d *document) {
	d.heading(2, "How to read the tables")
	d.list([]string{
		fmt.Sprintf("A gate is proven when the bound lies beyond the limit, at the level of %v and valid at every look; the interval is two-sided, and includes what missing values could be.", r.config.AlphaPromote),
		"control is the same measure with the baseline asked again in the candidate's place: what differs there is noise. It decides nothing.",
		"pp are percentage points. Missing pairs count as the worst where that would help a promotion.",
		"Figures are of all pairs so far, also of open conversations; a failed call counts as failed and not by its time. Percentiles are up to 2 % above the true ones. They do not decide.",
	})
}
