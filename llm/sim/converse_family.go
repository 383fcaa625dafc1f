package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// checkTools looks at toolConfig and at the history that demands it.
func (c *cvCall) checkTools() *awsError {
	t := c.body.ToolConfig
	if t == nil {
		if c.hasCalls {
			return invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
		}
		return nil
	}
	seen := map[string]bool{}
	for i, tool := range t.Tools {
		at := fmt.Sprintf("toolConfig.tools.%d", i)
		switch spec := tool.ToolSpec; {
		case tool.SystemTool != nil:
			return invalid("This model doesn't support the systemTool field at %s. Remove it and try again.", at)
		case spec == nil:
			if i == 0 {
				return invalid("A cachePoint block needs a tool before it at %s.", at)
			}
		case spec.Strict != nil && *spec.Strict && !c.family.Strict:
			return invalid("The model returned the following errors: tools.%d.custom.strict: Extra inputs are not permitted", i)
		case seen[spec.Name]:
			return invalid("The tool %s is already defined at %s.", spec.Name, at)
		case spec.Description != nil && blank(*spec.Description):
			return invalid("The description at %s.toolSpec is blank. Add text to the description field, and try again.", at)
		default:
			seen[spec.Name] = true
			if e := checkSchema(at+".toolSpec.inputSchema.json", spec.InputSchema.JSON); e != nil {
				return e
			}
		}
	}
	if len(seen) == 0 {
		return invalid("The tools field in toolConfig must have at least one toolSpec.")
	}
	if ch := t.ToolChoice; ch != nil && ch.Tool != nil && !seen[ch.Tool.Name] {
		return invalid("The tool %s in toolConfig.toolChoice.tool.name is not one of toolConfig.tools.", ch.Tool.Name)
	}
	return nil
}

func checkSchema(at string, raw []byte) *awsError {
	v, err := decodeTree(raw)
	schema, ok := v.(map[string]any)
	if err != nil || !ok {
		return invalid("The format of the value at %s is invalid. Provide a json object for the field and try again.", at)
	}
	if schema["type"] != "object" {
		return invalid("The value at %s.type must be one of the following: object.", at)
	}
	return nil
}

var nineLetters = regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)

// checkFamily refuses what the model cannot do.
func (c *cvCall) checkFamily() *awsError {
	f, b := c.family, &c.body
	if len(b.System) > 0 && !f.System {
		return invalid("This model doesn't support system messages. Try again without a system message or use a model that supports system messages.")
	}
	if t := b.ToolConfig; t != nil {
		switch {
		case !f.Tools:
			return invalid("This model doesn't support tool use.")
		case c.stream && !f.StreamWithTools:
			return invalid("This model doesn't support tool use in streaming mode.")
		case t.ToolChoice != nil && t.ToolChoice.Any != nil && !f.ToolChoiceAny:
			return unsupported("toolConfig.toolChoice.any")
		case t.ToolChoice != nil && t.ToolChoice.Tool != nil && !f.ToolChoiceTool:
			return unsupported("toolConfig.toolChoice.tool")
		case t.ToolChoice != nil && t.ToolChoice.Auto != nil && f.Name == "llama" && !autoChoice.MatchString(plainID(c.model)):
			return unsupported("toolConfig.toolChoice.auto")
		}
	}
	if in := b.InferenceConfig; in != nil {
		if e := c.checkInference(in); e != nil {
			return e
		}
	}
	if b.OutputConfig != nil && b.OutputConfig.TextFormat != nil && !f.StructuredOutput {
		if f.Name == "claude" {
			return invalid("The model returned the following errors: output_config.format: Extra inputs are not permitted")
		}
		return unsupported("outputConfig.textFormat")
	}
	if e := c.checkFamilyBlocks(); e != nil {
		return e
	}
	return c.checkExtra()
}

func unsupported(field string) *awsError {
	return invalid("This model doesn't support the %s field. Remove %s and try again.", field, field)
}

// autoChoice are the Llama models that take an explicit auto.
var autoChoice = regexp.MustCompile(`^meta\.llama(3-1|3-3|3-2-[1-9]\d|4)`)

