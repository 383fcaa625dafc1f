package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"understudy/llm"
)

// A Disposition is the one bucket in which an exchange × candidate ends.
type Disposition string

// The dispositions that a Trial record states. The two other buckets of the
// accounts, expired and pending, have no record.
const (
	// Tried: the candidate was asked; Class says how it went.
	Tried Disposition = "trial"
	// NotComparable: a blocking gap, or a live side without a meaning (the
	// client left, the provider refused the request); nothing was sent.
	NotComparable Disposition = "not_comparable"
	// OverBudget: the day's budget did not allow the call.
	OverBudget Disposition = "over_budget"
	// DeadLetter: the record could not be processed; Reason says why.
	DeadLetter Disposition = "dead_letter"
	// NotDrawn (of a control only): the exchange is outside the control's share.
	NotDrawn Disposition = "not_drawn"
)

// A Divergence is how a proposed turn differs from the recorded one, whose results
// the conversation goes on with.
type Divergence string

// The divergences. Texts that differ in wording are none.
const (
	// DivergedNoCall: live called tools and the candidate answered.
	DivergedNoCall Divergence = "no_call"
	// DivergedCall: live answered and the candidate called tools.
	DivergedCall Divergence = "call"
	// DivergedTools: other tools, or another number of calls.
	DivergedTools Divergence = "other_tools"
	// DivergedArguments: the same tools with other arguments.
	DivergedArguments Divergence = "other_arguments"
)

// A Role is what an endpoint is to a trial.
type Role string

// The roles. A candidate's is not written.
const (
	RoleCandidate Role = ""
	// RoleControl: the baseline asked again, to measure noise.
	RoleControl Role = "control"
	// RoleJudge is no trial's: it tells what judges cost from what trials do.
	RoleJudge Role = "judge"
)

// A Trial is one exchange tried on one endpoint, or the reason why it was not.
type Trial struct {
	Schema int    `json:"schema"`
	ID     string `json:"id"`

	ExchangeID string `json:"exchange_id"`
	// ExchangeSeq is the stream sequence of the message that held the exchange.
	ExchangeSeq        uint64    `json:"exchange_seq"`
	At                 time.Time `json:"at"` // the exchange's
	Source             string    `json:"source"`
	Submodule          string    `json:"submodule"`
	Conversation       string    `json:"conversation"`
	ConversationSource string    `json:"conversation_source,omitempty"`
	Unit               string    `json:"unit,omitempty"`

	// Candidate is the endpoint's name, Model what it was asked as. With
	// RoleControl the endpoint is the sub-module's baseline.
	Candidate      string `json:"candidate"`
	Role           Role   `json:"role,omitempty"`
	Model          string `json:"model"`
	PromptRevision string `json:"prompt_revision,omitempty"`
	AttemptSet     int    `json:"attempt_set,omitempty"`

	Disposition Disposition `json:"disposition"`
	// Reason explains every disposition but Tried. It quotes no text of people.
	// ReasonCode is its machine part, one of a few words.
	Reason     string `json:"reason,omitempty"`
	ReasonCode string `json:"reason_code,omitempty"`
	// Replaces is the bucket in which the attempt sets before this one left the
	// exchange, empty for the first: Tried once one of them was tried, and the accounts
	// leave it there; else what the last of them came to, in whose place this one counts.
	// Of several that were tried the first is the evidence, whatever the others say.
	Replaces Disposition `json:"replaces,omitempty"`
	// Backfill is the id of the backfill that the trial was made for.
	Backfill string `json:"backfill,omitempty"`

	// Class is llm.ClassOK or the failure of the last attempt.
	Class        llm.Class        `json:"class,omitempty"`
	Text         string           `json:"text"`
	Refusal      string           `json:"refusal,omitempty"`
	ToolCalls    []llm.ToolCall   `json:"tool_calls,omitempty"`
	Finish       llm.FinishReason `json:"finish,omitempty"`
	NativeFinish string           `json:"native_finish,omitempty"`
	Gaps         []llm.Gap        `json:"gaps,omitempty"`
	// Tier tells how a demanded form of answer was asked for.
	Tier llm.Tier `json:"structured_output,omitempty"`
	// Usage is as reported for the last attempt, CostUSD the price of all
	// attempts; nil where unknown.
	Usage   *llm.Usage `json:"usage"`
	CostUSD *float64   `json:"cost_usd"`
	// BookedUSD is what the ledger booked: CostUSD, or what was set aside for calls
	// whose bill is unknown.
	BookedUSD float64 `json:"booked_usd,omitempty"`
	// BookedBy is the ledger's entry in which the calls stand. A host that died with a
	// call in flight is not settled by the answer that another one got.
	BookedBy string `json:"booked_by,omitempty"`
	// ServiceTier is the provider's word for the tier that served the last attempt.
	ServiceTier string `json:"service_tier,omitempty"`
	// LostAttempts are earlier calls whose host died before their answer was stored:
	// they may have been billed, and nothing else is known of them.
	LostAttempts int `json:"lost_attempts,omitempty"`
	// Divergence tells where the candidate left the recorded path: what it proposed
	// would not have been followed by the conversation's next turn. Empty where it
	// did not, and where nothing tells.
	Divergence Divergence `json:"divergence,omitempty"`
	// Attempts are all calls made, first to last; the trial's latency is the
	// last one's.
	Attempts []Attempt `json:"attempts,omitempty"`
	// LagMS is the time from the exchange to the trial's first attempt.
	LagMS    float64   `json:"lag_ms"`
	StoredAt time.Time `json:"stored_at"`

	// Live is the live side of the comparison, priced with the baseline's price.
	Live Side `json:"live"`

	// Texts seal Text, Refusal and ToolCalls while the trial is stored.
	Texts
}

