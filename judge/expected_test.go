package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/openai"
)

func expectedCalls(t testing.TB, text string) []Expected {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var out []Expected
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAcceptedCalls(t *testing.T) {
	tools := []llm.Tool{{Name: "f", Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"},"x":{"type":"number"},"s":{"type":"string"},"l":{"type":"array"},"o":{"type":"object"}}}`)}}
	for _, c := range []struct {
		name, expected, order string
		calls                 []llm.ToolCall
		want                  bool
	}{
		{"equal", `[{"name":"f","arguments":{"s":["New York, NY"],"n":[3]}}]`, "single", calls(`f {"s":"new york ny","n":3}`), true},
		{"another function", `[{"name":"f","arguments":{}}]`, "single", calls(`g {}`), false},
		{"left out", `[{"name":"f","arguments":{"s":["a"],"n":[3,""]}}]`, "single", calls(`f {"s":"a"}`), true},
		{"must be there", `[{"name":"f","arguments":{"s":["a"],"n":[3]}}]`, "single", calls(`f {"s":"a"}`), false},
		{"unknown parameter", `[{"name":"f","arguments":{"s":["a"]}}]`, "single", calls(`f {"s":"a","z":1}`), false},
		{"an integer is a number", `[{"name":"f","arguments":{"x":[3.0]}}]`, "single", calls(`f {"x":3}`), true},
		{"a float is no integer", `[{"name":"f","arguments":{"n":[3]}}]`, "single", calls(`f {"n":3.0}`), false},
		{"text is no number", `[{"name":"f","arguments":{"n":[3]}}]`, "single", calls(`f {"n":"3"}`), false},
		{"lists in order", `[{"name":"f","arguments":{"l":[[1,2]]}}]`, "single", calls(`f {"l":[2,1]}`), false},
		{"object of alternatives", `[{"name":"f","arguments":{"o":[{"a":["x","y"],"b":["",1]}]}}]`, "single", calls(`f {"o":{"a":"Y"}}`), true},
		{"any order", `[{"name":"f","arguments":{"n":[1]}},{"name":"f","arguments":{"n":[1,2]}}]`, "any", calls(`f {"n":2}`, `f {"n":1}`), true},
		{"one too many", `[{"name":"f","arguments":{"n":[1]}}]`, "any", calls(`f {"n":1}`, `f {"n":1}`), false},
		{"no call is due", `[]`, "single", nil, true},
		{"a call and none is due", `[]`, "single", calls(`f {}`), false},
		{"broken arguments", `[{"name":"f","arguments":{"n":[1,""]}}]`, "single", calls(`f {"n":`), false},
	} {
		if got := AcceptedCalls(tools, expectedCalls(t, c.expected), c.order, c.calls); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// The recorded verdicts of August 2024 on real calls.
func TestAcceptedCallsAgreeWithRecorded(t *testing.T) {
	type request struct {
		ID, Category, Order string
		Request             json.RawMessage
		Expected            json.RawMessage
	}
	type answer struct {
		ToolCalls []llm.ToolCall `json:"tool_calls"`
		FromText  []llm.ToolCall `json:"tool_calls_from_text"`
		Text      string
		Valid     *bool `json:"bfcl_2024_08_valid"`
	}
	type recorded struct {
		ID     string
		Models map[string]answer
	}
	requests := map[string]request{}
	for _, r := range jsonLines[request](t, vendorspec.Path(t, "data", "tools", "tools.jsonl.gz")) {
		requests[r.ID] = r
	}
	all, agree, prose := 0, 0, 0
	for _, row := range jsonLines[recorded](t, vendorspec.Path(t, "data", "tools", "recorded.jsonl.gz")) {
		r, ok := requests[row.ID]
		if !ok {
			continue
		}
		req, err := openai.Decode(r.Request)
		if err != nil {
			t.Fatal(err)
		}
		expected := expectedCalls(t, string(orEmpty(r.Expected)))
		for model, a := range row.Models {
			if a.Valid == nil {
				continue
			}
			made := a.ToolCalls
			if len(made) == 0 {
				made = a.FromText
			}
			if len(made) == 0 && len(expected) > 0 && *a.Valid {
				prose++ // calls in words that nobody decoded
				continue
			}
			all++
			if got := AcceptedCalls(req.Tools, expected, r.Order, made); got == *a.Valid {
				agree++
			} else {
				t.Logf("%s %s: %v, recorded %v: %v against %s", row.ID, model, got, *a.Valid, made, r.Expected)
			}
		}
	}
	t.Logf("%d of %d agree (%.2f %%); %d answers in words were left out", agree, all, 100*float64(agree)/float64(all), prose)
	if float64(agree) < 0.99*float64(all) || all < 700 {
		t.Errorf("%d of %d agree", agree, all)
	}
}

func orEmpty(b json.RawMessage) json.RawMessage {
	if len(b) == 0 || string(b) == "null" {
		return json.RawMessage("[]")
	}
	return b
}

// Many calls that are alike are matched at once, whatever their order.
func TestAcceptedCallsThatAreAlike(t *testing.T) {
	var expected []Expected
	var made []llm.ToolCall
	for i := range 40 {
		expected = append(expected, Expected{Name: "f", Arguments: map[string][]any{"n": {float64(i), float64(i + 1)}}})
		made = append(made, calls(fmt.Sprintf(`f {"n":%d}`, 40-i))...)
	}
	if !AcceptedCalls(nil, expected, "any", made) {
		t.Error("a matching exists and is not found")
	}
	made[1] = calls(`f {"n":99}`)[0]
	if AcceptedCalls(nil, expected, "any", made) {
		t.Error("a call that fits nothing is accepted")
	}
}
