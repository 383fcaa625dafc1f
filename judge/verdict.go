package judge

import (
	"fmt"

	"understudy/internal/journal"
	"understudy/llm/openai"
)

// Judge makes the verdict of a trial: both sides in numbers, and what the checks
// say. JudgedAt is left zero, and nothing is stored.
//
// A nil exchange is one that is no longer stored or cannot be read: the verdict
// has both sides and no check. So has one whose request cannot be decoded; a
// live answer that cannot be decoded leaves out live's checks and tool_calls.
// The checks that applied and could not be done are returned beside the
// verdict. An error means that the arguments make no pair: a trial that was
// never tried, or another trial's exchange.
func (c *Checker) Judge(ex *journal.Exchange, tr *journal.Trial) (*journal.Verdict, []Unchecked, error) {
	if tr.Disposition != journal.Tried {
		return nil, nil, fmt.Errorf("judge trial %s: its disposition is %q, and only %q has a verdict", tr.ID, tr.Disposition, journal.Tried)
	}
	if ex != nil && ex.ID != tr.ExchangeID {
		return nil, nil, fmt.Errorf("judge trial %s: exchange %s was given, not its own %s", tr.ID, ex.ID, tr.ExchangeID)
	}
	v := &journal.Verdict{
		Schema: journal.SchemaVersion, TrialID: tr.ID, ExchangeID: tr.ExchangeID, At: tr.At, Source: tr.Source,
		Submodule: tr.Submodule, Candidate: tr.Candidate, Role: tr.Role,
		Conversation: tr.Conversation, ConversationSource: tr.ConversationSource, Unit: tr.Unit,
		Live: liveSide(ex, tr), Trial: trialSide(tr),
	}
	if tr.AttemptSet > 0 {
		v.AttemptSet, v.Replaces, v.TriedAt = tr.AttemptSet, tr.Replaces, tr.StoredAt
	}
	if ex == nil {
		return v, nil, nil
	}
	req, err := openai.Decode(ex.Request)
	if err != nil {
		return v, []Unchecked{{Check: "all", Side: "trial", Reason: "request"}}, nil
	}
	var unchecked []Unchecked
	var live *Answer
	if !v.Live.Error {
		resp, err := openai.DecodeResponse(ex.Response)
		if err == nil {
			live = AnswerOf(resp)
		} else {
			unchecked = append(unchecked, Unchecked{Check: "all", Side: "live", Reason: "response"})
		}
	}
	checked := c.Check(req, live, trialAnswer(tr))
	v.Live.Checks, v.Trial.Checks = checked.Live, checked.Trial
	v.LiveRefusal, v.TrialRefusal = string(checked.LiveRefusal), string(checked.TrialRefusal)
	v.Diff, v.Agree = checked.Diff, checked.Agree
	return v, append(unchecked, checked.Unchecked...), nil
}

// liveSide is the live side as the trial priced it; times that the trial lacks
// are the exchange's.
func liveSide(ex *journal.Exchange, tr *journal.Trial) journal.Side {
	side := tr.Live
	side.Checks, side.Scores = nil, nil
	if ex == nil {
		return side
	}
	side.Error = side.Error || ex.LiveError()
	if ex.ClientSlow { // its times are the client's
		return side
	}
	if side.LatencyMS == nil && ex.LatencyMS > 0 {
		latency := ex.LatencyMS
		side.LatencyMS = &latency
	}
	if side.TTFTMS == nil {
		side.TTFTMS = ex.TTFTMS
	}
	return side
}

// trialSide has the times of the last attempt and the cost of all.
func trialSide(tr *journal.Trial) journal.Side {
	side := journal.Side{CostUSD: tr.CostUSD, Error: trialFailed(tr)}
	if n := len(tr.Attempts); n > 0 {
		last := tr.Attempts[n-1]
		side.LatencyMS, side.TTFTMS = &last.LatencyMS, last.TTFTMS
	}
	return side
}