// An Attempt is one call.
type Attempt struct {
	Class     llm.Class `json:"class"`
	LatencyMS float64   `json:"latency_ms"`
	TTFTMS    *float64  `json:"ttft_ms"`
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	// Proposal is the change of capabilities that a refusal suggests.
	Proposal string `json:"proposal,omitempty"`
}

// CodeOwnLimit marks an attempt whose answer ended at a limit of ours, which was then
// taken away: the next attempt is no retry.
const CodeOwnLimit = "own_limit"

// Measured tells whether LatencyMS was measured: whoever was not reached, or did not
// answer, has none.
func (a *Attempt) Measured() bool { return a.LatencyMS > 0 }

// A Side is one side of a comparison in numbers. Unknown values are nil.
type Side struct {
	LatencyMS *float64 `json:"latency_ms"`
	TTFTMS    *float64 `json:"ttft_ms"`
	CostUSD   *float64 `json:"cost_usd"`
	// Estimated tells that CostUSD is from tokens that we counted ourselves.
	Estimated bool `json:"cost_estimated,omitempty"`
	// EstimateUSD is what our own count would have cost, beside a CostUSD from reported
	// tokens: the two tell how good our counting is.
	EstimateUSD *float64           `json:"cost_estimate_usd,omitempty"`
	Error       bool               `json:"error"`
	Scores      map[string]float64 `json:"scores,omitempty"`
	Checks      map[string]bool    `json:"checks,omitempty"`
}

// Key identifies the exchange in the id of a trial. Our own ids are unique. What
// another publisher calls its exchange may be anything, one of our ids among it,
// so there the source and the message, by its sequence, count as well.
func (e *Exchange) Key(seq uint64) string {
	if e.Source == SourceCapture {
		return e.ID
	}
	return fmt.Sprintf("%s\x00%s\x00%d", e.Source, e.ID, seq)
}

// TrialID is the identity of a trial: the same exchange, endpoint, prompt
// revision, parameters and attempt set always give the same id, so that the
// stream can refuse a second one.
func TrialID(exchangeID, endpoint, model, promptRevision string, attemptSet int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d", exchangeID, endpoint, model, promptRevision, attemptSet))
	return hex.EncodeToString(h[:16])
}
