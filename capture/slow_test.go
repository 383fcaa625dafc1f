package capture

import (
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
		sends  time.Duration // the client pauses in its request
		answer string
		before time.Duration // the upstream takes to answer
		wait   time.Duration // the client pauses in the answer
		want   bool
	}{
		"quick":         {answer: completion},
		"slow upstream": {answer: completion, before: pause},
		"slow reader":   {answer: big, wait: pause, want: true},
		"slow sender":   {answer: completion, sends: pause, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			slow := false
			for range 5 { // on a busy machine a quick client may wait for its turn
				slow = isSlow(t, tc.sends, tc.answer, tc.before, tc.wait)
				if slow == tc.want {
					return
				}
			}
			t.Errorf("client_slow = %v", slow)
		})
	}
}

func isSlow(t *testing.T, sends time.Duration, answer string, before, wait time.Duration) bool {
	t.Helper()
	r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(before)
		_, _ = io.WriteString(w, answer)
	}), rigConfig{})
	res, err := client(t).Post(r.url+chatPath, "application/json", &slowReader{rest: []byte(question), pause: sends})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if wait > 0 {
		_, _ = io.ReadFull(res.Body, make([]byte, 1000))
		<-time.After(wait)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(answer, string(got)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	return r.one().ClientSlow
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
