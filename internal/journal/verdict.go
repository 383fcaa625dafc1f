package journal

import "time"

// A Verdict is what the checks say of a trial, together with both sides in
// numbers. What judge models say of it is its Judgement.
type Verdict struct {
	Schema     int       `json:"schema"`
	TrialID    string    `json:"trial_id"`
	ExchangeID string    `json:"exchange_id"`
	At         time.Time `json:"at"` // the exchange's
	Source     string    `json:"source"`

	Submodule          string `json:"submodule"`
	Candidate          string `json:"candidate"`
	Role               Role   `json:"role,omitempty"`
	Conversation       string `json:"conversation"`
	ConversationSource string `json:"conversation_source,omitempty"`
	Unit               string `json:"unit,omitempty"`
	// AttemptSet, Replaces and TriedAt are the trial's, of one that was not the first of
	// its exchange: which set it is, what Trial.Replaces says, and when it was stored.
	AttemptSet int         `json:"attempt_set,omitempty"`
	Replaces   Disposition `json:"replaces,omitempty"`
	TriedAt    time.Time   `json:"tried_at,omitzero"`

	Live  Side `json:"live"`
	Trial Side `json:"trial"`
	// Refusal classes of both sides: "answer", "refusal", "inability".
	LiveRefusal  string `json:"live_refusal,omitempty"`
	TrialRefusal string `json:"trial_refusal,omitempty"`
	// Diff is where the tool calls differ, sorted by path.
	Diff []Change `json:"diff,omitempty"`
	// Agree is how far the answer agrees with live's, 0 to 1; nil without two answers.
	Agree *float64 `json:"agree,omitempty"`

	JudgedAt time.Time `json:"judged_at"`

	// Texts seal Diff while the verdict is stored.
	Texts
}

// A Change is one place at which two sides differ. A side that has no value
// there is nil.
type Change struct {
	// Path is a JSON Pointer.
	Path  string `json:"path"`
	Live  any    `json:"live"`
	Trial any    `json:"trial"`
}
