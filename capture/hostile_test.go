package capture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A listener is an upstream that keeps the bytes of every request as they came, and
// answers each.
type listener struct {
	url string
	mu  sync.Mutex
	got []string
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &listener{url: "http://" + l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return w
}

func (w *listener) serve(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	var seen bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &seen)))
	if err == nil {
		_, err = io.Copy(io.Discard, req.Body)
	}
	w.mu.Lock()
	w.got = append(w.got, seen.String())
	w.mu.Unlock()
	if err == nil {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(completion), completion)
	}
}

func (w *listener) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.got...)
}

// What reaches the upstream is one request for each that was taken, with one length, and
// nothing of a request ever stands behind another as if it were one of its own.
func TestHostileRequestsAreRefusedOrMadePlain(t *testing.T) {
	const smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	post := func(head, body string) string {
		return "POST " + chatPath + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" + head + "\r\n" + body
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", len(question))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(question), question)
	for name, tc := range map[string]struct {
		send string
		want []int // the statuses of the answers, in order
	}{
		"plain":                    {post(length, question), []int{200}},
		"pipelined":                {post(length, question) + post(length, question), []int{200, 200}},
		"two lengths, one value":   {post(length+length, question), []int{200}},
		"two lengths":              {post(length+"Content-Length: 0\r\n", question+smuggled), []int{400}},
		"a list of lengths":        {post("Content-Length: 0, 5\r\n", question), []int{400}},
		"length with a sign":       {post("Content-Length: +5\r\n", "abcde"+smuggled), []int{400}},
		"length and chunks":        {post(length+"Transfer-Encoding: chunked\r\n", chunked), nil},
		"short length and chunks":  {post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked) + post(length, question), []int{200, 200}}, // the chunks count (RFC 9112, 6.3)
		"chunks, spelled oddly":    {post("Transfer-Encoding: xchunked\r\n", chunked+smuggled), []int{501}},
		"chunks twice":             {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked+smuggled), []int{501}},
		"chunks and identity":      {post("Transfer-Encoding: chunked, identity\r\n", chunked+smuggled), []int{501}},
		"a space before the colon": {post("Transfer-Encoding : chunked\r\n"+length, question+smuggled), []int{400}},
		"a tab in the name":        {post("Transfer-Enc\toding: chunked\r\n"+length, question), []int{400}},
		"folded header":            {post("X-Folded: a\r\n b\r\n"+length, question), nil},
		"folded encoding":          {post("Transfer-Encoding:\r\n chunked\r\n", chunked), nil},
		"chunk of a wrong size":    {post("Transfer-Encoding: chunked\r\n", "zz\r\n"+smuggled), []int{400}},
		"chunk too long to be":     {post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"+smuggled), []int{400}},
		"length as a trailer":      {post("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", chunked), []int{400}},
		"NUL in a header":          {post("X-Nul: a\x00b\r\n"+length, question), []int{400}},
		"bare CR in a header":      {post("X-Cr: a\rTransfer-Encoding: chunked\r\n"+length, question), []int{400}},
		"no host":                  {"POST " + chatPath + " HTTP/1.1\r\n" + length + "\r\n" + question, []int{400}},
		"two hosts":                {post("Host: other\r\n"+length, question), []int{400}},
		"absolute form":            {"GET http://elsewhere/v1/models HTTP/1.1\r\nHost: h\r\n\r\n", []int{400}},
		"CONNECT":                  {"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n", []int{400}},
		"asterisk":                 {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", []int{400}},
		"HTTP/2 by upgrade":        {post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"+length, question), []int{200}},
		"a head that never ends":   {post("X-Long: "+strings.Repeat("x", 2<<20)+"\r\n"+length, question), []int{431}},
		"our header by Connection": {post("Connection: X-Understudy-Submodule\r\nX-Understudy-Submodule: a/b\r\n"+length, question), []int{200}},
	} {
		t.Run(name, func(t *testing.T) {
			up := newListener(t)
			r := start(t, up.url, rigConfig{})
			got := converse(t, r.url, tc.send, max(1, len(tc.want)))
			if tc.want != nil && fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("answers %v, want %v", got, tc.want)
			}
			taken := 0
			for _, status := range got {
				if status == 200 {
					taken++
				}
			}
			seen := up.requests()
			if tc.want != nil && len(seen) > taken && taken > 0 {
				t.Errorf("%d requests were answered and %d went upstream", taken, len(seen))
			}
			for _, s := range seen {
				isOne(t, s)
			}
		})
	}
}

// isOne tells whether bytes are one request of the chat path with one length.
func isOne(t *testing.T, s string) {
	t.Helper()
	head, _, _ := strings.Cut(strings.ToLower(s), "\r\n\r\n")
	lengths := strings.Count(head, "\r\ncontent-length:") + strings.Count(head, "\r\ntransfer-encoding:")
	if lengths != 1 || strings.Contains(s, "smuggled") || strings.Contains(head, ownPrefix[:12]) || strings.Count(s, "HTTP/1.1\r\n") != 1 {
		t.Errorf("upstream got %q", s)
	}
}

// converse sends bytes and gives the statuses of the answers, of which there should be
// that many.
func converse(t *testing.T, url, send string, want int) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, send) }() // a server that has refused may not read on
	for r := bufio.NewReader(conn); ; {
		wait := 20 * time.Second
		if len(statuses) >= want {
			wait = 100 * time.Millisecond // for one too many
		}
		conn.SetReadDeadline(time.Now().Add(wait))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
	}
}

// Idle connections cost memory and nothing else: others are served as ever.
func TestIdleConnectionsAreNotFelt(t *testing.T) {
	const many = 2000
	r := start(t, provider(t, answering), rigConfig{})
	for range many {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Skipf("this machine allows no %d connections: %v", many, err)
		}
		defer conn.Close()
	}
	for range 20 {
		if res, got := ask(t, r.url+chatPath, question); res.StatusCode != 200 || got != completion {
			t.Fatalf("%d %s", res.StatusCode, got)
		}
	}
	if a := r.settled(20); a.Captured != 20 {
		t.Errorf("accounts %+v", a)
	}
}

// An upstream that resets its connection in the middle of everything.
func TestUpstreamThatResets(t *testing.T) {
	for name, send := range map[string]string{
		"at once":               "",
		"in the head":           "HTTP/1.1 200 OK\r\nContent-Ty",
		"in a body":             "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"id\"",
		"in a stream":           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n",
		"with nonsense":         "SSH-2.0-OpenSSH_9.2\r\n",
		"with two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"with a broken chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"behind a whole answer": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(completion), completion),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
						_, _ = io.Copy(io.Discard, req.Body)
					}
					_, _ = io.WriteString(conn, send)
					<-time.After(20 * time.Millisecond)
					_ = conn.(*net.TCPConn).SetLinger(0) // a reset, not an end
					conn.Close()
				}
			})
			defer wg.Wait()
			defer l.Close()
			r := start(t, "http://"+l.Addr().String(), rigConfig{})
			res, err := client(t).Post(r.url+chatPath, "application/json", strings.NewReader(question))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			whole := name == "behind a whole answer"
			if whole != (err == nil && string(body) == completion) || !whole && err == nil && res.StatusCode != http.StatusBadGateway {
				t.Errorf("client got %d %q, %v", res.StatusCode, body, err)
			}
			if e := r.one(); e.LiveError() == whole {
				t.Errorf("recorded as %q", e.Class)
			}
		})
	}
}
