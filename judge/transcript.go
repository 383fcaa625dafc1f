package judge

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"understudy/llm"
)

const (
	// maxRequestText and maxAnswerText bound what a judge is shown of one field,
	// in bytes. Longer texts are shown by their beginning and end.
	maxRequestText = 48 << 10
	maxAnswerText  = 24 << 10
)

// transcript is the conversation as a judge reads it, one turn after the other.
// Pictures and other parts without text are named, not shown.
func transcript(req *llm.Request) string {
	var b strings.Builder
	for i := range req.Messages {
		m := &req.Messages[i]
		b.WriteString(speaker(m.Role) + ": ")
		for _, p := range m.Parts {
			if p.Kind == llm.PartText || p.Kind == llm.PartRefusal {
				b.WriteString(p.Text)
			} else {
				b.WriteString("[" + string(p.Kind) + "]")
			}
		}
		writeCallLines(&b, m.ToolCalls)
		b.WriteString("\n")
	}
	for _, t := range req.Tools {
		if t.Other == nil {
			b.WriteString("System: a tool is offered: " + t.Name + " " + string(t.Parameters) + "\n")
		}
	}
	if f := req.ResponseFormat; f != nil && f.Type != "text" {
		b.WriteString("System: the answer must be JSON " + string(f.Schema) + "\n")
	}
	return plainText(b.String(), maxRequestText)
}

func speaker(r llm.Role) string {
	switch r {
	case llm.RoleSystem:
		return "System"
	case llm.RoleAssistant:
		return "Assistant"
	case llm.RoleTool:
		return "Tool"
	}
	return "User"
}

// answerText is an answer as a judge reads it: text, then tool calls line by line.
func answerText(a *Answer) string {
	var b strings.Builder
	b.WriteString(a.Text)
	if a.Refusal != "" {
		b.WriteString("\n" + a.Refusal)
	}
	writeCallLines(&b, a.ToolCalls)
	return plainText(strings.TrimPrefix(b.String(), "\n"), maxAnswerText)
}

func writeCallLines(b *strings.Builder, calls []llm.ToolCall) {
	for _, c := range calls {
		b.WriteString("\ncall " + c.Name + " " + c.Arguments)
	}
}

// plainText makes a text that says to a judge what it says to a reader: composed
// characters, nothing invisible, no control codes, and not too long.
func plainText(s string, most int) string {
	s = norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200d':
			return -1
		}
		return r
	}, s)
	return shortened(s, most)
}

// shortened keeps the beginning and the end of a long text and says what is gone.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	head, tail := most*2/3, len(s)-most/3
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	return s[:head] + "\n[… the middle is not shown …]\n" + s[tail:]
}
