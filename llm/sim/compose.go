package sim

import (
	"math/rand/v2"
	"strings"
)

// refusals are how models say no.
var refusals = []string{
	"I'm sorry, but I can't assist with that request.",
	"I apologize, but I'm not able to help with that.",
	"I'm unable to provide that. If there is something else you need, I'm happy to help.",
	"I cannot fulfill this request. It goes against my guidelines.",
}

// compose is what a model without faults answers: a due tool call, the JSON
// that was asked for, or prose. Structured answers depend on the question alone,
// so that two models agree on them; the wording depends on r. said puts free
// strings into another tone; prose gets it last, when it can no longer be spoilt.
func compose(a *ask, r *rand.Rand, tokens int, said *wording) structure {
	if t, due := a.dueTool(); due {
		args := generate(t.schema, source("arguments", a.question(), t.name), a.question(), said)
		return structure{calls: []recordedCall{{Name: t.name, Arguments: string(encode(args))}}}
	}
	if a.schema != nil {
		v := generate(a.schema, source("json", a.question()), a.question(), said)
		return structure{text: string(encode(v)), json: true}
	}
	if a.wantJSON {
		v := generate(plainObject(), source("json", a.question()), a.question(), said)
		return structure{text: string(encode(v)), json: true}
	}
	return structure{text: prose(a.question(), r, tokens)}
}

// plainObject is the schema of an answer that must be JSON and no more.
func plainObject() map[string]any {
	text := map[string]any{"type": "string"}
	return map[string]any{
		"type":       "object",
		"properties": map[string]any{"answer": text, "topic": text, "confident": map[string]any{"type": "boolean"}},
		"required":   []any{"answer", "topic", "confident"},
	}
}

// words are the distinct words of four letters and more, in lower case.
func words(s string) []string {
	var out []string
	seen := map[string]bool{}
	eachWord(strings.ToLower(clip(s, 4<<10)), func(_ int, w string) {
		if len(w) >= 4 && !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	})
	return out
}

// dueTool is the tool that the request calls for. Left to itself a model calls
// the tool whose name and description share most words with the question, and
// none after a tool's result.
func (a *ask) dueTool() (askTool, bool) {
	if len(a.tools) == 0 || a.choice == "none" {
		return askTool{}, false
	}
	asked := map[string]bool{}
	for _, w := range words(a.question()) {
		asked[w] = true
	}
	best, most := a.tools[0], 0
	for _, t := range a.tools {
		if a.choice == "tool" && t.name == a.named {
			return t, true
		}
		n := 0
		for _, w := range words(strings.ReplaceAll(t.name, "_", " ") + " " + t.description) {
			if asked[w] {
				n++
			}
		}
		if n > most {
			best, most = t, n
		}
	}
	return best, a.choice == "any" || most > 0 && !a.afterTool
}

// spoil breaks an answer as the dials say.
func spoil(a *ask, st *structure, p Persona, r *rand.Rand) {
	// Drawn whether needed or not, so that a dial moves no other's draw.
	miss, invalid, broken, how := r.Float64(), r.Float64(), r.Float64(), r.IntN(3)
	switch {
	case len(st.calls) > 0 && miss < p.ToolMissRate:
		spoilCall(a, st, how, r)
	case st.json && invalid < p.InvalidJSONRate:
		st.text = []string{
			st.text[:len(st.text)-len(st.text)/4-1],
			"Here is the JSON:\n\n" + st.text,
			strings.Replace(st.text, ":", " ", 1),
		}[how]
	case st.json && broken < p.SchemaBreakRate:
		if v, err := decodeTree([]byte(st.text)); err == nil {
			st.text = string(encode(breakValue(v, a.schema)))
		}
	}
}

func spoilCall(a *ask, st *structure, how int, r *rand.Rand) {
	c := st.calls[0]
	switch {
	case how == 0 && a.choice != "any" && a.choice != "tool":
		*st = structure{text: prose(a.question(), r, 0)}
	case how == 1 && len(a.tools) > 1:
		c.Name = a.tools[(r.IntN(len(a.tools)-1)+1+a.toolIndex(c.Name))%len(a.tools)].name
		st.calls = []recordedCall{c}
	default:
		c.Arguments = `{"input":` + quote(a.question()) + `}`
		st.calls = []recordedCall{c}
	}
}

func (a *ask) toolIndex(name string) int {
	for i, t := range a.tools {
		if t.name == name {
			return i
		}
	}
	return 0
}

var openings = []string{
	"Let us look at %s first.", "The short answer concerns %s.", "With %s in mind, here is a view.",
	"A good start is %s.", "There are several sides to %s.",
}

var sentences = []string{
	"Most of it depends on %s, which is easy to overlook.",
	"In practice %s matters more than it seems.",
	"One example is %s; another would be its opposite.",
	"People who know %s well tend to agree on this point.",
	"It helps to write down what %s means before going on.",
	"That said, %s is only one part of the whole.",
	"Over time %s becomes a habit rather than a rule.",
	"A careful reader will ask how %s was measured.",
}

// proseTokens is the length of free text where no dial gives one.
const proseTokens = 60

// prose is plausible text about the question, about four bytes a token.
func prose(question string, r *rand.Rand, tokens int) string {
	if tokens == 0 {
		tokens = proseTokens
	}
	topic := words(question)
	if len(topic) == 0 {
		topic = []string{"the question"}
	}
	pick := func() string { return topic[r.IntN(len(topic))] }
	var b strings.Builder
	b.WriteString(strings.Replace(openings[r.IntN(len(openings))], "%s", pick(), 1))
	for b.Len() < tokens*4-40 {
		b.WriteByte(' ')
		b.WriteString(strings.Replace(sentences[r.IntN(len(sentences))], "%s", pick(), 1))
	}
	return b.String()
}
