package capture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// raw sends bytes and gives what comes back until the end or a second of silence.
func raw(t *testing.T, url, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, _ := io.ReadAll(conn)
	return string(got)
}

// wire is an upstream that gives the head of each request as it came.
func wire(t *testing.T) (url string, heads chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heads = make(chan string, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r := textproto.NewReader(bufio.NewReader(conn))
			head := ""
			for line, err := r.ReadLine(); err == nil && line != ""; line, err = r.ReadLine() {
				head += line + "\n"
			}
			heads <- head
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return "http://" + ln.Addr().String(), heads
}

func TestPathGoesByteForByte(t *testing.T) {
	url, heads := wire(t)
	r := start(t, url, rigConfig{})
	for _, path := range []string{
		"/v1/models", "/v1/models?", "/v1//models/../x/./y", "/v1/%2F%2f%41?a=%zz&b;c=d&e", "/v1/|^`{}<>\"", "/v1/ä",
		"//v1/models?x=1", "/v1/files/a%20b/content?limit=1&limit=2", "/?", "/",
	} {
		raw(t, r.url, "GET "+path+" HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
		select {
		case head := <-heads:
			if got, _, _ := strings.Cut(head, "\n"); got != "GET "+path+" HTTP/1.1" {
				t.Errorf("path %q went as %q", path, got)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("path %q did not arrive", path)
		}
	}
}

func TestNothingIsAddedTowardsTheUpstream(t *testing.T) {
	url, heads := wire(t)
	r := start(t, url, rigConfig{})
	raw(t, r.url, "GET /v1/models HTTP/1.1\r\nHost: app.example\r\nX-Understudy-Submodule: a\r\nx-understudy-anything: b\r\n"+
		"Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nTE: trailers, deflate\r\nUpgrade: h2c\r\n"+
		"X-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer k\r\nX-Mine: 1\r\nX-Mine: 2\r\n\r\n")
	want := "GET /v1/models HTTP/1.1\nHost: " + strings.TrimPrefix(url, "http://") +
		"\nAuthorization: Bearer k\nX-Forwarded-For: 203.0.113.9\nX-Mine: 1\nX-Mine: 2\n"
	if d := cmp.Diff(want, <-heads); d != "" {
		t.Error(d)
	}
}

func TestBaseURLWithAPath(t *testing.T) {
	url, heads := wire(t)
	r := start(t, "", rigConfig{upstreams: []Upstream{
		{Name: "azure", BaseURL: url + "/gate%20way/", Kind: "azure", Match: "/openai"},
		{Name: "openai", BaseURL: url},
	}})
	for _, tc := range []struct{ path, want string }{
		{"/openai/deployments/d/chat/completions?api-version=1", "/gate%20way/openai/deployments/d/chat/completions?api-version=1"},
		{"/openai", "/gate%20way/openai"},
		{"/openaix", "/openaix"},
		{"/v1/models", "/v1/models"},
	} {
		raw(t, r.url, "GET "+tc.path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if got, _, _ := strings.Cut(<-heads, "\n"); got != "GET "+tc.want+" HTTP/1.1" {
			t.Errorf("path %q went as %q", tc.path, got)
		}
	}
}

func TestOnlyOriginFormIsTaken(t *testing.T) {
	r := start(t, provider(t, func(http.ResponseWriter, *http.Request) { t.Error("a request went upstream") }), rigConfig{})
	for _, line := range []string{"GET http://169.254.169.254/latest HTTP/1.1", "CONNECT example.com:443 HTTP/1.1", "OPTIONS * HTTP/1.1"} {
		if got := raw(t, r.url, line+"\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "invalid_request_target") {
			t.Errorf("%s: %q", line, got)
		}
	}
	if a := r.settled(3); a.Excluded != 3 {
		t.Errorf("accounts %+v", a)
	}
}

func TestNoUpstreamForThePath(t *testing.T) {
	r := start(t, "", rigConfig{upstreams: []Upstream{{Name: "azure", BaseURL: "https://azure.example", Match: "/openai"}}})
	if res, got := ask(t, r.url+chatPath, question); res.StatusCode != 404 || !strings.Contains(got, "no_upstream") {
		t.Errorf("client got %d %s", res.StatusCode, got)
	}
	if a := r.settled(1); a.Excluded != 1 {
		t.Errorf("accounts %+v", a)
	}
}

func TestHeadAndInformationalAnswersPass(t *testing.T) {
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", "1234")
			return
		}
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		answering(w, r)
	})
	r := start(t, up, rigConfig{})
	res, err := client(t).Head(r.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength != 1234 {
		t.Errorf("HEAD: %d, length %d", res.StatusCode, res.ContentLength)
	}
	got := raw(t, r.url, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(question), question))
	if !strings.HasPrefix(got, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, completion) {
		t.Errorf("early hints: %q", got)
	}
}

func TestExpectContinue(t *testing.T) {
	for name, refuse := range map[string]bool{"accepted": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			up := provider(t, func(w http.ResponseWriter, r *http.Request) {
				if refuse {
					w.Header().Set("Connection", "close")
					w.WriteHeader(http.StatusExpectationFailed)
					return
				}
				body, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusContinue) // once more, when the body is here
				r.Body = io.NopCloser(bytes.NewReader(body))
				answering(w, r)
			})
			r := start(t, up, rigConfig{})
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", chatPath, len(question))
			in := bufio.NewReader(conn)
			first, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if refuse {
				if !strings.HasPrefix(first, "HTTP/1.1 417 ") {
					t.Errorf("first line %q", first)
				}
				conn.Close()
				r.settled(1)
				return
			}
			if first != "HTTP/1.1 100 Continue\r\n" {
				t.Fatalf("first line %q", first)
			}
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, question)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusOK {
				t.Fatalf("a second answer before the answer: %s", res.Status)
			}
			if body, _ := io.ReadAll(res.Body); string(body) != completion {
				t.Errorf("body %q", body)
			}
			if e := r.one(); string(e.Request) != question {
				t.Errorf("recorded request %q", e.Request)
			}
		})
	}
}

