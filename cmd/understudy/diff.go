package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// diff prints one exchange: what was asked, what live answered, what the control
// and each candidate answered, where they differ from live, and what checks and
// judges say of it.
func (p *process) diff(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	ex, seq, err := p.j.FindExchange(ctx, r.PathValue("exchange"))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	live := writeLive(w, ex)
	cfg := p.config()
	s, _ := cfg.submodule(ex.Submodule)
	if control, ok := cfg.controlOf(s); ok {
		fmt.Fprintf(w, "\n── control %s (the baseline asked again)\n", control.Name)
		p.writeSide(ctx, w, ex, seq, control, live)
	}
	for _, name := range s.Candidates {
		ep, _ := cfg.endpoint(name)
		fmt.Fprintf(w, "\n── candidate %s\n", name)
		p.writeSide(ctx, w, ex, seq, ep, live)
	}
}

// writeSide prints what an endpoint answered last, and all that is said of it.
func (p *process) writeSide(ctx context.Context, w io.Writer, ex *journal.Exchange, seq uint64, ep llm.Endpoint, live *llm.Response) {
	sets, err := p.attemptSets(ctx, ex, seq, ep)
	if err != nil {
		fmt.Fprintln(w, "unreadable:", err)
		return
	}
	if len(sets) == 0 {
		fmt.Fprintln(w, "not tried yet")
		return
	}
	writeSets(w, sets)
	t := sets[len(sets)-1]
	writeTrial(w, t)
	if t.Disposition == journal.Tried && live != nil {
		writeDifference(w, live, t)
	}
	if v, err := p.j.Verdict(ctx, ex.Submodule, ep.Name, t.ID); err == nil {
		writeVerdict(w, v)
	}
	if v, err := p.j.Judgement(ctx, ex.Submodule, ep.Name, t.ID); err == nil {
		writeJudgement(w, v)
	}
}

// attemptSets reads all trials of an exchange on an endpoint, the first one first.
func (p *process) attemptSets(ctx context.Context, ex *journal.Exchange, seq uint64, ep llm.Endpoint) ([]*journal.Trial, error) {
	for sets := []*journal.Trial(nil); ; {
		t, err := p.j.Trial(ctx, ex.Submodule, ep.Name, journal.TrialID(ex.Key(seq), ep.Name, ep.Model, "", len(sets)))
		if errors.Is(err, journal.ErrNotFound) {
			return sets, nil
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, t)
	}
}

// writeSets says what came before the last trial of an exchange that was tried again.
func writeSets(w io.Writer, sets []*journal.Trial) {
	last := len(sets) - 1
	for i, t := range sets[:last] {
		fmt.Fprintf(w, "attempt set %d: %s%s\n", i, t.Disposition, failure(t.Class))
	}
	if last > 0 {
		fmt.Fprintf(w, "attempt set %d:\n", last)
	}
	if sets[last].Replaces == journal.Tried {
		fmt.Fprintln(w, "the first that was tried is the evidence, not this one")
	}
}

// writeLive prints the request and live's answer, which it gives; nil where it
// cannot be read.
func writeLive(w io.Writer, ex *journal.Exchange) *llm.Response {
	fmt.Fprintf(w, "exchange %s  %s  %s\n", ex.ID, ex.At.Format("2006-01-02 15:04:05.000 MST"), ex.Submodule)
	fmt.Fprintf(w, "conversation %s  unit %s\n", orDash(ex.Conversation), orDash(ex.Unit))
	if ex.Forgotten {
		fmt.Fprintf(w, "\nforgotten: its texts are gone for good\nlive %s  HTTP %d  %.0f ms%s%s\n", orDash(ex.AnsweredModel), ex.Status, ex.LatencyMS, firstToken(ex.TTFTMS), failure(ex.Class))
		return nil
	}
	if req, err := openai.Decode(ex.Request); err == nil {
		for i := range req.Messages {
			m := &req.Messages[i]
			fmt.Fprintf(w, "\n── %s\n%s\n", m.Role, visible(m.Text()))
			writeCalls(w, m.ToolCalls)
		}
	}
	fmt.Fprintf(w, "\n── live %s  HTTP %d  %.0f ms%s%s\n", orDash(ex.AnsweredModel), ex.Status, ex.LatencyMS, firstToken(ex.TTFTMS), failure(ex.Class))
	resp, err := openai.DecodeResponse(ex.Response)
	if err != nil {
		fmt.Fprintln(w, visible(string(ex.Response)))
		return nil
	}
	writeAnswer(w, resp.Text, resp.Refusal, resp.ToolCalls)
	return resp
}

