package sim

import (
	"strings"
	"time"
)

// A reply is one whole answer before it takes a wire's form.
type reply struct {
	text    string
	refusal string
	calls   []recordedCall
	// cut tells that the limit of tokens ended the text, full that the limit was
	// what the question left of the model's context.
	cut, full bool
	// finish is the reason in the wire's own word, where the record or a fault
	// sets it.
	finish string
	// failed makes the call a 5xx.
	failed bool
	// latency is the time of the whole answer, ttft that of its first content.
	latency, ttft time.Duration
	input, output int
}

// structure is what a persona says before its dials spoil it.
type structure struct {
	text  string
	calls []recordedCall
	// schema tells that the text is JSON.
	json bool
}

// reply makes the answer; false when only recorded ones count and none matches.
func (s *Server) reply(a *ask) (*reply, bool) {
	p := s.persona(a.model)
	turn := s.turns.next(a.model, a.identity())
	r := a.draws(s.seed, turn)
	latency, output := p.drawLatency(r), p.drawOutput(r)
	fate := r.Float64()
	if rec := s.answers.match(a); rec != nil {
		return rec.reply(a, p, latency), true
	}
	if s.only {
		return nil, false
	}
	out := &reply{latency: latency, ttft: share(latency, p.TTFTShare)}
	switch {
	case fate < p.ErrorRate:
		out.failed = true
		return out, true
	case a.judging != nil:
		st := s.judge(a, p, turn)
		out.text, out.calls = st.text, st.calls
	case r.Float64() < p.RefusalRate:
		out.text = refusals[r.IntN(len(refusals))]
	default:
		said := newWording(a.question(), s.tone(a, p, turn))
		st := compose(a, r, output, said)
		spoil(a, &st, p, r)
		if len(st.calls) == 0 && !st.json {
			st.text = said.prose(st.text)
		}
		out.text, out.calls = st.text, st.calls
	}
	out.bill(a, p, output)
	return out, true
}

// bill sets the usage and cuts the text where the request's limit, or the end of
// the context, ends it.
func (out *reply) bill(a *ask, p Persona, output int) {
	out.input = p.InputTokens
	if out.input == 0 {
		out.input = estimateTokens(a.bytes)
	}
	out.output = output
	if out.output == 0 {
		out.output = estimateTokens(out.bytes())
	}
	limit, full := a.limit(p)
	if limit > 0 && out.output > limit {
		out.output = limit
		// A verdict is as long as it is, whatever the dial of tokens says.
		if len(out.calls) == 0 && (a.judging == nil || len(out.text) > limit*4) {
			out.cut, out.full = true, full
			out.text = clip(out.text, limit*4)
		}
	}
}

// limit is how many tokens the answer may have, 0 for any number; full tells
// that it is the context that sets it.
func (a *ask) limit(p Persona) (limit int, full bool) {
	if p.ContextTokens == 0 {
		return a.maxTokens, false
	}
	room := max(1, p.ContextTokens-estimateTokens(a.bytes))
	if a.maxTokens > 0 && a.maxTokens <= room {
		return a.maxTokens, false
	}
	return room, true
}

// reply turns a recorded line into an answer. The text is as recorded, whatever
// limit the request has.
func (rec *recorded) reply(a *ask, p Persona, latency time.Duration) *reply {
	out := &reply{calls: rec.ToolCalls, finish: rec.Finish, latency: latency}
	if rec.Text != nil {
		out.text = *rec.Text
	}
	if rec.Refusal != nil {
		out.refusal = *rec.Refusal
	}
	if rec.LatencyMS != nil {
		out.latency = millis(*rec.LatencyMS)
	}
	out.ttft = share(out.latency, p.TTFTShare)
	if rec.TTFTMS != nil {
		out.ttft = millis(*rec.TTFTMS)
		out.latency = max(out.latency, out.ttft)
	}
	out.input, out.output = estimateTokens(a.bytes), estimateTokens(out.bytes())
	if u := rec.Usage; u != nil {
		if u.InputTokens != nil {
			out.input = *u.InputTokens
		}
		if u.OutputTokens != nil {
			out.output = *u.OutputTokens
		}
	}
	return out
}

// bytes is the size of everything that the model wrote.
func (r *reply) bytes() int {
	n := len(r.text) + len(r.refusal)
	for _, c := range r.calls {
		n += len(c.Name) + len(c.Arguments)
	}
	return n
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func share(d time.Duration, part float64) time.Duration { return time.Duration(float64(d) * part) }

// clip cuts s to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// fragmentsMost bounds the events of one answer: a simulated run on two cores
// should spend its time on what it tests.
const fragmentsMost = 16

// fragments cuts a text as a stream does: pieces of uneven length between
// characters, joined they are the text byte for byte. No text, no pieces.
func fragments(s string) []string {
	sizes := [...]int{3, 9, 5, 14, 7, 4, 11}
	scale := max(1, len(s)/(8*fragmentsMost)+1)
	var out []string
	for i := 0; len(s) > 0; i++ {
		n := min(len(s), sizes[i%len(sizes)]*scale)
		for n < len(s) && s[n]&0xC0 == 0x80 {
			n++
		}
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}
