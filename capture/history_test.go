package capture

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"understudy/llm"
)

// chat is a conversation as an application has it: it sends all of it again each time.
type chat struct {
	t        *testing.T
	r        *rig
	key      string
	stream   bool
	messages []any
}

func (c *chat) say(text string) {
	c.t.Helper()
	c.messages = append(c.messages, map[string]string{"role": "user", "content": text})
	c.ask()
}

// ask sends the messages and appends the answer.
func (c *chat) ask() {
	c.t.Helper()
	body, _ := json.Marshal(map[string]any{"model": "gpt-4-turbo", "stream": c.stream, "messages": c.messages})
	_, got := ask(c.t, c.r.url+chatPath, string(body), "Authorization", "Bearer "+c.key)
	if c.stream {
		c.messages = append(c.messages, map[string]string{"role": "assistant", "content": "Fine."})
		return
	}
	var answer struct {
		Choices []struct{ Message map[string]any }
	}
	if err := json.Unmarshal([]byte(got), &answer); err != nil {
		c.t.Fatal(err)
	}
	c.messages = append(c.messages, answer.Choices[0].Message)
}

// Turns of one caller find each other by what was said; nobody finds another's.
func TestConversationIsFoundByItsHistory(t *testing.T) {
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Stream   bool
			Messages []struct{ Role, Content string }
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		if q.Stream {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, e := range events() {
				_, _ = io.WriteString(w, e)
			}
			return
		}
		w.Header().Set("Content-Type", "application/json")
		message := fmt.Sprintf(`{"role":"assistant","content":"answer %d to %s"}`, len(q.Messages), q.Messages[len(q.Messages)-1].Content)
		if q.Messages[len(q.Messages)-1].Content == "call" {
			message = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{ \"a\": 1}"}}]}`
		}
		fmt.Fprintf(w, `{"id":"c","choices":[{"index":0,"message":%s,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, message)
	})
	r := start(t, up, rigConfig{})
	a, b := &chat{t: t, r: r, key: "sk-caller-one-0001"}, &chat{t: t, r: r, key: "sk-caller-two-0002"}
	streamed := &chat{t: t, r: r, key: "sk-caller-one-0001", stream: true}
	n := 0
	// conversation waits for the next record and gives where it was filed.
	conversation := func() (id, source string) {
		t.Helper()
		n++
		eventually(t, "the record", func() bool { return len(r.shelf.records()) == n }, func() any { return r.Accounts() })
		e := r.shelf.records()[n-1]
		return e.Conversation, e.ConversationSource
	}
	same := func(want string) {
		t.Helper()
		if id, source := conversation(); id != want || source != "history" {
			t.Errorf("filed under %q (%s), want %q", id, source, want)
		}
	}

	a.say("hello")
	first, _ := conversation()
	if first == "" || first != r.shelf.records()[0].ID {
		t.Errorf("a first turn is filed under %q", first)
	}
	a.say("call")
	same(first)
	a.messages = append(a.messages, map[string]string{"role": "tool", "tool_call_id": "call_1", "content": "7"})
	a.ask()
	same(first)

	b.messages = append(b.messages, a.messages[:2]...) // word for word what the other caller heard
	b.say("and now?")
	if id, source := conversation(); id != "" || source != "none" {
		t.Errorf("another caller's turn was filed under %q (%s)", id, source)
	}

	streamed.say("hello")
	other, _ := conversation()
	streamed.say("more")
	same(other)

	a.messages[1] = map[string]string{"role": "assistant", "content": "changed"}
	a.messages = a.messages[:2]
	a.say("what did I say?")
	if id, source := conversation(); id != "" || source != "none" {
		t.Errorf("an answer that was never given was filed under %q (%s)", id, source)
	}
}

// What is remembered is bounded; the latest is kept.
func TestHistoryIsBounded(t *testing.T) {
	h := newHistory([]byte("key"))
	texts := func(i int) string { return fmt.Sprint("question ", i) }
	const many = 3*historyTurns + 10
	for i := range many {
		h.remember(fmt.Sprint(i), []byte("c"), user(texts(i)), reply("yes"))
	}
	if n := len(h.young) + len(h.aged); n > 2*historyTurns {
		t.Errorf("%d turns are kept", n)
	}
	for i, want := range map[int]bool{0: false, many - 1: true, many - historyTurns: true} {
		asked := append(user(texts(i)), assistant("yes"), user("next")[0])
		if id, ok := h.find([]byte("c"), asked, "own"); ok != want || ok && id != fmt.Sprint(i) {
			t.Errorf("turn %d: %q, %v", i, id, ok)
		}
	}
}

func user(text string) []llm.Message {
	return []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}}}
}

func assistant(text string) llm.Message {
	return llm.Message{Role: llm.RoleAssistant, Parts: []llm.Part{{Kind: llm.PartText, Text: text}}}
}

func reply(text string) *llm.Response { return &llm.Response{Text: text} }
