package judge

import (
	"encoding/json"
	"errors"
	"strings"

	"understudy/internal/journal"
	"understudy/llm"
)

// The names of the checks, as they stand in records and after "check." in a
// gate. True is good; a check that does not apply is left out.
const (
	// CheckNonempty: the answer has text other than white space, a tool call,
	// or a refusal that the provider marks.
	CheckNonempty = "nonempty"
	// CheckComplete: the answer ended by itself, with stop or tool_calls, and
	// not at a limit or a filter. Left out where the reason is not known.
	CheckComplete = "complete"
	// CheckJSON: the text is one JSON value, for json_object an object, with
	// nothing around it but white space. Applies when the request asks for
	// JSON and the answer calls no tool.
	CheckJSON = "json"
	// CheckSchema: the text is valid under the schema of the response format,
	// or each call names a tool that was offered, with arguments valid under
	// its parameters. Applies to text when the request names a schema, to calls
	// when it offers tools. Left out where a schema cannot be used.
	CheckSchema = "schema"
	// CheckToolCalls: the trial makes the same calls as live (see DiffCalls);
	// neither calling is the same. Applies when the request offers tools and
	// both sides have an answer. Live's own is true, so that the mean of the
	// difference is minus the share that differs.
	CheckToolCalls = "tool_calls"
	// CheckRefusal: the answer is no refusal (see Classify). An inability is
	// none.
	CheckRefusal = "refusal"
)

// CheckNames lists the checks in the order of the documentation.
func CheckNames() []string {
	return []string{CheckNonempty, CheckComplete, CheckJSON, CheckSchema, CheckToolCalls, CheckRefusal}
}

// An Unchecked is a check that applied and could not be done. It is left out of
// the verdict: neither good nor bad.
type Unchecked struct {
	// Check is its name, or "all" where a side could not be read.
	Check string
	Side  string // "live" or "trial"
	// Reason is "schema" (it cannot be used), "limit" (beyond the bounds),
	// "tool" (a tool that is no function), "request" or "response" (the recorded
	// body cannot be decoded), or "panic".
	Reason string
}

// Checked is what the checks say of a pair.
type Checked struct {
	Live, Trial map[string]bool
	// The classes are empty for a side without an answer.
	LiveRefusal, TrialRefusal RefusalClass
	// Diff is where the tool calls differ.
	Diff []journal.Change
	// Agree is how far the two answers say the same; nil without two.
	Agree     *float64
	Unchecked []Unchecked
}

// A Checker does the deterministic checks. It does no I/O, and may be used by
// many goroutines.
type Checker struct{ schemas *schemaCache }

// NewChecker makes a checker with a cache of compiled schemas of its own.
func NewChecker() *Checker { return &Checker{schemas: newSchemaCache(512)} }

// Check checks both sides of a pair. A nil answer is a call that failed: a
// failed live side has no checks and leaves tool_calls out of the trial's; a
// failed trial has false for every check that its request asks for or that live
// has. The result depends on nothing but the arguments.
func (c *Checker) Check(req *llm.Request, live, trial *Answer) *Checked {
	out := &Checked{}
	if live != nil {
		out.Live = c.own(req, live, "live", out, &out.LiveRefusal)
		if len(req.Tools) > 0 {
			out.Live[CheckToolCalls] = true
		}
	}
	if trial == nil {
		out.Trial = failed(req, out.Live)
		return out
	}
	out.Trial = c.own(req, trial, "trial", out, &out.TrialRefusal)
	if live != nil && len(req.Tools) > 0 {
		out.attempt(CheckToolCalls, "trial", out.Trial, func() (bool, error) {
			out.Diff = DiffCalls(live.ToolCalls, trial.ToolCalls)
			return len(out.Diff) == 0, nil
		})
	}
	if live != nil {
		out.Agree = agreement(live, trial)
	}
	return out
}

