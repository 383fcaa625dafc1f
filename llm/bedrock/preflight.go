package bedrock

import (
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// Rules of the service that a built request may break. The translator's own
// rules keep all of them; what still breaks one is refused by name before a token
// is paid. Each is a refusal that users of other translators have reported, or a
// limit of the service definition.
var (
	ruleTurns     = rule("turns", "turns must alternate between user and assistant, from the user's on")
	ruleEnd       = rule("end", "the last turn must be the user's, or a prefill without tools and demanded form")
	ruleEmptyTurn = rule("empty_turn", "a turn must have content")
	ruleBlank     = rule("blank", "a text must not be blank")
	ruleRole      = rule("role", "calls are the assistant's; results, images, documents and speech the user's")
	ruleID        = rule("tool_id", "an id has 1 to 64 of a-z A-Z 0-9 _ -, nine letters and digits for Mistral, and stands once")
	ruleInput     = rule("tool_input", "the arguments of a call must be a JSON object")
	rulePairs     = rule("pairs", "the turn after a call must begin with the results of exactly its calls")
	ruleStatus    = rule("status", "the model takes no status of a result")
	ruleTogether  = rule("together", "the model refuses calls or results beside text in one turn")
	ruleHistory   = rule("tool_config", "earlier calls need declared tools")
	ruleTool      = rule("tool", "a tool needs a name of its own of 1 to 64 of a-z A-Z 0-9 _ -, and a schema of type object")
	ruleChoice    = rule("tool_choice", "the model takes no such choice, or the chosen tool is not declared")
	ruleSystem    = rule("system", "the model takes no system text")
	ruleImages    = rule("images", "a request takes at most 20 images of at most 3.75 MB")
	ruleDocuments = rule("documents", "a turn with a document needs text; a request takes at most five documents of at most 4.5 MB, each with a name of its own")
	ruleCache     = rule("cache_points", "a request takes at most four cache points, each behind what it keeps, and none inside a result")
	ruleInference = rule("inference", "maxTokens is at least 1, temperature and topP within 0 to 1, stop sequences are at most 2500 and not blank")
	ruleMetadata  = rule("metadata", "requestMetadata has at most 16 labels, each of at most 256 characters of a kind")
)

// maxStop is the most stop sequences, by the service definition, maxCachePoints the
// most cache points, by reports of its refusals.
const (
	maxStop        = 2500
	maxCachePoints = 4
)

func rule(code, text string) *gapKind {
	return kind("preflight_"+code, llm.Blocking, llm.Refused, text)
}

// preflight looks at the built request with the eyes of the service. Its gaps
// point at the request's message from which a turn was made.
func (t *translator) preflight() {
	c := preflight{t: t, family: t.family, ids: map[string]bool{}, titles: map[string]bool{}}
	if !llm.Comparable(t.gaps) {
		return // it is refused already, and the body is for the eye only
	}
	c.turns()
	c.tools()
	c.rest()
}

type preflight struct {
	t       *translator
	family  Family
	ids     map[string]bool // of calls
	titles  map[string]bool // of documents
	history bool
	images  int
	points  int // cache points
	// open are the calls of the turn before, which have no result yet.
	open []string
}

func (c *preflight) demand(ok bool, path string, r *gapKind) {
	if !ok {
		c.t.gap(path, r)
	}
}

func (c *preflight) turns() {
	turns := c.t.out.turns
	for i, u := range turns {
		c.demand(u.assistant == (i%2 == 1), u.path, ruleTurns)
		c.demand(len(u.blocks) > 0, u.path, ruleEmptyTurn)
		c.turn(u)
	}
	if n := len(turns); n > 0 && turns[n-1].assistant {
		plain := len(c.t.out.tools) == 0 && c.t.out.output.schema == nil
		c.demand(c.family.Prefill && len(c.open) == 0 && plain, turns[n-1].path, ruleEnd)
	}
	c.demand(c.images <= maxImages, "/messages", ruleImages)
	c.demand(len(c.titles) <= maxDocuments, "/messages", ruleDocuments)
	c.demand(c.points <= maxCachePoints, "/messages", ruleCache)
}

// turn looks at the blocks of one turn.
func (c *preflight) turn(u wireTurn) {
	var calls, results []string
	others, text, document := 0, false, false
	for i := range u.blocks {
		switch k := &u.blocks[i]; {
		case k.cache:
			c.points++
			c.demand(i > 0, u.path, ruleCache)
		case k.use != nil:
			c.call(u, k.use)
			calls = append(calls, k.use.id)
		case k.result != nil:
			c.demand(!u.assistant && others == 0 && len(k.result.content) > 0, u.path, rulePairs)
			c.demand(!k.result.failed || c.family.ResultStatus, u.path, ruleStatus)
			results = append(results, k.result.id)
			for j := range k.result.content {
				c.demand(k.result.content[j].image == nil || c.family.ResultImages, u.path, ruleRole)
				c.demand(!k.result.content[j].cache, u.path, ruleCache)
				c.content(u, &k.result.content[j])
			}
		default:
			others++
			text = text || k.isText()
			document = document || k.document != nil
			c.content(u, k)
		}
	}
	c.demand(len(u.blocks) == 0 || slices.Equal(results, c.open), u.path, rulePairs)
	c.demand(!document || text, u.path, ruleDocuments)
	c.demand(others == 0 || (len(calls) == 0 || c.family.CallWithText) && (len(results) == 0 || c.family.ToolResultWithText), u.path, ruleTogether)
	c.open = calls
}

func (c *preflight) call(u wireTurn, use *toolUse) {
	c.history = true
	c.demand(u.assistant, u.path, ruleRole)
	c.demand(c.t.acceptedID(use.id) && !c.ids[use.id] && validID(use.name), u.path, ruleID)
	c.demand(strings.HasPrefix(string(use.input), "{"), u.path, ruleInput)
	c.ids[use.id] = true
}

// content looks at a block that is neither call nor result.
func (c *preflight) content(u wireTurn, k *block) {
	switch {
	case k.isText():
		c.demand(!blank(k.text), u.path, ruleBlank)
	case k.image != nil:
		c.images++
		c.demand(c.family.Images && !u.assistant, u.path, ruleRole)
		c.demand(len(k.image.data) <= maxImageBytes, u.path, ruleImages)
	case k.document != nil:
		c.demand(c.family.Documents && !u.assistant, u.path, ruleRole)
		c.demand(!c.titles[k.document.name] && k.document.name != "" && len(k.document.data) <= maxDocumentBytes, u.path, ruleDocuments)
		c.titles[k.document.name] = true
	case k.audio != nil:
		c.demand(c.family.Audio && !u.assistant, u.path, ruleRole)
	}
}

func (c *preflight) tools() {
	out := &c.t.out
	c.demand(!c.history || len(out.tools) > 0, "/tools", ruleHistory)
	names := map[string]bool{}
	for i, tool := range out.tools {
		path := "/tools/" + strconv.Itoa(i)
		c.demand(c.family.Tools && validID(tool.name) && !names[tool.name] && schemaType(tool.schema) == "object", path, ruleTool)
		names[tool.name] = true
	}
	switch out.choice.mode {
	case "any":
		c.demand(c.family.ToolChoiceAny && len(out.tools) > 0, "/tool_choice", ruleChoice)
	case "tool":
		c.demand(c.family.ToolChoiceTool && names[out.choice.name], "/tool_choice", ruleChoice)
	}
}

func (c *preflight) rest() {
	out := &c.t.out
	for _, s := range out.system {
		c.demand(!blank(s), "/messages", ruleBlank)
	}
	c.demand(len(out.system) == 0 || c.family.System, "/messages", ruleSystem)
	in := out.inference
	share := func(v *float64) bool { return v == nil || *v >= 0 && *v <= 1 }
	c.demand((in.maxTokens == nil || *in.maxTokens >= 1) && share(in.temperature) && share(in.topP) &&
		len(in.stop) <= maxStop && !slices.ContainsFunc(in.stop, blank), "", ruleInference)
	ok := len(out.metadata) <= maxMetadata
	for _, f := range out.metadata {
		ok = ok && f.key != "" && len(f.key) <= maxMetadataText && metadataText(f.key) == f.key
	}
	c.demand(ok, "/metadata", ruleMetadata)
}
