package judge

import (
	"regexp"
	"strings"
)

// maxReply bounds what is read of a reply, by its beginning and its end.
const maxReply = 64 << 10

func excerpt(reply string) string {
	if len(reply) <= maxReply {
		return reply
	}
	head, tail := reply[:maxReply/2], reply[len(reply)-maxReply/2:]
	return strings.ToValidUTF8(head, "") + "\n" + strings.ToValidUTF8(tail, "")
}

// fenceTag is a fence as newPrompt draws it, with any token: an answer may imitate
// one, and a judge may repeat the imitation.
var fenceTag = regexp.MustCompile(`<(/?)((?:request|answer|answer-A|answer-B)-[0-9a-f]{32})>?`)

// withoutQuotes cuts what stands between copies of the fences. Only the fence that
// was opened closes a quote, so that an imitation inside it does not; one that is
// never closed cuts the rest. Where a fence is closed and none was opened nobody can
// tell what is quoted: ok is false.
func withoutQuotes(s string) (rest string, ok bool) {
	marks := fenceTag.FindAllStringSubmatchIndex(s, -1)
	if marks == nil {
		return s, true
	}
	var b strings.Builder
	open, from := "", 0
	for _, m := range marks {
		closing, name := m[3] > m[2], s[m[4]:m[5]]
		switch {
		case open == "" && closing:
			return "", false
		case open == "":
			b.WriteString(s[from:m[0]])
			open = name
		case closing && name == open:
			open, from = "", m[1]
		}
	}
	if open == "" {
		b.WriteString(s[from:])
	}
	return b.String(), true
}
