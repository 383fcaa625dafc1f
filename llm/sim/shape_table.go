package sim

import "regexp"

func wholly(p string) *regexp.Regexp { return regexp.MustCompile("^(?:" + p + ")$") }

func structureOf(required []string, members map[string]string) shape {
	return shape{kind: "structure", required: required, members: members}
}

func unionOf(members map[string]string) shape { return shape{kind: "union", members: members} }

func listOf(member string, min, max float64) shape {
	return shape{kind: "list", member: member, min: min, max: max}
}

func textOf(min, max float64, pattern string) shape {
	s := shape{kind: "string", min: min, max: max}
	if pattern != "" {
		s.pattern = wholly(pattern)
	}
	return s
}

func enumOf(values ...string) shape { return shape{kind: "string", enum: values} }

// members gives members their shapes: pairs of member and shape.
func members(pairs ...string) map[string]string {
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// shapes is what Converse and ConverseStream accept, by the names of the
// vendor's service definition (bedrock-runtime 2023-09-30). Blocks that no
// family of ours takes stand as documents and are refused by checkBlocks.
var shapes = map[string]shape{
	"ConverseRequest": structureOf(nil, members("messages", "Messages", "system", "SystemContentBlocks", "inferenceConfig", "InferenceConfiguration",
		"toolConfig", "ToolConfiguration", "guardrailConfig", "Document", "additionalModelRequestFields", "Document",
		"promptVariables", "Document", "additionalModelResponseFieldPaths", "ResponsePaths", "requestMetadata", "RequestMetadata",
		"performanceConfig", "PerformanceConfiguration", "serviceTier", "ServiceTier", "outputConfig", "OutputConfig")),
	"Messages":         listOf("Message", 0, 0),
	"Message":          structureOf([]string{"role", "content"}, members("role", "ConversationRole", "content", "ContentBlocks")),
	"ConversationRole": enumOf("user", "assistant", "system"),
	"ContentBlocks":    listOf("ContentBlock", 0, 0),
	"ContentBlock": unionOf(members("text", "String", "image", "ImageBlock", "document", "DocumentBlock", "video", "Document", "audio", "AudioBlock",
		"toolUse", "ToolUseBlock", "toolResult", "ToolResultBlock", "guardContent", "Document", "cachePoint", "CachePointBlock",
		"reasoningContent", "ReasoningContentBlock", "citationsContent", "Document", "searchResult", "Document",
		"toolAddition", "Document", "toolRemoval", "Document")),
	"String":               textOf(0, 0, ""),
	"NonEmptyString":       textOf(1, 0, ""),
	"Boolean":              {kind: "boolean"},
	"Document":             {kind: "document"},
	"Blob":                 {kind: "blob"},
	"ImageBlock":           structureOf([]string{"format", "source"}, members("format", "ImageFormat", "source", "ImageSource", "error", "Document")),
	"ImageFormat":          enumOf("png", "jpeg", "gif", "webp"),
	"ImageSource":          unionOf(members("bytes", "ImageSourceBytesBlob", "s3Location", "S3Location")),
	"ImageSourceBytesBlob": {kind: "blob", min: 1},
	"AudioBlock":           structureOf([]string{"format", "source"}, members("format", "AudioFormat", "source", "AudioSource", "error", "Document")),
	"AudioFormat":          enumOf("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"),
	"AudioSource":          unionOf(members("bytes", "AudioSourceBytesBlob", "s3Location", "S3Location")),
	"AudioSourceBytesBlob": {kind: "blob", min: 1},
	"S3Location":           structureOf([]string{"uri"}, members("uri", "S3Uri", "bucketOwner", "AccountId")),
	"S3Uri":                textOf(1, 1024, `s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?`),
	"AccountId":            textOf(0, 0, `[0-9]{12}`),
	"DocumentBlock": structureOf([]string{"name", "source"}, members("format", "DocumentFormat", "name", "DocumentBlockNameString", "source", "DocumentSource",
		"context", "String", "citations", "Document")),
	"DocumentFormat":          enumOf("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"),
	"DocumentBlockNameString": textOf(1, 200, ""),
	"DocumentSource":          unionOf(members("bytes", "DocumentSourceBytesBlob", "s3Location", "S3Location", "text", "String", "content", "Document")),
	"DocumentSourceBytesBlob": {kind: "blob", min: 1},
	"ToolUseBlock": structureOf([]string{"toolUseId", "name", "input"}, members("toolUseId", "ToolUseId", "name", "ToolName", "input", "Document",
		"type", "ToolUseType")),
	"ToolUseId":   textOf(1, 64, `[a-zA-Z0-9_.:-]+`),
	"ToolName":    textOf(1, 64, `[a-zA-Z0-9_-]+`),
	"ToolUseType": enumOf("server_tool_use"),
	"ToolResultBlock": structureOf([]string{"toolUseId", "content"}, members("toolUseId", "ToolUseId", "content", "ToolResultContentBlocks",
		"status", "ToolResultStatus", "type", "String")),
	"ToolResultContentBlocks": listOf("ToolResultContentBlock", 0, 0),
	"ToolResultContentBlock": unionOf(members("json", "Document", "text", "String", "image", "ImageBlock", "document", "DocumentBlock",
		"video", "Document", "searchResult", "Document")),
	"ToolResultStatus":           enumOf("success", "error"),
	"CachePointBlock":            structureOf([]string{"type"}, members("type", "CachePointType", "ttl", "CacheTTL")),
	"CachePointType":             enumOf("default"),
	"CacheTTL":                   enumOf("5m", "1h"),
	"ReasoningContentBlock":      unionOf(members("reasoningText", "ReasoningTextBlock", "redactedContent", "Blob")),
	"ReasoningTextBlock":         structureOf([]string{"text"}, members("text", "String", "signature", "String")),
	"SystemContentBlocks":        listOf("SystemContentBlock", 0, 0),
	"SystemContentBlock":         unionOf(members("text", "NonEmptyString", "guardContent", "Document", "cachePoint", "CachePointBlock")),
	"InferenceConfiguration":     structureOf(nil, members("maxTokens", "MaxTokens", "temperature", "Share", "topP", "Share", "stopSequences", "StopSequences")),
	"MaxTokens":                  {kind: "integer", bounded: true, min: 1},
	"Share":                      {kind: "float", bounded: true, min: 0, max: 1},
	"StopSequences":              listOf("NonEmptyString", 0, 2500),
	"ToolConfiguration":          structureOf([]string{"tools"}, members("tools", "ToolConfigurationToolsList", "toolChoice", "ToolChoice")),
	"ToolConfigurationToolsList": listOf("Tool", 1, 0),
	"Tool":                       unionOf(members("toolSpec", "ToolSpecification", "systemTool", "Document", "cachePoint", "CachePointBlock")),
	"ToolSpecification": structureOf([]string{"name", "inputSchema"}, members("name", "ToolName", "description", "NonEmptyString",
		"inputSchema", "ToolInputSchema", "strict", "Boolean")),
	"ToolInputSchema":          unionOf(members("json", "Document")),
	"ToolChoice":               unionOf(members("auto", "Empty", "any", "Empty", "tool", "SpecificToolChoice")),
	"Empty":                    structureOf(nil, nil),
	"SpecificToolChoice":       structureOf([]string{"name"}, members("name", "ToolName")),
	"ResponsePaths":            listOf("ResponsePath", 0, 10),
	"ResponsePath":             textOf(1, 256, ""),
	"RequestMetadata":          {kind: "map", member: "MetadataString", min: 1, max: 16},
	"MetadataString":           textOf(0, 256, `[a-zA-Z0-9\s:_@$#=/+,-.]*`),
	"PerformanceConfiguration": structureOf(nil, members("latency", "PerformanceConfigLatency")),
	"PerformanceConfigLatency": enumOf("standard", "optimized"),
	"ServiceTier":              structureOf([]string{"type"}, members("type", "ServiceTierType")),
	"ServiceTierType":          enumOf("priority", "default", "flex", "reserved"),
	"OutputConfig":             structureOf(nil, members("textFormat", "OutputFormat", "effort", "Effort")),
	"Effort":                   textOf(0, 16, ""),
	"OutputFormat":             structureOf([]string{"type", "structure"}, members("type", "OutputFormatType", "structure", "OutputFormatStructure")),
	"OutputFormatType":         enumOf("json_schema"),
	"OutputFormatStructure":    unionOf(members("jsonSchema", "JsonSchemaDefinition")),
	"JsonSchemaDefinition":     structureOf([]string{"schema"}, members("schema", "String", "name", "String", "description", "String")),
}
