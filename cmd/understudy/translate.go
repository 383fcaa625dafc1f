package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

var translateVerb = &verb{
	name: "translate", short: "one message between the wires of OpenAI and Bedrock, with its gaps",
	args: "--to converse|openai [FILE]",
	examples: `echo '{"messages":[{"role":"user","content":"Hi"}],"logprobs":true}' | understudy translate --to converse --family nova | jq .gaps` + "\n" +
		"understudy translate --to converse --model us.meta.llama3-3-70b-instruct-v1:0 REQUEST.json\n" +
		`echo '{"output":{"message":{"content":[{"text":"Hi"}]}},"stopReason":"end_turn"}' | understudy translate --to openai` + "\n" +
		"understudy translate --to openai --stream --include-usage EVENTS.jsonl",
	run: runTranslate,
}

// translation is what the flags ask for.
type translation struct {
	to, family, model, api string
	capabilities           []string
	stream, includeUsage   bool
}

func runTranslate(_ context.Context, e *env, args []string) error {
	var t translation
	e.flags.StringVar(&t.to, "to", "", "the `wire` to translate to: converse (a request) or openai (an answer)")
	e.flags.StringVar(&t.family, "family", "", "to converse: the model's `family`, or the id of its base model (default: from --model, else claude)")
	e.flags.StringVar(&t.model, "model", "", "to converse: the model's `id` on Bedrock; to openai: the name that the answer says")
	e.flags.Func("capability", "to converse: an `ability` that the family table lacks, or, with ! before it, has wrongly (repeatable)", func(s string) error {
		if err := bedrock.CheckCapabilities([]string{s}); err != nil {
			return err
		}
		t.capabilities = append(t.capabilities, s)
		return nil
	})
	e.flags.StringVar(&t.api, "api", "chat", "to openai: the `form` of the answer")
	e.flags.BoolVar(&t.stream, "stream", false, "to openai: the input is events, one JSON object a line; the output is what a client would receive")
	e.flags.BoolVar(&t.includeUsage, "include-usage", false, "to openai --stream: the client has asked for usage")
	rest, err := e.parse(args, 0, 1)
	if err != nil {
		return err
	}
	if err := t.checkFlags(e); err != nil {
		return err
	}
	switch {
	case t.to != "converse" && t.to != "openai":
		return fmt.Errorf("%w: --to is %q: converse or openai", errUsage, t.to)
	case t.api != "chat":
		return fmt.Errorf("%w: --api is %q: only \"chat\" can be written", errUsage, t.api)
	case t.to == "converse":
		return t.converse(e, rest)
	case t.stream:
		return t.events(e, rest)
	}
	return t.answer(e, rest)
}

// checkFlags refuses the flags of the other direction.
func (t *translation) checkFlags(e *env) (err error) {
	belongs := map[string]string{"family": "converse", "capability": "converse", "api": "openai", "stream": "openai", "include-usage": "openai"}
	e.flags.Visit(func(f *flag.Flag) {
		if to := belongs[f.Name]; to != "" && to != t.to && t.to != "" {
			err = fmt.Errorf("%w: --%s belongs to --to %s", errUsage, f.Name, to)
		}
		if f.Name == "include-usage" && !t.stream {
			err = fmt.Errorf("%w: --include-usage belongs to --stream", errUsage)
		}
	})
	return err
}

// readInput reads a file, or stdin, whole.
func readInput(args []string) ([]byte, error) {
	var in io.Reader = os.Stdin
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, longestFileLine+1))
	if err == nil && len(b) > longestFileLine {
		err = fmt.Errorf("the input is longer than %d MiB", longestFileLine>>20)
	}
	return bytes.TrimPrefix(b, []byte("\uFEFF")), err
}

// converse translates a request.
func (t *translation) converse(e *env, args []string) error {
	family, err := t.row(e)
	if err != nil {
		return err
	}
	body, err := readInput(args)
	if err != nil {
		return err
	}
	req, err := openai.Decode(body)
	if err != nil {
		if isResponses(body) {
			err = &llm.Error{Class: llm.ClassUntranslatable, Code: "unsupported_api", Path: "/input",
				Err: errors.New("this is a request of the Responses API; only Chat Completions can be translated")}
		}
		return e.untranslatable(err)
	}
	tr, err := bedrock.Translate(req, family)
	if err != nil {
		return e.untranslatable(err)
	}
	return e.printTranslation(t.model, family, tr)
}

// row is the family's row that the flags name.
func (t *translation) row(e *env) (bedrock.Family, error) {
	if t.family == "" && t.model == "" {
		t.family = "claude"
		fmt.Fprintln(e.stderr, "understudy translate: neither --family nor --model is given: claude is taken")
	}
	family, ok := bedrock.FamilyOf(t.family, t.model)
	if !ok {
		return family, fmt.Errorf("%w: %w", errUsage, bedrock.NoFamily(t.family, t.model))
	}
	return family.WithCapabilities(t.capabilities), nil
}

