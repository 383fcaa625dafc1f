// Package bedrock is the spoke between llm and the Bedrock Converse wire: the
// family table, the translation of requests and answers, and a Client over the
// AWS SDK whose retries are ours.
package bedrock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"understudy/llm"
)

// A Family is what a family of models can do on Converse: facts of the
// vendors' documentation and of the issue trackers of other translators, as
// data. The translator reads it to find gaps, the simulator to refuse what the
// service would refuse.
type Family struct {
	// Name is what an endpoint declares as its family.
	Name string
	// Models are the beginnings of model ids that this row describes, without
	// region prefix. The first row whose Name fits and of whose Models one is a
	// prefix of the id wins; a row without Models describes the rest.
	Models []string

	// Tools tells whether toolConfig is accepted, StreamWithTools whether
	// ConverseStream takes it, ToolChoiceAny and ToolChoiceTool which forms of
	// toolChoice beyond auto are.
	Tools, StreamWithTools, ToolChoiceAny, ToolChoiceTool bool
	// SingleToolCall tells whether additionalModelRequestFields.tool_choice
	// takes disable_parallel_tool_use, Strict whether toolSpec takes strict.
	SingleToolCall, Strict bool
	// ResultStatus tells whether a result may have a status.
	ResultStatus bool
	// CallWithText tells whether an assistant turn may hold calls and text,
	// ToolResultWithText whether a user turn may hold results and text.
	CallWithText, ToolResultWithText bool
	// System, Images, Documents and Audio tell what content is accepted,
	// ResultImages whether results of calls may hold images.
	System, Images, ResultImages, Documents, Audio bool
	// Prefill tells whether a conversation may end with the assistant's turn.
	Prefill bool
	// StopSequences tells whether stopSequences is accepted, Sampling whether
	// temperature and topP are, TemperatureWithTopP whether both together.
	StopSequences, Sampling, TemperatureWithTopP bool
	// StructuredOutput tells whether outputConfig.textFormat is accepted.
	StructuredOutput bool
	// ServiceTier tells whether serviceTier other than default is accepted.
	ServiceTier bool

	// ThinkingInText tells whether the answer's text may begin with the model's
	// thinking between <thinking> and </thinking>, which is taken out.
	ThinkingInText bool

	// ToolID9 demands tool ids of exactly nine letters and digits.
	ToolID9 bool
	// ToolNameNoDash says that tool names with "-" break tool use, though the
	// service accepts them: they go out with "_".
	ToolNameNoDash bool
	// PlainSchema says that a tool's schema may have nothing but type, properties
	// and required at its top.
	PlainSchema bool
	// Reasoning is how reasoning is asked for.
	Reasoning Reasoning
	// AlwaysReasons tells that reasoning cannot be switched off.
	AlwaysReasons bool
	// ForcedWithReasoning tells whether a call may be demanded while the model
	// reasons.
	ForcedWithReasoning bool
	// MaxStop is the most stop sequences, 0 where the service's own bound holds.
	MaxStop int
	// MaxOutput is the most output tokens that may be asked for, 0 where no
	// source says.
	MaxOutput int
	// Source says where the row's facts were read, and when.
	Source string
}

// Reasoning names a way by which a family is asked to reason.
type Reasoning string

// The ways, all in additionalModelRequestFields unless said otherwise.
const (
	ReasoningNone     Reasoning = ""         // there is none
	ReasoningBudget   Reasoning = "budget"   // thinking, with a budget of tokens
	ReasoningAdaptive Reasoning = "adaptive" // thinking: adaptive, with outputConfig.effort
	ReasoningNova     Reasoning = "nova"     // reasoningConfig
	ReasoningFlat     Reasoning = "flat"     // reasoning_effort
	ReasoningNested   Reasoning = "nested"   // reasoning.effort
	ReasoningConfig   Reasoning = "config"   // reasoning_config
	ReasoningAlways   Reasoning = "always"   // always on, without control
)

