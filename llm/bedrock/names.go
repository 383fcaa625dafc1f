package bedrock

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math/big"
	"slices"
	"strings"

	"understudy/llm"
)

// names maps the tool names of one request to names that the service accepts,
// and back. The map lives and dies with the request: a shared one would mix
// callers. The zero value is ready.
type names struct {
	noDash   bool
	to, from map[string]string
}

// reserve gives every tool whose name can go out unchanged that name, before
// any other is invented.
func (n *names) reserve(tools []llm.Tool) {
	n.to, n.from = map[string]string{}, map[string]string{}
	for _, t := range tools {
		if t.Other == nil && n.accepted(t.Name) {
			n.to[t.Name], n.from[t.Name] = t.Name, t.Name
		}
	}
}

func (n *names) accepted(name string) bool {
	return validID(name) && !(n.noDash && strings.Contains(name, "-"))
}

// wire gives the name that goes out for name.
func (n *names) wire(name string) string {
	if w, ok := n.to[name]; ok {
		return w
	}
	w := name
	if !n.accepted(name) {
		w = n.plain(name)
	}
	for salt := name; n.from[w] != "" && n.from[w] != name || w == ""; {
		sum := sha256.Sum256([]byte(salt))
		salt = hex.EncodeToString(sum[:])
		w = n.plain(name)
		w = w[:min(len(w), maxID-9)] + "_" + salt[:8]
	}
	n.to[name], n.from[w] = w, name
	return w
}

// plain is name with "_" for every character that is not accepted.
func (n *names) plain(name string) string {
	s := strings.Map(func(r rune) rune {
		if idRune(r) && !(n.noDash && r == '-') {
			return r
		}
		return '_'
	}, name)
	return s[:min(len(s), maxID)]
}

// neutral gives back the name that the request has for a name on the wire.
func (n *names) neutral(wire string) string {
	if name, ok := n.from[wire]; ok {
		return name
	}
	return wire
}

// maxID is the longest tool name and the longest tool id that is accepted.
const maxID = 64

func idRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

func validID(s string) bool {
	return s != "" && len(s) <= maxID && strings.IndexFunc(s, func(r rune) bool { return !idRune(r) }) < 0
}

// mistralID is the length of the tool ids that Mistral accepts.
const mistralID = 9

// callID gives the id that goes out for a call: its own where the family takes
// it and no other call has it, else one made from it. It is a function of the
// request alone, and no two calls of a request share one.
func (t *translator) callID(id string) string {
	w, salt := id, id
	if last, ok := t.salts[id]; ok {
		salt = last // the same id again goes on where it left off
	}
	_, taken := t.ids[w]
	for ; !t.acceptedID(w) || taken; _, taken = t.ids[w] {
		sum := sha256.Sum256([]byte(salt))
		salt = hex.EncodeToString(sum[:])
		t.salts[id] = salt
		if t.family.ToolID9 {
			w = new(big.Int).SetBytes(sum[:]).Text(62)[:mistralID]
		} else {
			w = "call_" + salt[:24]
		}
	}
	t.ids[w] = id
	return w
}

func (t *translator) acceptedID(id string) bool {
	if t.family.ToolID9 {
		return len(id) == mistralID && validID(id) && !strings.ContainsAny(id, "-_")
	}
	return validID(id)
}

// historyTools are the names that earlier calls use, in order, each once.
func (t *translator) historyTools() []string {
	seen := map[string]int{}
	for _, u := range t.turns {
		for _, c := range u.calls {
			if _, ok := seen[c.use.name]; !ok {
				seen[c.use.name] = len(seen)
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return seen[a] - seen[b] })
}
