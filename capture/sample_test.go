package capture

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// withKey is a state directory with a fixed hash key: the draws are the same in
// each run.
func withKey(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), bytes.Repeat([]byte{7}, keySize), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSampleTakesWholeConversations(t *testing.T) {
	const conversations, turns = 200, 3
	r := start(t, provider(t, answering), rigConfig{dir: withKey(t), cfg: func(c *Config) { c.Sample = 0.3 }})
	for turn := range turns {
		for i := range conversations {
			header := []string{"X-Understudy-Conversation", fmt.Sprint("c", i), "Authorization", "Bearer one-and-the-same"}
			if i%2 == 0 { // found by unit: the conversations of one unit stay together
				header = append(header, "X-Understudy-Unit", fmt.Sprint("u", i/20))
			}
			ask(t, r.url+chatPath, fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"turn %d"}]}`, turn), header...)
		}
	}
	a := r.settled(conversations * turns)
	turnsOf, unit := map[string]int{}, map[string]map[string]bool{}
	for _, e := range r.shelf.records() {
		turnsOf[e.Conversation]++
		if e.SampleShare != 0.3 {
			t.Errorf("share %v", e.SampleShare)
		}
		if e.Unit != "" {
			if unit[e.Unit] == nil {
				unit[e.Unit] = map[string]bool{}
			}
			unit[e.Unit][e.Conversation] = true
		}
	}
	for c, n := range turnsOf {
		if n != turns {
			t.Errorf("conversation %s has %d of %d turns", c, n, turns)
		}
	}
	for u, cs := range unit {
		if len(cs) != 10 {
			t.Errorf("unit %s has %d of 10 conversations", u, len(cs))
		}
	}
	if a.Captured+a.SampledOut != conversations*turns || a.Captured < 90 || a.Captured > 330 {
		t.Errorf("accounts %+v", a)
	}
}

func TestSampleWithoutKeysGoesByCallerAndFirstMessage(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{dir: withKey(t), cfg: func(c *Config) { c.Sample = 0.5 }})
	const n = 120
	for i := range n {
		// The second turn repeats the first message and goes on.
		for _, more := range []string{"", `,{"role":"assistant","content":"b"},{"role":"user","content":"c"}`} {
			ask(t, r.url+chatPath, fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"question %d"}%s]}`, i, more), "api-key", "key-of-a-caller")
		}
	}
	a := r.settled(2 * n)
	if a.Captured%2 != 0 || a.Captured < n/2 || a.Captured > 3*n/2 {
		t.Errorf("accounts %+v", a)
	}
}

func TestCaptureOffCopiesNothing(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{cfg: func(c *Config) { c.Sample = 0 }})
	for _, path := range []string{chatPath, "/v1/models", "/v1/responses"} {
		ask(t, r.url+path, question)
	}
	if a := r.settled(3); a.SampledOut != 3 {
		t.Errorf("accounts %+v", a)
	}
	if n := len(r.shelf.records()); n != 0 {
		t.Errorf("%d records", n)
	}
}
