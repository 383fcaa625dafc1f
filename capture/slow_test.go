package capture

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that sends or reads slowly is told apart from a slow upstream.
func TestSlowClientIsMarked(t *testing.T) {
	const size = 8 << 20 // more than the buffers between proxy and client hold
	const pause = 400 * time.Millisecond
	big := `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", size) + `"},"finish_reason":"stop"}]}`
	for name, tc := range map[string]struct {
		request io.Reader
		answer  string
		before  time.Duration // the upstream takes to answer
		wait    time.Duration // the client takes to read on
		want    bool
	}{
		"quick":         {strings.NewReader(question), completion, 0, 0, false},
		"slow upstream": {strings.NewReader(question), completion, pause, 0, false},
		"slow reader":   {strings.NewReader(question), big, 0, pause, true},
		"slow sender":   {&slowReader{rest: []byte(question), pause: pause}, completion, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-time.After(tc.before)
				_, _ = io.WriteString(w, tc.answer)
			}), rigConfig{})
			res, err := client(t).Post(r.url+chatPath, "application/json", tc.request)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if tc.wait > 0 {
				_, _ = io.ReadFull(res.Body, make([]byte, 1000))
				<-time.After(tc.wait)
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || !bytes.HasSuffix([]byte(tc.answer), got) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if e := r.one(); e.ClientSlow != tc.want {
				t.Errorf("client_slow = %v after %v ms", e.ClientSlow, e.LatencyMS)
			}
		})
	}
}

// A slowReader pauses in its middle.
type slowReader struct {
	rest  []byte
	pause time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:(len(s.rest)+1)/2])
	s.rest = s.rest[n:]
	if len(s.rest) == 0 || s.pause == 0 {
		return n, nil
	}
	<-time.After(s.pause)
	s.pause = 0
	return n, nil
}
