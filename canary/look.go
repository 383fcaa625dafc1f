package canary

import "time"

// A Look is what the evidence says at one moment. Its JSON is a contract; numbers
// are unrounded, unknown ones null.
type Look struct {
	// Clusters are the distinct conversations (by sub-module) that have entered,
	// Pairs the pairs analysed, over all cells.
	Clusters int `json:"clusters"`
	Pairs    int `json:"pairs"`
	// BadLines and Duplicates were counted and not used.
	BadLines   int        `json:"bad_lines"`
	Duplicates int        `json:"duplicates"`
	Cells      []CellLook `json:"cells"`
}

// A CellLook is the verdict on one cell with its findings.
type CellLook struct {
	Submodule string `json:"submodule"`
	Candidate string `json:"candidate"`
	Verdict   string `json:"verdict"`
	// Reasons are all findings of the rule that decided. Each begins with a code,
	// ended by a space; the words after it may change.
	Reasons []string  `json:"reasons"`
	Gates   []Finding `json:"gates"`
	// Clusters and Pairs are the cell's own; LeftOut pairs came after their
	// conversation's window.
	Clusters int `json:"clusters"`
	Pairs    int `json:"pairs"`
	LeftOut  int `json:"left_out"`
	// Control is how the baseline asked again compares with live, nil without
	// pairs that say so.
	Control *Control `json:"control"`
	// FirstAt and LastAt are the starts of the first and the last conversation.
	FirstAt time.Time `json:"first_at,omitzero"`
	LastAt  time.Time `json:"last_at,omitzero"`
}

// A Control is the judge's preference for the control over live: a judge without
// bias gives 0.5. The interval is at 99 %.
type Control struct {
	Estimate Number    `json:"estimate"`
	Interval [2]Number `json:"interval"`
	Clusters int       `json:"clusters"`
}

// A Finding is the state of one gate.
type Finding struct {
	Name string `json:"name"`
	// Estimate is the mean over conversations in the gate's unit, worst case
	// where values are missing; Bound the one-sided bound that decides; Interval
	// the two-sided one, both at alpha_promote and valid at every look.
	Estimate Number    `json:"estimate"`
	Bound    Number    `json:"bound"`
	Interval [2]Number `json:"interval"`
	Limit    float64   `json:"limit"`
	// LogProven and LogViolated are natural logarithms of e-values.
	LogProven   Number `json:"log_e_proven"`
	LogViolated Number `json:"log_e_violated"`
	Status      string `json:"status"`
	// Clusters and Missing (pairs) are the gate's own.
	Clusters int `json:"clusters"`
	Missing  int `json:"missing"`
	// Remaining is the forecast of conversations still needed: 0 when proven,
	// unknown when the gate is not on course.
	Remaining Number `json:"remaining"`
	// Noise is the same measure of the control in the trial's place, nil without
	// a control. It decides nothing.
	Noise *Noise `json:"noise"`
	// LiveCost says what the live costs rest on, of a gate that reads them; nil where
	// all usage was reported and nothing was counted beside it.
	LiveCost *LiveCost `json:"live_cost,omitempty"`

	guards guards
}

// quality tells that the gate is one of those that the control must vouch for.
func (f *Finding) quality() bool { return Gate{Name: f.Name}.quality() }

// onCost tells that the gate is on sums of costs, with a start of its own.
func (f *Finding) onCost() bool {
	return f.Name == "cost_ratio" || f.Name == "cost_per_unit_usd" || f.Name == "expense_ratio"
}

// readsLiveCost tells that the gate compares with what live costs. The other gates on
// costs hold the candidate's against an amount of money.
func (f *Finding) readsLiveCost() bool { return f.Name == "cost_ratio" }

// isScore tells that the gate is on the scale of a score.
func (f *Finding) isScore() bool { return Gate{Name: f.Name}.metric() != "" }

// Noise says how far the baseline asked again is from live: what two answers of
// the same endpoint differ by. It is for display, and never subtracted.
type Noise struct {
	Estimate Number `json:"estimate"`
	// Interval is two-sided at alpha_promote.
	Interval [2]Number `json:"interval"`
	Clusters int       `json:"clusters"`
}

// guards are what speaks against a gate's evidence although it may be proven.
type guards struct {
	// strata are the hours or days that violate the gate by themselves.
	strata []string
	// recent: the drift detector stands at its threshold.
	recent bool
	// largest is the share of sum Z^2 that one conversation has (cost only).
	largest float64
}
