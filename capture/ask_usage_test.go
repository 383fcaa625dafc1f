package capture

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	openaisdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"understudy/llm"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

func askingUsage(c *Config) { c.AskUsage = true }

// streamed is a question whose answer is a stream.
var streamed = strings.Replace(question, "{", `{"stream":true,`, 1)

const asksUsage = `"stream_options":{"include_usage":true}`

// likeOpenAI is an upstream that sends usage when it is asked for. deliver sends the stream.
func likeOpenAI(eol string, deliver func(w http.ResponseWriter, stream string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked, plain := usageStream(eol)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		if strings.Contains(string(body), asksUsage) {
			plain = asked
		}
		deliver(w, plain)
	}
}

func atOnce(w http.ResponseWriter, stream string) { _, _ = io.WriteString(w, stream) }

// counted are the requests that asked, by what became of them.
func (r *rig) counted() map[string]int {
	got := map[string]int{}
	for o, c := range r.meters.usage {
		if n := int(c.Get()); n > 0 {
			got[o] = n
		}
	}
	return got
}

func TestAskedStreamIsTheClientsOwnAgain(t *testing.T) {
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			asked, plain := usageStream(eol)
			var cut atomic.Int64
			up := provider(t, likeOpenAI(eol, func(w http.ResponseWriter, stream string) {
				at := min(int(cut.Load()), len(stream))
				_, _ = io.WriteString(w, stream[:at])
				w.(http.Flusher).Flush()
				_, _ = io.WriteString(w, stream[at:])
			}))
			r := start(t, up, rigConfig{cfg: askingUsage, pub: &forgetful{}})
			c := client(t)
			for at := range len(asked) + 1 {
				cut.Store(int64(at))
				res, err := c.Post(r.url+chatPath, "application/json", strings.NewReader(streamed))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(got) != plain {
					t.Fatalf("cut at %d: %v\ngot  %q\nwant %q", at, err, got, plain)
				}
			}
			if d := cmp.Diff(map[string]int{usageAsked: len(asked) + 1}, r.counted()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAskedExchangeIsRecordedWithItsUsage(t *testing.T) {
	asked, plain := usageStream("\n")
	r := start(t, provider(t, likeOpenAI("\n", atOnce)), rigConfig{cfg: askingUsage})
	if res, got := ask(t, r.url+chatPath, streamed); got != plain || res.ContentLength != -1 {
		t.Errorf("client got %d: %q", res.ContentLength, got)
	}
	e := r.one()
	if e.Usage == nil || e.Usage.InputTokens != 12 || e.Usage.OutputTokens != 3 || e.Class != llm.ClassOK || !e.Stream {
		t.Errorf("class %q, usage %+v", e.Class, e.Usage)
	}
	if string(e.Request) != streamed || e.RequestLength != len(streamed) {
		t.Errorf("recorded request %q of %d bytes", e.Request, e.RequestLength)
	}
	frames := 0
	for _, f := range e.Frames {
		frames += f.Bytes
	}
	if frames != len(asked) || e.ResponseLength != len(asked) {
		t.Errorf("frames hold %d bytes, the answer %d, want %d", frames, e.ResponseLength, len(asked))
	}
	r.settled(1)
	eventually(t, "the end of all charges", func() bool { return r.budget.used.Load() == 0 }, func() any { return r.budget.used.Load() })
}

// A wiretap keeps what every connection of an upstream received.
type wiretap struct {
	net.Listener
	mu    sync.Mutex
	heard bytes.Buffer
}

func (l *wiretap) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tappedConn{conn, l}, nil
}

type tappedConn struct {
	net.Conn
	tap *wiretap
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.heard.Write(p[:n])
	return n, err
}

// take gives what was heard since the last time.
func (l *wiretap) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.heard.Reset()
	return l.heard.String()
}

// tapped is an upstream whose received bytes are kept.
func tapped(t testing.TB, h http.HandlerFunc) (string, *wiretap) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	tap := &wiretap{Listener: s.Listener}
	s.Listener = tap
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL, tap
}

