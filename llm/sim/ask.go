package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
)

// An ask is what the simulator needs to know of a request, whichever wire it
// came on.
type ask struct {
	model string
	// user holds the text blocks of the last user turn that has text.
	user []string
	// system is all system text, context what users said before the question:
	// both may hold instructions about the answer's form.
	system, context string
	tools           []askTool
	// choice is "auto", "none", "any" or "tool"; named is the tool of the latter.
	choice, named string
	// afterTool tells that the last turn answers tool calls.
	afterTool bool
	// schema is the JSON Schema that the answer must satisfy, or nil;
	// wantJSON tells that it must be a JSON object.
	schema    any
	wantJSON  bool
	maxTokens int
	// bytes of text in the request, for the estimate of its tokens.
	bytes int
	// digest is the SHA-256 of the canonical request, in hex.
	digest string
	// judging is set when the request asks for a verdict about answers.
	judging *judging
}

type askTool struct {
	name, description string
	schema            any
}

// question is the last text that the user wrote: the seed of what is answered.
// It is the last block only, because a translation may put other turns' text or
// an instruction in front of it.
func (a *ask) question() string {
	if len(a.user) == 0 {
		return ""
	}
	return strings.TrimSpace(a.user[len(a.user)-1])
}

var jsonWords = regexp.MustCompile(`(?i)\b(json object|valid json|only json|json only)\b`)

// form finds out which form the answer must have when the request has no field
// for it: a schema or the demand for JSON in the instructions, as a translation
// writes them for models without structured output; or a verdict.
func (a *ask) form() {
	if a.judging = readJudging(a); a.judging != nil {
		return
	}
	before := a.system + a.context
	if a.schema == nil {
		a.schema = findSchema(before)
	}
	if a.schema == nil && jsonWords.MatchString(before) {
		a.wantJSON = true
	}
}

// schemaTries bounds the search in texts full of braces.
const schemaTries = 64

// findSchema is the first JSON object inside the text that looks like a schema
// of an object, or nil.
func findSchema(text string) any {
	for range schemaTries {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return nil
		}
		text = text[i:]
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var m map[string]any
		if d.Decode(&m) == nil {
			_, properties := m["properties"].(map[string]any)
			_, ref := m["$ref"].(string)
			if properties || ref {
				return m
			}
		}
		text = text[1:]
	}
	return nil
}

// identity tells requests apart for all draws: the digest, and for a judge what
// it is shown, because its fences are random and new in every call.
func (a *ask) identity() string {
	if a.judging != nil {
		return a.judging.key
	}
	return a.digest
}

// draws gives the random source for one arrival of a request at a model.
func (a *ask) draws(seed uint64, turn int) *rand.Rand {
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], seed)
	binary.BigEndian.PutUint64(n[8:], uint64(turn))
	return source(string(n[:]), a.model, a.identity())
}

// source is a random source that is a function of the given texts.
func source(texts ...string) *rand.Rand {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
}

// turnsKept bounds the memory of turns; past it they start again.
const turnsKept = 200_000

// turns counts how often the same request came to the same model, so that a
// retry and a control draw anew and a second run draws the same.
type turns struct {
	mu   sync.Mutex
	seen map[[16]byte]int
}

func newTurns() *turns { return &turns{seen: map[[16]byte]int{}} }

// next is 0 for the first arrival.
func (t *turns) next(model, digest string) int {
	sum := sha256.Sum256([]byte(model + "\x00" + digest))
	key := [16]byte(sum[:16])
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.seen) >= turnsKept {
		clear(t.seen)
	}
	n := t.seen[key]
	t.seen[key] = n + 1
	return n
}

func (t *turns) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.seen)
}
