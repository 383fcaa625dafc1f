package bedrock

import (
	"errors"
	"strings"

	"understudy/llm"
)

// A Translation is a neutral request in Converse's form.
type Translation struct {
	// Body is the JSON body exactly as it goes on the wire. The same request
	// always gives the same bytes.
	Body []byte
	// Gaps lists what the wire or the family cannot express, in an order that is
	// always the same. With a blocking gap the body is for the eye only, and the
	// service may refuse it.
	Gaps []llm.Gap
	// Streamed tells whether the answer is to be asked for as a stream.
	Streamed bool
	// Media counts the pictures and pieces of speech in the body, Documents the
	// documents that are no plain text, Tools the tools.
	Media, Documents, Tools int
	// MaxTokens is the limit of the answer that goes out, 0 for none.
	MaxTokens int
	// Tier tells how a demanded form of answer is asked for, "" for none.
	Tier llm.Tier
	// ServiceTier is the tier that is asked for, in the service's word, "" for none.
	ServiceTier string

	names  names
	ids    map[string]string
	titles []string
	// answerTool is the hidden tool of TierTool, by its name on the wire.
	answerTool string
	// thinking tells that the text may begin with the model's thinking.
	thinking bool
	// cuts are the stop sequences that the model does not take.
	cuts []string
	// noCalls tells that the request forbade tool calls and the wire could not.
	noCalls bool
}

// ToolName gives the request's name for the tool that is called name on the wire.
func (tr *Translation) ToolName(name string) string { return tr.names.neutral(name) }

// CallID gives the request's id for the call that has this id on the wire; an id
// that the request does not have is a new call's and stays.
func (tr *Translation) CallID(id string) string {
	if own, ok := tr.ids[id]; ok {
		return own
	}
	return id
}

// DocumentName gives the request's name for the document that has this name on
// the wire, "" where the request gave it none.
func (tr *Translation) DocumentName(name string) string {
	for i, title := range tr.titles {
		if neutralTitle(i) == name {
			return title
		}
	}
	return ""
}

// Restore turns an answer to the translated request back into the request's terms:
// tools have its names, and the call of a hidden tool is the text of the answer.
func (tr *Translation) Restore(resp *llm.Response) {
	tr.unhide(resp)
	if tr.thinking {
		takeOutThinking(resp)
	}
	if tr.answerTool == "" {
		tr.cut(resp)
	}
	for i := range resp.ToolCalls {
		resp.ToolCalls[i].Name = tr.names.neutral(resp.ToolCalls[i].Name)
	}
	if tr.noCalls && len(resp.ToolCalls) > 0 {
		resp.Gaps = append(resp.Gaps, choiceViolated.at("/tool_choice"))
	}
}

// takeOutThinking takes a leading <thinking>…</thinking> out of the text.
func takeOutThinking(resp *llm.Response) {
	inside, ok := strings.CutPrefix(strings.TrimLeft(resp.Text, " \n"), "<thinking>")
	_, after, closed := strings.Cut(inside, "</thinking>")
	if ok && closed {
		resp.Text = strings.TrimLeft(after, " \n")
		resp.Gaps = append(resp.Gaps, thinkingTakenOut.at("/output/message/content/0"))
	}
}

// cut ends an answer before the first stop sequence, as the model would have.
func (tr *Translation) cut(resp *llm.Response) {
	end := -1
	for _, s := range tr.cuts {
		if i := strings.Index(resp.Text, s); s != "" && i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end >= 0 {
		resp.Text, resp.ToolCalls = resp.Text[:end], nil
		if resp.Finish != "" { // what broke off has none
			resp.Finish = llm.FinishStop
		}
	}
}

// Translate writes req for a model of family f. It does no I/O and never changes
// what a message says in silence: whatever cannot go out as asked is in Gaps, and
// so is a rule of the service that the body would break. A request of which
// nothing remains to be sent is an *llm.Error of ClassUntranslatable.
func Translate(req *llm.Request, f Family) (*Translation, error) {
	t := &translator{req: req, family: f, ids: map[string]string{}, salts: map[string]string{}}
	t.names.noDash = f.ToolNameNoDash
	t.names.reserve(req.Tools)
	t.messages()
	if len(t.turns) == 0 && len(t.system) == 0 {
		return nil, &llm.Error{Op: "translate", Class: llm.ClassUntranslatable, Path: "/messages",
			Err: errors.New("translate request: no message has anything to send")}
	}
	t.tools()
	t.limit()
	t.reasoning()
	t.sampling()
	t.parallel()
	t.format()
	t.labels()
	t.extra()
	t.assemble()
	t.preflight()
	tr := &Translation{
		Streamed: !req.Whole && (len(t.out.tools) == 0 || f.StreamWithTools),
		Media:    t.media, Documents: t.bound, Tools: len(t.out.tools), Tier: t.tier,
		ServiceTier: t.out.tier,
		names:       t.names, ids: t.ids, titles: t.titles, answerTool: t.answerTool, cuts: t.cuts, thinking: f.ThinkingInText, noCalls: t.noCalls,
	}
	if n := t.out.inference.maxTokens; n != nil {
		tr.MaxTokens = *n
	}
	if !tr.Streamed && !req.Whole && req.Stream {
		t.gap("/stream", streamingEmulated)
	}
	tr.Body, tr.Gaps = t.out.append(make([]byte, 0, t.out.size())), t.gaps
	return tr, nil
}

// A translator writes one request.
type translator struct {
	req    *llm.Request
	family Family
	gaps   []llm.Gap
	out    wireRequest

	turns []*turn
	// system is the text of the system messages, systemPath where the first
	// that said something stands.
	system     []string
	systemPath string
	names      names
	// ids maps the ids of calls on the wire to the request's, salts an id that
	// was changed to what its next form is made from.
	ids, salts map[string]string
	// titles are the names of the documents, in order.
	titles []string
	// images counts pictures, media those and pieces of speech, bound the
	// documents that are no plain text.
	images, media, bound int
	strict               int  // strict tools
	more                 bool // there are more gaps than are listed
	reasons, thinks      bool // the model is asked to reason; as Claude does
	tier                 llm.Tier
	answerTool           string
	cuts                 []string
	noCalls              bool
}

// maxGaps bounds the gaps of one request, which travel in every record of it.
const maxGaps = 200

// gap reports one; beyond the bound those that block are kept, and one tells of
// the others.
func (t *translator) gap(path string, k *gapKind) {
	switch {
	case len(t.gaps) < maxGaps, k.severity == llm.Blocking && len(t.gaps) < 2*maxGaps && llm.Comparable(t.gaps):
		t.gaps = append(t.gaps, k.at(path))
	case !t.more:
		t.more = true
		t.gaps = append(t.gaps, moreGaps.at(""))
	}
}

// blank tells whether a text is one that Converse refuses as empty.
func blank(s string) bool { return strings.TrimSpace(s) == "" }
