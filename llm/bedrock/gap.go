package bedrock

import "understudy/llm"

// A gapKind is one way in which a request, or an answer, falls short of what was
// asked. Together they are all that a translation can report; docs/translation.md
// is written from them.
type gapKind struct {
	// code names the kind; a Gap's Reason begins with it.
	code     string
	severity llm.Severity
	action   llm.Action
	// text is a short sentence that never quotes a request.
	text string
}

// gapKinds are all kinds, in the order of the source.
var gapKinds []*gapKind

func kind(code string, s llm.Severity, a llm.Action, text string) *gapKind {
	k := &gapKind{code, s, a, text}
	gapKinds = append(gapKinds, k)
	return k
}

func (k *gapKind) at(path string) llm.Gap {
	return llm.Gap{Path: path, Severity: k.severity, Action: k.action, Reason: k.code + ": " + k.text}
}

// Turns and texts.
var (
	blankMessage     = kind("blank_message", llm.Cosmetic, llm.Dropped, "a message without text is not accepted")
	refusalText      = kind("refusal", llm.Cosmetic, llm.Approximated, "an earlier refusal is sent as what the assistant said")
	speakerName      = kind("name", llm.Semantic, llm.Dropped, "the speaker's name has no place on Converse")
	turnsMerged      = kind("turns_merged", llm.Cosmetic, llm.Approximated, "turns must alternate; two messages in a row of one side are sent as one turn")
	reordered        = kind("reordered", llm.Semantic, llm.Approximated, "text stands before calls and behind results in a turn; it was said in another order")
	systemReordered  = kind("system_reordered", llm.Semantic, llm.Approximated, "a system message in the middle is moved to the front")
	systemInUser     = kind("system_in_user", llm.Semantic, llm.Emulated, "the model takes no system text; it leads the first user turn")
	systemOnly       = kind("system_only", llm.Semantic, llm.Emulated, "a user turn is needed, so the system text is sent as one")
	leadingAssistant = kind("leading_assistant", llm.Semantic, llm.Emulated, "the first turn must be the user's; a filler precedes it")
	prefillRefused   = kind("prefill", llm.Blocking, llm.Refused, "the model takes no conversation that ends with the assistant's turn, or is not known to")
	prefillTools     = kind("prefill_with_tools", llm.Blocking, llm.Refused, "the model takes no conversation that ends with the assistant's turn beside tools or a demanded form")
	prefillContinued = kind("prefill_continued", llm.Semantic, llm.Approximated, "the model goes on with the assistant's last words instead of answering them")
	prefillTrimmed   = kind("prefill_trimmed", llm.Cosmetic, llm.Approximated, "white space at the end of the assistant's last words is not accepted")
)

