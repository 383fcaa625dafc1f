package sim

import "strings"

// A view is what can be seen of one answer from its words alone.
type view struct {
	// correct is 1, 0.5 or 0 by the words that belong to the question or do not.
	correct float64
	// style is 0..bestStyle.
	style          int
	empty, refused bool
	// broken tells that JSON was wanted and this is none.
	broken bool
	// keepsTo and strays are words that show it, insult and slur phrases; empty
	// where there is none.
	keepsTo, strays, insult, slur string
}

// wrongShare is the share of strange words above which nothing of an answer is
// right: the rest may be chance.
const wrongShare = 0.8

// A reader counts the words of one answer, piece by piece.
type reader struct {
	topic *topic
	on    int
	off   int
	view  *view
}

// look reads an answer to a question.
func look(answer string, t *topic, wantsJSON bool) *view {
	text := strings.ToLower(answer)
	v := &view{correct: 1, style: bestStyle, empty: strings.TrimSpace(text) == ""}
	v.refused = holds(text, refusalsLow) >= 0
	if i := holds(text, hostileLow); i >= 0 {
		v.insult = hostile[i]
	}
	if i := holds(text, stereotypesLow); i >= 0 {
		v.slur = stereotypes[i]
	}
	for i, phrase := range slangLow {
		if slang[i].style < v.style && strings.Contains(text, phrase) {
			v.style = slang[i].style
		}
	}
	r := &reader{topic: t, view: v}
	said, calls := cutCalls(text)
	said, object := cutJSON(said)
	r.piece(said)
	eachString(object, r.piece)
	eachString(calls, r.piece)
	v.broken = wantsJSON && object == "" && calls == "" && !v.refused
	switch {
	case v.empty || v.refused:
		v.correct = 0
	case r.off == 0:
	case float64(r.off) > wrongShare*float64(r.on+r.off):
		v.correct = 0
	default:
		v.correct = 0.5
	}
	return v
}

// piece counts the words of a text or of one string. One without a strange word
// counts for nothing: it may be a fixed value.
func (r *reader) piece(s string) {
	on, off := 0, 0
	eachWord(s, func(_ int, w string) {
		switch isOff, known := r.topic.isOff[w]; {
		case !known:
		case isOff:
			off++
			if r.view.strays == "" {
				r.view.strays = w
			}
		default:
			on++
			if r.view.keepsTo == "" {
				r.view.keepsTo = w
			}
		}
	})
	if off > 0 {
		r.on, r.off = r.on+on, r.off+off
	}
}

// cutCalls parts the text from the lines "call NAME ARGUMENTS" after it.
func cutCalls(s string) (text, calls string) {
	const call = "call "
	for at := 0; ; {
		i := strings.Index(s[at:], call)
		if i < 0 {
			return s, ""
		}
		at += i
		if at == 0 || s[at-1] == '\n' {
			_, rest, _ := strings.Cut(s[at+len(call):], " ")
			if strings.HasPrefix(rest, "{") {
				return s[:at], s[at:]
			}
		}
		at += len(call)
	}
}

// cutJSON parts prose from the JSON after it.
func cutJSON(s string) (text, object string) {
	if t := strings.TrimSpace(s); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		return "", t
	}
	if i := strings.Index(s, `{"`); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// eachString calls f with the strings of a JSON text that are no names of
// members. The text may be broken.
func eachString(s string, f func(string)) {
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return
		}
		s = s[i+1:]
		end := 0
		for end < len(s) && s[end] != '"' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(s) {
			f(s)
			return
		}
		inside := s[:end]
		s = s[end+1:]
		if !strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), ":") {
			f(inside)
		}
	}
}