// posted is a request as it stands on the wire.
func posted(path, body string, header ...string) string {
	head := "POST " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nAccept-Encoding: gzip, br\r\n"
	for _, h := range header {
		head += h + "\r\n"
	}
	if !strings.Contains(head, "Transfer-Encoding") {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}

func TestWhatGoesUpstreamWhenUsageIsAsked(t *testing.T) {
	url, tap := tapped(t, likeOpenAI("\n", atOnce))
	off := start(t, url, rigConfig{})
	on := start(t, url, rigConfig{cfg: askingUsage})
	upstream := func(r *rig, request string) string {
		raw(t, r.url, request)
		return tap.take()
	}
	for name, path := range map[string]string{
		"OpenAI": chatPath + "?x=1", "a prefix": "/openai/v1/chat/completions", "Azure": "/openai/deployments/d/chat/completions?api-version=1", "a slash": chatPath + "/",
	} {
		t.Run(name, func(t *testing.T) {
			body := `{ "stream" : true , "messages":[{"role":"user","content":"ü \u00fc 1.0"}]}` + "\n"
			asking := strings.TrimSuffix(body, "}\n") + "," + asksUsage + "}\n"
			want := upstream(off, posted(path, body))
			for _, change := range [][2]string{
				{body, asking}, {"Accept-Encoding: gzip, br\r\n", "Accept-Encoding: identity\r\n"},
				{"Content-Length: " + strconv.Itoa(len(body)) + "\r\n", "Content-Length: " + strconv.Itoa(len(asking)) + "\r\n"},
			} {
				if !strings.Contains(want, change[0]) {
					t.Fatalf("%q is not in %q", change[0], want)
				}
				want = strings.Replace(want, change[0], change[1], 1)
			}
			if d := cmp.Diff(want, upstream(on, posted(path, body))); d != "" {
				t.Error(d)
			}
			bare := strings.Replace(posted(path, body), "Accept-Encoding: gzip, br\r\n", "", 1)
			if got := upstream(on, bare); strings.Contains(got, "Accept-Encoding") || !strings.HasSuffix(got, asking) {
				t.Errorf("without Accept-Encoding: %q", got)
			}
		})
	}
}

func TestRequestsThatAreLeftAlone(t *testing.T) {
	url, tap := tapped(t, likeOpenAI("\n", atOnce))
	off := start(t, url, rigConfig{})
	on := start(t, url, rigConfig{cfg: askingUsage})
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	sized := func(n int) string {
		return strings.Replace(long(n-len(`"stream":true,`)), "{", `{"stream":true,`, 1)
	}
	for name, request := range map[string]string{
		"no stream":           posted(chatPath, question),
		"stream off":          posted(chatPath, strings.Replace(streamed, "true", "false", 1)),
		"asked":               posted(chatPath, strings.Replace(streamed, "{", "{"+asksUsage+",", 1)),
		"declined":            posted(chatPath, strings.Replace(streamed, "{", `{"stream_options":{"include_usage":false},`, 1)),
		"said null":           posted(chatPath, strings.Replace(streamed, "{", `{"stream_options":{"include_usage":null},`, 1)),
		"a key twice":         posted(chatPath, strings.Replace(streamed, "{", `{"stream":true,`, 1)),
		"an option twice":     posted(chatPath, strings.Replace(streamed, "{", `{"stream_options":{"x":1,"x":1},`, 1)),
		"no JSON":             posted(chatPath, streamed[:len(streamed)-1]),
		"an array":            posted(chatPath, "["+streamed+"]"),
		"no body":             posted(chatPath, ""),
		"encoded":             posted(chatPath, streamed, "Content-Encoding: gzip"),
		"encoded by its name": posted(chatPath, streamed, "Content-Encoding: identity"),
		"chunked":             posted(chatPath, chunked(streamed), "Transfer-Encoding: chunked"),
		"too long":            posted(chatPath, sized(maxAskedBody+1)),
		"completions":         posted("/v1/completions", streamed),
		"responses":           posted("/v1/responses", streamed),
		"another method":      strings.Replace(posted(chatPath, streamed), "POST", "PUT", 1),
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer := raw(t, off.url, request)
			want := tap.take()
			gotAnswer := raw(t, on.url, request)
			got := tap.take()
			if want == "" || got != want {
				t.Errorf("upstream got %.300q\nwant         %.300q", got, want)
			}
			date := regexp.MustCompile("Date: [^\r]*\r\n")
			if d := cmp.Diff(date.ReplaceAllString(wantAnswer, ""), date.ReplaceAllString(gotAnswer, "")); d != "" {
				t.Error(d)
			}
		})
	}
	if got := on.counted(); len(got) > 0 {
		t.Errorf("asked %v", got)
	}
	t.Run("the longest", func(t *testing.T) {
		raw(t, on.url, posted(chatPath, sized(maxAskedBody)))
		if got := tap.take(); !strings.HasSuffix(got, ","+asksUsage+"}") {
			t.Errorf("upstream got %.300q", got)
		}
	})
}