// except gives the row for some models, changed where they differ.
func (f Family) except(models []string, source string, change func(*Family)) Family {
	f.Models, f.Source = models, source
	change(&f)
	return f
}

const (
	features = "AWS feature table of Converse, read 2025-08 to 2026-11"
	clients  = "family tables of langchain-aws (2026-08-20), pydantic-ai (2026-08-22) and the Vercel AI SDK (2026-08-22)"
)

// The common row of each family; the table below adds those that differ.
var (
	claudeRow = Family{Name: "claude", Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, SingleToolCall: true,
		CallWithText: true, ToolResultWithText: true, System: true, Images: true, ResultImages: true, ResultStatus: true, Documents: true, Prefill: true,
		StopSequences: true, Sampling: true, TemperatureWithTopP: true}
	llamaRow = Family{Name: "llama", Tools: true, System: true, Documents: true, Sampling: true, TemperatureWithTopP: true,
		Source: features + "; no streaming with tools, no toolChoice (langchain-aws); results and calls alone in their turns (pydantic-ai issue 6098, langchain-aws issue 1118); no prefill (beeai-framework issue 753); stop sequences: native wire has none"}
	mistralRow = Family{Name: "mistral", Tools: true, ToolChoiceAny: true, System: true, Documents: true, StopSequences: true,
		Sampling: true, TemperatureWithTopP: true, ToolID9: true, MaxStop: 10,
		Source: features + "; " + clients + ": no streaming with tools, ids of nine, results and calls alone in their turns; prefill unknown"}
	novaRow = Family{Name: "nova", Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, CallWithText: true,
		ToolResultWithText: true, System: true, Images: true, ResultImages: true, ResultStatus: true, Documents: true, StopSequences: true, Sampling: true, TemperatureWithTopP: true,
		ToolNameNoDash: true, PlainSchema: true, MaxStop: 4,
		Source: features + "; dashes: SEMOSS issue 2892; schemas: pydantic-ai issue 1623; prefill unknown"}
	// openRow is what the open-weight models that came from 2025 on have in common.
	openRow = Family{Tools: true, CallWithText: true, ToolResultWithText: true, System: true, StopSequences: true, Sampling: true, TemperatureWithTopP: true}
)

func openFamily(name, source string, change func(*Family)) Family {
	f := openRow.except(nil, source, change)
	f.Name = name
	return f
}

func ids(models ...string) []string { return models }

