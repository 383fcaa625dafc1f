package openai

import (
	"bytes"
	"errors"
)

// errLongEvent ends the reading of a stream whose events have no end.
var errLongEvent = errors.New("read stream: an event is longer than the limit")

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	doneData      = []byte("[DONE]")
)

// An eventReader cuts a text/event-stream into its events' data, fed in pieces
// of any size. It follows the HTML standard: LF, CR and CRLF end lines, a blank
// line ends an event, a line that begins with a colon is a comment, data lines
// are joined by LF, a byte order mark may stand first.
type eventReader struct {
	// limit is the size in bytes of the longest event that is accepted.
	limit int
	// emit gets the data of each event; it must not keep the slice.
	emit func(data []byte)

	line, data []byte
	hasData    bool
	begun      bool // the first line is over: no byte order mark any more
	afterCR    bool // an LF that follows belongs to the line that is over
}

// write takes the next piece of the stream.
func (r *eventReader) write(p []byte) error {
	for len(p) > 0 {
		if r.afterCR {
			r.afterCR = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := lineEnd(p)
		if end < 0 {
			if len(r.line)+len(r.data)+len(p) > r.limit {
				return errLongEvent
			}
			r.line = append(r.line, p...)
			return nil
		}
		r.afterCR = p[end] == '\r'
		line := p[:end]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		if len(line)+len(r.data) > r.limit {
			return errLongEvent
		}
		r.endLine(line)
		r.line = r.line[:0]
		p = p[end+1:]
	}
	return nil
}

func lineEnd(p []byte) int {
	lf := bytes.IndexByte(p, '\n')
	if lf >= 0 {
		p = p[:lf]
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// close takes the end of the stream. An event that no blank line ended is
// dropped, as the standard says, except for the terminal one: the bytes that
// would follow it carry nothing.
func (r *eventReader) close() {
	if len(r.line) > 0 {
		r.endLine(r.line)
		r.line = r.line[:0]
	}
	if r.hasData && bytes.Equal(r.data, doneData) {
		r.endEvent()
	}
}

func (r *eventReader) endLine(line []byte) {
	if !r.begun {
		r.begun = true
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if len(line) == 0 {
		r.endEvent()
		return
	}
	field, value, _ := bytes.Cut(line, []byte{':'})
	if string(field) != "data" {
		return
	}
	if r.hasData {
		r.data = append(r.data, '\n')
	}
	r.hasData = true
	r.data = append(r.data, bytes.TrimPrefix(value, []byte{' '})...)
}

func (r *eventReader) endEvent() {
	if len(r.data) > 0 {
		r.emit(r.data)
	}
	r.data, r.hasData = r.data[:0], false
}
