package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// A Judgement is the other half of a Verdict: what judge models say of one drawn
// pair. It comes after the conversation's window is over, and only for the pair
// of the conversation that was drawn (see DrawKey).
type Judgement struct {
	Schema     int       `json:"schema"`
	TrialID    string    `json:"trial_id"`
	ExchangeID string    `json:"exchange_id"`
	At         time.Time `json:"at"` // the exchange's
	Source     string    `json:"source"`

	Submodule    string `json:"submodule"`
	Candidate    string `json:"candidate"`
	Role         Role   `json:"role,omitempty"`
	Conversation string `json:"conversation"`
	Unit         string `json:"unit,omitempty"`
	// Replaces is the trial's. A pair that had been tried before is not judged.
	Replaces Disposition `json:"replaces,omitempty"`

	// Judge is the endpoint that judged, Model the id that it was asked as and
	// Prompts a hash of all prompt templates: verdicts of two judges are never
	// compared.
	Judge   string `json:"judge"`
	Model   string `json:"model"`
	Prompts string `json:"prompts"`

	// Unasked is why no judge was asked: "outside_share" and "over_budget" (the
	// pair is not in the sample: the configured share, or the day's money, does not
	// reach for it), or "unreadable" (a record cannot be read: its verdicts are
	// missing). Empty where one was.
	Unasked string `json:"unasked,omitempty"`
	// Ratings by metric, of both sides. Of a trial that failed only live is rated:
	// its own scores and preference are what a failure counts.
	Live  map[string]Rating `json:"live,omitempty"`
	Trial map[string]Rating `json:"trial,omitempty"`
	// Pairwise compares the two answers; nil where it was not asked for.
	Pairwise *Pairwise `json:"pairwise,omitempty"`
	// Flags name what in an answer is addressed to a judge. The side's verdicts
	// then count as missing.
	LiveFlags  []string `json:"live_flags,omitempty"`
	TrialFlags []string `json:"trial_flags,omitempty"`

	// Calls were made for this record, Cached verdicts were known before.
	// CostUSD is what those calls cost; nil where a bill is unknown. Calls of rounds
	// that had to be begun again are in the ledger alone.
	// BookedUSD is what the ledger booked for them, BookedBy the entry in which they stood.
	Calls     int       `json:"calls"`
	Cached    int       `json:"cached"`
	CostUSD   *float64  `json:"cost_usd"`
	BookedUSD float64   `json:"booked_usd,omitempty"`
	BookedBy  string    `json:"booked_by,omitempty"`
	JudgedAt  time.Time `json:"judged_at"`

	// Texts seal the reasons while the judgement is stored.
	Texts
}

// A Rating is one metric's verdict on one answer.
type Rating struct {
	// Label is one of the metric's, empty where the reply could not be parsed.
	Label string `json:"label"`
	// Score is derived from the label by table, 0 to 1; nil where the label says
	// "not applicable" and where there is no label.
	Score *float64 `json:"score"`
	// Reason is the judge's own, cut.
	Reason string `json:"reason,omitempty"`
	// Parse says how the label was found: "tool", "json", "tag", "regex" or "failed".
	Parse  string `json:"parse"`
	Cached bool   `json:"cached,omitempty"`
}

// NotApplicable tells that the judge said so: no value, and none is missing.
func (r Rating) NotApplicable() bool { return r.Label != "" && r.Score == nil }

// The preferences.
const (
	Win  = "win"  // the trial beat live
	Tie  = "tie"  // neither, or the two orders disagree
	Loss = "loss" // live beat the trial
)

// A Pairwise verdict is a preference asked in both orders.
type Pairwise struct {
	// Preference is Win, Tie or Loss, empty where an order has no verdict.
	Preference string `json:"preference"`
	// Identical answers are a Tie without asking.
	Identical bool `json:"identical,omitempty"`
	// Consistent tells that both orders named the same answer, or both neither.
	Consistent bool `json:"consistent"`
	// LiveFirst and TrialFirst are what each order said, turned back to Win, Tie
	// or Loss; Label in them is what the judge wrote.
	LiveFirst  Rating `json:"live_first,omitzero"`
	TrialFirst Rating `json:"trial_first,omitzero"`
}

// DrawKey is what draws the one pair of a conversation that is judged: the
// exchange of the conversation's window with the smallest key. It is a function of
// the ids alone, so that every process draws alike and no outcome has a say.
func DrawKey(submodule, conversation, exchangeID string) uint64 {
	h := sha256.Sum256([]byte("draw\x00" + submodule + "\x00" + conversation + "\x00" + exchangeID))
	return binary.BigEndian.Uint64(h[:8])
}

// Share places a key in [0, 1): what is drawn at a share is drawn at any larger
// one. purpose keeps draws for different ends independent.
func Share(purpose, key string) float64 {
	h := sha256.Sum256([]byte(purpose + "\x00" + key))
	return float64(binary.BigEndian.Uint64(h[:8])>>11) / (1 << 53)
}
