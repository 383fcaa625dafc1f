package capture

import (
	"bytes"
	"io"

	"understudy/llm/openai"
)

// maxHeldEvent is how much of an event is held back until its end comes.
const maxHeldEvent = 1 << 20

// A usageFilter is a Writer that passes an event stream on without what
// stream_options.include_usage adds to it: the chunk with the usage goes with the blank
// line that ends it, "usage":null goes from every other chunk, and all other bytes stay.
// What it writes does not depend on how the stream was cut into pieces.
//
// Each event is written once it is whole; end writes the begin of one that never was.
// From an event on that is longer than the limit everything passes as it is. So does an
// event that has its data on several lines, which no chunk has.
type usageFilter struct {
	to    io.Writer
	limit int // bytes of the longest event that is read

	held    []byte // the begin of the event under way
	inLine  bool   // its last line is not empty, so far
	afterCR bool   // an LF that follows belongs to the line that is over
	removed bool   // the event before was taken out: so is such an LF
	off     bool   // everything passes
}

// Write takes the next piece of the stream. An error is one of the Writer behind it.
func (f *usageFilter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !f.off {
		if len(f.held) == 0 && f.afterCR && p[0] == '\n' {
			f.afterCR = false
			if err := f.endLine(p[:1]); err != nil {
				return 0, err
			}
			p = p[1:]
			continue
		}
		length, whole := f.scan(p)
		if len(f.held)+length > f.limit {
			f.off = true
			break
		}
		event := p[:length]
		if len(f.held) > 0 || !whole {
			f.held = append(f.held, event...)
			event = f.held
		}
		if !whole {
			return n, nil
		}
		if err := f.pass(event); err != nil {
			return 0, err
		}
		f.held = f.held[:0]
		p = p[length:]
	}
	if err := f.end(); err != nil {
		return 0, err
	}
	if _, err := f.to.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

// end writes what is held back, as it is: no byte of its event follows.
func (f *usageFilter) end() error {
	if len(f.held) == 0 {
		return nil
	}
	_, err := f.to.Write(f.held)
	f.held = nil
	return err
}

// scan gives how much of p belongs to the event under way, and whether that is its end:
// an empty line, whether LF, CR or CRLF ends it. The LF of a CRLF at the very end is left
// for the next piece: who streams with CR alone must not wait for it.
func (f *usageFilter) scan(p []byte) (length int, whole bool) {
	for i, c := range p {
		switch {
		case c == '\n' && f.afterCR:
			f.afterCR = false
		case c == '\n' || c == '\r':
			f.afterCR = c == '\r'
			if !f.inLine {
				return i + 1, true
			}
			f.inLine = false
		default:
			f.inLine, f.afterCR = true, false
		}
	}
	return len(p), false
}

// pass writes one event without what was added to it.
func (f *usageFilter) pass(event []byte) error {
	from, to := addedUsage(event)
	if f.removed = to-from == len(event); f.removed {
		return nil
	}
	if _, err := f.to.Write(event[:from]); err != nil {
		return err
	}
	_, err := f.to.Write(event[to:])
	return err
}

// endLine takes the LF that belongs to the end of the last event.
func (f *usageFilter) endLine(lf []byte) error {
	if f.removed {
		return nil
	}
	_, err := f.to.Write(lf)
	return err
}

// addedUsage is the part of an event that is there because usage was asked for.
func addedUsage(event []byte) (from, to int) {
	if !bytes.Contains(event, []byte(`"usage"`)) {
		return 0, 0
	}
	at, end, ok := dataOf(event)
	if !ok {
		return 0, 0
	}
	if from, to = openai.AddedUsage(event[at:end]); to-from == end-at {
		return 0, len(event)
	}
	return at + from, at + to
}

// dataOf finds the data of an event that has it on one line.
func dataOf(event []byte) (from, to int, ok bool) {
	for at := 0; at < len(event); {
		end := at + bytes.IndexAny(event[at:], "\r\n") // there is one: the event is whole
		field, value, _ := bytes.Cut(event[at:end], []byte{':'})
		if string(field) == "data" {
			if ok {
				return 0, 0, false
			}
			from, to, ok = end-len(value), end, true
		}
		at = end + 1
	}
	return from, to, ok
}