// Calls and results.
var (
	toolsRefused      = kind("tools", llm.Blocking, llm.Refused, "the model takes no tools on Converse")
	toolType          = kind("tool_type", llm.Blocking, llm.Refused, "only function tools can be sent")
	toolName          = kind("tool_name", llm.Cosmetic, llm.Approximated, "sent under a name that the model accepts, and mapped back")
	toolID            = kind("tool_id", llm.Cosmetic, llm.Approximated, "sent under an id that the model accepts")
	toolStrict        = kind("strict", llm.Semantic, llm.Dropped, "arguments are not held to the schema")
	toolSchemaWords   = kind("tool_schema_words", llm.Cosmetic, llm.Dropped, "the model takes only type, properties and required at the top of a schema")
	toolSchemaTop     = kind("tool_schema", llm.Semantic, llm.Dropped, "the model takes only type, properties and required at the top of a schema; what is left out says more")
	toolSchemaInlined = kind("tool_schema_inlined", llm.Cosmetic, llm.Approximated, "the schema's definitions are written where they are used")
	toolSchemaRefs    = kind("tool_schema_refs", llm.Blocking, llm.Refused, "the schema's definitions refer to themselves and cannot be written where they are used")
	toolArguments     = kind("tool_arguments", llm.Semantic, llm.Approximated, "they are no JSON object and are sent as text inside one")
	stubTools         = kind("stub_tools", llm.Semantic, llm.Emulated, "earlier calls need declared tools; empty ones are declared")
	emptyToolResult   = kind("empty_tool_result", llm.Cosmetic, llm.Approximated, "an empty result is not accepted and goes out as "+emptyResult)
	missingToolResult = kind("missing_tool_result", llm.Semantic, llm.Emulated, "the call has no result; one that says so is sent")
	orphanToolResult  = kind("orphan_tool_result", llm.Semantic, llm.Approximated, "the result answers no call of the turn before and is sent as text")
	fillerTurn        = kind("filler_turn", llm.Semantic, llm.Emulated, "the model refuses text beside calls or results in one turn; a filler parts them")
	choiceNone        = kind("tool_choice_none", llm.Semantic, llm.Approximated, "the tools are left out")
	choiceUnenforced  = kind("tool_choice_none_unenforced", llm.Semantic, llm.Approximated, "earlier calls need the tools declared, so the model may call them")
	choiceRequired    = kind("required", llm.Semantic, llm.Approximated, "the model takes no demand for a call; it may answer without one")
	choiceNamed       = kind("tool_choice_named", llm.Semantic, llm.Approximated, "the model takes no demand for a call; it may answer without one")
	choiceNamedAny    = kind("tool_choice_named_any", llm.Semantic, llm.Approximated, "the model takes no named tool; a call of any tool is demanded")
	choiceAllowed     = kind("allowed_tools", llm.Semantic, llm.Approximated, "the tools that are not allowed are left out")
	choiceNothing     = kind("tool_choice_without_tools", llm.Semantic, llm.Dropped, "none of the tools that may be chosen is sent")
	choiceOther       = kind("tool_choice", llm.Semantic, llm.Dropped, "a form without a counterpart on Converse")
	parallelCalls     = kind("parallel_tool_calls", llm.Semantic, llm.Dropped, "the model cannot be held to one call")
	oldFunctions      = kind("functions", llm.Cosmetic, llm.Approximated, "the old form is sent as tools")
	oldMessageCall    = kind("earlier_function_call", llm.Cosmetic, llm.Approximated, "the old form is sent as a tool call with an id of its own")
	oldFunctionCall   = kind("function_call", llm.Cosmetic, llm.Approximated, "the old form is read as tool_choice")
	callIndex         = kind("call_index", llm.Cosmetic, llm.Dropped, "a call's place in its stream says nothing more")
)

// Parts that are no text.
var (
	imagesRefused     = kind("images", llm.Blocking, llm.Refused, "the model takes no images")
	imageRole         = kind("image_role", llm.Blocking, llm.Refused, "only a user or a tool may show an image")
	imageInResult     = kind("image_in_result", llm.Blocking, llm.Refused, "the model takes no images in the results of calls")
	imageURL          = kind("image_url", llm.Blocking, llm.Refused, "an address is not fetched; the image must be in the request")
	imageFormatGap    = kind("image_format", llm.Blocking, llm.Refused, "the bytes are none of PNG, JPEG, GIF and WebP")
	imageSize         = kind("image_size", llm.Blocking, llm.Refused, "the image is larger than 3.75 MB")
	imagePixels       = kind("image_pixels", llm.Blocking, llm.Refused, "the image is wider or higher than 8000 pixels")
	imageCount        = kind("image_count", llm.Blocking, llm.Refused, "a request takes at most 20 images")
	imageDetail       = kind("image_detail", llm.Semantic, llm.Dropped, "Converse always takes the image as it is")
	documentsRefused  = kind("documents", llm.Blocking, llm.Refused, "the model takes no documents")
	documentRole      = kind("document_role", llm.Blocking, llm.Refused, "only a user or a tool may show a document")
	documentID        = kind("file_id", llm.Blocking, llm.Refused, "the file's bytes lie at OpenAI")
	documentFormatGap = kind("document_format", llm.Blocking, llm.Refused, "the file is none of PDF, CSV, DOC, DOCX, XLS, XLSX, HTML, TXT and MD")
	documentSize      = kind("document_size", llm.Blocking, llm.Refused, "the document is empty or larger than 4.5 MB")
	documentCount     = kind("document_count", llm.Blocking, llm.Refused, "a request takes at most five documents")
	documentName      = kind("document_name", llm.Semantic, llm.Approximated, "the document goes out under a neutral name")
	documentText      = kind("document_text", llm.Semantic, llm.Emulated, "a document needs text beside it; a filler is sent")
	audioRefused      = kind("input_audio", llm.Blocking, llm.Refused, "the model takes no speech")
	audioRole         = kind("input_audio_role", llm.Blocking, llm.Refused, "only a user may speak")
	audioFormat       = kind("input_audio_format", llm.Blocking, llm.Refused, "the format is none of WAV and MP3")
	audioAnswer       = kind("audio_answer", llm.Blocking, llm.Refused, "an answer that was spoken earlier lies at OpenAI")
	videoRefused      = kind("video", llm.Blocking, llm.Refused, "a video is not sent")
	customCall        = kind("custom_tool_call", llm.Blocking, llm.Refused, "a call of a tool that is no function is not sent")
	unknownPart       = kind("content_part", llm.Blocking, llm.Refused, "a part of unknown type is not sent")
)

