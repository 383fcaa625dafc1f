package judge

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/llm"
)

// checkRow is one side's checks in short.
type checkRow = map[string]bool

func request(format *llm.ResponseFormat, tools ...llm.Tool) *llm.Request {
	return &llm.Request{Model: "m", ResponseFormat: format, Tools: tools}
}

var (
	jsonObject = &llm.ResponseFormat{Type: "json_object"}
	jsonSchema = &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`)}
	badSchema  = &llm.ResponseFormat{Type: "json_schema", Schema: json.RawMessage(`{"$ref":"file:///etc/hostname"}`)}
	weather    = llm.Tool{Name: "weather", Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)}
	custom     = llm.Tool{Other: json.RawMessage(`{"type":"custom"}`)}
)

func text(s string) *Answer { return &Answer{Text: s, Finish: llm.FinishStop} }

func calling(lines ...string) *Answer {
	return &Answer{ToolCalls: calls(lines...), Finish: llm.FinishToolCalls}
}

// TestCheckOwn checks what needs one side alone, as it comes out on both.
func TestCheckOwn(t *testing.T) {
	good := func(more checkRow) checkRow {
		row := checkRow{"nonempty": true, "complete": true, "refusal": true}
		for k, v := range more {
			row[k] = v
		}
		return row
	}
	for _, tt := range []struct {
		name   string
		req    *llm.Request
		answer *Answer
		want   checkRow
	}{
		{"text", request(nil), text("hello"), good(nil)},
		{"white space", request(nil), text(" \n\t"), good(checkRow{"nonempty": false})},
		{"provider's refusal", request(nil), &Answer{Refusal: "No.", Finish: llm.FinishStop}, good(checkRow{"refusal": false})},
		{"refusal in words", request(nil), text("I'm sorry, but I can't help with that."), good(checkRow{"refusal": false})},
		{"inability", request(nil), text("I don't have access to your files."), good(nil)},
		{"length", request(nil), &Answer{Text: "a", Finish: llm.FinishLength}, good(checkRow{"complete": false})},
		{"filter", request(nil), &Answer{Text: "a", Finish: llm.FinishContentFilter}, good(checkRow{"complete": false})},
		{"unknown finish", request(nil), &Answer{Text: "a"}, checkRow{"nonempty": true, "refusal": true}},
		{"object", request(jsonObject), text("\n{\"a\":1} "), good(checkRow{"json": true})},
		{"list for an object", request(jsonObject), text(`[1]`), good(checkRow{"json": false})},
		{"fenced", request(jsonObject), text("```json\n{}\n```"), good(checkRow{"json": false})},
		{"cut", request(jsonObject), text(`{"a":`), good(checkRow{"json": false})},
		{"empty for an object", request(jsonObject), text(``), good(checkRow{"json": false, "nonempty": false})},
		{"schema", request(jsonSchema), text(`{"n":1}`), good(checkRow{"json": true, "schema": true})},
		{"schema broken", request(jsonSchema), text(`{"n":"1"}`), good(checkRow{"json": true, "schema": false})},
		{"schema and no JSON", request(jsonSchema), text(`n=1`), good(checkRow{"json": false, "schema": false})},
		{"schema that cannot be used", request(badSchema), text(`{"n":1}`), good(checkRow{"json": true})},
		{"unusable schema and no JSON", request(badSchema), text(`n=1`), good(checkRow{"json": false})},
		{"schema absent", request(&llm.ResponseFormat{Type: "json_schema"}), text(`1`), good(checkRow{"json": true})},
		{"text format", request(&llm.ResponseFormat{Type: "text"}), text(`x`), good(nil)},
		{"call", request(nil, weather), calling(`weather {"city":"Bern"}`), good(checkRow{"schema": true})},
		{"call instead of JSON", request(jsonSchema, weather), calling(`weather {"city":"Bern"}`), good(checkRow{"schema": true})},
		{"call with a wrong argument", request(nil, weather), calling(`weather {"city":1}`), good(checkRow{"schema": false})},
		{"one of two calls wrong", request(nil, weather), calling(`weather {"city":"Bern"}`, `weather {}`), good(checkRow{"schema": false})},
		{"call of no tool", request(nil, weather), calling(`forecast {"city":"Bern"}`), good(checkRow{"schema": false})},
		{"arguments no JSON", request(nil, weather), calling(`weather {"city":`), good(checkRow{"schema": false})},
		{"arguments no object", request(nil, llm.Tool{Name: "f"}), calling(`f [1]`), good(checkRow{"schema": false})},
		{"tool without parameters", request(nil, llm.Tool{Name: "f"}), calling(`f`), good(checkRow{"schema": true})},
		{"tool that is no function", request(nil, custom), calling(`f {}`), good(nil)},
		{"call where no tool is offered", request(nil), calling(`f {}`), good(nil)},
		{"tools and text", request(nil, weather), text("It is sunny."), good(nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := NewChecker().Check(tt.req, tt.answer, tt.answer)
			want := checkRow{}
			for k, v := range tt.want {
				want[k] = v
			}
			if len(tt.req.Tools) > 0 {
				want["tool_calls"] = true
			}
			if d := cmp.Diff(want, got.Live); d != "" {
				t.Errorf("live (-want +got)\n%s", d)
			}
			if d := cmp.Diff(want, got.Trial); d != "" {
				t.Errorf("trial (-want +got)\n%s", d)
			}
		})
	}
}

func TestCheckPair(t *testing.T) {
	tools := request(nil, weather)
	for _, tt := range []struct {
		name        string
		req         *llm.Request
		live, trial *Answer
		want        Checked
	}{
		{"other call", tools, calling(`weather {"city":"Bern"}`), calling(`weather {"city":"Basel"}`), Checked{
			Live:  checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": true},
			Trial: checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": false},
		}},
		{"call where live made none", tools, text("Hello."), calling(`weather {"city":"Basel"}`), Checked{
			Live:  checkRow{"nonempty": true, "complete": true, "refusal": true, "tool_calls": true},
			Trial: checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": false},
		}},
		{"failed trial", tools, calling(`weather {"city":"Bern"}`), nil, Checked{
			Live:  checkRow{"nonempty": true, "complete": true, "refusal": true, "schema": true, "tool_calls": true},
			Trial: checkRow{"nonempty": false, "complete": false, "refusal": false, "schema": false, "tool_calls": false},
		}},
		{"failed trial with a schema", request(jsonSchema), text(`{"n":1}`), nil, Checked{
			Live:  checkRow{"nonempty": true, "complete": true, "refusal": true, "json": true, "schema": true},
			Trial: checkRow{"nonempty": false, "complete": false, "refusal": false, "json": false, "schema": false},
		}},
		{"failed live", tools, nil, text("Hello."), Checked{
			Trial: checkRow{"nonempty": true, "complete": true, "refusal": true},
		}},
		{"both failed", request(jsonObject), nil, nil, Checked{
			Trial: checkRow{"nonempty": false, "complete": false, "refusal": false, "json": false},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := NewChecker().Check(tt.req, tt.live, tt.trial)
			if d := cmp.Diff(tt.want.Live, got.Live); d != "" {
				t.Errorf("live (-want +got)\n%s", d)
			}
			if d := cmp.Diff(tt.want.Trial, got.Trial); d != "" {
				t.Errorf("trial (-want +got)\n%s", d)
			}
			if differs := tt.live != nil && tt.trial != nil && !tt.want.Trial["tool_calls"]; differs != (len(got.Diff) > 0) {
				t.Errorf("%d changes beside tool_calls %v", len(got.Diff), tt.want.Trial["tool_calls"])
			}
			if (got.LiveRefusal == "") != (tt.live == nil) || (got.TrialRefusal == "") != (tt.trial == nil) {
				t.Errorf("classes %q and %q", got.LiveRefusal, got.TrialRefusal)
			}
		})
	}
}

func TestUnchecked(t *testing.T) {
	got := NewChecker().Check(request(badSchema), text(`{"n":1}`), text(`{"n":1}`))
	want := []Unchecked{{CheckSchema, "live", "schema"}, {CheckSchema, "trial", "schema"}}
	if d := cmp.Diff(want, got.Unchecked); d != "" {
		t.Errorf("unusable schema (-want +got)\n%s", d)
	}
	got = NewChecker().Check(request(nil, custom), text("a"), calling("f {}"))
	if d := cmp.Diff([]Unchecked{{CheckSchema, "trial", "tool"}}, got.Unchecked); d != "" {
		t.Errorf("other tool (-want +got)\n%s", d)
	}
	out := &Checked{}
	checks := checkRow{}
	out.attempt(CheckJSON, "live", checks, func() (bool, error) { panic("broken check") })
	if d := cmp.Diff([]Unchecked{{CheckJSON, "live", "panic"}}, out.Unchecked); d != "" || len(checks) != 0 {
		t.Errorf("panic: checks %v (-want +got)\n%s", checks, d)
	}
}