func TestNotRecordedIsNotAsked(t *testing.T) {
	url, tap := tapped(t, likeOpenAI("\n", atOnce))
	for name, rc := range map[string]rigConfig{
		"recording is off": {cfg: func(c *Config) { c.AskUsage, c.Sample = true, 0 }},
		"no memory":        {cfg: askingUsage, adjust: func(c *Capture) { c.budget.limit.Store(int64(2*len(streamed)) - 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, url, rc)
			_, plain := usageStream("\n")
			if _, got := ask(t, r.url+chatPath, streamed); got != plain {
				t.Errorf("client got %q", got)
			}
			if got := tap.take(); strings.Contains(got, "stream_options") {
				t.Errorf("upstream got %q", got)
			}
			r.settled(1)
			if used := r.budget.used.Load(); used != 0 {
				t.Errorf("%d bytes stay charged", used)
			}
		})
	}
}

func TestAnswersThatAreNotFiltered(t *testing.T) {
	asked, _ := usageStream("\n")
	for name, tc := range map[string]struct {
		status int
		header []string
	}{
		"encoded":        {200, []string{"Content-Type", "text/event-stream", "Content-Encoding", "lzma"}},
		"another type":   {200, []string{"Content-Type", "text/plain"}},
		"another status": {203, []string{"Content-Type", "text/event-stream"}},
		"an error":       {500, []string{"Content-Type", "text/event-stream"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				for i := 0; i < len(tc.header); i += 2 {
					w.Header().Set(tc.header[i], tc.header[i+1])
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(asked)))
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, asked)
			}), rigConfig{cfg: askingUsage})
			res, got := ask(t, r.url+chatPath, streamed)
			if got != asked || res.StatusCode != tc.status || res.ContentLength != int64(len(asked)) {
				t.Errorf("client got %d, %d bytes announced, %q", res.StatusCode, res.ContentLength, got)
			}
			r.settled(1)
		})
	}
}

// A stream of known length, as servers send it that do not stream, gets shorter.
func TestAskedStreamOfKnownLength(t *testing.T) {
	asked, plain := usageStream("\n")
	r := start(t, provider(t, likeOpenAI("\n", func(w http.ResponseWriter, stream string) {
		w.Header().Set("Content-Length", strconv.Itoa(len(asked)))
		_, _ = io.WriteString(w, stream)
	})), rigConfig{cfg: askingUsage})
	if res, got := ask(t, r.url+chatPath, streamed); got != plain || res.ContentLength != -1 {
		t.Errorf("client got %d: %q", res.ContentLength, got)
	}
}

