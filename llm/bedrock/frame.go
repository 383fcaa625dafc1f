package bedrock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"

	"understudy/llm"
)

const (
	// A frame is: length, length of the headers, checksum of both, headers,
	// payload, checksum of all; each number four bytes, big-endian.
	preludeBytes = 12
	frameBytes   = preludeBytes + 4
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

// A frameReader cuts a body into frames. The SDK's decoder checks the sums and
// reads the headers; this reader bounds the lengths first, which the decoder
// does not, and tells a stream that was cut from one that is broken.
type frameReader struct {
	r       io.Reader
	buf     []byte
	decoder *eventstream.Decoder
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: r, decoder: eventstream.NewDecoder()}
}

// next gives the next frame, valid until the next call. The end between two
// frames is io.EOF, the end inside one io.ErrUnexpectedEOF; a frame that does
// not have the form is an *llm.Error of ClassStream.
func (f *frameReader) next() (frame, error) {
	f.buf = append(f.buf[:0], make([]byte, preludeBytes)...)
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return frame{}, err
	}
	size, headers := binary.BigEndian.Uint32(f.buf), binary.BigEndian.Uint32(f.buf[4:])
	if size < frameBytes || size > maxFrame || headers > size-frameBytes {
		return frame{}, broken(fmt.Errorf("read frame: a length of %d with headers of %d is impossible", size, headers))
	}
	rest := bytes.NewBuffer(f.buf)
	if _, err := io.CopyN(rest, f.r, int64(size)-preludeBytes); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	f.buf = rest.Bytes()
	msg, err := f.decoder.Decode(bytes.NewReader(f.buf), nil)
	if err != nil {
		return frame{}, broken(fmt.Errorf("read frame: %w", err))
	}
	return unpack(msg)
}

func broken(err error) error { return &llm.Error{Class: llm.ClassStream, Err: err} }

func unpack(msg eventstream.Message) (frame, error) {
	header := func(name string) string {
		if v := msg.Headers.Get(name); v != nil {
			return v.String()
		}
		return ""
	}
	fr := frame{kind: header(eventstreamapi.MessageTypeHeader), payload: msg.Payload}
	switch fr.kind {
	case eventstreamapi.EventMessageType:
		fr.name = header(eventstreamapi.EventTypeHeader)
	case eventstreamapi.ExceptionMessageType:
		fr.name = header(eventstreamapi.ExceptionTypeHeader)
	case eventstreamapi.ErrorMessageType:
		fr.name = header(eventstreamapi.ErrorCodeHeader)
		if len(fr.payload) == 0 {
			fr.payload = llm.AppendJSONString([]byte(`{"message":`), header(eventstreamapi.ErrorMessageHeader))
			fr.payload = append(fr.payload, '}')
		}
	default:
		return frame{}, broken(errors.New("read frame: it has no message type"))
	}
	return fr, nil
}
