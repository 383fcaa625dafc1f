package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// diff prints one exchange: what was asked, what live answered, what each
// candidate answered, and where they differ.
func (p *process) diff(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	ex, seq, err := p.j.FindExchange(ctx, r.PathValue("exchange"))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	writeLive(w, ex)
	cfg := p.config()
	for _, name := range cfg.candidates(ex.Submodule) {
		ep, _ := cfg.endpoint(name)
		fmt.Fprintf(w, "\n── candidate %s\n", name)
		id := journal.TrialID(ex.Key(seq), ep.Name, ep.Model, "", 0)
		t, err := p.j.Trial(ctx, ex.Submodule, name, id)
		if errors.Is(err, journal.ErrNotFound) {
			fmt.Fprintln(w, "not tried yet")
			continue
		}
		if err != nil {
			fmt.Fprintln(w, "unreadable:", err)
			continue
		}
		v, err := p.j.Verdict(ctx, ex.Submodule, name, id)
		if err != nil {
			v = nil
		}
		writeTrial(w, t, v)
	}
}

func writeLive(w io.Writer, ex *journal.Exchange) {
	fmt.Fprintf(w, "exchange %s  %s  %s\n", ex.ID, ex.At.Format("2006-01-02 15:04:05.000 MST"), ex.Submodule)
	fmt.Fprintf(w, "conversation %s  unit %s\n", orDash(ex.Conversation), orDash(ex.Unit))
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
		return
	}
	writeAnswer(w, resp.Text, resp.Refusal, resp.ToolCalls)
}

func writeTrial(w io.Writer, t *journal.Trial, v *journal.Verdict) {
	if t.Disposition != journal.Tried {
		fmt.Fprintf(w, "%s: %s\n", t.Disposition, t.Reason)
	} else {
		last := t.Attempts[len(t.Attempts)-1]
		fmt.Fprintf(w, "%s  %.0f ms%s  attempts %d%s\n", t.Model, last.LatencyMS, firstToken(last.TTFTMS), len(t.Attempts), failure(t.Class))
		writeAnswer(w, t.Text, t.Refusal, t.ToolCalls)
	}
	for _, g := range t.Gaps {
		fmt.Fprintf(w, "gap %s (%s, %s): %s\n", g.Path, g.Severity, g.Action, g.Reason)
	}
	if v == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.Trial.Checks)) {
		fmt.Fprintf(w, "check %-10s live %-5s candidate %s\n", name, mark(v.Live.Checks, name), mark(v.Trial.Checks, name))
	}
	for _, c := range v.Diff {
		fmt.Fprintf(w, "differs at %s: live %v, candidate %v\n", c.Path, visible(fmt.Sprint(c.Live)), visible(fmt.Sprint(c.Trial)))
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
