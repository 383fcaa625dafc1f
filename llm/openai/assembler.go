package openai

import (
	"encoding/json"
	"errors"
	"slices"

	"understudy/llm"
)

// DefaultLimit is the size in bytes of the longest event, and of the longest
// assembled answer, that an Assembler accepts unless told otherwise.
const DefaultLimit = 16 << 20

// An Assembler puts the pieces of a Chat Completions stream together. It is fed
// the body's bytes in pieces of any size, and never fails the writer: what is
// wrong with the stream is kept for Close. Only the choice with index 0 is
// assembled. Not for concurrent use; the zero value is ready.
type Assembler struct {
	// Limit replaces DefaultLimit where it is above 0.
	Limit int
	// Emit, where not nil, gets the answer's pieces as they come: EventFinish with
	// [DONE], when nothing can break the answer any more. Set it before Write.
	Emit func(llm.Event)

	events   eventReader
	head     completion
	text     []byte
	refusal  []byte
	calls    []*assembledCall
	gaps     []llm.Gap
	finish   string
	usage    json.RawMessage
	counted  bool // usage came with the finish or after it: before, it is a running sum
	choices  map[int]bool
	size     int
	begun    bool
	done     bool
	closed   bool
	err      error
	legacy   bool // the answer came as function_call
	hasAudio bool
	emitted  int // calls that Emit was given
}

type assembledCall struct {
	index     int
	id, name  string
	arguments []byte
	custom    bool
	place     int // among the calls that Emit was given
	emitted   bool
}

// Write takes the next bytes of the stream. It always takes all of them and
// gives no error; bytes after the end are ignored.
func (a *Assembler) Write(p []byte) (int, error) {
	if a.done || a.closed || a.err != nil {
		return len(p), nil
	}
	if a.events.emit == nil {
		a.events = eventReader{limit: a.limit(), emit: a.event}
	}
	if err := a.events.write(p); err != nil {
		a.fail(&llm.Error{Op: "chat completion", Class: llm.ClassMalformed, Err: err})
	}
	return len(p), nil
}

func (a *Assembler) limit() int {
	if a.Limit > 0 {
		return a.Limit
	}
	return DefaultLimit
}

// Begun tells whether content has begun: a piece of text, of a refusal or of a
// tool call has come. The caller who asks after each Write knows the time to
// the first token.
func (a *Assembler) Begun() bool { return a.begun }

// Finished tells whether choice 0 has its finish reason.
func (a *Assembler) Finished() bool { return a.finish != "" }

// Done tells whether the terminal [DONE] has come.
func (a *Assembler) Done() bool { return a.done }

// Choices counts the choices that the stream has named.
func (a *Assembler) Choices() int { return len(a.choices) }

// Err is what the stream itself said or did wrong so far: an error event, an
// event that is no chunk, one longer than the limit. It is an *llm.Error.
func (a *Assembler) Err() error { return a.err }

// Close says that no byte follows and gives the verdict: nil only for a stream
// that was finished, said [DONE] and held no fault; else an *llm.Error, of
// ClassTruncated where the end is missing.
func (a *Assembler) Close() error {
	if !a.closed && a.err == nil && a.events.emit != nil {
		a.events.close()
	}
	a.closed = true
	switch {
	case a.err != nil:
		return a.err
	case !a.Finished():
		return &llm.Error{Op: "chat completion", Class: llm.ClassTruncated, Err: errors.New("read stream: it ended without a finish reason")}
	case !a.done:
		return &llm.Error{Op: "chat completion", Class: llm.ClassTruncated, Err: errors.New("read stream: it ended without [DONE]")}
	}
	return nil
}

// Response is what has been assembled so far, in neutral form.
func (a *Assembler) Response() *llm.Response {
	r := &llm.Response{
		ID: a.head.ID, Model: a.head.Model, SystemFingerprint: a.head.SystemFingerprint,
		Text: string(a.text), Refusal: string(a.refusal),
		NativeFinish: a.finish, ServiceTier: a.head.ServiceTier,
		Usage: neutralUsage(a.finalUsage()), Gaps: slices.Clone(a.gaps),
	}
	for i, c := range a.ordered() {
		if c.custom {
			r.Gaps = append(r.Gaps, customCallGap(i))
			continue
		}
		r.ToolCalls = append(r.ToolCalls, llm.ToolCall{ID: c.id, Name: c.name, Arguments: string(c.arguments)})
	}
	r.Finish = finishOf(a.finish, len(r.ToolCalls))
	return r
}

// finalUsage is the usage of the whole answer, nil while it may be a running sum.
func (a *Assembler) finalUsage() json.RawMessage {
	if !a.counted {
		return nil
	}
	return a.usage
}

// ordered gives the calls by their index, whatever order they came in.
func (a *Assembler) ordered() []*assembledCall {
	calls := slices.Clone(a.calls)
	slices.SortStableFunc(calls, func(x, y *assembledCall) int { return x.index - y.index })
	return calls
}

func (a *Assembler) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// grow accounts for n more bytes of the answer.
func (a *Assembler) grow(n int) bool {
	a.size += n
	if a.size > a.limit() {
		a.fail(malformed("read stream: the answer is longer than %d bytes", a.limit()))
		return false
	}
	return true
}
