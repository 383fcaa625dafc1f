package openai

import "understudy/llm"

func (a *Assembler) emit(e llm.Event) {
	if a.Emit != nil {
		a.Emit(e)
	}
}

// emitCall gives a piece of a call's arguments, and the call itself before its first
// piece. A call whose name has not come yet waits for it.
func (a *Assembler) emitCall(c *assembledCall, piece string) {
	if a.Emit == nil || c.custom || c.name == "" {
		return
	}
	if !c.emitted {
		c.emitted, c.place = true, a.emitted
		a.emitted++
		a.Emit(llm.Event{Kind: llm.EventCall, Index: c.place, ID: c.id, Name: c.name})
		piece = string(c.arguments)
	}
	if piece != "" {
		a.Emit(llm.Event{Kind: llm.EventArguments, Index: c.place, Text: piece})
	}
}

// emitEnd gives the finish of a whole answer, and the usage after it.
func (a *Assembler) emitEnd() {
	if a.Emit == nil || a.err != nil || !a.Finished() {
		return
	}
	a.Emit(llm.Event{Kind: llm.EventFinish, Finish: finishOf(a.finish, a.emitted)})
	if u := neutralUsage(a.finalUsage()); u != nil {
		a.Emit(llm.Event{Kind: llm.EventUsage, Usage: *u})
	}
}
