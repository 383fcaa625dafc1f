package sim

import (
	"fmt"
	"regexp"
	"strings"

	"understudy/llm"
	"understudy/llm/bedrock"
)

// ParseCapability reads "MODEL=tools" or "MODEL=!stop_sequences", several separated by
// commas, from the
// right: the id of a model may hold anything but "=".
func ParseCapability(s string) (model string, capabilities []string, err error) {
	i := strings.LastIndexByte(s, '=')
	if i < 1 || i == len(s)-1 {
		return "", nil, fmt.Errorf("read capability %q: want MODEL=tools", s)
	}
	capabilities = strings.Split(s[i+1:], ",")
	if err := bedrock.CheckCapabilities(capabilities); err != nil {
		return "", nil, fmt.Errorf("read capability %q: %w", s, err)
	}
	return s[:i], capabilities, nil
}

// A catalogue knows which models exist, what they can do and who may call them.
type catalogue struct {
	kind         Kind
	capabilities map[string][]string
	families     map[string]string
	noAccess     map[string]bool
	declared     map[string]bool
}

func newCatalogue(cfg Config) catalogue {
	c := catalogue{
		kind:         cfg.Kind,
		capabilities: byModel(cfg.Kind, cfg.Capabilities),
		families:     byModel(cfg.Kind, cfg.Families),
		noAccess:     map[string]bool{},
		declared:     map[string]bool{},
	}
	for _, m := range cfg.NoAccess {
		c.noAccess[m] = true
	}
	for m := range cfg.Personas {
		c.declared[m] = true
	}
	for m := range cfg.Capabilities {
		c.declared[m] = true
	}
	c.noAccess = byModel(cfg.Kind, c.noAccess)
	c.declared = byModel(cfg.Kind, c.declared)
	delete(c.declared, "*")
	return c
}

// denied tells whether the model is listed as one without access.
func (c catalogue) denied(model string) bool {
	_, ok := find(c.kind, c.noAccess, model)
	return ok
}

// anyFamily is what an id can do that exists but names no family: everything.
var anyFamily = bedrock.Family{
	Tools: true, StreamWithTools: true, ToolChoiceAny: true, ToolChoiceTool: true, SingleToolCall: true, Strict: true,
	CallWithText: true, ToolResultWithText: true, System: true, Images: true, ResultImages: true, ResultStatus: true, Documents: true, Audio: true, Prefill: true,
	StopSequences: true, Sampling: true, TemperatureWithTopP: true, StructuredOutput: true, ServiceTier: true,
}

// family is what a Bedrock model can do, with its lifted limits; false when no
// such model exists. recorded tells that the answers file names it.
func (c catalogue) family(model string, recorded bool) (bedrock.Family, bool) {
	declared, _ := find(c.kind, c.families, model)
	f, ok := bedrock.FamilyOf(declared, plainID(model))
	if !ok {
		if _, here := find(c.kind, c.declared, model); !here && !recorded {
			return bedrock.Family{}, false
		}
		f = anyFamily
	}
	lifted, _ := find(c.kind, c.capabilities, model)
	return f.WithCapabilities(lifted), true
}

var namedARN = regexp.MustCompile(`^arn:[^:]+:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/(.+)$`)

// plainID is a Bedrock id without region prefix; of an ARN that carries the
// model's name it is that name. Any other ARN stays as it is.
func plainID(model string) string {
	if m := namedARN.FindStringSubmatch(model); m != nil {
		model = m[1]
	}
	return llm.TrimRegion(model)
}

// byModel copies a map by model id so that find works on it: on Bedrock an id
// is also known without its region prefix.
func byModel[T any](kind Kind, in map[string]T) map[string]T {
	out := make(map[string]T, len(in))
	for k, v := range in {
		out[k] = v
	}
	if kind == Bedrock {
		for k, v := range in {
			if _, taken := out[plainID(k)]; !taken {
				out[plainID(k)] = v
			}
		}
	}
	return out
}

// find looks a model up: its id, its plain id, then "*".
func find[T any](kind Kind, m map[string]T, model string) (T, bool) {
	if v, ok := m[model]; ok {
		return v, true
	}
	if kind == Bedrock {
		if v, ok := m[plainID(model)]; ok {
			return v, true
		}
	}
	v, ok := m["*"]
	return v, ok
}
