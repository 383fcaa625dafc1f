package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"understudy/llm"
)

// historyTurns is how many answers are remembered at least, and half of how many at most.
const historyTurns = 32 << 10

// A history finds the conversation of requests that name none: chat applications send
// all earlier messages again, so the next turn begins with the messages and the answer of
// the one before. Turns are remembered as keyed hashes, of one caller each: nobody joins
// another's conversation, whatever his messages say. It forgets the oldest, and all of it
// with the process.
type history struct {
	key []byte

	mu          sync.Mutex
	young, aged map[turn]string // conversation by turn
}

// A turn is the hash of a caller, of messages and of the answer to them.
type turn [sha256.Size]byte

func newHistory(key []byte) *history {
	return &history{key: key, young: map[turn]string{}, aged: map[turn]string{}}
}

// find gives the conversation of a request: that of the turn that its last assistant
// message answered; own, the request's own id, where it is a first turn; or none.
func (h *history) find(caller []byte, messages []llm.Message, own string) (conversation string, ok bool) {
	last := -1
	for i := range messages {
		if messages[i].Role == llm.RoleAssistant {
			last = i
		}
	}
	if last < 0 {
		return own, true
	}
	m := &messages[last]
	t := h.turn(caller, messages[:last], m.Text(), m.ToolCalls)
	h.mu.Lock()
	defer h.mu.Unlock()
	conversation, ok = h.young[t]
	if !ok {
		conversation, ok = h.aged[t]
	}
	return conversation, ok
}

// remember notes the answer to a request of a conversation.
func (h *history) remember(conversation string, caller []byte, messages []llm.Message, answer *llm.Response) {
	t := h.turn(caller, messages, answer.Text+answer.Refusal, answer.ToolCalls)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.young) >= historyTurns {
		h.young, h.aged = make(map[turn]string, historyTurns), h.young
	}
	h.young[t] = conversation
}

func (h *history) turn(caller []byte, messages []llm.Message, text string, calls []llm.ToolCall) (t turn) {
	sum := hmac.New(sha256.New, h.key)
	write(sum, "turn", string(caller))
	for i := range messages {
		m := &messages[i]
		writeMessage(sum, string(m.Role), m.Text(), m.ToolCallID, m.ToolCalls)
		for _, p := range m.Parts {
			if p.Image != nil {
				write(sum, "image", p.Image.URL, string(p.Image.Data))
			}
		}
	}
	writeMessage(sum, string(llm.RoleAssistant), text, "", calls)
	sum.Sum(t[:0])
	return t
}

func writeMessage(sum hash.Hash, role, text, answers string, calls []llm.ToolCall) {
	write(sum, role, text, answers)
	for _, c := range calls {
		write(sum, "call", c.ID, c.Name, c.Arguments)
	}
}

// write adds texts with their lengths, so that no two lists of them are alike.
func write(sum hash.Hash, texts ...string) {
	var n [8]byte
	for _, s := range texts {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		sum.Write(n[:])
		sum.Write([]byte(s))
	}
}
