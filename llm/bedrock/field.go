package bedrock

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// A fieldRow declares what becomes of one field of a Chat Completions request.
type fieldRow struct {
	// path is the field's JSON Pointer, * standing for any index.
	path string
	// to is where the field goes in the Converse request, "" for nowhere.
	to string
	// gaps are what may be reported of a field that goes somewhere.
	gaps []*gapKind
	// extra is what is reported of a field that has no neutral form.
	extra *gapKind
	// harmless lists the values of such a field that ask for nothing.
	harmless []string
	// below tells that the row speaks for everything inside the field as well.
	below bool
}

func mapped(path, to string, gaps ...*gapKind) fieldRow {
	return fieldRow{path: path, to: to, gaps: gaps}
}

// opaque is mapped for a field that goes out byte for byte with all that is in it.
func opaque(path, to string, gaps ...*gapKind) fieldRow {
	return fieldRow{path: path, to: to, gaps: gaps, below: true}
}

func dropped(path string, k *gapKind, harmless ...string) fieldRow {
	return fieldRow{path: path, extra: k, harmless: harmless, below: true}
}

const system = "system[].text, or messages[].content[].text"

// fieldRows declares every field of Chat Completions, OpenAI's and Azure's. One
// that is not here is unknown, which is a gap as well: no field goes lost in
// silence.
var fieldRows = []fieldRow{
	mapped("/model", "the endpoint's model id"),
	mapped("/messages", "messages, system", systemOnly, leadingAssistant, prefillRefused, prefillTools, prefillContinued, prefillTrimmed, fillerTurn, blankMessage),
	mapped("/messages/*/role", "messages[].role; system and developer: system", systemReordered, systemInUser),
	mapped("/messages/*/content", system, turnsMerged, reordered, blankMessage, emptyToolResult),
	mapped("/messages/*/content/*/type", "the kind of the block", unknownPart, videoRefused),
	mapped("/messages/*/content/*/text", system),
	mapped("/messages/*/content/*/refusal", "text of the assistant's turn", refusalText),
	mapped("/messages/*/content/*/image_url", "image", imagesRefused, imageRole, imageInResult, imageCount),
	mapped("/messages/*/content/*/image_url/url", "image.source.bytes, image.format", imageURL, imageFormatGap, imageSize, imagePixels),
	mapped("/messages/*/content/*/image_url/detail", "", imageDetail),
	mapped("/messages/*/content/*/input_audio", "audio", audioRefused, audioRole),
	mapped("/messages/*/content/*/input_audio/data", "audio.source.bytes"),
	mapped("/messages/*/content/*/input_audio/format", "audio.format", audioFormat),
	mapped("/messages/*/content/*/file", "document", documentsRefused, documentRole, documentCount, documentText),
	mapped("/messages/*/content/*/file/file_data", "document.source.bytes, document.format", documentFormatGap, documentSize),
	mapped("/messages/*/content/*/file/filename", "document.name, document.format", documentName),
	mapped("/messages/*/content/*/file/file_id", "", documentID),
	dropped("/messages/*/content/*/prompt_cache_breakpoint", cacheMark),
	dropped("/messages/*/content/*/cache_control", cacheMark),
	mapped("/messages/*/name", "", speakerName),
	mapped("/messages/*/refusal", "text of the assistant's turn", refusalText),
	dropped("/messages/*/audio", audioAnswer),
	mapped("/messages/*/tool_calls", "toolUse"),
	mapped("/messages/*/tool_calls/*/id", "toolUse.toolUseId", toolID, missingToolResult),
	mapped("/messages/*/tool_calls/*/type", "toolUse", customCall),
	opaque("/messages/*/tool_calls/*/custom", "", customCall),
	mapped("/messages/*/tool_calls/*/function", "toolUse"),
	mapped("/messages/*/tool_calls/*/function/name", "toolUse.name", toolName),
	mapped("/messages/*/tool_calls/*/function/arguments", "toolUse.input, byte for byte", toolArguments),
	dropped("/messages/*/tool_calls/*/function/parsed_arguments", clientLeftover),
	dropped("/messages/*/tool_calls/*/index", callIndex),
	mapped("/messages/*/tool_call_id", "toolResult.toolUseId", orphanToolResult),
	{path: "/messages/*/function_call", to: "toolUse with an id of its own", extra: oldMessageCall},
	mapped("/messages/*/function_call/name", "toolUse.name", toolName),
	mapped("/messages/*/function_call/arguments", "toolUse.input, byte for byte", toolArguments),
	dropped("/messages/*/cache_control", cacheMark),
	dropped("/messages/*/annotations", annotationsDropped),
	dropped("/messages/*/parsed", clientLeftover),
	dropped("/messages/*/reasoning_content", reasoningInHistory),

	mapped("/tools", "toolConfig.tools", toolsRefused, stubTools),
	mapped("/tools/*/type", "toolSpec", toolType),
	opaque("/tools/*/custom", "", toolType),
	mapped("/tools/*/function", "toolSpec"),
	mapped("/tools/*/function/name", "toolSpec.name", toolName),
	mapped("/tools/*/function/description", "toolSpec.description"),
	opaque("/tools/*/function/parameters", "toolSpec.inputSchema.json, byte for byte", toolSchemaWords, toolSchemaTop, toolSchemaInlined, toolSchemaRefs),
	mapped("/tools/*/function/strict", "toolSpec.strict", toolStrict),
	dropped("/tools/*/cache_control", cacheMark),
	dropped("/tools/*/function/cache_control", cacheMark),
	{path: "/tool_choice", to: "toolConfig.toolChoice", extra: choiceOther,
		gaps: []*gapKind{choiceNone, choiceNothing, choiceUnenforced, choiceRequired, choiceNamed, choiceNamedAny, choiceAllowed, effortChoice}},
	mapped("/tool_choice/type", "toolConfig.toolChoice"),
	mapped("/tool_choice/function", "toolConfig.toolChoice.tool"),
	mapped("/tool_choice/function/name", "toolConfig.toolChoice.tool.name"),
	opaque("/tool_choice/allowed_tools", "the choice among toolConfig.tools", choiceAllowed),
	opaque("/tool_choice/custom", "", choiceOther),
	mapped("/parallel_tool_calls", "additionalModelRequestFields.tool_choice (Claude)", parallelCalls),
	{path: "/functions", to: "toolConfig.tools", extra: oldFunctions, harmless: []string{"[]"}},
	mapped("/functions/*/name", "toolSpec.name", toolName),
	mapped("/functions/*/description", "toolSpec.description"),
	opaque("/functions/*/parameters", "toolSpec.inputSchema.json, byte for byte", toolSchemaWords, toolSchemaTop, toolSchemaInlined, toolSchemaRefs),
	{path: "/function_call", to: "toolConfig.toolChoice", extra: oldFunctionCall},
	mapped("/function_call/name", "toolConfig.toolChoice.tool.name"),

	{path: "/response_format", to: "outputConfig.textFormat, a tool, or an instruction in system", extra: formatOther, gaps: []*gapKind{jsonObject, jsonSchema, jsonSchemaTool}},
	mapped("/response_format/type", "the same"),
	mapped("/response_format/json_schema", "the same"),
	mapped("/response_format/json_schema/name", "textFormat.structure.jsonSchema.name, or the tool's name"),
	mapped("/response_format/json_schema/description", "textFormat.structure.jsonSchema.description, or the tool's, or the instruction"),
	opaque("/response_format/json_schema/schema", "textFormat.structure.jsonSchema.schema, or the tool's, or the instruction", schemaKeyword, schemaClosed),
	mapped("/response_format/json_schema/strict", "held to by the native tier and the hidden tool", schemaEnforced),

	fieldRow{path: "/max_tokens", to: "inferenceConfig.maxTokens", gaps: []*gapKind{limitInvalid, limitClamped}, extra: limitBeside},
	mapped("/max_completion_tokens", "inferenceConfig.maxTokens; it wins over max_tokens", limitInvalid, limitClamped, limitAbsent),
	mapped("/temperature", "inferenceConfig.temperature", temperatureClamped, samplingRefused, effortSampling),
	mapped("/top_p", "inferenceConfig.topP", topPClamped, topPBeside, samplingRefused, effortSampling),
	mapped("/stop", "inferenceConfig.stopSequences", stopEmulated, stopBlank),
	mapped("/reasoning_effort", "the family's own control, in additionalModelRequestFields or outputConfig.effort",
		effortApproximated, effortLowered, effortRefused, effortAlways, effortNoRoom, effortHistory),
	mapped("/stream", "ConverseStream", streamingEmulated),
	mapped("/stream_options", "the usage of the answer's stream"),
	mapped("/stream_options/include_usage", "the usage of the answer's stream"),
	dropped("/stream_options/include_obfuscation", streamOptions),
	{path: "/metadata", to: "requestMetadata", extra: metadataChanged, below: true},
	mapped("/user", "additionalModelRequestFields.metadata.user_id (Claude)", userHashed, userDropped),
	mapped("/service_tier", "serviceTier.type, with the capability service_tier", serviceTierDropped),

	dropped("/n", severalAnswers, "1"),
	dropped("/logprobs", logprobs, "false"),
	dropped("/top_logprobs", topLogprobs, "0"),
	dropped("/logit_bias", logitBias, "{}"),
	dropped("/audio", audioOutput),
	dropped("/modalities", modalities, `["text"]`),
	dropped("/web_search_options", webSearch),
	dropped("/frequency_penalty", frequencyPenalty, "0"),
	dropped("/presence_penalty", presencePenalty, "0"),
	dropped("/verbosity", verbosity, `"medium"`),
	dropped("/moderation", moderation),
	dropped("/seed", seed),
	dropped("/prediction", prediction),
	dropped("/safety_identifier", safetyIdentifier),
	dropped("/store", store, "false"),
	dropped("/prompt_cache_key", promptCacheKey),
	dropped("/prompt_cache_options", promptCacheOptions),
	dropped("/prompt_cache_retention", promptCacheRetain),
	dropped("/data_sources", dataSources, "[]"),
	dropped("/user_security_context", securityContext),
}

