package capture

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"understudy/llm"
)

type flusher interface {
	io.WriteCloser
	Flush() error
}

var encoders = map[string]struct {
	name string
	open func(io.Writer) flusher
}{
	"gzip":        {"gzip", func(w io.Writer) flusher { return gzip.NewWriter(w) }},
	"zlib":        {"deflate", func(w io.Writer) flusher { return zlib.NewWriter(w) }},
	"raw deflate": {"deflate", func(w io.Writer) flusher { z, _ := flate.NewWriter(w, 5); return z }},
	"brotli":      {"br", func(w io.Writer) flusher { return brotli.NewWriter(w) }},
	"zstd":        {"zstd", func(w io.Writer) flusher { z, _ := zstd.NewWriter(w); return z }},
}

func TestCompressedAnswersAreReadAndPassedAsTheyAre(t *testing.T) {
	for name, enc := range encoders {
		t.Run(name, func(t *testing.T) {
			var sent bytes.Buffer
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Encoding", enc.name)
				both := io.MultiWriter(w, &sent)
				z := enc.open(both)
				_, _ = io.WriteString(z, completion)
				z.Close()
			}), rigConfig{})
			if _, got := ask(t, r.url+chatPath, question); got != sent.String() {
				t.Error("the client got other bytes")
			}
			if e := r.one(); string(e.Response) != completion || e.Class != llm.ClassOK || e.ResponseLength != sent.Len() {
				t.Errorf("recorded %q, class %q, length %d", e.Response, e.Class, e.ResponseLength)
			}
		})
	}
}

func TestCompressedStreamsKeepTheirTimes(t *testing.T) {
	for name, enc := range encoders {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{})
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("Content-Encoding", enc.name)
				z := enc.open(w)
				for i, ev := range events() {
					_, _ = io.WriteString(z, ev)
					if z.Flush() != nil {
						return
					}
					w.(http.Flusher).Flush()
					if i == 1 {
						<-begun // the client has the first token
					}
				}
				z.Close()
			}), rigConfig{})
			res, err := client(t).Post(r.url+chatPath, "application/json", strings.NewReader(question))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := res.Body.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the second event", func() bool { return r.inflight.Load() == 1 }, func() any { return nil })
			close(begun)
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			e := r.one()
			if e.Class != llm.ClassOK || !strings.Contains(string(e.Response), `"content":"Fine."`) || e.TTFTMS == nil || *e.TTFTMS > e.LatencyMS {
				t.Errorf("class %q, first token %v of %v ms, %s", e.Class, e.TTFTMS, e.LatencyMS, e.Response)
			}
		})
	}
}

func TestCompressedBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	z.Close()
	for _, kind := range []string{"application/json", "text/event-stream"} {
		t.Run(kind, func(t *testing.T) {
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("Content-Type", kind)
				_, _ = w.Write(bomb.Bytes())
			}), rigConfig{cfg: func(c *Config) { c.MaxBody = 1 << 20 }})
			ask(t, r.url+chatPath, question)
			if a := r.settled(1); a.Dropped[reasonTooLarge] != 1 {
				t.Errorf("accounts %+v", a)
			}
		})
	}
}

func TestBrokenCompressionIsMalformed(t *testing.T) {
	r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "no gzip")
	}), rigConfig{})
	ask(t, r.url+chatPath, question)
	if e := r.one(); e.Class != llm.ClassMalformed {
		t.Errorf("class %q", e.Class)
	}
}

func TestCompressedRequestIsRead(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, question)
	z.Close()
	r := start(t, provider(t, answering), rigConfig{})
	ask(t, r.url+chatPath, b.String(), "Content-Encoding", "gzip")
	if e := r.one(); string(e.Request) != question || e.RequestLength != b.Len() {
		t.Errorf("recorded %q, length %d", e.Request, e.RequestLength)
	}
}