// families is the table. Order matters: special rows before the rest of a
// family, and an id before those of which it is a beginning.
var families = []Family{
	claudeRow.except(ids("anthropic.claude-v2", "anthropic.claude-instant"), features, func(f *Family) {
		f.Tools, f.StreamWithTools, f.ToolChoiceAny, f.ToolChoiceTool, f.SingleToolCall, f.Images = false, false, false, false, false, false
		f.MaxOutput = 4096
	}),
	claudeRow.except(ids("anthropic.claude-3-5-haiku"), features, func(f *Family) { f.Images = false }),
	claudeRow.except(ids("anthropic.claude-3-7"), clients, func(f *Family) { f.Reasoning = ReasoningBudget }),
	claudeRow.except(ids("anthropic.claude-3-5"), features, func(*Family) {}),
	claudeRow.except(ids("anthropic.claude-3"), features+"; limit: Vercel AI SDK, 2026-08-22", func(f *Family) { f.MaxOutput = 4096 }),
	claudeRow.except(ids("anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5", "anthropic.claude-opus-4-5"),
		clients+"; one of temperature and topP: bedrock-access-gateway (2026-05-14), litellm issue 15070", func(f *Family) {
			f.TemperatureWithTopP, f.StructuredOutput, f.Strict, f.Reasoning, f.MaxOutput = false, true, true, ReasoningBudget, 64_000
		}),
	claudeRow.except(ids("anthropic.claude-sonnet-4-6", "anthropic.claude-opus-4-6"),
		clients+"; no prefill: bedrock-access-gateway (2026-05-14), hermes-agent issue 101401", func(f *Family) {
			f.TemperatureWithTopP, f.StructuredOutput, f.Strict, f.Reasoning, f.MaxOutput = false, true, true, ReasoningAdaptive, 64_000
			f.Prefill = false
		}),
	claudeRow.except(ids("anthropic.claude-opus-5-5", "anthropic.claude-sonnet-5-5", "anthropic.claude-haiku-5-5", "anthropic.claude-fable-5"),
		"vendor's migration guides (2026-09), langchain-aws issues 1273 and 1274: no sampling, no forced call, no prefill", func(f *Family) {
			newestClaude(f)
			f.ToolChoiceAny, f.ToolChoiceTool, f.AlwaysReasons = false, false, true
		}),
	claudeRow.except(ids("anthropic.claude-opus-4-7"),
		clients+"; no sampling: promptfoo issue 10307; textFormat and strict refused: litellm issues 27846 and 31582; no forced calls while reasoning: langchain-aws pull 1151", func(f *Family) {
			newestClaude(f)
			f.ForcedWithReasoning = false
		}),
	claudeRow.except(ids("anthropic.claude-opus-4-8", "anthropic.claude-opus-5", "anthropic.claude-sonnet-5"),
		clients+"; no sampling: promptfoo issue 10307; textFormat and strict refused: litellm issues 27846 and 31582; forced calls while reasoning: langchain-aws issue 1141", newestClaude),
	claudeRow.except(ids("anthropic.claude-opus-4-1"), clients+"; one of temperature and topP: aws-samples/bedrock-chat pull 979", func(f *Family) {
		f.TemperatureWithTopP, f.Reasoning, f.MaxOutput = false, ReasoningBudget, 32_000
	}),
	claudeRow.except(ids("anthropic.claude-opus-4-2"), clients, func(f *Family) { f.Reasoning, f.MaxOutput = ReasoningBudget, 32_000 }),
	claudeRow.except(ids("anthropic.claude-sonnet-4-2"), clients, func(f *Family) { f.Reasoning, f.MaxOutput = ReasoningBudget, 64_000 }),
	claudeRow.except(ids("anthropic.claude-opus", "anthropic.claude-sonnet", "anthropic.claude-haiku", "anthropic.claude-fable"),
		"a model newer than this table: what all of the newest in it can do", func(f *Family) {
			newestClaude(f)
			f.ToolChoiceAny, f.ToolChoiceTool = false, false
		}),
	claudeRow.except(nil, features+": Claude 3 and later, for a declared family", func(*Family) {}),

	llamaRow.except(ids("meta.llama2", "meta.llama3-8b", "meta.llama3-70b", "meta.llama3-2-1b", "meta.llama3-2-3b"), features, func(f *Family) { f.Tools = false }),
	llamaRow.except(ids("meta.llama3-2-11b", "meta.llama3-2-90b", "meta.llama4"), llamaRow.Source, func(f *Family) { f.Images = true }),
	llamaRow,

	mistralRow.except(ids("mistral.mistral-7b", "mistral.mixtral-8x7b"), features+"; no system text: instructor issue 1753", func(f *Family) {
		f.Tools, f.ToolChoiceAny, f.System = false, false, false
	}),
	mistralRow.except(ids("mistral.pixtral"), clients+"; images: opencode issue 49443", func(f *Family) { f.Images, f.ToolChoiceAny = true, false }),
	mistralRow.except(ids("mistral.mistral-large-3", "mistral.magistral", "mistral.ministral-3-3b"), clients, func(f *Family) {
		f.Images, f.StructuredOutput, f.Strict, f.Documents, f.ToolChoiceAny = true, true, true, false, false
	}),
	mistralRow.except(ids("mistral.ministral"), clients, func(f *Family) { f.StructuredOutput, f.Strict, f.Documents, f.ToolChoiceAny = true, true, false, false }),
	mistralRow.except(ids("mistral.voxtral"), clients+"; speech: strands issues 3862 and 3865", func(f *Family) {
		f.Audio, f.StructuredOutput, f.Strict, f.Documents, f.ToolChoiceAny = true, true, true, false, false
	}),
	mistralRow.except(ids("mistral.devstral", "mistral.mistral-small"), clients, func(f *Family) { f.Documents, f.ToolChoiceAny = false, false }),
	mistralRow,

	novaRow.except(ids("amazon.nova-micro"), novaRow.Source+"; Micro is text only", func(f *Family) { f.Images, f.Documents = false, false }),
	novaRow.except(ids("amazon.nova-2"), novaRow.Source+"; reasoningConfig: inspect_ai issues 3767 and 3848", func(f *Family) { f.Reasoning = ReasoningNova }),
	novaRow,

	openFamily("deepseek", "no tools, always reasoning: langchain-aws issue 447, LibreChat issue 6351", func(f *Family) {
		f.Models, f.Tools, f.Reasoning = ids("deepseek.r1"), false, ReasoningAlways
	}),
	openFamily("deepseek", "langchain-aws issue 1261 (2026-09-05): a named tool is accepted but not obeyed; reasoning_config: bedrock-access-gateway (2026-05-14)", func(f *Family) {
		f.StreamWithTools, f.ToolChoiceAny, f.StructuredOutput, f.Reasoning = true, true, true, ReasoningConfig
	}),
	openFamily("cohere", features+"; "+clients, func(f *Family) { f.StreamWithTools, f.Documents = true, true }),
	openFamily("ai21", features, func(f *Family) { f.Models, f.Tools = ids("ai21.jamba-instruct"), false }),
	openFamily("ai21", features, func(f *Family) { f.StreamWithTools, f.Documents = true, true }),
	openFamily("openai", "no stopSequences: crewAI issue 3317, langchain4j issue 3650; reasoning_effort: "+clients, func(f *Family) {
		f.Models, f.StopSequences, f.StreamWithTools, f.ToolChoiceAny, f.ToolChoiceTool = ids("openai.gpt-oss"), false, true, true, true
		f.Reasoning, f.ForcedWithReasoning, f.AlwaysReasons = ReasoningFlat, true, true
	}),
	openFamily("openai", "no sampling, reasoning.effort: hermes-agent issue 110046, opencode issue 48195 (2026-09-09)", func(f *Family) {
		f.StopSequences, f.Sampling, f.TemperatureWithTopP, f.Images = false, false, false, true
		f.StreamWithTools, f.ToolChoiceAny, f.ToolChoiceTool, f.Reasoning, f.ForcedWithReasoning = true, true, true, ReasoningNested, true
	}),
	openFamily("qwen", "no stopSequences: dify-official-plugins issue 1767; "+clients, func(f *Family) {
		f.Models, f.StopSequences, f.StreamWithTools, f.Images = ids("qwen.qwen3-vl"), false, true, true
	}),
	openFamily("qwen", "no stopSequences: dify-official-plugins issue 1767; "+clients, func(f *Family) {
		f.StopSequences, f.StreamWithTools, f.StructuredOutput, f.Strict = false, true, true, true
	}),
	openFamily("kimi", clients+"; pydantic-ai issue 6318 (2026-07-07)", func(f *Family) {
		f.Models, f.StreamWithTools, f.ToolChoiceAny, f.StructuredOutput, f.Strict, f.Images, f.Reasoning =
			ids("moonshotai.kimi-k2.5"), true, true, true, true, true, ReasoningConfig
	}),
	openFamily("kimi", clients+"; pydantic-ai issue 6318 (2026-07-07)", func(f *Family) {
		f.StreamWithTools, f.ToolChoiceAny, f.StructuredOutput, f.Strict, f.Reasoning = true, true, true, true, ReasoningAlways
	}),
	openFamily("glm", clients+"; pydantic-ai issue 6318 (2026-07-07); streaming with tools unknown", func(f *Family) {
		f.ToolChoiceAny, f.StructuredOutput, f.Strict, f.Reasoning = true, true, true, ReasoningConfig
	}),
	openFamily("minimax", clients+"; streaming with tools and toolChoice unknown", func(f *Family) { f.Reasoning = ReasoningAlways }),
	openFamily("gemma", clients+"; streaming with tools and toolChoice unknown", func(f *Family) {
		f.Models, f.Images, f.Tools = ids("google.gemma-3-12b"), true, false
		f.StructuredOutput = true
	}),
	openFamily("gemma", clients+"; streaming with tools and toolChoice unknown", func(f *Family) { f.Images = true }),
	openFamily("nemotron", clients+"; streaming with tools and toolChoice unknown", func(f *Family) {
		f.Models, f.Images, f.StructuredOutput, f.Strict = ids("nvidia.nemotron-nano-12b-v2"), true, true, true
	}),
	openFamily("nemotron", clients+"; streaming with tools and toolChoice unknown", func(f *Family) {}),
	openFamily("writer", "strands issue 393 (2025-07-09), pydantic-ai issue 6318: no streaming with tools, results alone, no status", func(f *Family) {
		f.ToolResultWithText = false
	}),
	openFamily("grok", "no sampling: hermes-agent issue 111438 (2026-09-15); langchain-aws issue 1239", func(f *Family) {
		f.Sampling, f.TemperatureWithTopP, f.Images, f.ToolChoiceAny = false, false, true, true
	}),
}