func TestWebSocketPasses(t *testing.T) {
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Understudy-Unit") != "" || r.Header.Get("X-Forwarded-For") != "" {
			t.Errorf("headers %v", r.Header)
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := buf.ReadString('\n')
		fmt.Fprint(conn, "echo "+line)
	})
	r := start(t, up, rigConfig{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/realtime?model=m HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Understudy-Unit: u\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, _ := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("got %q", line)
	}
	if a := r.settled(1); a.Excluded != 1 {
		t.Errorf("accounts %+v", a)
	}
	if got := r.Passed(); got["/v1/realtime"] != 1 {
		t.Errorf("passed %v", got)
	}
}

func TestEverythingElseIsPassedAndCountedByPath(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	for _, path := range []string{
		"/v1/responses", "/v1/responses/resp_123/cancel", "/v1/embeddings", "/openai/v1/responses", "/openai/deployments/d/embeddings", "/secret/1", "/secret/2",
	} {
		if _, got := ask(t, r.url+path, question); got != completion {
			t.Errorf("%s: %q", path, got)
		}
	}
	res, err := client(t).Get(r.url + chatPath)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	want := map[string]int64{"/v1/responses": 3, "/v1/embeddings": 2, "/v1/chat/completions": 1, "other": 2}
	if d := cmp.Diff(want, r.Passed()); d != "" {
		t.Error(d)
	}
	if a := r.settled(8); a.Excluded != 8 || len(r.shelf.records()) != 0 {
		t.Errorf("accounts %+v", a)
	}
}

func TestNothingIsAddedToTheAnswer(t *testing.T) {
	url, _ := wire(t)
	r := start(t, url, rigConfig{})
	got := raw(t, r.url, "GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if want := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; got != want {
		t.Errorf("client got %q, the upstream sent %q", got, want)
	}
}

func TestStreamsHeadComesBeforeItsFirstByte(t *testing.T) {
	headed := make(chan struct{})
	r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		select {
		case <-headed:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, strings.Join(events(), ""))
	}), rigConfig{})
	c := client(t)
	c.Timeout = 5 * time.Second
	res, err := c.Post(r.url+chatPath, "application/json", strings.NewReader(question))
	if err != nil {
		t.Fatalf("the head waits for the body: %v", err)
	}
	close(headed)
	if got, _ := io.ReadAll(res.Body); string(got) != strings.Join(events(), "") {
		t.Errorf("client got %q", got)
	}
	res.Body.Close()
}

func TestOwnTrailersStayHere(t *testing.T) {
	got := make(chan http.Header, 1)
	r := start(t, provider(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	}), rigConfig{})
	raw(t, r.url, "POST /v1/files HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Understudy-Unit\r\n\r\n"+
		"2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Understudy-Unit: u\r\n\r\n")
	if d := cmp.Diff(http.Header{"X-Sum": {"1"}}, <-got); d != "" {
		t.Error(d)
	}
}
