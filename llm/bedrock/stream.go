package bedrock

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// maxAnswer bounds the size in bytes of an answer that is assembled.
const maxAnswer = 16 << 20

// A Stream puts the events of ConverseStream together. It is strict: blocks are
// told apart by their index, an event out of order is an error, and only
// messageStop makes an answer whole. Usage comes with metadata, before or after;
// a stream that ends without it is whole, and its usage unknown. Not for
// concurrent use; the zero value is ready.
type Stream struct {
	// Emit, where not nil, gets the answer's pieces as they come. After an error
	// it gets no more. EventFinish comes when nothing can break the answer any
	// more: with the later of messageStop and metadata, or with End.
	Emit func(llm.Event)

	blocks map[int]*streamedBlock
	calls  int
	// text is one more than the index of the block whose text comes; text that
	// goes back to another would be read in another order than it was sent.
	text    int
	size    int
	started bool
	begun   bool
	stop    *string
	// last is the finish that waits.
	last    *llm.Event
	metaIn  bool
	usage   *llm.Usage
	tier    string
	unknown answerBuilder // only its gaps
	err     error
}

type streamedBlock struct {
	kind     string // "text", "toolUse", or another member's name
	closed   bool
	call     int // the place of a toolUse among the calls
	id, name string
	data     []byte // text, or fragments of the arguments
}

// streamEvent is the union of what the known events hold.
type streamEvent struct {
	Index      int        `json:"contentBlockIndex"`
	Start      union      `json:"start"`
	Delta      union      `json:"delta"`
	StopReason string     `json:"stopReason"`
	Usage      *wireUsage `json:"usage"`
	Tier       wireTier   `json:"serviceTier"`
}

// Begun tells whether content has begun: text, or a tool call. Reasoning is not
// content.
func (s *Stream) Begun() bool { return s.begun }

// Complete tells whether nothing more has to come: messageStop and metadata have.
func (s *Stream) Complete() bool { return s.stop != nil && s.metaIn }

// Event takes the payload of an event by the name that its frame, or its line,
// gives it. An event of an unknown name is counted as a gap. The first error
// stands; events after it, and after the stream is complete, are ignored.
func (s *Stream) Event(name string, payload []byte) error {
	if s.err == nil && !s.Complete() {
		s.err = s.event(name, payload)
	}
	return s.err
}

// Line takes one event, or an exception, in the form {"NAME": PAYLOAD}. What does
// not have this form is an *llm.Error of ClassUntranslatable and is not taken; any
// other error is the stream's own and stands, as that of Event does.
func (s *Stream) Line(line []byte) error {
	name, payload, ok := member(line)
	if !ok || len(payload) == 0 || payload[0] != '{' {
		return &llm.Error{Op: "read stream", Class: llm.ClassUntranslatable, Err: errors.New(`the line is no event of the form {"NAME": {…}}`)}
	}
	if !strings.HasSuffix(name, "Exception") && name != "error" {
		return s.Event(name, payload)
	}
	if s.err == nil && !s.Complete() {
		s.err = streamFault(frame{kind: "exception", name: name, payload: payload})
	}
	return s.err
}

func (s *Stream) event(name string, payload []byte) error {
	if name == "contentBlockDelta" && s.stop == nil {
		if index, text, ok := textPiece(payload); ok {
			return s.textDelta(index, text)
		}
	}
	var e streamEvent
	switch name {
	case "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata":
		if err := json.Unmarshal(payload, &e); err != nil {
			return malformed("read stream: %s: %w", name, err)
		}
	default:
		s.unknown.other("/"+name, name)
		return nil
	}
	if e.Index < 0 {
		return malformed("read stream: a block of index %d", e.Index)
	}
	if s.stop != nil && name != "metadata" {
		return malformed("read stream: %s after messageStop", name)
	}
	switch name {
	case "messageStart":
		if s.started || len(s.blocks) > 0 {
			return malformed("read stream: messageStart inside the message")
		}
		s.started = true
	case "contentBlockStart":
		return s.open(e.Index, e.Start)
	case "contentBlockDelta":
		return s.delta(e.Index, e.Delta)
	case "contentBlockStop":
		if k := s.blocks[e.Index]; k != nil { // a text block without text has no start and no delta
			s.close(k)
		}
	case "messageStop":
		return s.finish(e.StopReason)
	case "metadata":
		if s.metaIn {
			return malformed("read stream: metadata twice")
		}
		s.metaIn, s.usage, s.tier = true, e.Usage.neutral(), e.Tier.Type
		s.emitLast()
	}
	return nil
}

func (s *Stream) emit(e llm.Event) {
	if s.Emit != nil {
		s.Emit(e)
	}
}

// close ends a block. A call without an argument has {}, as OpenAI writes it.
func (s *Stream) close(k *streamedBlock) {
	if !k.closed && k.kind == "toolUse" && len(k.data) == 0 {
		k.data = []byte("{}")
		s.emit(llm.Event{Kind: llm.EventArguments, Index: k.call, Text: "{}"})
	}
	k.closed = true
}

// finish takes the terminal event.
func (s *Stream) finish(reason string) error {
	s.stop = &reason
	finish, err := finishOf(reason, s.calls)
	if err != nil {
		return nil // the verdict of Response; what was paid for may still come
	}
	for _, index := range slices.Sorted(maps.Keys(s.blocks)) {
		k := s.blocks[index]
		whole := k.closed || k.kind != "toolUse" || len(k.data) == 0 || json.Valid(k.data)
		if !whole && finish != llm.FinishLength && finish != llm.FinishContentFilter {
			return malformed("read stream: messageStop inside the call of block %d", index)
		}
		s.close(k)
	}
	s.last = &llm.Event{Kind: llm.EventFinish, Finish: finish}
	if s.metaIn {
		s.emitLast()
	}
	return nil
}

