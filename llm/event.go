package llm

// An EventKind says what an Event is.
type EventKind string

// The kinds of Event.
const (
	EventText      EventKind = "text"      // a piece of text
	EventRefusal   EventKind = "refusal"   // a piece of a refusal
	EventCall      EventKind = "call"      // a call begins: Index, ID, Name
	EventArguments EventKind = "arguments" // a piece of a call's arguments: Index, Text
	EventFinish    EventKind = "finish"    // the answer is whole: Finish
	EventUsage     EventKind = "usage"     // what it cost; always after EventFinish
)

// An Event is a piece of an answer as it streams in, in neutral form. The spokes
// that read a stream give them, those that write one take them.
type Event struct {
	Kind EventKind
	Text string
	// Index counts the calls of an answer from 0, in the order in which they
	// begin. ID and Name stand in EventCall alone.
	Index    int
	ID, Name string
	Finish   FinishReason
	Usage    Usage
}

// Content tells whether the event is a piece of what the user reads or the
// application acts upon.
func (e Event) Content() bool {
	switch e.Kind {
	case EventText, EventRefusal, EventCall, EventArguments:
		return true
	}
	return false
}

// Emit gives a whole answer as the events of which it would have streamed.
func (r *Response) Emit(emit func(Event)) {
	if r.Text != "" {
		emit(Event{Kind: EventText, Text: r.Text})
	}
	if r.Refusal != "" {
		emit(Event{Kind: EventRefusal, Text: r.Refusal})
	}
	for i, c := range r.ToolCalls {
		emit(Event{Kind: EventCall, Index: i, ID: c.ID, Name: c.Name})
		emit(Event{Kind: EventArguments, Index: i, Text: c.Arguments})
	}
	emit(Event{Kind: EventFinish, Finish: r.Finish})
	if r.Usage != nil {
		emit(Event{Kind: EventUsage, Usage: *r.Usage})
	}
}
