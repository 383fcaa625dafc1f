package judge

import (
	"math"
	"slices"
	"strings"

	"understudy/llm"
)

// The ways in which a verdict was found, best first.
const (
	parseTool   = "tool"   // the arguments of the verdict tool's call
	parseJSON   = "json"   // a JSON object in the reply's text
	parseTag    = "tag"    // <answer>X</answer>, [[X]], or the probabilities of a single token
	parseRegex  = "regex"  // a concluding sentence or line
	parseFailed = "failed" // none: the verdict is missing, never a number
)

// A Parsed is what a judge's reply says.
type Parsed struct {
	// Label is one of the allowed ones, of a scale the number as text, "" where
	// there is none.
	Label string
	// Score is set where a scale was asked for, or token probabilities.
	Score  *float64
	Reason string
	Parse  string
}

func failedParse() Parsed { return Parsed{Parse: parseFailed} }

// ParseCalls reads the verdict from calls of the verdict tool. Several calls must
// say the same.
func ParseCalls(calls []llm.ToolCall, labels []string) Parsed {
	return (&wanted{labels: labels}).calls(calls)
}

// ParseScaleCalls reads a number of the scale [lo, hi] in the same way.
func ParseScaleCalls(calls []llm.ToolCall, lo, hi float64) Parsed {
	return (&wanted{scale: true, lo: lo, hi: hi}).calls(calls)
}

// ParseText reads the verdict from a reply in words, by a ladder: a JSON object, a
// tag, a concluding sentence or line. Within a rung two different verdicts are none;
// a rung without one leads to the next. What the reply quotes from between the
// fences of the question is not read, and of a very long reply only the beginning
// and the end are.
func ParseText(reply string, labels []string) Parsed {
	return (&wanted{labels: labels}).text(reply)
}

// ParseScale reads a number of the scale [lo, hi] in the same way.
func ParseScale(reply string, lo, hi float64) Parsed {
	return (&wanted{scale: true, lo: lo, hi: hi}).text(reply)
}

// ParseLogprobs weighs the first two labels by the probabilities of a single token:
// the score is P(labels[0]) ÷ (P(labels[0]) + P(labels[1])), the label the likelier.
// Tokens are compared without the spaces around them, and by exact case. Neither
// among the tokens is no verdict.
func ParseLogprobs(tokens map[string]float64, labels []string) Parsed {
	if len(labels) < 2 || labels[0] == labels[1] {
		return failedParse()
	}
	var found [2][]float64
	for token, logprob := range tokens {
		for i := range found {
			if strings.TrimSpace(token) == labels[i] {
				found[i] = append(found[i], logprob)
			}
		}
	}
	a, b := sumOfLogs(found[0]), sumOfLogs(found[1])
	score := 1 / (1 + math.Exp(b-a))
	if math.IsNaN(score) { // neither is there
		return failedParse()
	}
	label := labels[0]
	if b > a {
		label = labels[1]
	}
	return Parsed{Label: label, Score: &score, Parse: parseTag}
}

// sumOfLogs is the logarithm of the sum of probabilities given as logarithms, also
// where each of them is too small for a number. It does not depend on their order.
func sumOfLogs(logs []float64) float64 {
	if len(logs) == 0 {
		return math.Inf(-1)
	}
	slices.Sort(logs)
	most := logs[len(logs)-1]
	if math.IsInf(most, 0) {
		return most
	}
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - most)
	}
	return most + math.Log(sum)
}

// wanted is what a verdict may be.
type wanted struct {
	labels []string
	scale  bool
	lo, hi float64
}

func (w *wanted) calls(calls []llm.ToolCall) Parsed {
	found := finds{how: parseTool}
	for _, c := range calls {
		v, err := parseValue(c.Arguments)
		if err != nil {
			return failedParse()
		}
		found.take(w.fromObject(v))
	}
	if p, ok := found.result(); ok {
		return p
	}
	return failedParse()
}

func (w *wanted) text(reply string) Parsed {
	reply, ok := withoutQuotes(strings.ToValidUTF8(reply, "\uFFFD"))
	if !ok {
		return failedParse()
	}
	reply = strings.TrimSpace(excerpt(reply))
	p, prose, ok := w.inJSON(reply)
	for _, rung := range []func(string) (Parsed, bool){w.inTag, w.inWords} {
		if !ok {
			p, ok = rung(prose)
		}
	}
	if !ok {
		return failedParse()
	}
	if p.Parse != parseFailed && p.Reason == "" {
		p.Reason = reply
	}
	return p
}
