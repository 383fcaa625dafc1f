// Package canary turns verdicts into decisions: it folds whole conversations
// into states of evidence, one set for each cell (sub-module × candidate), and
// says PROMOTE, HOLD, REJECT or COLLECTING with its findings.
//
// One Engine holds the arithmetic. Two drivers feed it: Analyze from a file of
// observations, Analyzer from the streams of the running daemon. A live run that
// has ended and an offline pass over its observations give the same numbers.
package canary

// The verdicts on a cell.
const (
	// Promote: every gate is proven, and nothing speaks against the evidence.
	Promote = "PROMOTE"
	// Hold: a person is needed; collecting goes on.
	Hold = "HOLD"
	// Reject: at least one gate is proven violated.
	Reject = "REJECT"
	// Collecting: there is not enough evidence yet.
	Collecting = "COLLECTING"
)

// The states of a gate.
const (
	Proven   = "proven"
	Violated = "violated"
	Open     = "open"
	NoData   = "no_data"
)