// Options.
var (
	limitAbsent        = kind("max_tokens_absent", llm.Cosmetic, llm.Approximated, "no limit is sent; the providers' own limits differ")
	limitInvalid       = kind("max_tokens", llm.Semantic, llm.Dropped, "a limit below 1 is not accepted")
	limitBeside        = kind("max_tokens_beside", llm.Semantic, llm.Dropped, "max_completion_tokens says another limit, and is sent")
	limitClamped       = kind("max_tokens_clamped", llm.Semantic, llm.Approximated, "the model's own limit is lower and is sent")
	temperatureClamped = kind("temperature", llm.Semantic, llm.Approximated, "clamped to the range 0 to 1 that Converse accepts")
	topPClamped        = kind("top_p", llm.Semantic, llm.Approximated, "clamped to the range 0 to 1 that Converse accepts")
	samplingRefused    = kind("sampling", llm.Semantic, llm.Dropped, "the model takes neither temperature nor top_p")
	topPBeside         = kind("top_p_beside_temperature", llm.Semantic, llm.Dropped, "the model takes one of both; the temperature is sent")
	stopEmulated       = kind("stop", llm.Semantic, llm.Emulated, "the model takes no stop sequences; its answer is cut at them when it is whole")
	stopBlank          = kind("stop_blank", llm.Semantic, llm.Dropped, "a stop sequence of white space is not accepted")
	streamingEmulated  = kind("streaming_emulated", llm.Cosmetic, llm.Emulated, "the model does not stream with tools, so there is no first-token time")
	jsonObject         = kind("json_object", llm.Semantic, llm.Emulated, "asked for by an instruction, not enforced")
	jsonSchema         = kind("json_schema", llm.Semantic, llm.Emulated, "asked for by an instruction, not enforced")
	jsonSchemaTool     = kind("json_schema_tool", llm.Semantic, llm.Emulated, "asked for as the arguments of a tool that must be called")
	schemaEnforced     = kind("schema_enforced", llm.Semantic, llm.Approximated, "the request asks for it as well as the model can; it is enforced")
	formatOther        = kind("response_format", llm.Semantic, llm.Dropped, "a form without a counterpart on Converse")
	schemaKeyword      = kind("schema_keyword", llm.Semantic, llm.Approximated, "the service refuses the keyword; it is moved into the description")
	schemaClosed       = kind("schema_closed", llm.Semantic, llm.Approximated, "the service demands that an object allows no other properties")
	effortRefused      = kind("reasoning_effort", llm.Semantic, llm.Dropped, "the model has no such control, or no such value of it")
	effortLowered      = kind("reasoning_effort_lowered", llm.Semantic, llm.Approximated, "sent as medium: high takes no limit of the answer")
	effortApproximated = kind("reasoning_effort_mapped", llm.Semantic, llm.Approximated, "sent in the model's own measure, which is another")
	effortAlways       = kind("reasoning_always", llm.Semantic, llm.Dropped, "the model always reasons, and has no control of it")
	effortNoRoom       = kind("reasoning_no_room", llm.Semantic, llm.Dropped, "the limit of the answer leaves no room for reasoning, which stays off")
	effortHistory      = kind("reasoning_history", llm.Semantic, llm.Dropped, "the model reasons over earlier calls only with its own signed reasoning, which is not here")
	effortSampling     = kind("sampling_with_reasoning", llm.Semantic, llm.Dropped, "the model takes no temperature and top_p while it reasons")
	effortChoice       = kind("tool_choice_with_reasoning", llm.Semantic, llm.Approximated, "the model takes no demand for a call while it reasons")
	userHashed         = kind("user_hashed", llm.Cosmetic, llm.Approximated, "sent as a hash")
	userDropped        = kind("user", llm.Cosmetic, llm.Dropped, "not sent")
	metadataChanged    = kind("metadata", llm.Cosmetic, llm.Approximated, "what requestMetadata does not accept is changed or left out")
	serviceTierDropped = kind("service_tier", llm.Cosmetic, llm.Dropped, "not sent; speed and price may differ")
	cacheMark          = kind("cache_mark", llm.Cosmetic, llm.Dropped, "a mark for the provider's cache; it does not change what the model reads")
	clientLeftover     = kind("client_field", llm.Cosmetic, llm.Dropped, "written by client libraries; it does not change what the model reads")
	moreGaps           = kind("more_gaps", llm.Semantic, llm.Dropped, "the request has more gaps than are listed")
	unknownField       = kind("unknown_field", llm.Semantic, llm.Dropped, "no counterpart on Converse is known")
	reasoningInHistory = kind("earlier_reasoning", llm.Semantic, llm.Dropped, "earlier reasoning is not sent")
	annotationsDropped = kind("annotations", llm.Cosmetic, llm.Dropped, "not sent; they do not change what the model reads")
	severalAnswers     = kind("n", llm.Blocking, llm.Refused, "Converse gives one answer")
	logprobs           = kind("logprobs", llm.Blocking, llm.Refused, "not available on Converse")
	topLogprobs        = kind("top_logprobs", llm.Blocking, llm.Refused, "not available on Converse")
	logitBias          = kind("logit_bias", llm.Blocking, llm.Refused, "not available on Converse")
	audioOutput        = kind("audio", llm.Blocking, llm.Refused, "Converse does not speak")
	modalities         = kind("modalities", llm.Blocking, llm.Refused, "Converse answers in text only")
	webSearch          = kind("web_search_options", llm.Blocking, llm.Refused, "not available on Converse")
	dataSources        = kind("data_sources", llm.Blocking, llm.Refused, "Azure searches these and adds to the prompt; it cannot be repeated elsewhere")
	securityContext    = kind("user_security_context", llm.Cosmetic, llm.Dropped, "for Azure's own monitoring")
	frequencyPenalty   = kind("frequency_penalty", llm.Semantic, llm.Dropped, "not available on Converse")
	presencePenalty    = kind("presence_penalty", llm.Semantic, llm.Dropped, "not available on Converse")
	verbosity          = kind("verbosity", llm.Semantic, llm.Dropped, "not available on Converse")
	moderation         = kind("moderation", llm.Semantic, llm.Dropped, "OpenAI's moderation of the call is not repeated")
	seed               = kind("seed", llm.Cosmetic, llm.Dropped, "not available on Converse")
	prediction         = kind("prediction", llm.Cosmetic, llm.Dropped, "not available on Converse; it changes speed alone")
	safetyIdentifier   = kind("safety_identifier", llm.Cosmetic, llm.Dropped, "not sent")
	store              = kind("store", llm.Cosmetic, llm.Dropped, "not sent; nothing is kept at the provider")
	promptCacheKey     = kind("prompt_cache_key", llm.Cosmetic, llm.Dropped, "not sent")
	promptCacheOptions = kind("prompt_cache_options", llm.Cosmetic, llm.Dropped, "not sent")
	promptCacheRetain  = kind("prompt_cache_retention", llm.Cosmetic, llm.Dropped, "not sent")
	streamOptions      = kind("stream_options", llm.Cosmetic, llm.Dropped, "only include_usage has a counterpart")
)

