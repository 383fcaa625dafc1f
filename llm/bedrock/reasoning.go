package bedrock

import (
	"strconv"
)

// budgets are the tokens of thinking that stand for an effort, for a family
// that counts them; 1024 is the least that the service takes.
var budgets = map[string]int{"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}

// levels are the efforts of a family that knows three.
var levels = map[string]string{"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}

// reasoning translates reasoning_effort. Models differ in what an effort means,
// so that every mapping is a gap.
func (t *translator) reasoning() {
	const path = "/reasoning_effort"
	effort := t.req.Effort
	level, known := levels[effort]
	switch way := t.family.Reasoning; {
	case effort == "":
	case way == ReasoningAlways, t.family.AlwaysReasons && effort == "none":
		t.gap(path, effortAlways)
	case effort == "none" && (way == ReasoningNone || way == ReasoningBudget || way == ReasoningAdaptive || way == ReasoningNova || way == ReasoningConfig):
		// The models of these families reason only when they are asked to.
	case effort == "none" && way == ReasoningNested:
		t.addField("reasoning", `{"effort":"none"}`)
	case way == ReasoningNone, !known:
		t.gap(path, effortRefused)
	case way == ReasoningBudget && t.insideCall():
		t.gap(path, effortHistory)
	case way == ReasoningBudget:
		t.budget(path, budgets[effort])
	case way == ReasoningAdaptive:
		t.gap(path, effortApproximated)
		t.addField("thinking", `{"type":"adaptive"}`)
		t.out.output.effort = level
		if (effort == "xhigh" || effort == "max") && t.family.MaxOutput >= 128_000 { // the models that know both
			t.out.output.effort = effort
		}
		t.think()
	case way == ReasoningNova:
		if level == "high" { // it takes no limit of the answer, and a bill without a bound is none
			t.gap(path, effortLowered)
			level = "medium"
		} else {
			t.gap(path, effortApproximated)
		}
		t.addField("reasoningConfig", `{"type":"enabled","maxReasoningEffort":"`+level+`"}`)
	case way == ReasoningFlat:
		t.ownMeasure(path, level)
		t.addField("reasoning_effort", `"`+level+`"`)
	case way == ReasoningNested:
		t.ownMeasure(path, level)
		t.addField("reasoning", `{"effort":"`+level+`"}`)
	case way == ReasoningConfig:
		t.gap(path, effortApproximated)
		t.addField("reasoning_config", `"`+level+`"`)
		t.reasons = true
		t.freeChoice()
	}
}

// ownMeasure reports an effort that a model of OpenAI's own knows by another word.
func (t *translator) ownMeasure(path, level string) {
	if level != t.req.Effort {
		t.gap(path, effortApproximated)
	}
}

// budget turns thinking on within the limit of the answer, which holds for both
// at OpenAI as well.
func (t *translator) budget(path string, tokens int) {
	if most := t.out.inference.maxTokens; most != nil && tokens >= *most {
		tokens = *most - 1
	}
	if tokens < budgets["minimal"] {
		t.gap(path, effortNoRoom)
		return
	}
	t.gap(path, effortApproximated)
	t.addField("thinking", `{"type":"enabled","budget_tokens":`+strconv.Itoa(tokens)+`}`)
	t.think()
}

// think gives up what Claude does not take while it thinks.
func (t *translator) think() {
	t.reasons, t.thinks = true, true
	t.freeChoice()
}

// freeChoice gives up the demand for a call where the model takes none while it
// reasons.
func (t *translator) freeChoice() {
	if t.out.choice.mode != "" && !t.family.ForcedWithReasoning {
		t.gap(t.choicePath(), effortChoice)
		t.out.choice = wireChoice{}
	}
}

// insideCall tells whether the model is to go on from a call of its own: it
// would have to show the reasoning that led to it.
func (t *translator) insideCall() bool {
	for i := len(t.turns) - 1; i >= 0; i-- {
		if t.turns[i].assistant {
			return len(t.turns[i].calls) > 0
		}
	}
	return false
}

// singleCall tells Claude to make at most one call. A type beside a toolChoice is
// refused as a conflict, and without one it is demanded (litellm issues 36536 and
// 34347).
func (t *translator) singleCall() {
	if t.out.choice.mode == "" {
		t.addField("tool_choice", `{"type":"auto","disable_parallel_tool_use":true}`)
		return
	}
	t.addField("tool_choice", `{"disable_parallel_tool_use":true}`)
}
