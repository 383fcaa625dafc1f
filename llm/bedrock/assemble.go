package bedrock

import (
	"slices"
	"strings"
	"unicode"

	"understudy/llm"
)

const (
	// fillerUser opens a conversation that the assistant opened.
	fillerUser = "(start of the conversation)"
	// fillerAssistant stands between tool results and text for a family that
	// refuses both in one turn.
	fillerAssistant = "(tool results received)"
	// fillerBetween stands between text and calls for a family that refuses both
	// in one turn, fillerDocument beside a document without a word.
	fillerBetween  = "(go on)"
	fillerDocument = "(see the document)"
	// missingResult answers a call whose result the request does not have.
	missingResult = "(no result)"
	// unknownCall leads a result whose call the request does not have.
	unknownCall = "Result of an earlier tool call:"
)

// assemble makes the wire's turns of the request's: results paired with calls,
// the first turn the user's, system text where the family takes it.
func (t *translator) assemble() {
	var before *turn
	for i, u := range t.turns {
		if !u.assistant {
			t.emitUser(t.pair(before, u), u.texts, u.path)
		} else {
			if len(t.out.turns) == 0 {
				t.gap(u.path, leadingAssistant)
				t.emit(false, u.path, block{text: fillerUser})
			}
			if i == len(t.turns)-1 {
				t.prefill(u)
			}
			t.emitAssistant(u)
		}
		before = u
	}
	t.emitSystem()
}

func (t *translator) emit(assistant bool, path string, blocks ...block) {
	t.out.turns = append(t.out.turns, wireTurn{assistant, blocks, path})
}

// prefill deals with a conversation that ends with the assistant's turn.
func (t *translator) prefill(u *turn) {
	if !t.family.Prefill || len(u.calls) > 0 || t.reasons {
		t.gap(u.path, prefillRefused)
		return
	}
	if len(t.out.tools) > 0 || t.tier == llm.TierNative {
		t.gap(u.path, prefillTools)
		return
	}
	t.gap(u.path, prefillContinued)
	last := &u.texts[len(u.texts)-1]
	if trimmed := strings.TrimRightFunc(last.text, unicode.IsSpace); trimmed != last.text {
		t.gap(u.path, prefillTrimmed)
		last.text = trimmed
	}
}

// emitAssistant writes an assistant turn, in two where the family refuses text
// and calls together.
func (t *translator) emitAssistant(u *turn) {
	if len(u.calls) > 0 && len(u.texts) > 0 && !t.family.CallWithText {
		t.gap(u.path, fillerTurn)
		t.emit(true, u.path, u.texts...)
		t.emit(false, u.path, block{text: fillerBetween})
		t.emit(true, u.path, callBlocks(u)...)
		return
	}
	t.emit(true, u.path, append(u.texts, callBlocks(u)...)...)
}

func callBlocks(u *turn) []block {
	var blocks []block
	for i := range u.calls {
		blocks = append(blocks, block{use: &u.calls[i].use})
	}
	return blocks
}

// pair gives one result for each call of the turn before, in the calls' order,
// as the service counts them; what answers no call becomes text of the turn.
func (t *translator) pair(before, u *turn) []block {
	waiting := map[string][]*result{} // results by the request's id, in order
	for i := range u.results {
		r := &u.results[i]
		waiting[r.id] = append(waiting[r.id], r)
	}
	var results []block
	if before != nil {
		for _, c := range before.calls {
			r := toolResult{id: c.use.id, content: []block{{text: missingResult}}, failed: t.family.ResultStatus}
			if found := waiting[c.id]; len(found) > 0 {
				waiting[c.id], found[0].used = found[1:], true
				r.content, r.failed = found[0].content, false
			} else {
				t.gap(c.path, missingToolResult)
			}
			results = append(results, block{result: &r})
		}
	}
	var orphans []block
	for _, r := range u.results {
		if !r.used {
			t.gap(r.path, orphanToolResult)
			orphans = append(append(orphans, block{text: unknownCall}), r.content...)
		}
	}
	u.texts = append(orphans, u.texts...)
	return results
}

// emitUser writes a user turn: results stand before text, which Claude demands,
// and in a turn of their own where the family refuses both together.
func (t *translator) emitUser(results, texts []block, path string) {
	if slices.ContainsFunc(texts, isDocument) && !slices.ContainsFunc(texts, isText) {
		t.gap(path, documentText)
		texts = append(texts, block{text: fillerDocument})
	}
	if len(results) > 0 && len(texts) > 0 && !t.family.ToolResultWithText {
		t.gap(path, fillerTurn)
		t.emit(false, path, results...)
		t.emit(true, path, block{text: fillerAssistant})
		results = nil
	}
	t.emit(false, path, append(results, texts...)...)
}

func isDocument(k block) bool { return k.document != nil }

func isText(k block) bool { return k.isText() }

// emitSystem puts the system text into its place: of its own, or before the
// first user turn for a family that has none.
func (t *translator) emitSystem() {
	switch {
	case len(t.system) == 0:
	case len(t.out.turns) == 0:
		t.gap(t.systemPath, systemOnly)
		t.emit(false, t.systemPath, block{text: strings.Join(t.system, "\n\n")})
	case t.family.System:
		t.out.system = t.system
	default:
		if t.systemPath != "" { // else it is only the instruction for JSON, which has its own gap
			t.gap(t.systemPath, systemInUser)
		}
		first := &t.out.turns[0]
		first.blocks = append([]block{{text: strings.Join(t.system, "\n\n")}}, first.blocks...)
	}
}
