package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
)

// verdictTool is the function that a judge calls with its verdict.
const verdictTool = "verdict"

// A judging is a request for a verdict about one answer, or about two. It holds
// what the request's texts show and no more: nobody tells a judge whose answers
// these are.
type judging struct {
	metric  string
	request string
	answers []string
	labels  []string
	// tool tells that the verdict is a call of verdictTool; else it is text.
	tool bool
	// key is a digest of all that is shown, without the fences.
	key string
}

// readJudging is nil for any other request. The fences are tags whose names end
// in the same 32 hex digits; what stands between them is never read as the
// judge's own words.
func readJudging(a *ask) *judging {
	text := a.question()
	if len(a.user) > 1 {
		text = strings.Join(a.user, "\n")
	}
	nonce := fence(text)
	if nonce == "" {
		return nil
	}
	j := &judging{}
	begin := strings.Index(text, "<request-"+nonce)
	request, end, ok := field(text, "request-"+nonce)
	if !ok {
		return nil
	}
	j.request = request
	for _, name := range []string{"answer-", "answer-A-", "answer-B-"} {
		if answer, e, ok := field(text, name+nonce); ok {
			j.answers = append(j.answers, answer)
			end = max(end, e)
		}
	}
	if len(j.answers) == 0 || len(j.answers) > 2 {
		return nil
	}
	own := text[end:] + "\n" + text[:begin]
	j.metric = line(a.system, "Metric: ")
	if j.metric == "" { // some models take no system text
		j.metric = line(a.context+"\n"+own, "Metric: ")
	}
	j.readLabels(a, own)
	h := sha256.New()
	for _, s := range append([]string{j.metric, j.request}, j.answers...) {
		_, _ = io.WriteString(h, s+"\x00")
	}
	j.key = "judge " + hex.EncodeToString(h.Sum(nil))
	return j
}

// readLabels takes the allowed labels from the tool, else from their line.
func (j *judging) readLabels(a *ask, own string) {
	for _, t := range a.tools {
		if t.name != verdictTool || a.choice == "none" {
			continue
		}
		j.tool = true
		schema, _ := t.schema.(map[string]any)
		properties, _ := schema["properties"].(map[string]any)
		label, _ := properties["label"].(map[string]any)
		list, _ := label["enum"].([]any)
		for _, v := range list {
			if s, ok := v.(string); ok {
				j.labels = append(j.labels, s)
			}
		}
	}
	if len(j.labels) == 0 {
		_ = json.Unmarshal([]byte(line(own, "Labels: ")), &j.labels)
	}
	if len(j.labels) == 0 {
		j.labels = usualLabels(j.metric, len(j.answers))
	}
}

// fence is the token that ends the names of the tags, or "".
func fence(text string) string {
	const tag, digits = "<request-", 32
	for {
		i := strings.Index(text, tag)
		if i < 0 {
			return ""
		}
		text = text[i+len(tag):]
		if len(text) > digits && text[digits] == '>' && strings.Trim(text[:digits], "0123456789abcdef") == "" {
			return text[:digits]
		}
	}
}

// field gives what stands in a tag, without the line ends at its fences, and
// where the tag ends.
func field(text, tag string) (inside string, end int, ok bool) {
	opening, closing := "<"+tag+">", "</"+tag+">"
	i := strings.Index(text, opening)
	if i < 0 {
		return "", 0, false
	}
	i += len(opening)
	n := strings.Index(text[i:], closing)
	if n < 0 {
		return "", 0, false
	}
	inside = strings.TrimSuffix(strings.TrimPrefix(text[i:i+n], "\n"), "\n")
	return inside, i + n + len(closing), true
}

// line is the rest of the first line that begins so, or "".
func line(text, prefix string) string {
	if !strings.HasPrefix(text, prefix) {
		i := strings.Index(text, "\n"+prefix)
		if i < 0 {
			return ""
		}
		text = text[i+1:]
	}
	rest, _, _ := strings.Cut(text[len(prefix):], "\n")
	return strings.TrimSpace(rest)
}

// lastUser is the last turn of the user in a conversation that is written down
// turn after turn; the whole text where none is marked.
func lastUser(conversation string) string {
	const user = "User: "
	text := conversation
	if i := strings.LastIndex(text, "\n"+user); i >= 0 {
		text = text[i+1+len(user):]
	} else if strings.HasPrefix(text, user) {
		text = text[len(user):]
	} else {
		return conversation
	}
	for _, other := range []string{"\nSystem: ", "\nAssistant: ", "\nTool: "} {
		if i := strings.Index(text, other); i >= 0 {
			text = text[:i]
		}
	}
	return strings.TrimSpace(text)
}