// oldUpstream takes no stream_options; it refuses in the time given.
func oldUpstream(status int, after time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "stream_options") {
			<-time.After(after)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}`)
			return
		}
		_, plain := usageStream("\n")
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Request-Id", "req_2")
		_, _ = io.WriteString(w, plain)
	}
}

func TestUpstreamThatRefusesTheQuestion(t *testing.T) {
	_, plain := usageStream("\n")
	for _, status := range []int{http.StatusBadRequest, http.StatusUnprocessableEntity} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			const slow = 300 * time.Millisecond
			var log lockedBuffer
			url, tap := tapped(t, oldUpstream(status, slow))
			r := start(t, url, rigConfig{cfg: askingUsage, log: &log})
			request := posted(chatPath, streamed)
			if got := raw(t, r.url, request); !strings.HasPrefix(got, "HTTP/1.1 200 ") || strings.Contains(got, "error") {
				t.Errorf("client got %q", got)
			}
			first := tap.take()
			if strings.Count(first, "POST ") != 2 || strings.Count(first, "Accept-Encoding: gzip, br\r\n") != 1 || !strings.HasSuffix(first, "\r\n\r\n"+streamed) {
				t.Errorf("upstream got %q", first)
			}
			e := r.one()
			if e.Status != 200 || e.Class != llm.ClassOK || string(e.Request) != streamed || e.ResponseLength != len(plain) || e.ProviderRequestID != "req_2" {
				t.Errorf("status %d, class %q, request %q, %d bytes of %q", e.Status, e.Class, e.Request, e.ResponseLength, e.ProviderRequestID)
			}
			if limit := milliseconds(slow); e.LatencyMS >= limit || e.TTFTMS == nil || *e.TTFTMS >= limit {
				t.Errorf("%v ms, first token %v, and the refusal took %v", e.LatencyMS, e.TTFTMS, slow)
			}
			for range 3 {
				ask(t, r.url+chatPath, streamed)
			}
			if got := tap.take(); strings.Count(got, "POST ") != 3 || strings.Contains(got, "stream_options") {
				t.Errorf("afterwards the upstream got %q", got)
			}
			const line = "refuses stream_options.include_usage"
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%d log lines", n)
			}
			cfg := DefaultConfig()
			cfg.Redact.Mode, cfg.AskUsage = "off", true
			if err := r.Reload(cfg, []Upstream{{Name: "openai", BaseURL: url}}, nil); err != nil {
				t.Fatal(err)
			}
			ask(t, r.url+chatPath, streamed)
			if got := tap.take(); strings.Count(got, "POST ") != 2 || strings.Count(log.String(), line) != 2 {
				t.Errorf("after the reload the upstream got %q", got)
			}
			if d := cmp.Diff(map[string]int{usageRefused: 2}, r.counted()); d != "" {
				t.Error(d)
			}
			r.settled(5)
		})
	}
}

// One upstream's refusal says nothing of another.
func TestRefusalIsOfOneUpstream(t *testing.T) {
	old, oldTap := tapped(t, oldUpstream(400, 0))
	young, tap := tapped(t, likeOpenAI("\n", atOnce))
	r := start(t, "", rigConfig{cfg: askingUsage, upstreams: []Upstream{
		{Name: "azure", BaseURL: old, Kind: "azure", Match: "/openai"}, {Name: "openai", BaseURL: young},
	}})
	for range 2 {
		ask(t, r.url+"/openai/deployments/d/chat/completions", streamed)
		ask(t, r.url+chatPath, streamed)
	}
	if got := oldTap.take(); strings.Count(got, "POST ") != 3 {
		t.Errorf("the old upstream got %q", got)
	}
	if got := tap.take(); strings.Count(got, asksUsage) != 2 {
		t.Errorf("the other got %q", got)
	}
}

func TestFaultsOfTheClientAreItsOwn(t *testing.T) {
	for name, tc := range map[string]struct {
		statuses []int // of the first request, then of its repetition
		want     int
		counted  string
	}{
		"refused twice":        {[]int{400, 400}, 400, usageRepeated},
		"refused in two words": {[]int{400, 422}, 422, usageRepeated},
		"throttled the second": {[]int{400, 429}, 429, usageRepeated},
		"another fault":        {[]int{404}, 404, usageAsked},
		"throttled":            {[]int{429}, 429, usageAsked},
		"overloaded":           {[]int{500}, 500, usageAsked},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			url, tap := tapped(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				i := int(calls.Add(1)-1) % len(tc.statuses)
				w.WriteHeader(tc.statuses[i])
				fmt.Fprintf(w, "answer %d", i)
			})
			r := start(t, url, rigConfig{cfg: askingUsage})
			const n = 3
			for range n {
				res, got := ask(t, r.url+chatPath, streamed)
				if want := fmt.Sprintf("answer %d", len(tc.statuses)-1); res.StatusCode != tc.want || got != want {
					t.Errorf("client got %d %q, want %d %q", res.StatusCode, got, tc.want, want)
				}
			}
			if got := int(calls.Load()); got != n*len(tc.statuses) {
				t.Errorf("upstream got %d requests", got)
			}
			if got := tap.take(); strings.Count(got, asksUsage) != n {
				t.Errorf("upstream got %q", got)
			}
			if d := cmp.Diff(map[string]int{tc.counted: n}, r.counted()); d != "" {
				t.Error(d)
			}
			r.settled(n)
			for _, e := range r.shelf.records() {
				if e.Status != tc.want || string(e.Request) != streamed {
					t.Errorf("recorded %d, %q", e.Status, e.Request)
				}
			}
		})
	}
}

func TestUpstreamThatBreaksWhenItIsAskedAgain(t *testing.T) {
	r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), asksUsage) {
			w.WriteHeader(400)
			return
		}
		panic(http.ErrAbortHandler)
	}), rigConfig{cfg: askingUsage})
	if res, got := ask(t, r.url+chatPath, streamed); res.StatusCode != 502 || !strings.Contains(got, "upstream_unreachable") {
		t.Errorf("client got %d %s", res.StatusCode, got)
	}
	if e := r.one(); e.Status != 502 || e.Class != llm.ClassNetwork {
		t.Errorf("recorded %d, class %q", e.Status, e.Class)
	}
	r.settled(1)
}

func TestAskingWithExpectContinue(t *testing.T) {
	_, plain := usageStream("\n")
	for name, refuse := range map[string]bool{"accepted": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				if refuse {
					w.Header().Set("Connection", "close")
					w.WriteHeader(http.StatusExpectationFailed)
					return
				}
				likeOpenAI("\n", atOnce)(w, r)
			}), rigConfig{cfg: askingUsage})
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", chatPath, len(streamed))
			in := bufio.NewReader(conn)
			if first, err := in.ReadString('\n'); first != "HTTP/1.1 100 Continue\r\n" {
				t.Fatalf("first line %q, %v", first, err)
			}
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, streamed)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if refuse {
				if res.StatusCode != http.StatusExpectationFailed {
					t.Errorf("client got %s", res.Status)
				}
				return
			}
			if res.StatusCode != 200 || string(body) != plain {
				t.Errorf("client got %s %q", res.Status, body)
			}
			if e := r.one(); string(e.Request) != streamed || e.Usage == nil {
				t.Errorf("recorded request %q, usage %v", e.Request, e.Usage)
			}
		})
	}
}

func TestClientThatBreaksOffWhileItSends(t *testing.T) {
	for name, half := range map[string]bool{"leaves": false, "sends no more": true} {
		t.Run(name, func(t *testing.T) {
			answers := map[bool]string{}
			for _, on := range []bool{false, true} {
				r := start(t, provider(t, answering), rigConfig{cfg: func(c *Config) { c.AskUsage = on }})
				conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(streamed), streamed[:40])
				if half {
					_ = conn.(*net.TCPConn).CloseWrite()
					_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
					got, _ := io.ReadAll(conn)
					answers[on], _, _ = strings.Cut(string(got), "\r\n")
				} else {
					conn.Close()
				}
				if a := r.settled(1); a.Dropped[reasonIncomplete] != 1 {
					t.Errorf("asking %v: accounts %+v", on, a)
				}
				eventually(t, "the end of all charges", func() bool { return r.budget.used.Load() == 0 }, func() any { return r.budget.used.Load() })
			}
			if answers[true] != answers[false] {
				t.Errorf("the client got %q, without asking %q", answers[true], answers[false])
			}
		})
	}
}

// Each event reaches the client before the next one exists.
func TestAskedStreamIsNotDelayed(t *testing.T) {
	_, plain := usageStream("\r\n")
	var seen atomic.Int64
	r := start(t, provider(t, likeOpenAI("\r\n", func(w http.ResponseWriter, stream string) {
		due := 0
		for event := range strings.SplitAfterSeq(strings.TrimSuffix(stream, "\r\n\r\n"), "\r\n\r\n") {
			from, to := addedUsage([]byte(event))
			due += len(event) - (to - from)
			_, _ = io.WriteString(w, event)
			w.(http.Flusher).Flush()
			for end := time.Now().Add(5 * time.Second); strings.HasSuffix(event, "\n") && int(seen.Load()) < due; <-time.After(time.Millisecond) {
				if time.Now().After(end) {
					t.Errorf("%q waits for what follows it", event)
					return
				}
			}
		}
		_, _ = io.WriteString(w, "\r\n\r\n")
	})), rigConfig{cfg: askingUsage})
	res, err := client(t).Post(r.url+chatPath, "application/json", strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got []byte
	buf := make([]byte, 4<<10)
	for err == nil {
		var n int
		n, err = res.Body.Read(buf)
		got = append(got, buf[:n]...)
		seen.Store(int64(len(got)))
	}
	if string(got) != plain {
		t.Errorf("client got %q", got)
	}
	r.settled(1)
}

func TestClientThatLeavesAnAskedStream(t *testing.T) {
	released := make(chan struct{})
	asked, plain := usageStream("\n")
	half := strings.Index(asked, "☕")
	r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, asked[:half])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(released)
	}), rigConfig{cfg: func(c *Config) { askingUsage(c); c.DrainAbandoned = 100 * time.Millisecond }})
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+chatPath, strings.NewReader(streamed))
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, 200)
	if _, err := io.ReadFull(res.Body, begin); err != nil || string(begin) != plain[:200] {
		t.Fatalf("client got %q, %v", begin, err)
	}
	leave()
	res.Body.Close()
	select {
	case <-released:
	case <-time.After(2 * time.Second):
		t.Fatal("the upstream still works for a client that left")
	}
	if e := r.one(); !e.Aborted || e.Class != llm.ClassOK || e.ResponseLength != half {
		t.Errorf("record: aborted %v, class %q, %d bytes of %d", e.Aborted, e.Class, e.ResponseLength, half)
	}
	r.settled(1)
}

func TestAskedStreamThatIsCut(t *testing.T) {
	asked, plain := usageStream("\n")
	inside := strings.Index(asked, "☕")
	for name, tc := range map[string]struct {
		broken bool
		want   string
	}{
		"the connection breaks": {true, plain[:strings.Index(plain, "☕")]},
		"a clean end":           {false, plain[:strings.Index(plain, "☕")]},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, asked[:inside])
				w.(http.Flusher).Flush()
				if tc.broken {
					panic(http.ErrAbortHandler)
				}
			}), rigConfig{cfg: askingUsage})
			res, err := client(t).Post(r.url+chatPath, "application/json", strings.NewReader(streamed))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(got) != tc.want || (err != nil) != tc.broken {
				t.Errorf("%v\ngot  %q\nwant %q", err, got, tc.want)
			}
			if e := r.one(); e.Class != llm.ClassTruncated || e.Aborted || e.ResponseLength != inside {
				t.Errorf("class %q, aborted %v, %d bytes", e.Class, e.Aborted, e.ResponseLength)
			}
			r.settled(1)
		})
	}
}

// An event beyond the limit passes, and with it everything that follows.
func TestAskedStreamWithAnEventThatIsTooLong(t *testing.T) {
	asked, _ := usageStream("\n")
	stream := "data: " + strings.Repeat("x", maxHeldEvent) + "\n\n" + asked
	r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, stream)
	}), rigConfig{cfg: askingUsage})
	if _, got := ask(t, r.url+chatPath, streamed); got != stream {
		t.Errorf("client got %d bytes of %d", len(got), len(stream))
	}
}

// The simulator's own answers, OpenAI's and Azure's: with asking and without the client
// sees the same, apart from what is drawn anew for each answer.
func TestAskingTheSimulator(t *testing.T) {
	simulator := func() string { // each its own: a second answer to a question has other words
		s, err := sim.New(sim.Config{Kind: sim.OpenAI, Personas: map[string]sim.Persona{"*": {OutputTokens: 40}}})
		if err != nil {
			t.Fatal(err)
		}
		return provider(t, s.ServeHTTP)
	}
	off := start(t, simulator(), rigConfig{})
	on := start(t, simulator(), rigConfig{cfg: askingUsage})
	drawn := regexp.MustCompile(`chatcmpl-\w+|"created":\d+`)
	for _, path := range []string{chatPath, "/openai/deployments/gpt-4-turbo/chat/completions?api-version=2024-10-21"} {
		auth := []string{"Authorization", "Bearer sk-0123456789abcdef", "Api-Key", "0123456789abcdef0123456789abcdef"}
		_, want := ask(t, off.url+path, streamed, auth...)
		_, got := ask(t, on.url+path, streamed, auth...)
		if !strings.Contains(want, "[DONE]") || strings.Contains(want, `"usage"`) {
			t.Fatalf("the simulator gave %q", want)
		}
		if d := cmp.Diff(drawn.ReplaceAllString(want, ""), drawn.ReplaceAllString(got, "")); d != "" {
			t.Error(d)
		}
	}
	on.settled(2)
	for _, e := range on.shelf.records() {
		if e.Usage == nil || e.Usage.OutputTokens == 0 || e.Usage.Estimated || e.Class != llm.ClassOK {
			t.Errorf("%s: class %q, usage %v", e.Path, e.Class, e.Usage)
		}
	}
	for _, e := range off.shelf.records() {
		if e.Usage != nil && !e.Usage.Estimated {
			t.Errorf("usage came unasked: %v", e.Usage)
		}
	}
}

// The official client reads the stream, many at once, and never sees a usage.
func TestOfficialClientIsAskedFor(t *testing.T) {
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		e := openai.StreamEncoder{ID: "chatcmpl-9", Model: "gpt-4-turbo", Created: 1700000000, IncludeUsage: strings.Contains(string(body), asksUsage)}
		for _, ev := range []llm.Event{
			{Kind: llm.EventText, Text: "Let me "}, {Kind: llm.EventText, Text: "see."},
			{Kind: llm.EventFinish, Finish: llm.FinishStop}, {Kind: llm.EventUsage, Usage: llm.Usage{InputTokens: 5, OutputTokens: 2}},
		} {
			_, _ = w.Write(e.Append(nil, ev))
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(e.AppendDone(nil))
	})
	r := start(t, up, rigConfig{cfg: askingUsage})
	sdk := openaisdk.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey("sk-0123456789abcdef"), option.WithMaxRetries(0), option.WithHTTPClient(client(t)))
	const n = 16
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			stream := sdk.Chat.Completions.NewStreaming(t.Context(), openaisdk.ChatCompletionNewParams{
				Model: "gpt-4-turbo", Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.UserMessage("What is q?")},
			})
			acc := openaisdk.ChatCompletionAccumulator{}
			for stream.Next() {
				if chunk := stream.Current(); len(chunk.Choices) == 0 || chunk.JSON.Usage.Raw() != "" {
					t.Errorf("the client got %s", chunk.RawJSON())
				}
				acc.AddChunk(stream.Current())
			}
			if err := stream.Err(); err != nil || len(acc.Choices) != 1 || acc.Choices[0].Message.Content != "Let me see." {
				t.Errorf("stream gave %+v, %v", acc.Choices, err)
			}
		})
	}
	all.Wait()
	r.settled(n)
	for _, e := range r.shelf.records() {
		if e.Usage == nil || e.Usage.InputTokens != 5 || e.Usage.OutputTokens != 2 {
			t.Errorf("usage %v", e.Usage)
		}
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
