package capture

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// errEncoding tells that a body's content encoding is not known.
var errEncoding = errors.New("read body: the content encoding is not known")

// errExpanded tells that a compressed body is longer than is recorded.
var errExpanded = errors.New("read body: it is too large when it is decompressed")

// decoded reads a body through its Content-Encoding. The closer may be nil.
func decoded(h http.Header, from io.Reader) (io.Reader, func(), error) {
	var names []string
	for _, v := range h["Content-Encoding"] {
		for n := range strings.SplitSeq(v, ",") {
			if n = strings.ToLower(strings.TrimSpace(n)); n != "" && n != "identity" {
				names = append(names, n)
			}
		}
	}
	if len(names) == 0 {
		return from, func() {}, nil
	}
	if len(names) > 1 {
		return nil, nil, errEncoding // legal, and sent by nobody
	}
	switch names[0] {
	case "gzip", "x-gzip":
		return &lazyReader{open: func() (io.Reader, error) { return gzip.NewReader(from) }}, func() {}, nil
	case "deflate":
		return &lazyReader{open: func() (io.Reader, error) { return inflate(from) }}, func() {}, nil
	case "br":
		return brotli.NewReader(from), func() {}, nil
	case "zstd":
		// One goroutine and a small window: what is read is one short body.
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, errEncoding
}

// A lazyReader opens its decoder at the first Read: gzip reads its head when it
// is opened, which an answer that was cut may not have.
type lazyReader struct {
	open func() (io.Reader, error)
	r    io.Reader
	err  error
}

// Read reads from the decoder.
func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil && l.err == nil {
		l.r, l.err = l.open()
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(p)
}

// inflate reads "deflate", which is zlib by the standard and often raw deflate.
func inflate(from io.Reader) (io.Reader, error) {
	b := bufio.NewReader(from)
	head, err := b.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}

// isEncoded tells whether a body has a content encoding.
func isEncoded(h http.Header) bool {
	for _, v := range h["Content-Encoding"] {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

// plain is a whole body without its content encoding; the body itself where it
// has none. limit bounds what a compressed one may become. On an error of the
// decoder the bytes before it are given with it.
func plain(h http.Header, body []byte, limit int64) ([]byte, error) {
	if !isEncoded(h) {
		return body, nil
	}
	r, done, err := decoded(h, &bodyReader{rest: body})
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if int64(len(out)) > limit {
		return nil, errExpanded
	}
	return out, err
}