// agreement is Agreement for input that may make it panic: then it is not known.
func agreement(live, trial *Answer) (share *float64) {
	defer func() {
		if recover() != nil {
			share = nil
		}
	}()
	s := Agreement(live, trial)
	return &s
}

// failed is a trial without an answer: nothing that applies is good.
func failed(req *llm.Request, live map[string]bool) map[string]bool {
	checks := map[string]bool{CheckNonempty: false, CheckComplete: false, CheckRefusal: false}
	for name := range live {
		checks[name] = false
	}
	if asksJSON(req) {
		checks[CheckJSON] = false
	}
	if asksSchema(req) {
		checks[CheckSchema] = false
	}
	if len(req.Tools) > 0 {
		checks[CheckToolCalls] = false
	}
	return checks
}

// own does the checks that need one side alone.
func (c *Checker) own(req *llm.Request, a *Answer, side string, out *Checked, class *RefusalClass) map[string]bool {
	checks := map[string]bool{}
	out.attempt(CheckNonempty, side, checks, func() (bool, error) { return nonempty(a), nil })
	if a.Finish != "" {
		out.attempt(CheckComplete, side, checks, func() (bool, error) {
			return a.Finish == llm.FinishStop || a.Finish == llm.FinishToolCalls, nil
		})
	}
	if asksJSON(req) && len(a.ToolCalls) == 0 {
		out.attempt(CheckJSON, side, checks, func() (bool, error) { return isJSON(req, a.Text), nil })
	}
	switch {
	case len(a.ToolCalls) > 0 && len(req.Tools) > 0:
		out.attempt(CheckSchema, side, checks, func() (bool, error) { return c.callsValid(req, a.ToolCalls) })
	case len(a.ToolCalls) == 0 && asksSchema(req):
		out.attempt(CheckSchema, side, checks, func() (bool, error) { return c.textValid(req, a.Text) })
	}
	out.attempt(CheckRefusal, side, checks, func() (bool, error) {
		*class = Classify(a)
		return *class != ClassRefusal, nil
	})
	return checks
}

// attempt notes the result of a check, or why there is none. A panic costs the
// check and not the verdict.
func (out *Checked) attempt(name, side string, checks map[string]bool, check func() (bool, error)) {
	reason := "panic"
	defer func() {
		if recover() != nil || reason != "" {
			out.Unchecked = append(out.Unchecked, Unchecked{Check: name, Side: side, Reason: reason})
		}
	}()
	good, err := check()
	switch {
	case err == nil:
		checks[name] = good
		reason = ""
	case errors.Is(err, errTooLarge):
		reason = "limit"
	case errors.Is(err, errOtherTool):
		reason = "tool"
	default:
		reason = "schema"
	}
}

func nonempty(a *Answer) bool {
	return strings.TrimSpace(a.Text) != "" || len(a.ToolCalls) > 0 || strings.TrimSpace(a.Refusal) != ""
}

func asksJSON(req *llm.Request) bool {
	f := req.ResponseFormat
	return f != nil && (f.Type == "json_object" || f.Type == "json_schema")
}

func asksSchema(req *llm.Request) bool {
	f := req.ResponseFormat
	return f != nil && f.Type == "json_schema" && len(f.Schema) > 0
}

func isJSON(req *llm.Request, text string) bool {
	if !json.Valid([]byte(text)) {
		return false
	}
	return req.ResponseFormat.Type != "json_object" || strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")
}

// textValid validates a text; one that is no JSON is not valid.
func (c *Checker) textValid(req *llm.Request, text string) (bool, error) {
	v, err := parseValue(text)
	if errors.Is(err, errTooLarge) {
		return false, err
	}
	if err != nil {
		// Whether the schema could be used at all is still asked, so that a
		// broken schema never makes an answer bad.
		_, err := c.schemas.get(req.ResponseFormat.Schema)
		return false, err
	}
	return c.schemas.validate(req.ResponseFormat.Schema, v)
}
