package bedrock

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"understudy/llm"
)

// The types of this file are the part of Converse's request that is used, and
// know how to write themselves. They write by hand, not through encoding/json:
// that would compact the schemas and arguments which must go out byte for byte.

// A wireRequest is the body of Converse and of ConverseStream.
type wireRequest struct {
	turns     []wireTurn
	system    []string
	inference wireInference
	tools     []wireTool
	choice    wireChoice
	output    wireOutput
	// fields are the additionalModelRequestFields, metadata the requestMetadata,
	// both in the order in which they go out.
	fields   []wireField
	metadata []wireField
	// tier is the serviceTier, "" for none.
	tier string
}

type wireTurn struct {
	assistant bool
	blocks    []block
	// path is that of the request's message with which the turn began.
	path string
}

type wireInference struct {
	maxTokens         *int
	temperature, topP *float64
	stop              []string
}

type wireTool struct {
	name, description string
	schema            json.RawMessage
	strict            bool
}

// A wireChoice is a toolChoice: mode "" (auto, left out), "any" or "tool".
type wireChoice struct{ mode, name string }

// A wireOutput is an outputConfig; a nil schema and an empty effort are left out.
type wireOutput struct {
	schema            json.RawMessage
	name, description string
	effort            string
}

// A wireField is a key with its raw value.
type wireField struct {
	key string
	raw json.RawMessage
}

// A block is one content block: exactly one of its kinds is set, text where
// none of the pointers is.
type block struct {
	text     string
	image    *wireMedia
	document *wireMedia
	audio    *wireMedia
	use      *toolUse
	result   *toolResult
	// cache makes the block a cachePoint: what stands before it may be kept by the
	// service. The translator makes none as long as there is no price for it.
	cache bool
}

// isText tells whether the block is one of text.
func (k *block) isText() bool {
	return k.image == nil && k.document == nil && k.audio == nil && k.use == nil && k.result == nil && !k.cache
}

// A wireMedia is an image, a document, which has a name, or a piece of speech.
type wireMedia struct {
	format, name string
	data         []byte
}

type toolUse struct {
	id, name string
	input    json.RawMessage
}

type toolResult struct {
	id      string
	content []block
	failed  bool
}

// size is about how long the request will be.
func (r *wireRequest) size() int {
	n := 512
	for _, t := range r.turns {
		for i := range t.blocks {
			n += t.blocks[i].size()
		}
	}
	for _, s := range r.system {
		n += len(s) + len(s)/16 + 16
	}
	for _, t := range r.tools {
		n += len(t.description) + len(t.schema) + 128
	}
	return n + len(r.output.schema)
}

func (k *block) size() int {
	n := len(k.text) + len(k.text)/16 + 64
	for _, m := range []*wireMedia{k.image, k.document, k.audio} {
		if m != nil {
			n += base64.StdEncoding.EncodedLen(len(m.data)) + len(m.name)
		}
	}
	if k.use != nil {
		n += len(k.use.input) + 64
	}
	if k.result != nil {
		for i := range k.result.content {
			n += k.result.content[i].size()
		}
	}
	return n
}

