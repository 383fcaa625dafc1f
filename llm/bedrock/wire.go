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
	// single asks Claude for at most one tool call.
	single bool
}

type wireTurn struct {
	assistant bool
	blocks    []block
}

type wireInference struct {
	maxTokens         *int
	temperature, topP *float64
	stop              []string
}

type wireTool struct {
	name, description string
	schema            json.RawMessage
}

// A wireChoice is a toolChoice: mode "" (auto, left out), "any" or "tool".
type wireChoice struct{ mode, name string }

// A block is one content block: exactly one of its kinds is set, text where
// none of the pointers is.
type block struct {
	text   string
	image  *wireImage
	use    *toolUse
	result *toolResult
}

type wireImage struct {
	format string
	data   []byte
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
		b = append(append(b, `{"image":{"format":"`...), k.image.format...)
		b = append(b, `","source":{"bytes":"`...)
		b = base64.StdEncoding.AppendEncode(b, k.image.data)
		return append(b, `"}}}`...)
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
	}
	return append(llm.AppendJSONString(append(b, `{"text":`...), k.text), '}')
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
		b = append(b, `}}}`...)
	}
	b = append(b, ']')
	switch r.choice.mode {
	case "any":
		b = append(b, `,"toolChoice":{"any":{}}`...)
	case "tool":
		b = llm.AppendJSONString(append(b, `,"toolChoice":{"tool":{"name":`...), r.choice.name)
		b = append(b, `}}`...)
	}
	b = append(b, '}')
	if !r.single {
		return b
	}
	mode := r.choice.mode
	if mode == "" {
		mode = "auto"
	}
	b = append(append(b, `,"additionalModelRequestFields":{"tool_choice":{"type":"`...), mode...)
	b = append(b, '"')
	if mode == "tool" {
		b = llm.AppendJSONString(append(b, `,"name":`...), r.choice.name)
	}
	return append(b, `,"disable_parallel_tool_use":true}}`...)
}