func writeTrial(w io.Writer, t *journal.Trial) {
	if t.AttemptSet > 0 {
		fmt.Fprintf(w, "attempt set %d; the one before was %s\n", t.AttemptSet, t.Replaces)
	}
	if t.LostAttempts > 0 {
		fmt.Fprintf(w, "%s lost with the process that made it, and may have been billed\n", calls(t.LostAttempts))
	}
	if t.Disposition != journal.Tried {
		fmt.Fprintf(w, "%s: %s\n", t.Disposition, t.Reason)
	} else if n := len(t.Attempts); n > 0 {
		last := t.Attempts[n-1]
		fmt.Fprintf(w, "%s  %.0f ms%s  attempts %d%s\n", t.Model, last.LatencyMS, firstToken(last.TTFTMS), n, failure(t.Class))
		writeAttempts(w, t.Attempts)
		if t.Forgotten {
			fmt.Fprintln(w, "forgotten: its texts are gone for good")
		}
		writeAnswer(w, t.Text, t.Refusal, t.ToolCalls)
	}
	if t.Divergence != "" {
		fmt.Fprintf(w, "left the recorded path: %s\n", divergences[t.Divergence])
	}
	for _, g := range t.Gaps {
		fmt.Fprintf(w, "gap %s (%s, %s): %s\n", g.Path, g.Severity, g.Action, g.Reason)
	}
}

// divergences are the words for how a candidate left the recorded path.
var divergences = map[journal.Divergence]string{
	journal.DivergedNoCall:    "live called tools, and it answered",
	journal.DivergedCall:      "live answered, and it called tools",
	journal.DivergedTools:     "it called other tools than live, or another number",
	journal.DivergedArguments: "it called live's tools with other arguments",
}

// writeAttempts prints what came of each call, where there was more than one.
func writeAttempts(w io.Writer, attempts []journal.Attempt) {
	if len(attempts) < 2 {
		return
	}
	for i := range attempts {
		a := &attempts[i]
		fmt.Fprintf(w, "attempt %d: %s", i+1, a.Class)
		if a.Measured() {
			fmt.Fprintf(w, "  %.0f ms", a.LatencyMS)
		}
		if a.Status > 0 {
			fmt.Fprintf(w, "  HTTP %d", a.Status)
		}
		if a.Code != "" {
			fmt.Fprintf(w, "  %s", visible(a.Code))
		}
		fmt.Fprintln(w)
	}
}

func writeAnswer(w io.Writer, text, refusal string, calls []llm.ToolCall) {
	if text != "" {
		fmt.Fprintln(w, visible(text))
	}
	if refusal != "" {
		fmt.Fprintln(w, "refusal:", visible(refusal))
	}
	writeCalls(w, calls)
}

func writeCalls(w io.Writer, calls []llm.ToolCall) {
	for _, c := range calls {
		fmt.Fprintf(w, "call %s(%s)\n", visible(c.Name), visible(c.Arguments))
	}
}

func mark(checks map[string]bool, name string) string {
	ok, there := checks[name]
	switch {
	case !there:
		return "–"
	case ok:
		return "ok"
	}
	return "FAIL"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func firstToken(ms *float64) string {
	if ms == nil {
		return ""
	}
	return fmt.Sprintf(" (first token %.0f ms)", *ms)
}

func failure(c llm.Class) string {
	if c == llm.ClassOK || c == "" {
		return ""
	}
	return "  FAILED: " + string(c)
}

// visible removes what could steer a terminal from a text that a model or a
// user wrote.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20 || r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '·'
		}
		return r
	}, s)
}
