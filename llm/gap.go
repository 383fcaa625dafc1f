package llm

import (
	"fmt"
	"strings"
)

// A Severity says what a Gap means for the comparison.
type Severity string

// The severities, weakest first. A blocking gap makes the pair incomparable.
const (
	Cosmetic Severity = "cosmetic"
	Semantic Severity = "semantic"
	Blocking Severity = "blocking"
)

// An Action says what was done about a Gap.
type Action string

// The actions.
const (
	Dropped      Action = "dropped"
	Approximated Action = "approximated"
	Emulated     Action = "emulated"
	Refused      Action = "refused"
)

// A Gap is a feature of a request that an endpoint cannot express as asked.
type Gap struct {
	// Path is the JSON Pointer of the feature in the OpenAI request.
	Path     string   `json:"path"`
	Severity Severity `json:"severity"`
	Action   Action   `json:"action"`
	// Reason is a short sentence. It never quotes the request's text.
	Reason string `json:"reason"`
}

// Code is the name of the gap's kind, with which its Reason begins.
func (g Gap) Code() string {
	code, _, _ := strings.Cut(g.Reason, ":")
	return code
}

// Comparable tells whether no gap is blocking.
func Comparable(gaps []Gap) bool {
	for _, g := range gaps {
		if g.Severity == Blocking {
			return false
		}
	}
	return true
}

// LimitGap says that a request without a limit of its own went out with one: only
// a limit that the provider knows bounds what the call may cost.
func LimitGap(limit int) Gap {
	return Gap{Path: "/max_completion_tokens", Severity: Cosmetic, Action: Approximated,
		Reason: fmt.Sprintf("max_tokens_set: the request names no limit that can be sent, %d was", limit)}
}

// A Tier is the way in which a demanded form of answer is asked for.
type Tier string

// The tiers, strongest first.
const (
	// TierNative: the service holds the model to the schema.
	TierNative Tier = "native"
	// TierTool: the answer is the arguments of a hidden tool that must be called.
	TierTool Tier = "tool"
	// TierInstruction: the prompt asks for it.
	TierInstruction Tier = "instruction"
)
