package main

import (
	"time"

	"understudy/llm/sim"
)

// A demoScenario is what the simulated models are like, and what follows from it.
type demoScenario struct {
	name, says string
	// quality is the mean of correctness, of live and of the two candidates.
	live, llama, claude float64
	// verbose is the share of answers to which the baseline adds words when it is
	// asked again, lengthBias that of verdicts in which the judge simply prefers the
	// longer answer.
	verbose, lengthBias float64
}

// The scenarios. The figures of the first are those of the case.
var (
	demoGood = demoScenario{
		name: "good", says: "Llama answers as well as live and faster; Claude answers worse and slower",
		live: 0.70, llama: 0.70, claude: 0.40,
	}
	demoWorse = demoScenario{
		name: "worse", says: "Llama is as fast as in the first scenario, and its answers are worse than live's",
		live: 0.70, llama: 0.45, claude: 0.40,
	}
	demoBiasedJudge = demoScenario{
		name: "biased-judge", says: "the judge prefers long answers, and the baseline asked again answers at greater length than live did: no verdict of this judge can be relied on",
		live: 0.70, llama: 0.70, claude: 0.40, verbose: 1, lengthBias: 0.9,
	}
)

var demoScenarios = map[string]demoScenario{demoGood.name: demoGood, demoWorse.name: demoWorse, demoBiasedJudge.name: demoBiasedJudge}

// demoModels are the ids that the simulated providers answer to.
const (
	demoLlama   = "us.meta.llama3-3-70b-instruct-v1:0"
	demoClaude  = "us.anthropic.claude-3-5-sonnet-20241022-v2:0"
	demoJudge   = "us.amazon.nova-pro-v1:0"
	demoLive    = "gpt-4-turbo"
	demoControl = "gpt-4-turbo-2024-04-09"
)

// persona answers like a model of the case: 30,000 input and 5,000 output tokens an
// interview, over six requests.
func persona(latency time.Duration, quality float64) sim.Persona {
	return sim.Persona{LatencyMean: latency, LatencySpread: 0.2, TTFTShare: 0.3, InputTokens: 5000, OutputTokens: 833, OutputSpread: 0.1, Quality: &quality}
}