// rowOf finds the row of the field at path: its own, or that of a field around
// it which speaks for what is inside; nil for a field that is not known.
func rowOf(path string) *fieldRow {
	for i := range fieldRows {
		if r := &fieldRows[i]; matches(r.path, path, r.below) {
			return r
		}
	}
	return nil
}

// matches tells whether path is one of pattern, or, with below, stands under one.
func matches(pattern, path string, below bool) bool {
	for pattern != "" {
		if path == "" {
			return false
		}
		var want, got string
		want, pattern = token(pattern)
		got, path = token(path)
		if want != "*" && want != got {
			return false
		}
	}
	return path == "" || below
}

// token cuts the first token off a JSON Pointer.
func token(pointer string) (first, rest string) {
	first = pointer[1:]
	if i := strings.IndexByte(first, '/'); i >= 0 {
		return first[:i], first[i:]
	}
	return first, ""
}

// extra reports what becomes of the fields without a neutral form.
func (t *translator) extra() {
	for _, f := range t.req.Extra {
		k, harmless := unknownField, []string(nil)
		if r := rowOf(f.Path); r != nil && r.extra != nil {
			k, harmless = r.extra, r.harmless
		}
		if k == oldMessageCall && t.roleAt(f.Path) != llm.RoleAssistant {
			k = unknownField // only the assistant calls
		}
		if k == choiceOther || inMessage(f.Path) && empty(f.Raw) || slices.ContainsFunc(harmless, func(h string) bool { return same(h, compact(f.Raw)) }) {
			continue // reported with the tools; or it asks for nothing
		}
		t.gap(f.Path, k)
	}
}

// roleAt is the role of the message that a path stands in.
func (t *translator) roleAt(path string) llm.Role {
	_, rest := token(path)
	index, _ := token(rest)
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(t.req.Messages) {
		return ""
	}
	return t.req.Messages[i].Role
}

// inMessage and empty: clients write out fields of messages that hold nothing.
func inMessage(path string) bool { return strings.HasPrefix(path, "/messages/") }

func empty(raw json.RawMessage) bool {
	switch string(raw) {
	case "[]", "{}", `""`:
		return true
	}
	return false
}

// same tells whether two values are the same, numbers by their value.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}
