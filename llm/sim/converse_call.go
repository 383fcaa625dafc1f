package sim

import (
	"encoding/json"

	"understudy/llm/bedrock"
)

// A cvCall is one Converse request whose shape has been checked.
type cvCall struct {
	body     cvBody
	tree     map[string]any
	ask      *ask
	family   bedrock.Family
	model    string
	stream   bool
	hasCalls bool // a turn holds toolUse or toolResult
}

type cvBody struct {
	Messages        []cvMessage       `json:"messages"`
	System          []cvSystem        `json:"system"`
	InferenceConfig *cvInference      `json:"inferenceConfig"`
	ToolConfig      *cvToolConfig     `json:"toolConfig"`
	Extra           json.RawMessage   `json:"additionalModelRequestFields"`
	PromptVariables json.RawMessage   `json:"promptVariables"`
	Guardrail       json.RawMessage   `json:"guardrailConfig"`
	OutputConfig    *cvOutput         `json:"outputConfig"`
	Metadata        map[string]string `json:"requestMetadata"`
}

type cvInference struct {
	MaxTokens     *int     `json:"maxTokens"`
	Temperature   *float64 `json:"temperature"`
	TopP          *float64 `json:"topP"`
	StopSequences []string `json:"stopSequences"`
}

type cvOutput struct {
	TextFormat *struct {
		Structure struct {
			JSONSchema struct {
				Schema string `json:"schema"`
			} `json:"jsonSchema"`
		} `json:"structure"`
	} `json:"textFormat"`
}

type cvMessage struct {
	Role    string    `json:"role"`
	Content []cvBlock `json:"content"`
}

type cvBlock struct {
	Text       *string         `json:"text"`
	Image      *cvImage        `json:"image"`
	Document   *cvDocument     `json:"document"`
	ToolUse    *cvToolUse      `json:"toolUse"`
	ToolResult *cvToolResult   `json:"toolResult"`
	CachePoint json.RawMessage `json:"cachePoint"`
	Reasoning  json.RawMessage `json:"reasoningContent"`
	Video      json.RawMessage `json:"video"`
	Audio      json.RawMessage `json:"audio"`
	Guard      json.RawMessage `json:"guardContent"`
	Citations  json.RawMessage `json:"citationsContent"`
	Search     json.RawMessage `json:"searchResult"`
	ToolAdd    json.RawMessage `json:"toolAddition"`
	ToolRemove json.RawMessage `json:"toolRemoval"`
}

type cvImage struct {
	Format string `json:"format"`
	Source struct {
		Bytes []byte          `json:"bytes"`
		S3    json.RawMessage `json:"s3Location"`
	} `json:"source"`
}

type cvDocument struct {
	Name   string `json:"name"`
	Source struct {
		Bytes []byte `json:"bytes"`
	} `json:"source"`
}

type cvToolUse struct {
	ID    string          `json:"toolUseId"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type cvToolResult struct {
	ID      string `json:"toolUseId"`
	Content []struct {
		Text  *string         `json:"text"`
		JSON  json.RawMessage `json:"json"`
		Image *cvImage        `json:"image"`
		Video json.RawMessage `json:"video"`
	} `json:"content"`
	Status string `json:"status"`
}

type cvSystem struct {
	Text       *string         `json:"text"`
	CachePoint json.RawMessage `json:"cachePoint"`
}

type cvToolConfig struct {
	Tools []struct {
		ToolSpec *struct {
			Name        string  `json:"name"`
			Description *string `json:"description"`
			Strict      *bool   `json:"strict"`
			InputSchema struct {
				JSON json.RawMessage `json:"json"`
			} `json:"inputSchema"`
		} `json:"toolSpec"`
		SystemTool json.RawMessage `json:"systemTool"`
		CachePoint json.RawMessage `json:"cachePoint"`
	} `json:"tools"`
	ToolChoice *struct {
		Auto json.RawMessage `json:"auto"`
		Any  json.RawMessage `json:"any"`
		Tool *struct {
			Name string `json:"name"`
		} `json:"tool"`
	} `json:"toolChoice"`
}

// decodeConverse reads a body whose shape has been checked.
func decodeConverse(tree map[string]any, model string) (*cvCall, error) {
	c := &cvCall{tree: tree, model: model}
	if err := json.Unmarshal(encode(tree), &c.body); err != nil {
		return nil, err
	}
	c.readAsk()
	return c, nil
}

// readAsk takes from the request what the answer needs.
func (c *cvCall) readAsk() {
	a := &ask{model: c.model, choice: "auto", digest: digest(c.tree)}
	c.ask = a
	for _, s := range c.body.System {
		if s.Text != nil {
			a.system += *s.Text + "\n"
			a.bytes += len(*s.Text)
		}
	}
	for _, m := range c.body.Messages {
		c.readMessage(m)
	}
	if in := c.body.InferenceConfig; in != nil && in.MaxTokens != nil {
		a.maxTokens = *in.MaxTokens
	}
	if o := c.body.OutputConfig; o != nil && o.TextFormat != nil {
		a.schema, _ = decodeTree([]byte(o.TextFormat.Structure.JSONSchema.Schema))
		a.wantJSON = true
	}
	if t := c.body.ToolConfig; t != nil {
		c.readTools(t)
	}
	a.form()
}

func (c *cvCall) readMessage(m cvMessage) {
	a := c.ask
	var texts []string
	a.afterTool = false
	for _, b := range m.Content {
		switch {
		case b.Text != nil:
			texts = append(texts, *b.Text)
			a.bytes += len(*b.Text)
		case b.ToolUse != nil:
			c.hasCalls = true
			a.bytes += len(b.ToolUse.Input)
		case b.ToolResult != nil:
			c.hasCalls, a.afterTool = true, true
			for _, r := range b.ToolResult.Content {
				if r.Text != nil {
					a.bytes += len(*r.Text)
				}
				a.bytes += len(r.JSON)
			}
		}
	}
	if m.Role == "user" && len(texts) > 0 {
		a.afterTool = false // results followed by the user's own words
		a.heard(texts)
	}
}

func (c *cvCall) readTools(t *cvToolConfig) {
	a := c.ask
	for _, tool := range t.Tools {
		if tool.ToolSpec == nil {
			continue
		}
		schema, _ := decodeTree(tool.ToolSpec.InputSchema.JSON)
		at := askTool{name: tool.ToolSpec.Name, schema: schema}
		if d := tool.ToolSpec.Description; d != nil {
			at.description = *d
		}
		a.tools = append(a.tools, at)
		a.bytes += len(at.name) + len(at.description) + len(tool.ToolSpec.InputSchema.JSON)
	}
	if ch := t.ToolChoice; ch != nil {
		switch {
		case ch.Any != nil:
			a.choice = "any"
		case ch.Tool != nil:
			a.choice, a.named = "tool", ch.Tool.Name
		}
	}
}
