package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// findMost is how many exchanges one question gives at most.
const findMost = 100

// foundLine is one line of find -o json. Its fields are a contract.
type foundLine struct {
	ID                string    `json:"id"`
	At                time.Time `json:"at"`
	Submodule         string    `json:"submodule"`
	Conversation      *string   `json:"conversation"`
	Unit              *string   `json:"unit"`
	Model             string    `json:"model"`
	Status            int       `json:"status"`
	Class             llm.Class `json:"class"`
	LatencyMS         float64   `json:"latency_ms"`
	ProviderRequestID *string   `json:"provider_request_id"`
	AnswerID          *string   `json:"answer_id"`
	Traceparent       *string   `json:"traceparent"`
}

var findVerb = &verb{
	name: "find", short: "exchanges by what others call them",
	args:     "ID [--tenant NAME] [--config FILE] [-o text|json]",
	examples: "understudy find req_8f2e61c07a          # the provider's request id\nunderstudy find chatcmpl-9x7d2               # the answer's id\nunderstudy find 4bf92f3577b34da6a3ce929d0e0e4736   # a trace, or a whole traceparent\nunderstudy find interview-4711               # a unit or a conversation",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		tenant := e.flags.String("tenant", "", "the `tenant` within which redaction named a unit or a conversation")
		rest, err := e.parse(args, 1, 1)
		if err != nil {
			return err
		}
		var list []foundLine
		if err := e.ask(ctx, "/api/v1/find/"+url.PathEscape(rest[0])+"?tenant="+url.QueryEscape(*tenant), decodeTo(&list)); err != nil {
			return err
		}
		for _, l := range list {
			if e.output == "json" {
				if err := json.NewEncoder(e.stdout).Encode(l); err != nil {
					return err
				}
				continue
			}
			l.write(e.stdout)
		}
		if len(list) == 0 {
			return fmt.Errorf("no stored exchange goes by %q; it may not have been captured (understudy status), or be older than what is kept", rest[0])
		}
		if e.output == "text" {
			fmt.Fprintln(e.stderr, "understudy diff ID shows one with all answers")
		}
		if len(list) == findMost {
			fmt.Fprintf(e.stderr, "these are the latest %d; there may be more\n", findMost)
		}
		return nil
	},
}

func (l *foundLine) write(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  %-30s %-16s HTTP %d  %6.0f ms%s\n", l.ID, l.At.Format("2006-01-02 15:04:05"), l.Submodule, l.Model, l.Status, l.LatencyMS, failure(l.Class))
	for _, also := range []struct {
		what string
		is   *string
	}{{"request", l.ProviderRequestID}, {"answer", l.AnswerID}, {"trace", l.Traceparent}, {"unit", l.Unit}, {"conversation", l.Conversation}} {
		if also.is != nil {
			fmt.Fprintf(w, "  %s %s", also.what, *also.is)
		}
	}
	fmt.Fprintln(w)
}

// find answers which exchanges go by an id; no text is among it.
func (p *process) find(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	p.waitWarm(ctx)
	var found []journal.Found
	for _, id := range p.storedForms(r.PathValue("id"), r.URL.Query().Get("tenant")) {
		more, err := p.accounts.FindExchanges(ctx, id, findMost-len(found))
		if err != nil {
			fail(w, err)
			return
		}
		found = append(found, more...)
	}
	list := []foundLine{}
	for _, f := range found {
		list = append(list, foundLine{
			ID: f.ID, At: f.At, Submodule: f.Submodule, Conversation: orNull(f.Conversation), Unit: orNull(f.Unit), Model: f.Model,
			Status: f.Status, Class: f.Class, LatencyMS: f.LatencyMS,
			ProviderRequestID: orNull(f.ProviderRequestID), AnswerID: orNull(f.AnswerID), Traceparent: orNull(f.Traceparent),
		})
	}
	writeJSON(w, list)
}

var tailVerb = &verb{
	name: "tail", short: "exchanges as they are stored, after redaction",
	args:     "[--submodule NAME] [--text] [--config FILE] [-o text|json]",
	examples: "understudy tail\nunderstudy tail --submodule interview/evaluation --text\nunderstudy tail -o json | jq .latency_ms",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		submodule := e.flags.String("submodule", "", "only this `sub-module`")
		text := e.flags.Bool("text", false, "with the last message and the answer, as they are stored")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		a := e.running(ctx)
		if a == nil {
			return &codedError{code: exitUnreachable, err: fmt.Errorf("no daemon answers: tail shows what one stores as it does so (export reads what is stored)")}
		}
		defer a.close()
		path := "/api/v1/tail?submodule=" + url.QueryEscape(*submodule)
		if e.output == "json" {
			return a.get(ctx, path, copyTo(e.stdout))
		}
		return a.get(ctx, path, func(r io.Reader) error { return writeTail(e.stdout, r, *text) })
	},
}

func writeTail(w io.Writer, r io.Reader, text bool) error {
	dec := json.NewDecoder(r)
	for {
		var l exchangeLine
		if err := dec.Decode(&l); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		tokens := "usage unknown"
		if l.Usage != nil {
			tokens = fmt.Sprintf("%d + %d tokens", l.Usage.InputTokens, l.Usage.OutputTokens)
		}
		fmt.Fprintf(w, "%s  %s  %-30s %-16s HTTP %d  %6.0f ms  %s%s\n", l.At.Format("15:04:05"), l.ID, l.Submodule, l.Model, l.Status, l.LatencyMS, tokens, failure(l.Class))
		if text {
			asked, answered := lastTexts(&l)
			fmt.Fprintf(w, "  > %s\n  < %s\n", clip(asked), clip(answered))
		}
	}
}

// lastTexts are the last message of a request and its answer; what cannot be read is
// shown as it is stored.
func lastTexts(l *exchangeLine) (asked, answered string) {
	asked, answered = l.Request, l.Response
	if req, err := openai.Decode([]byte(l.Request)); err == nil && len(req.Messages) > 0 {
		asked = req.Messages[len(req.Messages)-1].Text()
	}
	if resp, err := openai.DecodeResponse([]byte(l.Response)); err == nil {
		answered = resp.Text + resp.Refusal
		for _, c := range resp.ToolCalls {
			answered += " " + c.Name + "(" + c.Arguments + ")"
		}
	}
	return visible(asked), visible(answered)
}

// tailWidth is how much of a text stands in one line.
const tailWidth = 160

// clip puts a text into one short line.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > tailWidth {
		return string(r[:tailWidth]) + "…"
	}
	return s
}

// tail streams what is stored from now on, a JSON line each, until the caller leaves.
func (p *process) tail(w http.ResponseWriter, r *http.Request) {
	submodule := r.URL.Query().Get("submodule")
	after, err := p.j.LastSeq(r.Context(), journal.StreamExchanges)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Trailer", trailerError)
	w.Header().Set("Content-Type", "application/jsonl")
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err = p.j.Follow(r.Context(), journal.StreamExchanges, after, false, func(m *journal.Message) error {
		list, err := journal.ReadExchanges(m.Subject, m.Data)
		if err != nil {
			return nil // a dead letter elsewhere
		}
		if err := p.j.UnsealAll(r.Context(), list); err != nil {
			return err
		}
		for _, e := range list {
			if submodule != "" && e.Submodule != submodule {
				continue
			}
			if err := enc.Encode(newExchangeLine(p.config(), e)); err != nil {
				return err
			}
		}
		return control.Flush()
	})
	if err != nil {
		w.Header().Set(trailerError, "tail ended: "+err.Error())
	}
}
