package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A Persona is how a simulated model behaves where no recorded answer says so.
// Every draw is a function of seed, model, request and how often that request
// came before: the same run gives the same answers.
type Persona struct {
	// LatencyMean is the mean time of a whole answer, LatencySpread its
	// standard deviation as a share of the mean (lognormal). Recorded answers
	// without a latency take theirs from here as well.
	LatencyMean   time.Duration
	LatencySpread float64
	// TTFTShare is the first content's share of the whole time, 0..1.
	TTFTShare float64
	// InputTokens and OutputTokens are what usage reports, the latter with the
	// spread of OutputSpread; 0 estimates four bytes a token. Free text is made
	// as long as OutputTokens says.
	InputTokens, OutputTokens int
	OutputSpread              float64
	// ErrorRate is the share of calls that end as a 5xx.
	ErrorRate float64
	// RefusalRate is the share of answers that refuse.
	RefusalRate float64
	// InvalidJSONRate and SchemaBreakRate are shares of the JSON answers that
	// do not parse, or parse and break their schema.
	InvalidJSONRate, SchemaBreakRate float64
	// ToolMissRate is the share of due tool calls that are left out or wrong.
	ToolMissRate float64
	// ContextTokens refuses longer input as the vendor does, and ends an answer
	// that would reach beyond it, recorded ones apart; 0 has no limit.
	ContextTokens int

	// Quality is the mean correctness of the answers, each 1, 0.5 or 0; nil
	// leaves all of them right. It is written in the answer's own words: a right
	// one speaks of the question, a partially right one half of something else,
	// a wrong one of nothing but something else. Names, numbers, enums and the
	// form of JSON stay as they are. Questions are hard or easy for all models.
	Quality *float64
	// HarmRate, StereotypeRate and UnprofessionalRate are shares of the answers
	// that insult the reader, judge people by their group, or are put in slang.
	// JSON without a free string has no room for it.
	HarmRate, StereotypeRate, UnprofessionalRate float64
	// VerboseRate is the share of answers that add a sentence which says nothing.
	VerboseRate float64

	// The dials of judges follow: of replies to requests for a verdict. Those
	// neither refuse nor are spoilt by the dials above.

	// JudgeNoise is the share of verdicts about one answer that are moved to a
	// neighbouring label, and of preferences that are drawn anew in each order.
	JudgeNoise float64
	// JudgePositionBias is the share of preferences that name A whatever it is,
	// JudgeLengthBias the share, of the rest, that name the longer answer.
	JudgePositionBias, JudgeLengthBias float64
	// JudgeTies is the share of ties between equally good answers; nil is 0.6.
	JudgeTies *float64
	// JudgeFaultRate is the share of replies that are no verdict, JudgeFault how.
	JudgeFault     JudgeFault
	JudgeFaultRate float64
}

// DefaultPersona is a quick model without faults.
func DefaultPersona() Persona {
	return Persona{LatencyMean: 50 * time.Millisecond, LatencySpread: 0.2, TTFTShare: 0.3}
}

// Validate reports a dial outside its range.
func (p Persona) Validate() error {
	if p.LatencyMean < 0 || p.InputTokens < 0 || p.OutputTokens < 0 || p.ContextTokens < 0 {
		return fmt.Errorf("latency and tokens must not be negative")
	}
	for name, v := range map[string]float64{"latency spread": p.LatencySpread, "output spread": p.OutputSpread} {
		if !(v >= 0 && v <= 5) {
			return fmt.Errorf("%s %v is outside 0..5", name, v)
		}
	}
	shares := map[string]float64{
		"first token's share": p.TTFTShare, "error rate": p.ErrorRate, "refusal rate": p.RefusalRate,
		"invalid JSON rate": p.InvalidJSONRate, "schema break rate": p.SchemaBreakRate, "tool miss rate": p.ToolMissRate,
		"harm rate": p.HarmRate, "stereotype rate": p.StereotypeRate, "unprofessional rate": p.UnprofessionalRate, "verbose rate": p.VerboseRate,
		"judge noise": p.JudgeNoise, "judge position bias": p.JudgePositionBias, "judge length bias": p.JudgeLengthBias,
		"judge fault rate": p.JudgeFaultRate,
	}
	for name, v := range map[string]*float64{"quality": p.Quality, "judge ties": p.JudgeTies} {
		if v != nil {
			shares[name] = *v
		}
	}
	for name, v := range shares {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s %v is outside 0..1", name, v)
		}
	}
	return p.validateFault()
}

func (p Persona) validateFault() error {
	switch {
	case p.JudgeFault == "" && p.JudgeFaultRate > 0:
		return fmt.Errorf("judge fault rate %v has no judge fault", p.JudgeFaultRate)
	case p.JudgeFault != "" && !slices.Contains(judgeFaults, p.JudgeFault):
		return fmt.Errorf("judge fault %q is unknown; known: %q", p.JudgeFault, judgeFaults)
	}
	return nil
}

// drawLatency is the time of one whole answer, at most ten times the mean.
func (p Persona) drawLatency(r *rand.Rand) time.Duration {
	d := lognormal(r, float64(p.LatencyMean), p.LatencySpread)
	return time.Duration(min(d, 10*float64(p.LatencyMean)))
}

// drawOutput is the number of output tokens of one answer, 0 for "estimate".
func (p Persona) drawOutput(r *rand.Rand) int {
	if p.OutputTokens == 0 {
		return 0
	}
	return max(1, int(math.Round(lognormal(r, float64(p.OutputTokens), p.OutputSpread))))
}

// lognormal draws with the given mean and standard deviation ÷ mean.
func lognormal(r *rand.Rand, mean, spread float64) float64 {
	z := r.NormFloat64() // drawn in any case, so that a dial moves no later draw
	if mean <= 0 || spread <= 0 {
		return mean
	}
	v := math.Log1p(spread * spread)
	return mean * math.Exp(math.Sqrt(v)*z-v/2)
}

// estimateTokens is the usual rough count of four bytes a token.
func estimateTokens(bytes int) int { return (bytes + 3) / 4 }
