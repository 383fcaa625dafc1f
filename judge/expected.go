package judge

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"understudy/llm"
)

// CheckExpected is the check of a file's expected calls; it is no check of the daemon.
const CheckExpected = "expected_calls"

// An Expected is a call that is accepted: for each parameter the accepted values,
// among which "" means that it may be left out.
type Expected struct {
	Name      string           `json:"name"`
	Arguments map[string][]any `json:"arguments"`
}

// AcceptedCalls tells whether calls are the accepted ones: each expected call is
// made once, and no other. With order "single" the one expected call must be the
// only one; with "any" the calls may come in any order. No expected call means that
// none may be made.
//
// A call is accepted when its function is named, every parameter has one of its
// accepted values, those left out may be, and none is unknown. Strings are compared
// without case, space and punctuation; a number is accepted whichever way it is
// written, but for a parameter that the tool declares as an integer only without
// fraction and exponent; lists are compared element by element; the members of an
// accepted object are lists of accepted values themselves. This follows the checker
// of the Berkeley function-calling leaderboard (its published rules).
func AcceptedCalls(tools []llm.Tool, expected []Expected, order string, calls []llm.ToolCall) bool {
	if len(calls) != len(expected) || order == "single" && len(expected) > 1 {
		return false
	}
	p := pairing{fits: make([][]bool, len(expected)), owner: make([]int, len(calls))}
	for i := range expected {
		p.fits[i] = make([]bool, len(calls))
		for j := range calls {
			p.fits[i][j] = accepted(tools, &expected[i], &calls[j])
		}
	}
	for i := range expected {
		if !p.place(i, make([]bool, len(calls))) {
			return false
		}
	}
	return true
}

// A pairing gives each expected call a call of its own, by augmenting paths: trying
// all orders would take for ever where many calls are alike.
type pairing struct {
	fits  [][]bool
	owner []int // of each call: 1 + the number of its expected call, 0 for none
}

// place finds a call for an expected one, moving others where it must.
func (p *pairing) place(i int, tried []bool) bool {
	for j, fits := range p.fits[i] {
		if !fits || tried[j] {
			continue
		}
		tried[j] = true
		if p.owner[j] == 0 || p.place(p.owner[j]-1, tried) {
			p.owner[j] = i + 1
			return true
		}
	}
	return false
}

func accepted(tools []llm.Tool, want *Expected, call *llm.ToolCall) bool {
	if want.Name != call.Name {
		return false
	}
	v, err := parseArguments(call.Arguments)
	args, ok := v.(map[string]any)
	if err != nil || !ok {
		return false
	}
	types := typesOf(tools, call.Name)
	for name, value := range args {
		list, known := want.Arguments[name]
		if !known || !typed(types[name], value) || !slices.ContainsFunc(list, func(a any) bool { return sameValue(a, value) }) {
			return false
		}
	}
	for name, list := range want.Arguments {
		if _, given := args[name]; !given && !slices.ContainsFunc(list, func(a any) bool { return a == "" }) {
			return false
		}
	}
	return true
}

// typesOf are the declared types of a tool's parameters.
func typesOf(tools []llm.Tool, name string) map[string]string {
	for i := range tools {
		if tools[i].Name != name {
			continue
		}
		var schema struct {
			Properties map[string]struct {
				Type any `json:"type"`
			} `json:"properties"`
		}
		if json.Unmarshal(tools[i].Parameters, &schema) != nil {
			return nil
		}
		types := map[string]string{}
		for k, p := range schema.Properties {
			types[k], _ = p.Type.(string)
		}
		return types
	}
	return nil
}

// typed tells whether a value has the declared type; an unknown type has all.
func typed(kind string, v any) bool {
	switch v := v.(type) {
	case json.Number:
		return kind != "string" && kind != "boolean" && kind != "array" && kind != "object" && (kind != "integer" || !strings.ContainsAny(v.String(), ".eE"))
	case string:
		return kind != "integer" && kind != "number" && kind != "boolean" && kind != "array" && kind != "object"
	case bool:
		return kind == "" || kind == "boolean"
	case []any:
		return kind == "" || kind == "array"
	case map[string]any:
		return kind == "" || kind == "object"
	}
	return true
}

func sameValue(want, got any) bool {
	switch w := want.(type) {
	case string:
		g, ok := got.(string)
		return ok && bare(w) == bare(g)
	case json.Number:
		g, ok := got.(json.Number)
		return ok && sameNumber(w, g)
	case float64: // written in Go
		g, ok := got.(json.Number)
		f, err := g.Float64()
		return ok && err == nil && f == w
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, sameValue)
	case map[string]any:
		g, ok := got.(map[string]any)
		return ok && sameMembers(w, g)
	}
	return want == got
}

// sameMembers compares an object whose accepted members are lists of accepted values.
func sameMembers(want, got map[string]any) bool {
	for k, v := range got {
		if !slices.ContainsFunc(alternatives(want[k]), func(a any) bool { return sameValue(a, v) }) {
			return false
		}
	}
	for k, v := range want {
		if _, given := got[k]; !given && !slices.ContainsFunc(alternatives(v), func(a any) bool { return a == "" }) {
			return false
		}
	}
	return true
}

func alternatives(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// bare is a string without what does not matter in an argument.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune(",./-_*^", r) {
			return -1
		}
		if r == '\'' {
			return '"'
		}
		return unicode.ToLower(r)
	}, s)
}
