package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// fileLine is a line of a file to judge: a pair, or the reply of a judge.
type fileLine struct {
	ID json.RawMessage `json:"id"`

	Request  json.RawMessage `json:"request"`
	Live     *fileAnswer     `json:"live"`
	Trial    *fileAnswer     `json:"trial"`
	Expected *[]Expected     `json:"expected"`
	Order    string          `json:"order"`

	Reply  *fileReply `json:"reply"`
	Labels []string   `json:"labels"`
	Scale  []float64  `json:"scale"`
}

type fileAnswer struct {
	Text      string     `json:"text"`
	Refusal   string     `json:"refusal"`
	ToolCalls []fileCall `json:"tool_calls"`
	Finish    string     `json:"finish"`
}

// fileCall has its arguments as the text that was received, or as an object.
type fileCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

type fileReply struct {
	Text        *string            `json:"text"`
	TopLogprobs *[]json.RawMessage `json:"top_logprobs"`
	ToolCalls   []fileCall         `json:"tool_calls"`
}

// A PairResult is what the checks say of a pair in a file. A side that is absent is a
// call that failed: its class is nil.
type PairResult struct {
	ID     json.RawMessage `json:"id"`
	Checks struct {
		Live  map[string]bool `json:"live"`
		Trial map[string]bool `json:"trial"`
	} `json:"checks"`
	Refusal struct {
		Live  *RefusalClass `json:"live"`
		Trial *RefusalClass `json:"trial"`
	} `json:"refusal"`
	Diff        []journal.Change `json:"diff"`
	AttackFlags struct {
		Live  []string `json:"live"`
		Trial []string `json:"trial"`
	} `json:"attack_flags"`
}

// A ReplyResult is what the parser says of a judge's reply in a file.
type ReplyResult struct {
	ID    json.RawMessage `json:"id"`
	Label *string         `json:"label"`
	Score *float64        `json:"score"`
	Parse string          `json:"parse"`
}

// JudgeLine does the checks, or the parsing, that a line of a file asks for: the
// result is a *PairResult or a *ReplyResult. An error says what is wrong with the
// line and quotes none of its text; id is given also then, where it could be read.
func (c *Checker) JudgeLine(line []byte) (result any, id json.RawMessage, err error) {
	var l fileLine
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	err = d.Decode(&l)
	if err == nil && d.More() {
		err = errors.New("more than one value on a line")
	}
	if err != nil {
		var only struct {
			ID json.RawMessage `json:"id"`
		}
		_ = json.Unmarshal(line, &only) // the rest may be wrong, the id may be right
		return nil, only.ID, fmt.Errorf("parse line: %w", err)
	}
	switch {
	case l.Request != nil && l.Reply != nil:
		err = errors.New("read line: both request (a pair) and reply")
	case l.Request != nil:
		result, err = c.pair(&l)
	case l.Reply != nil || l.Labels != nil || l.Scale != nil:
		result, err = l.reply()
	default:
		err = errors.New("read line: neither request (a pair) nor reply")
	}
	if err != nil {
		return nil, l.ID, err
	}
	return result, l.ID, nil
}

func (c *Checker) pair(l *fileLine) (*PairResult, error) {
	req, err := openai.Decode(l.Request)
	if err != nil {
		return nil, errors.New("read pair: request is no Chat Completions request")
	}
	if l.Order != "" && l.Order != "single" && l.Order != "any" {
		return nil, errors.New(`read pair: order is neither "single" nor "any"`)
	}
	live, err := l.Live.answer("live")
	if err != nil {
		return nil, err
	}
	trial, err := l.Trial.answer("trial")
	if err != nil {
		return nil, err
	}
	if live == nil && trial == nil {
		return nil, errors.New("read pair: neither live nor trial")
	}
	checked := c.Check(req, live, trial)
	out := &PairResult{ID: l.ID, Diff: checked.Diff}
	if out.Diff == nil {
		out.Diff = []journal.Change{}
	}
	out.Checks.Live, out.Checks.Trial = l.expected(req, live, checked.Live), l.expected(req, trial, checked.Trial)
	out.Refusal.Live, out.Refusal.Trial = orNoClass(checked.LiveRefusal), orNoClass(checked.TrialRefusal)
	out.AttackFlags.Live, out.AttackFlags.Trial = flagsOf(live), flagsOf(trial)
	return out, nil
}