// Found only in an answer.
var (
	choiceViolated    = kind("tool_choice_none_violated", llm.Semantic, llm.Approximated, "the model called a tool though none was wanted")
	answerToolIgnored = kind("answer_tool_ignored", llm.Semantic, llm.Approximated, "the model did not call the hidden tool; its text is the answer")
	besideAnswerTool  = kind("beside_answer_tool", llm.Semantic, llm.Dropped, "what the model said beside the hidden tool's call is left out")
	serverTool        = kind("server_tool", llm.Semantic, llm.Dropped, "a tool that the service ran by itself is no call of the application's")
	unknownStop       = kind("unknown_stop_reason", llm.Cosmetic, llm.Approximated, "a stop reason that is not known counts as stop")
	thinkingTakenOut  = kind("thinking_in_text", llm.Semantic, llm.Dropped, "the thinking with which the text began is no part of the answer")
	reasoningLeftOut  = kind("reasoning", llm.Cosmetic, llm.Dropped, "the model's reasoning is no part of the answer")
	mediaAnswer       = kind("media_answer", llm.Blocking, llm.Dropped, "an answer that is not text cannot be compared")
	citationsLeftOut  = kind("citations", llm.Semantic, llm.Dropped, "text with its sources is left out")
	unknownBlock      = kind("unknown_block", llm.Semantic, llm.Dropped, "a piece of the answer of a kind that is not known is left out")
)
