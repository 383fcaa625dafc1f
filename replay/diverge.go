package replay

import (
	"encoding/json"
	"reflect"
	"slices"

	"understudy/internal/journal"
	"understudy/llm"
)

// divergence tells where a candidate's answer left the recorded conversation. Every
// turn is tried on the recorded history, whatever the candidate said in the turn
// before, and tools are never executed: the results in the next turn are those of
// live's calls.
func divergence(ex *journal.Exchange, t *journal.Trial) journal.Divergence {
	if t.Class != llm.ClassOK || ex.Class != llm.ClassOK {
		return ""
	}
	live, ok := liveCalls(ex.Response)
	switch {
	case !ok, len(live) == 0 && len(t.ToolCalls) == 0:
		return ""
	case len(t.ToolCalls) == 0:
		return journal.DivergedNoCall
	case len(live) == 0:
		return journal.DivergedCall
	}
	var proposed []calling
	for _, c := range t.ToolCalls {
		proposed = append(proposed, newCalling(c.Name, c.Arguments))
	}
	return differ(live, proposed)
}

// A calling is one tool call as it is compared: arguments as JSON values.
type calling struct {
	name string
	args any
}

func newCalling(name, arguments string) calling {
	c := calling{name: name}
	if json.Unmarshal([]byte(arguments), &c.args) != nil {
		c.args = arguments
	}
	return c
}

// differ compares calls in any order.
func differ(live, proposed []calling) journal.Divergence {
	names := func(list []calling) (all []string) {
		for _, c := range list {
			all = append(all, c.name)
		}
		slices.Sort(all)
		return all
	}
	if !slices.Equal(names(live), names(proposed)) {
		return journal.DivergedTools
	}
	left := slices.Clone(proposed)
	for _, c := range live {
		i := slices.IndexFunc(left, func(p calling) bool { return reflect.DeepEqual(p, c) })
		if i < 0 {
			return journal.DivergedArguments
		}
		left = slices.Delete(left, i, i+1)
	}
	return ""
}

// liveCalls are the tool calls of a recorded chat completion; false where it is none.
func liveCalls(response []byte) (calls []calling, ok bool) {
	var body struct {
		Choices []struct {
			Message struct {
				ToolCalls []struct {
					Function struct{ Name, Arguments string } `json:"function"`
				} `json:"tool_calls"`
				FunctionCall *struct{ Name, Arguments string } `json:"function_call"`
			} `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(response, &body) != nil || len(body.Choices) == 0 {
		return nil, false
	}
	m := body.Choices[0].Message
	for _, c := range m.ToolCalls {
		calls = append(calls, newCalling(c.Function.Name, c.Function.Arguments))
	}
	if f := m.FunctionCall; f != nil {
		calls = append(calls, newCalling(f.Name, f.Arguments))
	}
	return calls, true
}
