//go:build benchcapture

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
)

// The load and the upstream speak HTTP/1.1 by hand: net/http on both sides would use up
// their core before a proxy has used up its own.

const benchWords = `a about after answer asked because before between candidate clear code company could data describe design during each
engineer example experience explain figure first from good have how interview job know last lead learned made many measure meeting most
moved number often one other people plan problem project question reason release result role second service should small some still
system team tell than that their then there they think this through time told took under used user was week well were what when where
which while why with work would wrote year your`

// benchText is n bytes of words, their punctuation, figures, and now and then an address.
func benchText(r *rand.Rand, n int) string {
	words := strings.Fields(benchWords)
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		switch r.IntN(200) {
		case 0:
			fmt.Fprintf(&b, ", write to %s.%s@example.com", words[r.IntN(len(words))], words[r.IntN(len(words))])
		case 1:
			fmt.Fprintf(&b, ", call +1 202 555 01%02d", r.IntN(100))
		case 2, 3, 4:
			fmt.Fprintf(&b, " %d", r.IntN(100_000))
		case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14:
			b.WriteString(`.\n`)
		case 15, 16, 17, 18, 19, 20:
			b.WriteString(` \"as said\",`)
		}
		b.WriteByte(' ')
	}
	text := b.String()[:n]
	return strings.TrimRight(text, `\`)
}

const benchDigits = 10

// benchMark stands before the number of a request in its body.
const benchMark = `"request":"interview-`

// A benchRequest is a request whose number can be changed in place.
type benchRequest struct {
	bytes []byte // head and body
	body  []byte // its part
	at    int    // where the number stands in body
}

// benchRequestOf makes a request of about size bytes.
func benchRequestOf(host string, size int, stream bool) *benchRequest {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	front := fmt.Sprintf(`{"model":"gpt-4-turbo","stream":%t,"metadata":{%s%s"},"messages":[`, stream, benchMark, strings.Repeat("0", benchDigits))
	const system = 400
	body := front + `{"role":"system","content":"You rate answers in interviews. ` + benchText(r, system-60) + `"}`
	for room := max(0, size-len(body)-80); room > 0; {
		n := min(room, 4000)
		body += fmt.Sprintf(`,{"role":"user","content":"%s"}`, benchText(r, n))
		room -= n + 40
	}
	body += `],"temperature":0.2,"max_tokens":400}`
	head := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nUser-Agent: OpenAI/Python 1.109.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.109.1\r\nX-Stainless-OS: Linux\r\n"+
		"X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.12.3\r\nAuthorization: Bearer sk-bench-0123456789abcdef0123456789abcdef\r\n"+
		"X-Stainless-Async: false\r\nX-Stainless-Retry-Count: 0\r\nX-Stainless-Read-Timeout: 600\r\nX-Understudy-Submodule: interview/evaluation\r\nContent-Length: %d\r\n\r\n", host, len(body))
	q := &benchRequest{bytes: []byte(head + body)}
	q.body = q.bytes[len(head):]
	q.at = bytes.Index(q.body, []byte(benchMark)) + len(benchMark)
	return q
}

// number writes the request's number into it and gives the checksum of its body.
func (q *benchRequest) number(n int64) (sum uint32) {
	digits(q.body[q.at:q.at+benchDigits], n)
	return crc32.Checksum(q.body, castagnoli)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func digits(to []byte, n int64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
}

func hexes(to []byte, n uint32) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
}

// benchID is how the id of an answer begins; the number and the checksum of the request
// follow, so that an answer to another request, or to one that was changed, is seen.
const benchID = "chatcmpl-"

// A benchAnswer is an answer that is made for each request in place.
type benchAnswer struct {
	bytes, body []byte
	at          int
}

func benchAnswerOf() *benchAnswer {
	text := benchText(rand.New(rand.NewPCG(2, 0)), 700)
	body := fmt.Sprintf(`{"id":"%s%s","object":"chat.completion","created":1764201600,"model":"gpt-4-turbo-2024-04-09","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"logprobs":null,"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":240,"completion_tokens":160,"total_tokens":400},"system_fingerprint":"fp_0123456789"}`, benchID, strings.Repeat("0", benchDigits+8), text)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: Thu, 27 Nov 2025 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Request-Id: req_0123456789abcdef0123456789abcdef\r\n"+
		"Openai-Processing-Ms: 12\r\nOpenai-Version: 2020-10-01\r\nX-Ratelimit-Remaining-Requests: 9999\r\n\r\n", len(body))
	a := &benchAnswer{bytes: []byte(head + body)}
	a.body = a.bytes[len(head):]
	a.at = bytes.Index(a.body, []byte(benchID)) + len(benchID)
	return a
}

// to makes it the answer to request n.
func (a *benchAnswer) to(n int64, sum uint32) {
	digits(a.body[a.at:a.at+benchDigits], n)
	hexes(a.body[a.at+benchDigits:a.at+benchDigits+8], sum)
}

// A benchEvent is one event of a stream: it bears the time at which it was sent, in
// nanoseconds, as its only part that is not known beforehand.
type benchEvent struct {
	bytes  []byte
	at, ns int
}

const benchNS = 19

func benchEventOf() *benchEvent {
	text := fmt.Sprintf("data: {\"id\":\"%s%s\",\"object\":\"chat.completion.chunk\",\"created\":%s,\"model\":\"gpt-4-turbo-2024-04-09\",\"system_fingerprint\":\"fp_0123456789\","+
		"\"choices\":[{\"index\":0,\"delta\":{\"content\":\" because\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n", benchID, strings.Repeat("0", benchDigits+8), strings.Repeat("0", benchNS))
	e := &benchEvent{bytes: []byte(text)}
	e.at = strings.Index(text, benchID) + len(benchID)
	e.ns = strings.Index(text, `"created":`) + len(`"created":`)
	return e
}

func (e *benchEvent) to(n int64, sum uint32) {
	digits(e.bytes[e.at:e.at+benchDigits], n)
	hexes(e.bytes[e.at+benchDigits:e.at+benchDigits+8], sum)
}

const benchStreamEnd = "data: {\"id\":\"chatcmpl-end\",\"object\":\"chat.completion.chunk\",\"created\":1764201600,\"model\":\"gpt-4-turbo-2024-04-09\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

// A benchHead is what matters of the head of a message.
type benchHead struct {
	first  string
	length int64 // -1 for chunks
}

// benchReadHead reads a head.
func benchReadHead(r *bufio.Reader) (h benchHead, err error) {
	for i := 0; ; i++ {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case i == 0:
			h.first = string(line)
		case len(line) == 0:
			return h, nil
		case len(name) == 14 && bytes.EqualFold(name, []byte("content-length")):
			if h.length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return h, err
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("transfer-encoding")):
			h.length = -1
		}
	}
}

// benchBody reads a body to its end, chunks included.
func benchBody(r *bufio.Reader, h benchHead) io.Reader {
	if h.length < 0 {
		return &benchChunks{Reader: httputil.NewChunkedReader(r), from: r}
	}
	return io.LimitReader(r, h.length)
}

// benchChunks takes the line after the last chunk as well.
type benchChunks struct {
	io.Reader
	from *bufio.Reader
}

// Read reads what the chunks hold.
func (c *benchChunks) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		if line, lerr := c.from.ReadSlice('\n'); lerr != nil || len(bytes.TrimRight(line, "\r\n")) > 0 {
			return n, errors.New("trailers where none were sent")
		}
	}
	return n, err
}

// benchListen gives a listener on loopback.
func benchListen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
