package judge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

// calls reads "name {arguments}" lines.
func calls(lines ...string) []llm.ToolCall {
	var list []llm.ToolCall
	for _, l := range lines {
		name, args, _ := strings.Cut(l, " ")
		list = append(list, llm.ToolCall{Name: name, Arguments: args})
	}
	return list
}

func num(s string) json.Number { return json.Number(s) }

func TestDiffCalls(t *testing.T) {
	type change = journal.Change
	for _, tt := range []struct {
		name        string
		live, trial []llm.ToolCall
		want        []change
	}{
		{"neither calls", nil, nil, nil},
		{"same text", calls(`f {"a":1}`), calls(`f {"a":1}`), nil},
		{"space, order of names, numbers by value", calls(`f {"a":1,"b":[2]}`), calls(`f { "b": [2.0], "a": 1e0 }`), nil},
		{"parallel in another order", calls(`f {"c":"x"}`, `f {"c":"y"}`), calls(`f {"c":"y"}`, `f {"c":"x"}`), nil},
		{"no arguments in two ways", calls(`f`), calls(`f {}`), nil},
		{"ids do not matter", []llm.ToolCall{{ID: "1", Name: "f", Arguments: "{}"}}, []llm.ToolCall{{ID: "2", Name: "f", Arguments: "{}"}}, nil},
		{"changed argument", calls(`f {"city":"Bern","n":1}`), calls(`f {"city":"Basel","n":1}`),
			[]change{{Path: "/0/arguments/city", Live: "Bern", Trial: "Basel"}}},
		{"missing and extra argument", calls(`f {"a":1}`), calls(`f {"b":2}`),
			[]change{{Path: "/0/arguments/a", Live: num("1")}, {Path: "/0/arguments/b", Trial: num("2")}}},
		{"type of argument", calls(`f {"a":1}`), calls(`f {"a":"1"}`), []change{{Path: "/0/arguments/a", Live: num("1"), Trial: "1"}}},
		{"nested, escaped", calls(`f {"a/b":{"~":[1,2]}}`), calls(`f {"a/b":{"~":[1,3]}}`),
			[]change{{Path: "/0/arguments/a~1b/~0/1", Live: num("2"), Trial: num("3")}}},
		{"longer list", calls(`f {"l":[1,2]}`), calls(`f {"l":[1,2,3]}`), []change{{Path: "/0/arguments/l/2", Trial: num("3")}}},
		{"large integers are exact", calls(`f {"a":9007199254740993}`), calls(`f {"a":9007199254740992}`),
			[]change{{Path: "/0/arguments/a", Live: num("9007199254740993"), Trial: num("9007199254740992")}}},
		{"name", calls(`f {"a":1}`), calls(`g {"a":1}`), []change{{Path: "/0/name", Live: "f", Trial: "g"}}},
		{"one call where two are due", calls(`f {"a":1}`, `f {"a":2}`), calls(`f {"a":2}`),
			[]change{{Path: "/0", Live: map[string]any{"name": "f", "arguments": map[string]any{"a": num("1")}}}}},
		{"the same call once too often", calls(`f {}`), calls(`f {}`, `f {}`),
			[]change{{Path: "/1", Trial: map[string]any{"name": "f", "arguments": map[string]any{}}}}},
		{"the same call once too rarely", calls(`f {}`, `f {}`), calls(`f {}`),
			[]change{{Path: "/1", Live: map[string]any{"name": "f", "arguments": map[string]any{}}}}},
		{"only live calls", calls(`f {}`), nil, []change{{Path: "/0", Live: map[string]any{"name": "f", "arguments": map[string]any{}}}}},
		{"best partner", calls(`f {"a":1,"b":1}`, `f {"a":2,"b":2}`), calls(`f {"a":2,"b":9}`, `f {"a":1,"b":1}`),
			[]change{{Path: "/1/arguments/b", Live: num("2"), Trial: num("9")}}},
		{"names before changes", calls(`f {"a":1,"b":2}`, `g {"x":1}`), calls(`g {"a":1,"b":2}`, `f {"x":1}`), []change{
			{Path: "/0/arguments/a", Live: num("1")}, {Path: "/0/arguments/b", Live: num("2")}, {Path: "/0/arguments/x", Trial: num("1")},
			{Path: "/1/arguments/a", Trial: num("1")}, {Path: "/1/arguments/b", Trial: num("2")}, {Path: "/1/arguments/x", Live: num("1")}}},
		{"invalid on both sides, same text", calls(`f {"a":`), calls(`f {"a":`), nil},
		{"invalid against valid", calls(`f {"a":1}`), calls(`f {"a":`), []change{{Path: "/0/arguments", Live: map[string]any{"a": num("1")}, Trial: `{"a":`}}},
		{"a string that looks like the text", calls(`f "{"`), calls(`f {`), []change{{Path: "/0/arguments", Live: "{", Trial: "{"}}},
		{"null and absent differ", calls(`f {"a":null}`), calls(`f {}`), []change{{Path: "/0/arguments/a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, DiffCalls(tt.live, tt.trial)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestDiffCallsBounds(t *testing.T) {
	var live, trial []llm.ToolCall
	for i := range 400 {
		live = append(live, calls(fmt.Sprintf(`f {"a":%d}`, i))...)
		trial = append(trial, calls(fmt.Sprintf(`f {"a":%d}`, i+1000))...)
	}
	if got := DiffCalls(live, trial); len(got) != maxChanges {
		t.Errorf("%d changes, want the cut at %d", len(got), maxChanges)
	}
	long := strings.Repeat("ä", 10_000)
	got := DiffCalls(calls(`f {"a":"`+long+`"}`), calls(`f {"a":"x"}`))
	if len(got) != 1 || len(got[0].Live.(string)) > maxChangeBytes+len("…") {
		t.Errorf("a long value was not cut: %d changes", len(got))
	}
	many := strings.Repeat("1,", maxDiffNodes)
	got = DiffCalls(calls(`f {"a":[`+many+`1]}`), calls(`f {"a":[`+many+`2]}`))
	if len(got) != 1 || got[0].Path != "/0/arguments" {
		t.Errorf("a large tree is to differ as a whole, got %d changes", len(got))
	}
	if got := DiffCalls(calls(`f {"a":[`+many+`1]}`), calls(`f {"a":[`+many+`1.0]}`)); len(got) != 0 {
		t.Errorf("equal large trees have %d changes", len(got))
	}
}

func FuzzDiffCalls(f *testing.F) {
	f.Add("f", `{"a":1}`, "f", `{"a":1.0}`)
	f.Add("f", `{"a":[1,{"b":null}]}`, "g", `{"a":[{"b":false},1]}`)
	f.Add("", ``, "", `{}`)
	f.Add("f", `{"a":1e99999999999}`, "f", `{"a":`)
	f.Add("f", `[[[["x"]]]]`, "f", `"\ud800"`)
	f.Fuzz(func(t *testing.T, liveName, liveArgs, trialName, trialArgs string) {
		l := []llm.ToolCall{{Name: liveName, Arguments: liveArgs}, {Name: "h", Arguments: trialArgs}}
		r := []llm.ToolCall{{Name: trialName, Arguments: trialArgs}, {Name: liveName, Arguments: liveArgs}}
		forward, back := DiffCalls(l, r), DiffCalls(r, l)
		if (len(forward) == 0) != (len(back) == 0) {
			t.Fatalf("%d changes one way, %d the other", len(forward), len(back))
		}
		if n := len(DiffCalls(l, []llm.ToolCall{l[1], l[0]})); n != 0 {
			t.Fatalf("the same calls in another order have %d changes", n)
		}
		if _, err := json.Marshal(forward); err != nil {
			t.Fatalf("changes do not encode: %v", err)
		}
	})
}
