//go:build benchcapture

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"
)

// benchUpstream answers chat requests without thinking: a stream of 50 events at 20 ms
// where one is asked for, else a whole answer at once.
func benchUpstream(t *testing.T, _ benchJob) (benchResult, error) {
	return benchResult{}, benchAccept(t, func(c net.Conn) {
		r, w := bufio.NewReaderSize(c, 64<<10), &benchReply{c: c, answer: benchAnswerOf(), event: benchEventOf()}
		buf := make([]byte, 64<<10)
		for w.one(r, buf) == nil {
		}
	})
}

// benchSink takes mirrored requests and says that they came.
func benchSink(t *testing.T, _ benchJob) (benchResult, error) {
	return benchResult{}, benchAccept(t, func(c net.Conn) {
		r := bufio.NewReaderSize(c, 64<<10)
		for {
			h, err := benchReadHead(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, benchBody(r, h)); err != nil {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
}

// benchAccept serves connections until this process is let go of.
func benchAccept(t *testing.T, serve func(net.Conn)) error {
	ln, err := benchListen()
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	benchSay(t, benchResult{URL: ln.Addr().String()})
	benchUntilStdin()
	return ln.Close()
}

// A benchReply answers the requests of one connection.
type benchReply struct {
	c      net.Conn
	answer *benchAnswer
	event  *benchEvent
}

func (w *benchReply) one(r *bufio.Reader, buf []byte) error {
	h, err := benchReadHead(r)
	if err != nil {
		return err
	}
	body := benchBody(r, h)
	first, sum := []byte(nil), uint32(0)
	for err == nil {
		var n int
		n, err = body.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if len(first) < 200 {
			first = append(first, buf[:min(n, 400)]...)
		}
	}
	if err != io.EOF {
		return err
	}
	_, rest, _ := bytes.Cut(first, []byte(benchMark))
	number, err := strconv.ParseInt(string(rest[:min(len(rest), benchDigits)]), 10, 64)
	if err != nil {
		return err
	}
	if bytes.Contains(first, []byte(`"stream":true`)) {
		return w.stream(number, sum)
	}
	w.answer.to(number, sum)
	_, err = w.c.Write(w.answer.bytes)
	return err
}

const (
	benchEvents   = 50
	benchEventGap = 20 * time.Millisecond
)

func (w *benchReply) stream(number int64, sum uint32) error {
	w.event.to(number, sum)
	out := []byte("HTTP/1.1 200 OK\r\nDate: Thu, 27 Nov 2025 00:00:00 GMT\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\nX-Request-Id: req_0123456789abcdef0123456789abcdef\r\n\r\n")
	next := time.Now()
	for range benchEvents {
		digits(w.event.bytes[w.event.ns:w.event.ns+benchNS], time.Now().UnixNano())
		out = append(fmt.Appendf(out, "%x\r\n", len(w.event.bytes)), w.event.bytes...)
		if _, err := w.c.Write(append(out, "\r\n"...)); err != nil {
			return err
		}
		out = out[:0]
		next = next.Add(benchEventGap)
		time.Sleep(time.Until(next))
	}
	_, err := fmt.Fprintf(w.c, "%x\r\n%s\r\n0\r\n\r\n", len(benchStreamEnd), benchStreamEnd)
	return err
}

// benchBare is the anchor: net/http's own proxy, whose transport keeps connections and
// leaves encodings alone.
func benchBare(t *testing.T, job benchJob) (benchResult, error) {
	to, err := url.Parse("http://" + job.URL)
	if err != nil {
		return benchResult{}, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}
	ln, err := benchListen()
	if err != nil {
		return benchResult{}, err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = srv.Serve(ln) }()
	benchSay(t, benchResult{URL: ln.Addr().String()})
	if err := benchProfile(job.Profile); err != nil {
		return benchResult{}, err
	}
	return benchResult{}, srv.Close()
}

// benchProfile waits until this process is let go of and writes what it did by then to
// files that begin with name; without a name it only waits.
func benchProfile(name string) error {
	if name == "" {
		benchUntilStdin()
		return nil
	}
	f, err := os.Create(filepath.Clean(name + ".cpu"))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	benchUntilStdin()
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	if f, err = os.Create(filepath.Clean(name + ".allocs")); err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("allocs").WriteTo(f, 0)
}