func (r *wireRequest) append(b []byte) []byte {
	b = append(b, `{"messages":[`...)
	for i, t := range r.turns {
		b = comma(b, i)
		role := `{"role":"user","content":`
		if t.assistant {
			role = `{"role":"assistant","content":`
		}
		b = append(appendBlocks(append(b, role...), t.blocks), '}')
	}
	b = append(b, ']')
	if len(r.system) > 0 {
		b = append(b, `,"system":[`...)
		for i, s := range r.system {
			b = llm.AppendJSONString(append(comma(b, i), `{"text":`...), s)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = r.inference.append(b)
	if len(r.tools) > 0 {
		b = r.appendTools(b)
	}
	b = appendWireFields(b, `,"additionalModelRequestFields":`, r.fields)
	b = appendWireFields(b, `,"requestMetadata":`, r.metadata)
	if r.tier != "" {
		b = append(llm.AppendJSONString(append(b, `,"serviceTier":{"type":`...), r.tier), '}')
	}
	return append(r.output.append(b), '}')
}

func appendWireFields(b []byte, key string, fields []wireField) []byte {
	if len(fields) == 0 {
		return b
	}
	b = append(append(b, key...), '{')
	for i, f := range fields {
		b = append(llm.AppendJSONString(comma(b, i), f.key), ':')
		b = append(b, f.raw...)
	}
	return append(b, '}')
}

func (o *wireOutput) append(b []byte) []byte {
	if o.schema == nil && o.effort == "" {
		return b
	}
	b = append(b, `,"outputConfig":{`...)
	if o.schema != nil {
		b = append(b, `"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":`...)
		b = llm.AppendJSONString(b, string(o.schema))
		if o.name != "" {
			b = llm.AppendJSONString(append(b, `,"name":`...), o.name)
		}
		if o.description != "" {
			b = llm.AppendJSONString(append(b, `,"description":`...), o.description)
		}
		b = append(b, `}}}`...)
	}
	if o.effort != "" {
		if o.schema != nil {
			b = append(b, ',')
		}
		b = llm.AppendJSONString(append(b, `"effort":`...), o.effort)
	}
	return append(b, '}')
}

// comma separates the i-th element from the one before.
func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendBlocks(b []byte, blocks []block) []byte {
	b = append(b, '[')
	for i := range blocks {
		b = blocks[i].append(comma(b, i))
	}
	return append(b, ']')
}

func (k *block) append(b []byte) []byte {
	switch {
	case k.image != nil:
		return k.image.append(append(b, `{"image":{`...))
	case k.document != nil:
		return k.document.append(append(b, `{"document":{`...))
	case k.audio != nil:
		return k.audio.append(append(b, `{"audio":{`...))
	case k.use != nil:
		b = llm.AppendJSONString(append(b, `{"toolUse":{"toolUseId":`...), k.use.id)
		b = llm.AppendJSONString(append(b, `,"name":`...), k.use.name)
		b = append(append(b, `,"input":`...), k.use.input...)
		return append(b, `}}`...)
	case k.result != nil:
		b = llm.AppendJSONString(append(b, `{"toolResult":{"toolUseId":`...), k.result.id)
		b = appendBlocks(append(b, `,"content":`...), k.result.content)
		if k.result.failed {
			b = append(b, `,"status":"error"`...)
		}
		return append(b, `}}`...)
	case k.cache:
		return append(b, `{"cachePoint":{"type":"default"}}`...)
	}
	return append(llm.AppendJSONString(append(b, `{"text":`...), k.text), '}')
}

func (m *wireMedia) append(b []byte) []byte {
	b = append(append(append(b, `"format":"`...), m.format...), '"')
	if m.name != "" {
		b = llm.AppendJSONString(append(b, `,"name":`...), m.name)
	}
	b = append(b, `,"source":{"bytes":"`...)
	b = base64.StdEncoding.AppendEncode(b, m.data)
	return append(b, `"}}}`...)
}

func (c *wireInference) append(b []byte) []byte {
	from, n := len(b), 0
	b = append(b, `,"inferenceConfig":{`...)
	key := func(k string) {
		b = append(append(comma(b, n), k...), ':')
		n++
	}
	if c.maxTokens != nil {
		key(`"maxTokens"`)
		b = strconv.AppendInt(b, int64(*c.maxTokens), 10)
	}
	if c.temperature != nil {
		key(`"temperature"`)
		b = strconv.AppendFloat(b, *c.temperature, 'f', -1, 64)
	}
	if c.topP != nil {
		key(`"topP"`)
		b = strconv.AppendFloat(b, *c.topP, 'f', -1, 64)
	}
	if len(c.stop) > 0 {
		key(`"stopSequences"`)
		b = append(b, '[')
		for i, s := range c.stop {
			b = llm.AppendJSONString(comma(b, i), s)
		}
		b = append(b, ']')
	}
	if n == 0 {
		return b[:from]
	}
	return append(b, '}')
}

func (r *wireRequest) appendTools(b []byte) []byte {
	b = append(b, `,"toolConfig":{"tools":[`...)
	for i, t := range r.tools {
		b = llm.AppendJSONString(append(comma(b, i), `{"toolSpec":{"name":`...), t.name)
		if t.description != "" {
			b = llm.AppendJSONString(append(b, `,"description":`...), t.description)
		}
		b = append(append(b, `,"inputSchema":{"json":`...), t.schema...)
		b = append(b, '}')
		if t.strict {
			b = append(b, `,"strict":true`...)
		}
		b = append(b, `}}`...)
	}
	b = append(b, ']')
	switch r.choice.mode {
	case "any":
		b = append(b, `,"toolChoice":{"any":{}}`...)
	case "tool":
		b = llm.AppendJSONString(append(b, `,"toolChoice":{"tool":{"name":`...), r.choice.name)
		b = append(b, `}}`...)
	}
	return append(b, '}')
}
