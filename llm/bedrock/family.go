// Package bedrock is the spoke between llm and the Bedrock Converse wire: the
// family table, the translation of requests and answers, and a Client over the
// AWS SDK whose retries are ours.
package bedrock

import (
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
	// Tools tells whether toolConfig is accepted.
	Tools bool
	// StreamWithTools tells whether ConverseStream accepts toolConfig.
	StreamWithTools bool
	// ToolChoiceAny and ToolChoiceTool tell which forms of toolChoice beyond
	// auto are accepted.
	ToolChoiceAny, ToolChoiceTool bool
	// System tells whether system text is accepted.
	System bool
	// Images tells whether image blocks are accepted.
	Images bool
	// StopSequences tells whether stopSequences is accepted.
	StopSequences bool
	// ToolResultWithText tells whether a user turn may hold tool results and
	// text together.
	ToolResultWithText bool
	// ToolID9 demands tool ids of exactly nine letters and digits.
	ToolID9 bool
	// ToolNameNoDash says that tool names with "-" break tool use, though the
	// service accepts them: they go out with "_".
	ToolNameNoDash bool
	// SingleToolCall tells whether additionalModelRequestFields.tool_choice
	// takes disable_parallel_tool_use.
	SingleToolCall bool
	// Source says where the row's facts were read.
	Source string
}

// families is the table. Order matters: special rows before the rest of a family.
var families = []Family{
	{Name: "claude", Models: []string{"anthropic.claude-v2", "anthropic.claude-instant"},
		System: true, StopSequences: true, ToolResultWithText: true,
		Source: "AWS feature table of Converse: Claude 2 without tools and images, 2026-11"},
	{Name: "claude", Models: []string{"anthropic.claude-3-5-haiku"},
		Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, System: true,
		StopSequences: true, ToolResultWithText: true, SingleToolCall: true,
		Source: "AWS feature table of Converse: Claude 3.5 Haiku without images, 2026-11"},
	{Name: "claude",
		Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, System: true, Images: true,
		StopSequences: true, ToolResultWithText: true, SingleToolCall: true,
		Source: "AWS feature table of Converse: Claude 3 and later, 2026-11"},
	{Name: "llama", Models: []string{"meta.llama2", "meta.llama3-8b", "meta.llama3-70b", "meta.llama3-2-1b", "meta.llama3-2-3b"},
		System: true, StopSequences: false,
		Source: "AWS feature table of Converse: Llama 2, 3 and the small 3.2 without tools, 2026-11"},
	{Name: "llama", Models: []string{"meta.llama3-2-11b", "meta.llama3-2-90b", "meta.llama4"},
		Tools: true, System: true, Images: true,
		Source: "AWS feature table; streaming with tools refused for all Meta models (langchain-aws family table), 2026-11"},
	{Name: "llama",
		Tools: true, System: true,
		Source: "AWS feature table; streaming with tools refused for all Meta models (langchain-aws family table), 2026-11"},
	{Name: "mistral", Models: []string{"mistral.mistral-7b", "mistral.mixtral-8x7b"},
		StopSequences: true, ToolID9: true,
		Source: "AWS feature table of Converse: Mistral Instruct without tools and system text, 2026-11"},
	{Name: "mistral",
		Tools: true, ToolChoiceAny: true, System: true, StopSequences: true, ToolID9: true,
		Source: "AWS feature table; streaming with tools refused (langchain-aws family table), 2026-11"},
	{Name: "nova", Models: []string{"amazon.nova-micro"},
		Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, System: true,
		StopSequences: true, ToolResultWithText: true, ToolNameNoDash: true,
		Source: "AWS feature table of Converse: Nova Micro is text only; dashes: SEMOSS issue 2892, 2026-11"},
	{Name: "nova",
		Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, System: true, Images: true,
		StopSequences: true, ToolResultWithText: true, ToolNameNoDash: true,
		Source: "AWS feature table of Converse; dashes: SEMOSS issue 2892, 2026-11"},
}

// vendors maps the vendor part of a plain model id to its family.
var vendors = map[string]string{"anthropic": "claude", "meta": "llama", "mistral": "mistral", "amazon": "nova"}

// FamilyOf finds the row for a declared family and a model. With an empty
// family a plain model id names its own; an ARN never does. False: no row, and
// the endpoint must declare its family.
func FamilyOf(family, model string) (Family, bool) {
	id := llm.TrimRegion(model)
	if strings.HasPrefix(id, "arn:") {
		id = ""
	}
	if family == "" {
		vendor, _, _ := strings.Cut(id, ".")
		family = vendors[vendor]
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

// FamilyNames lists the families that an endpoint may declare.
func FamilyNames() []string { return []string{"claude", "llama", "mistral", "nova"} }

// WithCapabilities lifts limits of the row: "tools" makes it accept tools.
func (f Family) WithCapabilities(capabilities []string) Family {
	for _, c := range capabilities {
		if c == "tools" {
			f.Tools = true
		}
	}
	return f
}
