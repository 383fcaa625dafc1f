package capture

import (
	"encoding/binary"
	"math"

	"understudy/llm"
)

// unclassified is the sub-module of what no header and no rule names.
const unclassified = "unclassified"

const (
	headerSubmodule    = ownPrefix + "Submodule"
	headerConversation = ownPrefix + "Conversation"
	headerUnit         = ownPrefix + "Unit"
)

// How a conversation was found.
const (
	sourceHeader   = "header"
	sourceMetadata = "metadata"
	sourceHistory  = "history"
	sourceNone     = "none"
)

// labels say where an exchange belongs.
type labels struct {
	submodule          string
	conversation       string
	conversationSource string
	unit               string
}

// ownHeader is the value of one of our headers, where the client is trusted.
func (t *take) ownHeader(name string) string {
	v := t.header.Get(name)
	if v == "" || !t.settings.trusted.trusts(t.remote, t.header.Get(headerToken), t.tls) {
		return ""
	}
	return v
}

// tenantOf says whose data a request holds; empty where nobody says.
func (t *take) tenantOf(d *document) string {
	s := t.settings
	if s.tenantHeader != "" {
		if v := validKey(t.ownHeader(s.tenantHeader)); v != "" {
			return v
		}
	}
	return firstKey(d, s.tenant)
}

// label finds sub-module, conversation and unit of an exchange.
func (t *take) label(d *document) labels {
	s := t.settings
	l := labels{submodule: t.submodule(d), conversationSource: sourceHeader}
	l.conversation = validKey(t.ownHeader(headerConversation))
	if l.conversation == "" {
		l.conversation, l.conversationSource = firstKey(d, s.conversation), sourceMetadata
	}
	if l.conversation == "" {
		l.conversationSource = sourceNone
	}
	if l.unit = validKey(t.ownHeader(headerUnit)); l.unit == "" {
		l.unit = firstKey(d, s.unit)
	}
	return l
}

// submodule is what a trusted client says, else the first rule that matches. A
// name that is not known is not recorded: names become labels and subjects.
func (t *take) submodule(d *document) string {
	if name := t.ownHeader(headerSubmodule); name != "" {
		if !llm.ValidName(name) || !t.settings.known(name) {
			return unclassified
		}
		return name
	}
	for i := range t.settings.rules {
		if r := &t.settings.rules[i]; r.matches(d, t.path) {
			return r.submodule
		}
	}
	return unclassified
}

func firstKey(d *document, pointers []pointer) string {
	for _, p := range pointers {
		if v, ok := d.scalar(p); ok {
			if k := validKey(v); k != "" {
				return k
			}
		}
	}
	return ""
}

// maxKey is the length of the longest conversation or unit that is accepted.
const maxKey = 200

// validKey accepts printable ASCII without spaces; everything else counts as
// not given.
func validKey(s string) string {
	if len(s) > maxKey {
		return ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

// sampled draws an exchange with the given share, by a keyed hash of what is
// known at the first turn: unit, else conversation, else caller and first user
// message. So whole conversations are recorded or none.
func sampled(key []byte, share float64, t *take, d *document, l *labels) bool {
	if share >= 1 {
		return true
	}
	var sum []byte
	switch {
	case l.unit != "":
		sum = keyed(key, "sample unit", []byte(l.unit))
	case l.conversation != "":
		sum = keyed(key, "sample conversation", []byte(l.conversation))
	default:
		sum = keyed(key, "sample caller", caller(key, t.header, t.remote), []byte(firstUserText(d.req)))
	}
	return float64(binary.BigEndian.Uint64(sum)) < share*math.MaxUint64
}

func firstUserText(req *llm.Request) string {
	for i := range req.Messages {
		if m := &req.Messages[i]; m.Role == llm.RoleUser {
			return m.Text()
		}
	}
	return ""
}
