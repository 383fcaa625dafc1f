package bedrock

import (
	"strings"

	"understudy/llm"
)

const (
	// fillerUser opens a conversation that the assistant opened.
	fillerUser = "(start of the conversation)"
	// fillerAssistant stands between tool results and text for a family that
	// refuses both in one turn.
	fillerAssistant = "(tool results received)"
	// missingResult answers a call whose result the request does not have.
	missingResult = "(no result)"
	// unknownCall leads a result whose call the request does not have.
	unknownCall = "Result of an earlier tool call:"
)

// assemble makes the wire's turns of the request's: results paired with calls,
// the first turn the user's, system text where the family takes it.
func (t *translator) assemble() {
	var before *turn
	for _, u := range t.turns {
		if u.assistant {
			if len(t.out.turns) == 0 {
				t.gap(u.path, llm.Semantic, llm.Emulated, "leading_assistant: the first turn must be the user's; a filler precedes it")
				t.emit(false, block{text: fillerUser})
			}
			t.emit(true, assistantBlocks(u)...)
		} else {
			t.emitUser(t.pair(before, u), u.texts, u.path)
		}
		before = u
	}
	if before != nil && before.assistant {
		t.gap(before.path, llm.Blocking, llm.Refused, "prefill: a conversation that ends with the assistant's turn is not sent")
	}
	t.emitSystem()
}

func (t *translator) emit(assistant bool, blocks ...block) {
	t.out.turns = append(t.out.turns, wireTurn{assistant, blocks})
}

func assistantBlocks(u *turn) []block {
	blocks := u.texts
	for i := range u.calls {
		blocks = append(blocks, block{use: &u.calls[i].use})
	}
	return blocks
}

// pair gives one result for each call of the turn before, in the calls' order,
// as the service counts them; what answers no call becomes text of the turn.
func (t *translator) pair(before, u *turn) []block {
	var results []block
	if before != nil {
		for _, c := range before.calls {
			r := toolResult{id: c.use.id, content: []block{{text: missingResult}}, failed: true}
			if found := unused(u.results, c.id); found != nil {
				found.used = true
				r.content, r.failed = found.content, false
			} else {
				t.gap(c.path, llm.Semantic, llm.Emulated, "missing_tool_result: the call has no result; one that says so is sent")
			}
			results = append(results, block{result: &r})
		}
	}
	var orphans []block
	for _, r := range u.results {
		if !r.used {
			t.gap(r.path, llm.Semantic, llm.Approximated, "orphan_tool_result: the result answers no call of the turn before and is sent as text")
			orphans = append(append(orphans, block{text: unknownCall}), r.content...)
		}
	}
	u.texts = append(orphans, u.texts...)
	return results
}

func unused(results []result, id string) *result {
	for i := range results {
		if !results[i].used && results[i].id == id {
			return &results[i]
		}
	}
	return nil
}

// emitUser writes a user turn: results stand before text, which Claude demands,
// and in a turn of their own where the family refuses both together.
func (t *translator) emitUser(results, texts []block, path string) {
	if len(results) > 0 && len(texts) > 0 && !t.family.ToolResultWithText {
		t.gap(path, llm.Semantic, llm.Emulated, "filler_turn: the model refuses tool results and text in one turn; a filler parts them")
		t.emit(false, results...)
		t.emit(true, block{text: fillerAssistant})
		results = nil
	}
	t.emit(false, append(results, texts...)...)
}

// emitSystem puts the system text into its place: of its own, or before the
// first user turn for a family that has none.
func (t *translator) emitSystem() {
	switch {
	case len(t.system) == 0:
	case len(t.out.turns) == 0:
		t.gap(t.systemPath, llm.Semantic, llm.Emulated, "system_only: a user turn is needed, so the system text is sent as one")
		t.emit(false, block{text: strings.Join(t.system, "\n\n")})
	case t.family.System:
		t.out.system = t.system
	default:
		if t.systemPath != "" { // else it is only the instruction for JSON, which has its own gap
			t.gap(t.systemPath, llm.Semantic, llm.Emulated, "system_in_user: the model takes no system text; it leads the first user turn")
		}
		first := &t.out.turns[0]
		first.blocks = append([]block{{text: strings.Join(t.system, "\n\n")}}, first.blocks...)
	}
}