func (c *cvCall) checkInference(in *cvInference) *awsError {
	if len(in.StopSequences) > 0 && !c.family.StopSequences {
		return unsupported("stopSequences")
	}
	if most := c.family.MaxStop; most > 0 && len(in.StopSequences) > most {
		return invalid("The number of stopSequences is %d, which is greater than the limit of %d.", len(in.StopSequences), most)
	}
	if slices.ContainsFunc(in.StopSequences, blank) {
		return invalid("The model returned the following errors: stop_sequences: each stop sequence must contain non-whitespace")
	}
	switch {
	case (in.Temperature != nil || in.TopP != nil) && !c.family.Sampling:
		if c.family.Name == "claude" {
			return invalid("The model returned the following errors: `temperature` is deprecated for this model.")
		}
		return unsupported("temperature")
	case in.Temperature != nil && in.TopP != nil && !c.family.TemperatureWithTopP:
		return invalid("The model returned the following errors: `temperature` and `top_p` cannot both be specified for this model. Please use only one.")
	}
	if most := c.family.MaxOutput; most > 0 && in.MaxTokens != nil && *in.MaxTokens > most {
		return invalid("The maximum tokens you requested exceeds the model limit of %d. Try again with a maximum tokens value that is lower than %d.", most, most)
	}
	return nil
}

func (c *cvCall) checkFamilyBlocks() *awsError {
	for i, m := range c.body.Messages {
		results, calls, conversation := false, false, false
		for j, b := range m.Content {
			id := ""
			images := b.Image != nil
			switch {
			case b.ToolResult != nil:
				results, id = true, b.ToolResult.ID
				if b.ToolResult.Status != "" && !c.family.ResultStatus {
					return unsupported("status")
				}
				for _, r := range b.ToolResult.Content {
					if r.Image != nil && !c.family.ResultImages {
						return invalid("This model doesn't support the image field for user messages. Remove image and try again.")
					}
					images = images || r.Image != nil
				}
			case b.ToolUse != nil:
				calls, id = true, b.ToolUse.ID
			case b.Text != nil || b.Image != nil || b.Document != nil || b.Audio != nil:
				conversation = true
			}
			switch {
			case b.Document != nil && !c.family.Documents:
				return invalid("This model doesn't support the document content block that you provided. Update the content block and try again.")
			case b.Audio != nil && !c.family.Audio:
				return invalid("This model doesn't support the audio content block that you provided. Update the content block and try again.")
			case images && !c.family.Images:
				return invalid("This model doesn't support the image content block that you provided at messages.%d.content.%d.", i, j)
			case id != "" && c.family.ToolID9 && !nineLetters.MatchString(id):
				return invalid("The model returned the following errors: Tool call id was %s but must be a-z, A-Z, 0-9, with a length of 9.", id)
			}
		}
		if results && conversation && !c.family.ToolResultWithText {
			return invalid("Conversation blocks and tool result blocks cannot be provided in the same turn.")
		}
		if calls && conversation && !c.family.CallWithText {
			return invalid("Conversation blocks and tool use blocks cannot be provided in the same turn.")
		}
	}
	return nil
}

// openAIOnly are fields of the other wire: models refuse them as extraneous,
// wherever they are put.
var openAIOnly = []string{
	"messages", "model", "n", "seed", "logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty",
	"response_format", "user", "parallel_tool_calls", "store", "max_completion_tokens", "stream", "stream_options", "functions", "function_call",
}

func (c *cvCall) checkExtra() *awsError {
	v, ok := c.tree["additionalModelRequestFields"]
	if !ok || v == nil {
		return nil
	}
	extra, ok := v.(map[string]any)
	if !ok {
		return invalid("The format of the value at additionalModelRequestFields is invalid. Provide a json object for the field and try again.")
	}
	if choice, ok := extra["tool_choice"].(map[string]any); ok {
		if e := c.checkExtraChoice(choice); e != nil {
			return e
		}
	}
	for _, k := range openAIOnly {
		if _, ok := extra[k]; ok {
			return invalid("The model returned the following errors: Malformed input request: #: extraneous key [%s] is not permitted, please reformat your input and try again.", strings.TrimSpace(k))
		}
	}
	return nil
}

// checkExtraChoice looks at Claude's own tool_choice, which may stand beside the
// common one: a type there is a conflict, and without it one is needed.
func (c *cvCall) checkExtraChoice(choice map[string]any) *awsError {
	if c.family.Name != "claude" {
		return nil
	}
	_, hasType := choice["type"]
	t := c.body.ToolConfig
	switch {
	case t == nil:
		return invalid("The model returned the following errors: tool_choice may only be specified while providing tools.")
	case t.ToolChoice != nil && hasType:
		return invalid("The additional field tool_choice/type conflicts with the existing field toolConfig.toolChoice. Remove tool_choice/type and try again.")
	case t.ToolChoice == nil && !hasType:
		return invalid("The model returned the following errors: tool_choice.type: Field required")
	}
	return nil
}