// expected adds the check of expected calls to those of a side; a call that failed
// makes none of them and is not accepted, even where none was due.
func (l *fileLine) expected(req *llm.Request, a *Answer, checks map[string]bool) map[string]bool {
	if checks == nil {
		checks = map[string]bool{}
	}
	if l.Expected != nil {
		checks[CheckExpected] = a != nil && AcceptedCalls(req.Tools, *l.Expected, l.Order, a.ToolCalls)
	}
	return checks
}

func orNoClass(c RefusalClass) *RefusalClass {
	if c == "" {
		return nil
	}
	return &c
}

func flagsOf(a *Answer) []string {
	if a == nil {
		return []string{}
	}
	return append([]string{}, builtinFlags(answerText(a))...)
}

// answer is nil for a side that is absent: a call that failed.
func (f *fileAnswer) answer(side string) (*Answer, error) {
	if f == nil {
		return nil, nil
	}
	calls, err := callsOf(f.ToolCalls)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", side, err)
	}
	return &Answer{Text: f.Text, Refusal: f.Refusal, ToolCalls: calls, Finish: llm.FinishReason(f.Finish)}, nil
}

func callsOf(list []fileCall) ([]llm.ToolCall, error) {
	var out []llm.ToolCall
	for _, c := range list {
		if c.Name == "" {
			return nil, errors.New("a tool call has no name")
		}
		args := string(c.Arguments)
		if len(c.Arguments) > 0 && c.Arguments[0] == '"' {
			if err := json.Unmarshal(c.Arguments, &args); err != nil {
				return nil, errors.New("the arguments of a tool call are no text")
			}
		}
		if args == "null" {
			args = ""
		}
		out = append(out, llm.ToolCall{Name: c.Name, Arguments: args})
	}
	return out, nil
}

func (l *fileLine) reply() (*ReplyResult, error) {
	p, err := l.parse()
	if err != nil {
		return nil, err
	}
	out := &ReplyResult{ID: l.ID, Score: p.Score, Parse: p.Parse}
	if p.Label != "" && l.Scale == nil {
		out.Label = &p.Label
	}
	return out, nil
}

func (l *fileLine) parse() (Parsed, error) {
	r := l.Reply
	if r == nil { // null: the judge said nothing
		r = &fileReply{}
	}
	if (len(l.Labels) == 0) == (l.Scale == nil) {
		return Parsed{}, errors.New("read reply: either labels or scale is needed")
	}
	if l.Scale != nil && (len(l.Scale) != 2 || !(l.Scale[0] < l.Scale[1])) {
		return Parsed{}, errors.New("read reply: scale is not [lo, hi]")
	}
	switch {
	case r.TopLogprobs != nil:
		tokens, err := tokensOf(*r.TopLogprobs)
		if err != nil {
			return Parsed{}, err
		}
		if len(l.Labels) < 2 {
			return Parsed{}, errors.New("read reply: top_logprobs need two labels")
		}
		return ParseLogprobs(tokens, l.Labels), nil
	case len(r.ToolCalls) > 0:
		calls, err := callsOf(r.ToolCalls)
		if err != nil {
			return Parsed{}, fmt.Errorf("read reply: %w", err)
		}
		if l.Scale != nil {
			return ParseScaleCalls(calls, l.Scale[0], l.Scale[1]), nil
		}
		return ParseCalls(calls, l.Labels), nil
	case r.Text == nil:
		return failedParse(), nil
	case l.Scale != nil:
		return ParseScale(*r.Text, l.Scale[0], l.Scale[1]), nil
	}
	return ParseText(*r.Text, l.Labels), nil
}

func tokensOf(list []json.RawMessage) (map[string]float64, error) {
	tokens := map[string]float64{}
	for _, raw := range list {
		var pair []any
		if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 {
			return nil, errors.New("read reply: top_logprobs is no list of [token, logprob]")
		}
		token, isText := pair[0].(string)
		logprob, isNumber := pair[1].(float64)
		if !isText || !isNumber {
			return nil, errors.New("read reply: top_logprobs is no list of [token, logprob]")
		}
		tokens[token] = logprob
	}
	return tokens, nil
}