// isResponses tells whether a body that is no Chat Completions request has the
// shape of the Responses API.
func isResponses(body []byte) bool {
	var shape struct {
		Input, Messages json.RawMessage
	}
	return json.Unmarshal(body, &shape) == nil && shape.Input != nil && shape.Messages == nil
}

// printTranslation writes the translation; the request in it is the body byte for
// byte, which encoding/json would not leave alone.
func (e *env) printTranslation(model string, family bedrock.Family, tr *bedrock.Translation) error {
	operation := "Converse"
	if tr.Streamed {
		operation = "ConverseStream"
	}
	gaps := tr.Gaps
	if gaps == nil {
		gaps = []llm.Gap{}
	}
	b := append(optionalJSON([]byte(`{"api":"chat","model_id":`), model), `,"operation":"`+operation+`","structured_output":`...)
	b = append(optionalJSON(b, string(tr.Tier)), `,"request":`...)
	b = append(append(b, tr.Body...), `,"gaps":`...)
	list, err := json.Marshal(gaps)
	if err != nil {
		return err
	}
	row, err := json.Marshal(map[string]any{"name": family.Name, "models": append([]string{}, family.Models...), "source": family.Source})
	if err != nil {
		return err
	}
	b = append(append(append(b, list...), `,"family":`...), row...)
	_, err = fmt.Fprintf(e.stdout, "%s,\"comparable\":%t}\n", b, llm.Comparable(gaps))
	return err
}

func optionalJSON(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return llm.AppendJSONString(b, s)
}

// untranslatable prints the error as data; the verb fails without more words.
func (e *env) untranslatable(err error) error {
	var out struct {
		Error struct {
			Code    string `json:"code"`
			Path    string `json:"path"`
			Message string `json:"message"`
		} `json:"error"`
	}
	out.Error.Code, out.Error.Message = string(llm.ClassOf(err)), err.Error()
	var fault *llm.Error
	if errors.As(err, &fault) {
		out.Error.Path = fault.Path
		if fault.Code != "" {
			out.Error.Code = fault.Code
		}
		if fault.Err != nil {
			out.Error.Message = fault.Err.Error()
		}
	}
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return err
	}
	return &codedError{code: exitFailed}
}

// answer translates a whole answer.
func (t *translation) answer(e *env, args []string) error {
	body, err := readInput(args)
	if err != nil {
		return err
	}
	resp, err := bedrock.DecodeAnswer(body)
	if err != nil {
		return e.untranslatable(err)
	}
	resp.ID, resp.Model = answerID(body), t.model
	e.noteGaps(resp.Gaps)
	_, err = fmt.Fprintf(e.stdout, "%s\n", openai.EncodeResponse(resp, time.Now().Unix()))
	return err
}

// events translates the events of a stream into what a client would receive. A
// broken stream is a result as well: the client receives an error event then, and
// neither a finish that did not come nor [DONE].
func (t *translation) events(e *env, args []string) error {
	body, err := readInput(args)
	if err != nil {
		return err
	}
	enc := openai.StreamEncoder{ID: answerID(body), Model: t.model, Created: time.Now().Unix(), IncludeUsage: t.includeUsage}
	var out []byte
	s := bedrock.Stream{Emit: func(ev llm.Event) { out = enc.Append(out, ev) }}
	n := 0
	for raw := range bytes.Lines(body) {
		n++
		line := bytes.TrimSpace(raw)
		if len(line) == 0 {
			continue
		}
		if !bytes.HasSuffix(raw, []byte("\n")) && !json.Valid(line) && line[0] == '{' {
			break // the recording was cut inside its last line, and so is the stream
		}
		if err := s.Line(line); llm.ClassOf(err) == llm.ClassUntranslatable {
			return e.untranslatable(&llm.Error{Class: llm.ClassUntranslatable, Err: fmt.Errorf("line %d: %w", n, errors.Unwrap(err))})
		}
	}
	if err := s.End(); err != nil {
		fmt.Fprintln(e.stderr, "understudy translate:", err)
		out = enc.AppendError(out, err)
	} else {
		out = enc.AppendDone(out)
	}
	resp, _ := s.Response() // the verdict is known
	e.noteGaps(resp.Gaps)
	_, err = e.stdout.Write(out)
	return err
}

// answerID is an id for an answer that has none: the same for the same bytes.
func answerID(body []byte) string {
	sum := sha256.Sum256(body)
	return "chatcmpl-" + hex.EncodeToString(sum[:12])
}

// noteGaps says on stderr what an answer has that the other wire has not.
func (e *env) noteGaps(gaps []llm.Gap) {
	for _, g := range gaps {
		fmt.Fprintf(e.stderr, "understudy translate: gap at %s (%s, %s): %s\n", g.Path, g.Severity, g.Action, g.Reason)
	}
}