// newestClaude is what the Claude models from Opus 4.7 on have in common.
func newestClaude(f *Family) {
	f.Sampling, f.TemperatureWithTopP, f.Prefill = false, false, false
	f.Reasoning, f.ForcedWithReasoning, f.MaxOutput = ReasoningAdaptive, true, 128_000
}

// vendors maps the vendor part of a plain model id to its family.
var vendors = map[string]string{
	"anthropic": "claude", "meta": "llama", "mistral": "mistral", "amazon": "nova", "deepseek": "deepseek", "cohere": "cohere",
	"ai21": "ai21", "openai": "openai", "qwen": "qwen", "moonshot": "kimi", "moonshotai": "kimi", "zai": "glm", "minimax": "minimax",
	"google": "gemma", "nvidia": "nemotron", "writer": "writer", "xai": "grok",
}

// FamilyOf finds the row for a declared family and a model. family may also be
// the id of the base model, such as "anthropic.claude-opus-4-6", for a model whose
// own id does not say it. With an empty family a plain model id names its own; an
// ARN never does. False: no row fits, the endpoint must declare its family, or the
// declared one contradicts the model's own id.
func FamilyOf(family, model string) (Family, bool) {
	id := llm.TrimRegion(model)
	if strings.Contains(family, ".") {
		id, family = llm.TrimRegion(family), ""
	}
	if strings.HasPrefix(id, "arn:") {
		id = ""
	}
	vendor, _, _ := strings.Cut(id, ".")
	switch own := vendors[vendor]; {
	case family == "":
		family = own
	case own != "" && own != family:
		return Family{}, false // the model's own id says otherwise
	}
	for _, f := range families {
		if f.Name != family {
			continue
		}
		if len(f.Models) == 0 {
			return f, true
		}
		for _, m := range f.Models {
			if strings.HasPrefix(id, m) && id != "" {
				return f, true
			}
		}
	}
	return Family{}, false
}

// NoFamily says why FamilyOf found no row.
func NoFamily(family, model string) error {
	vendor, _, _ := strings.Cut(llm.TrimRegion(model), ".")
	names := strings.Join(FamilyNames(), ", ")
	switch own := vendors[vendor]; {
	case own != "" && family != "" && own != family && !strings.Contains(family, "."):
		return fmt.Errorf("family %q does not fit model %q, whose id says %s", family, model, own)
	case family == "" && strings.HasPrefix(model, "arn:"):
		return fmt.Errorf("model %q is an ARN, which says no family: set family to the id of its base model, or to one of %s", model, names)
	}
	return fmt.Errorf("no family is known for family %q and model %q: set family to one of %s, or to the id of the base model", family, model, names)
}

// FamilyNames lists the families that an endpoint may declare.
func FamilyNames() []string {
	return slices.Compact(slices.Sorted(maps.Values(vendors)))
}
