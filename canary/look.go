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

	guards guards
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
