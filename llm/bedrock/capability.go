package bedrock

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// An ability is an entry of the family table that an endpoint may override.
type ability struct {
	at    func(*Family) *bool
	means string
}

// switches are the abilities that an endpoint's capabilities may lift, by the name
// "tools", or deny, by "!tools".
var switches = map[string]ability{
	"tools":                  {func(f *Family) *bool { return &f.Tools }, "toolConfig is accepted"},
	"stream_with_tools":      {func(f *Family) *bool { return &f.StreamWithTools }, "ConverseStream accepts toolConfig; without it Converse is called"},
	"tool_choice_any":        {func(f *Family) *bool { return &f.ToolChoiceAny }, "a call of any tool may be demanded"},
	"tool_choice_tool":       {func(f *Family) *bool { return &f.ToolChoiceTool }, "a call of one tool may be demanded"},
	"single_tool_call":       {func(f *Family) *bool { return &f.SingleToolCall }, "the model can be held to one call (Claude's disable_parallel_tool_use)"},
	"strict":                 {func(f *Family) *bool { return &f.Strict }, "toolSpec takes strict"},
	"result_status":          {func(f *Family) *bool { return &f.ResultStatus }, "a tool result may have a status"},
	"call_with_text":         {func(f *Family) *bool { return &f.CallWithText }, "text and calls may stand in one turn of the assistant"},
	"tool_result_with_text":  {func(f *Family) *bool { return &f.ToolResultWithText }, "text and results may stand in one turn of the user"},
	"system":                 {func(f *Family) *bool { return &f.System }, "system text is accepted"},
	"images":                 {func(f *Family) *bool { return &f.Images }, "images are accepted"},
	"result_images":          {func(f *Family) *bool { return &f.ResultImages }, "images are accepted in tool results"},
	"documents":              {func(f *Family) *bool { return &f.Documents }, "documents are accepted"},
	"audio":                  {func(f *Family) *bool { return &f.Audio }, "speech is accepted"},
	"prefill":                {func(f *Family) *bool { return &f.Prefill }, "a conversation may end with the assistant's turn"},
	"stop_sequences":         {func(f *Family) *bool { return &f.StopSequences }, "stopSequences is accepted; without it whole answers are cut at them"},
	"sampling":               {func(f *Family) *bool { return &f.Sampling }, "temperature and topP are accepted"},
	"temperature_with_top_p": {func(f *Family) *bool { return &f.TemperatureWithTopP }, "both together"},
	"structured_output":      {func(f *Family) *bool { return &f.StructuredOutput }, "outputConfig.textFormat is accepted"},
	"thinking_in_text":       {func(f *Family) *bool { return &f.ThinkingInText }, "text may begin with <thinking>…</thinking>, which is taken out with a gap; no row has it (Nova 1 is known to do so beside tools)"},
	"service_tier":           {func(f *Family) *bool { return &f.ServiceTier }, "serviceTier flex is passed on; no row has it, since prices differ by tier"},
}

// Capabilities lists the names that an endpoint's capabilities may hold.
func Capabilities() []string { return slices.Sorted(maps.Keys(switches)) }

// CheckCapabilities reports the names that are not known.
func CheckCapabilities(capabilities []string) error {
	var errs []error
	for _, c := range capabilities {
		if _, ok := switches[strings.TrimPrefix(c, "!")]; !ok {
			errs = append(errs, fmt.Errorf("capability %q is unknown; known, also with ! before them: %s", c, strings.Join(Capabilities(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// WithCapabilities lifts limits of the row, such as "tools", and sets others,
// such as "!stop_sequences". Names that are not known change nothing.
func (f Family) WithCapabilities(capabilities []string) Family {
	for _, c := range capabilities {
		name, denied := strings.CutPrefix(c, "!")
		if one, ok := switches[name]; ok {
			*one.at(&f) = !denied
		}
	}
	return f
}

// refusalTexts are the words by which the service says that a model lacks an
// ability, the special before the general. They are read from reports of users
// (crewAI issue 3317, litellm issues 15070, 27846 and 31582, opencode issues
// 29760 and 49443, instructor issue 1753, langchain-aws issues 141, 447, 1118,
// 1273, beeai-framework issue 753); a name in the service's general form
// "This model doesn't support the NAME field" that none reported is by analogy.
var refusalTexts = []struct {
	words      *regexp.Regexp
	capability string
}{
	{words(`doesn't support tool use in streaming mode`), "stream_with_tools"},
	{words(`doesn't support tool use`), "tools"},
	{words(`support the .?stopSequences.? field`), "stop_sequences"},
	{words(`.?temperature.? and .?top_p.? cannot both be specified`), "temperature_with_top_p"},
	{words(`(support the .?(temperature|topP).? field|.?temperature.? is deprecated for this model)`), "sampling"},
	{words(`support the .?toolConfig\.toolChoice\.any.? field|tool_choice: type "tool" and "any" are not supported`), "tool_choice_any"},
	{words(`support the .?toolConfig\.toolChoice\.tool.? field`), "tool_choice_tool"},
	{words(`doesn't support system messages`), "system"},
	{words(`support the image (field|content block)`), "images"},
	{words(`support the document (field|content block)`), "documents"},
	{words(`support the audio (field|content block)`), "audio"},
	{words(`does not support assistant message prefill|requires the last turn in the conversation to be a user message`), "prefill"},
	{words(`output_config\.format: Extra inputs are not permitted|support the .?outputConfig(\.textFormat)?.? field`), "structured_output"},
	{words(`tools\.\d+\.custom\.strict: Extra inputs are not permitted`), "strict"},
	{words(`Conversation blocks and tool result blocks cannot be provided in the same turn`), "tool_result_with_text"},
	{words(`Conversation blocks and tool use blocks cannot be provided in the same turn`), "call_with_text"},
	{words(`support the .?serviceTier.? field`), "service_tier"},
	{words(`support the .?status.? field`), "result_status"},
}

func words(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + pattern) }

// Proposal is the change of capabilities, such as "!stop_sequences", that the
// text of a ValidationException suggests for a model of family f: "" where it
// says nothing of an ability, or only what the family table says already. It is
// for an operator to decide; nothing is ever changed by itself.
func (f Family) Proposal(message string) string {
	for _, r := range refusalTexts {
		if r.words.MatchString(message) {
			if !*switches[r.capability].at(&f) {
				return ""
			}
			return "!" + r.capability
		}
	}
	return ""
}
