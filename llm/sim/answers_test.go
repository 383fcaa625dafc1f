package sim_test

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"understudy/llm/sim"
)

func write(t *testing.T, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "answers.jsonl")
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBadAnswersFile(t *testing.T) {
	good := `{"model":"*","match":{"last_user":"a"},"text":"b"}` + "\n"
	tests := map[string]string{
		"not JSON":          `{"model"`,
		"no model":          `{"match":{"last_user":"a"},"text":"b"}`,
		"no match":          `{"model":"m","text":"b"}`,
		"two matches":       `{"model":"m","match":{"last_user":"a","sha256":"` + strings.Repeat("0", 64) + `"},"text":"b"}`,
		"no answer":         `{"model":"m","match":{"last_user":"a"}}`,
		"text is a number":  `{"model":"m","match":{"last_user":"a"},"text":1}`,
		"call without name": `{"model":"m","match":{"last_user":"a"},"tool_calls":[{"arguments":"{}"}]}`,
		"negative latency":  `{"model":"m","match":{"last_user":"a"},"text":"b","latency_ms":-1}`,
		"ttft above":        `{"model":"m","match":{"last_user":"a"},"text":"b","latency_ms":1,"ttft_ms":2}`,
		"negative usage":    `{"model":"m","match":{"last_user":"a"},"text":"b","usage":{"input_tokens":-1}}`,
		"digest too short":  `{"model":"m","match":{"sha256":"00"},"text":"b"}`,
		"two values":        good[:len(good)-1] + good,
	}
	for name, line := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := sim.New(sim.Config{Kind: sim.OpenAI, AnswersFile: write(t, good+"\n"+line)})
			if err == nil || !strings.Contains(err.Error(), "line 3:") {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := sim.New(sim.Config{Kind: sim.OpenAI, AnswersFile: "no/such/file"}); err == nil {
		t.Error("a missing file was read")
	}
	if _, err := sim.New(sim.Config{Kind: sim.OpenAI, AnswersOnly: true}); err == nil {
		t.Error("answers only without a file")
	}
	if _, err := sim.New(sim.Config{Kind: "cohere"}); err == nil {
		t.Error("an unknown kind")
	}
}

// TestMatchByDigest computes the canonical request as its documentation says.
func TestMatchByDigest(t *testing.T) {
	canonical := `{"messages":[{"content":"<b> & \"c\" é` + "\u2028" + `","role":"user"}],"temperature":0.50}`
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(canonical)))
	file := write(t, `{"model":"*","match":{"sha256":"`+sum+`"},"text":"by digest"}`+"\n"+`{"model":"*","match":{"last_user":"<b> & \"c\" é\u2028"},"text":"by text"}`)
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: file, AnswersOnly: true})
	turn := `{"role":"user", "content":"<b> \u0026 \"c\" \u00e9\u2028"}`
	for want, more := range map[string]string{"by digest": `"stream":false, "temperature": 0.50`, "by text": `"temperature":0.5`} {
		if a := post(t, s, chatPath, chatTurns(turn, more)); !contains(a.body, `"`+want+`"`) {
			t.Errorf("%s: %d %s", want, a.status, a.body)
		}
	}
}

// TestLastUserOnConverse: a translation moves and merges turns, the answer stays.
func TestLastUserOnConverse(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersOnly: true, AnswersFile: write(t,
		`{"model":"`+claude+`","match":{"last_user":"one two"},"text":"found it"}`)})
	tests := map[string]string{
		"one block":         turnsBody(user(`{"text":"one two"}`)),
		"two blocks":        turnsBody(user(`{"text":"one "}`, `{"text":"two"}`)),
		"merged turns":      turnsBody(user(`{"text":"earlier words"}`, `{"text":"one two"}`)),
		"with system":       turnsBody(user(`{"text":"one two"}`), `"system":[{"text":"Be kind"}]`),
		"after tool result": turnsBody(user(`{"text":"one two"}`)+","+use+","+user(result), weatherConfig),
		"text with result":  turnsBody(hi+","+use+","+user(result, `{"text":"one two"}`), weatherConfig),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if a := post(t, s, "/model/"+url.PathEscape(claude)+"/converse", body); !contains(a.body, "found it") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

func TestFirstLineWinsAndUnknownMembersPass(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: write(t,
		`{"model":"*","match":{"last_user":"a"},"text":"first","id":7}`+"\n"+`{"model":"*","match":{"last_user":"a"},"text":"second"}`)})
	if a := post(t, s, chatPath, chatBody("a", "")); !contains(a.body, `"first"`) {
		t.Errorf("%s", a.body)
	}
}