// emitLast gives the finish, and the usage after it.
func (s *Stream) emitLast() {
	if s.last == nil {
		return
	}
	s.emit(*s.last)
	s.last = nil
	if s.usage != nil {
		s.emit(llm.Event{Kind: llm.EventUsage, Usage: *s.usage})
	}
}

// End says that no event follows, and gives the verdict, as Response does.
func (s *Stream) End() error {
	_, err := s.Response()
	if err == nil {
		s.emitLast()
	}
	return err
}

// open begins a block of a kind that has a start event.
func (s *Stream) open(index int, start union) error {
	kind, value, ok := start.member()
	switch {
	case len(start) == 0: // it says nothing, as that of a text block
		return nil
	case !ok:
		return malformed("read stream: a contentBlockStart without a start")
	case s.blocks[index] != nil:
		return malformed("read stream: block %d starts twice", index)
	}
	var use wireCall
	if kind == "toolUse" {
		if err := use.read(value); err != nil {
			return err
		}
		if use.Type == serverToolUse {
			kind = serverToolUse
		}
	}
	k, err := s.add(index, kind)
	if err != nil || kind != "toolUse" {
		return err
	}
	k.id, k.name, s.begun = use.ToolUseID, use.Name, true
	k.call = s.calls
	s.calls++
	s.emit(llm.Event{Kind: llm.EventCall, Index: k.call, ID: k.id, Name: k.name})
	return nil
}

// maxBlocks bounds the blocks of one answer.
const maxBlocks = 1024

func (s *Stream) add(index int, kind string) (*streamedBlock, error) {
	if len(s.blocks) == maxBlocks {
		return nil, malformed("read stream: more than %d blocks", maxBlocks)
	}
	if s.blocks == nil {
		s.blocks = map[int]*streamedBlock{}
	}
	k := &streamedBlock{kind: kind}
	s.blocks[index] = k
	return k, nil
}

// delta adds a piece to a block.
func (s *Stream) delta(index int, piece union) error {
	kind, value, ok := piece.member()
	if !ok {
		return malformed("read stream: a contentBlockDelta without a delta")
	}
	if kind == "text" {
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return malformed("read stream: a text delta: %w", err)
		}
		return s.textDelta(index, text)
	}
	k, err := s.reach(index, kind)
	switch {
	case err != nil:
		return err
	case kind == "citation" && k.kind == "text":
		s.unknown.other("/contentBlockDelta/delta/citation", kind)
		return nil
	case kind == "toolUse" && k.kind == serverToolUse:
		return nil
	case kind != k.kind:
		return changedKind(index)
	case kind == "toolUse":
		var use struct {
			Input string `json:"input"`
		}
		if err := json.Unmarshal(value, &use); err != nil {
			return malformed("read stream: a tool call's delta: %w", err)
		}
		return s.grow(k, use.Input, llm.EventArguments)
	}
	return nil // a kind that Response reports
}

// reach gives the block that a delta of some kind belongs to; one of text and
// reasoning opens it.
func (s *Stream) reach(index int, kind string) (*streamedBlock, error) {
	k := s.blocks[index]
	switch {
	case k == nil && kind == "toolUse":
		return nil, malformed("read stream: arguments of block %d, which has not started", index)
	case k == nil:
		return s.add(index, kind)
	case k.closed:
		return nil, malformed("read stream: a delta of block %d, which has ended", index)
	}
	return k, nil
}

func changedKind(index int) error {
	return malformed("read stream: block %d changes its kind", index)
}

// textDelta adds text to a block.
func (s *Stream) textDelta(index int, text string) error {
	k, err := s.reach(index, "text")
	switch {
	case err != nil:
		return err
	case k.kind != "text":
		return changedKind(index)
	case text == "":
		return nil
	case index+1 < s.text:
		return malformed("read stream: text of block %d after that of block %d", index, s.text-1)
	}
	s.begun, s.text = true, index+1
	return s.grow(k, text, llm.EventText)
}

func (s *Stream) grow(k *streamedBlock, piece string, kind llm.EventKind) error {
	if s.size += len(piece); s.size > maxAnswer {
		return malformed("read stream: the answer is longer than %d bytes", maxAnswer)
	}
	k.data = append(k.data, piece...)
	if piece != "" {
		s.emit(llm.Event{Kind: kind, Index: k.call, Text: piece})
	}
	return nil
}

// Response is what has come so far, and the verdict on it: nil for a complete
// stream; else an *llm.Error, of ClassTruncated where a terminal event is
// missing.
func (s *Stream) Response() (*llm.Response, error) {
	b := answerBuilder{}
	calls := make([]*streamedBlock, s.calls) // in the order in which they began, as Emit gave them
	for i, index := range slices.Sorted(maps.Keys(s.blocks)) {
		switch k := s.blocks[index]; k.kind {
		case "text":
			b.text(string(k.data))
		case "toolUse":
			calls[k.call] = k
		default:
			b.other("/output/message/content/"+strconv.Itoa(i), k.kind)
		}
	}
	for _, k := range calls {
		b.call(k.id, k.name, k.data)
	}
	b.resp.Gaps = append(b.resp.Gaps, s.unknown.resp.Gaps...)
	b.resp.Usage, b.resp.ServiceTier = s.usage, s.tier
	err := s.err
	if s.stop != nil {
		if verdict := b.finish(*s.stop); err == nil {
			err = verdict
		}
	} else if err == nil {
		err = &llm.Error{Class: llm.ClassTruncated, Err: errors.New("read stream: it ended without messageStop")}
	}
	return b.response(), err
}
