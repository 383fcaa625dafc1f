package bedrock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"understudy/llm"
)

const (
	// A frame is: length, length of the headers, checksum of both, headers,
	// payload, checksum of all; each number four bytes, big-endian. A header is:
	// length of its name, name, type of its value, value, where bytes and text have
	// their length in two bytes before them.
	preludeBytes = 12
	sumBytes     = 4
	frameBytes   = preludeBytes + sumBytes
	// maxFrame is more than the 16 MiB payload that the format allows.
	maxFrame = 17 << 20
)

// A frame is one message of an event stream, checked and unpacked.
type frame struct {
	// kind is "event", "exception" or "error", name the event's or the
	// exception's type or the error's code.
	kind, name string
	payload    []byte
}

// A frameReader cuts a body into frames. It bounds the lengths before it reads, checks
// both sums, and tells a stream that was cut from one that is broken.
type frameReader struct {
	r   io.Reader
	buf []byte
}

func newFrameReader(r io.Reader) *frameReader { return &frameReader{r: r} }

// next gives the next frame, valid until the next call. The end between two
// frames is io.EOF, the end inside one io.ErrUnexpectedEOF; a frame that does
// not have the form is an *llm.Error of ClassStream.
func (f *frameReader) next() (frame, error) {
	f.buf = f.buf[:0]
	if err := f.fill(preludeBytes); err != nil {
		return frame{}, err
	}
	size, headers := binary.BigEndian.Uint32(f.buf), binary.BigEndian.Uint32(f.buf[4:])
	switch {
	case size < frameBytes || size > maxFrame || headers > size-frameBytes:
		return frame{}, broken(fmt.Errorf("read frame: a length of %d with headers of %d is impossible", size, headers))
	case crc32.ChecksumIEEE(f.buf[:8]) != binary.BigEndian.Uint32(f.buf[8:]):
		return frame{}, broken(errors.New("read frame: the sum of its lengths is wrong"))
	}
	if err := f.fill(int(size)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	end := int(size) - sumBytes
	if crc32.ChecksumIEEE(f.buf[:end]) != binary.BigEndian.Uint32(f.buf[end:]) {
		return frame{}, broken(errors.New("read frame: its sum is wrong"))
	}
	return unpack(f.buf[preludeBytes:preludeBytes+headers], f.buf[preludeBytes+headers:end])
}

// fill reads until the buffer holds n bytes. It grows with what comes, not with what
// a length promises.
func (f *frameReader) fill(n int) error {
	for len(f.buf) < n {
		from := len(f.buf)
		to := min(n, from+pieceSize)
		f.buf = slices.Grow(f.buf, to-from)[:to]
		if _, err := io.ReadFull(f.r, f.buf[from:]); err != nil {
			return err
		}
	}
	return nil
}

func broken(err error) error { return &llm.Error{Class: llm.ClassStream, Err: err} }

// The headers that say what a frame is.
const (
	typeHeader         = ":message-type"
	eventHeader        = ":event-type"
	exceptionHeader    = ":exception-type"
	errorCodeHeader    = ":error-code"
	errorMessageHeader = ":error-message"
	eventMessage       = "event"
	exceptionMessage   = "exception"
	errorMessage       = "error"
)

func unpack(headers, payload []byte) (frame, error) {
	var kind, event, exception, code, message []byte
	for len(headers) > 0 {
		name, value, rest, ok := header(headers)
		if !ok {
			return frame{}, broken(errors.New("read frame: its headers do not have the form"))
		}
		headers = rest
		switch string(name) {
		case typeHeader:
			kind = value
		case eventHeader:
			event = value
		case exceptionHeader:
			exception = value
		case errorCodeHeader:
			code = value
		case errorMessageHeader:
			message = value
		}
	}
	switch string(kind) {
	case eventMessage:
		return frame{kind: eventMessage, name: string(event), payload: payload}, nil
	case exceptionMessage:
		return frame{kind: exceptionMessage, name: string(exception), payload: payload}, nil
	case errorMessage:
		if len(payload) == 0 {
			payload = append(llm.AppendJSONString([]byte(`{"message":`), string(message)), '}')
		}
		return frame{kind: errorMessage, name: string(code), payload: payload}, nil
	}
	return frame{}, broken(errors.New("read frame: it has no message type"))
}

// stringHeader is the type of a header whose value is text. bytesHeader has the same
// form; headerSizes are the sizes of the others, by their types.
const (
	bytesHeader  = 6
	stringHeader = 7
)

var headerSizes = [...]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

// header cuts the first header off. The value of one that is no text is nil.
func header(b []byte) (name, value, rest []byte, ok bool) {
	n := int(b[0])
	if len(b) < 1+n+1 {
		return nil, nil, nil, false
	}
	name, kind, b := b[1:1+n], int(b[1+n]), b[1+n+1:]
	switch {
	case kind >= len(headerSizes):
		return nil, nil, nil, false
	case kind != bytesHeader && kind != stringHeader:
		n = headerSizes[kind]
	case len(b) < 2:
		return nil, nil, nil, false
	default:
		n = int(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) < n {
		return nil, nil, nil, false
	}
	if kind == stringHeader {
		value = b[:n]
	}
	return name, value, b[n:], true
}
