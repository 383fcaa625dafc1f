package judge

import (
	"strconv"
	"strings"

	"understudy/internal/journal"
	"understudy/llm"
)

// maxMatched bounds the calls for which the best partner is looked for; beyond
// it, what is left after the equal ones is paired in order.
const maxMatched = 12

// DiffCalls lists where the calls of trial differ from those of live, sorted by
// path (as bytes). No change means the same calls: the same names with the same
// arguments as JSON values, in any order, each as often.
//
// A path is a JSON Pointer that begins with the number of the live call, from
// 0: "/0/name", "/0/arguments", "/0/arguments/city". A call that the trial
// lacks is a change at "/0" without a trial value; calls that only the trial
// makes are numbered after the live ones, in the trial's order, and have no
// live value. Equal calls are matched first, then calls of one name with the
// fewest changes, then the rest in that way whatever their names.
//
// Numbers are equal by value (1, 1.0, 1e0), objects in any order of names,
// arrays only in order. Empty arguments are an empty object, as the wires write
// a call without arguments in both ways. Arguments that are no JSON, or beyond
// 1 MiB, are compared as text. At most 100 changes are listed and long values
// are cut, so the list shows a difference and does not reproduce the calls.
func DiffCalls(live, trial []llm.ToolCall) []journal.Change {
	l, t := textCalls(live), textCalls(trial)
	m := matching{live: l, trial: t, partner: make([]int, len(l)), taken: make([]bool, len(t))}
	m.pairEqual()
	m.read()
	m.pairEqual()
	m.pairBest(func(a, b *parsedCall) bool { return a.name == b.name })
	m.pairBest(func(*parsedCall, *parsedCall) bool { return true })
	return bounded(m.changes())
}

// A parsedCall is a call whose arguments are read at most once.
type parsedCall struct {
	name string
	raw  string
	// key is equal for equal calls: of the text at first, of the value once
	// the arguments are read. value is their tree where valid is set.
	key   string
	value any
	valid bool
}

func textCalls(calls []llm.ToolCall) []*parsedCall {
	list := make([]*parsedCall, len(calls))
	for i, c := range calls {
		list[i] = &parsedCall{name: c.Name, raw: c.Arguments, key: c.Name + "\x00text\x00" + c.Arguments}
	}
	return list
}

func (c *parsedCall) read() {
	v, err := parseArguments(c.raw)
	if err == nil {
		c.value, c.valid, c.key = v, true, c.name+"\x00json\x00"+canonicalText(v)
	}
}

// parseArguments reads the arguments of a call; none at all are an empty object.
func parseArguments(text string) (any, error) {
	if strings.TrimSpace(text) == "" {
		return map[string]any{}, nil
	}
	return parseValue(text)
}

// matching pairs live calls with trial calls.
type matching struct {
	live, trial []*parsedCall
	partner     []int // of each live call: 1 + the number of the trial call, 0 for none
	taken       []bool
}

// read reads the arguments of the calls that have no partner yet.
func (m *matching) read() {
	for i, c := range m.live {
		if m.partner[i] == 0 {
			c.read()
		}
	}
	for j, c := range m.trial {
		if !m.taken[j] {
			c.read()
		}
	}
}

func (m *matching) pairEqual() {
	free := map[string][]int{}
	for j, c := range m.trial {
		if !m.taken[j] {
			free[c.key] = append(free[c.key], j)
		}
	}
	for i, c := range m.live {
		if list := free[c.key]; len(list) > 0 && m.partner[i] == 0 {
			m.pair(i, list[0])
			free[c.key] = list[1:]
		}
	}
}

func (m *matching) pair(i, j int) { m.partner[i], m.taken[j] = j+1, true }

// pairBest pairs what is still free and may go together, fewest changes first.
func (m *matching) pairBest(may func(a, b *parsedCall) bool) {
	cost := map[[2]int]int{}
	many := m.open() > maxMatched
	for {
		best, bestCost := [2]int{-1, -1}, 0
		for i := range m.live {
			for j := range m.trial {
				if m.partner[i] != 0 || m.taken[j] || !may(m.live[i], m.trial[j]) {
					continue
				}
				if many {
					m.pair(i, j)
					continue
				}
				k := [2]int{i, j}
				c, known := cost[k]
				if !known {
					c = len(diffCall("", m.live[i], m.trial[j]))
					cost[k] = c
				}
				if best[0] < 0 || c < bestCost {
					best, bestCost = k, c
				}
			}
		}
		if best[0] < 0 {
			return
		}
		m.pair(best[0], best[1])
	}
}

// open is the larger number of calls without a partner on either side.
func (m *matching) open() int {
	l, t := 0, 0
	for _, p := range m.partner {
		if p == 0 {
			l++
		}
	}
	for _, taken := range m.taken {
		if !taken {
			t++
		}
	}
	return max(l, t)
}

func (m *matching) changes() []journal.Change {
	var list []journal.Change
	for i, c := range m.live {
		at := "/" + strconv.Itoa(i)
		if j := m.partner[i]; j != 0 {
			list = append(list, diffCall(at, c, m.trial[j-1])...)
			continue
		}
		list = append(list, journal.Change{Path: at, Live: c.shown()})
	}
	next := len(m.live)
	for j, c := range m.trial {
		if !m.taken[j] {
			list = append(list, journal.Change{Path: "/" + strconv.Itoa(next), Trial: c.shown()})
			next++
		}
	}
	return list
}

// diffCall lists where two calls differ.
func diffCall(at string, live, trial *parsedCall) []journal.Change {
	if live.key == trial.key {
		return nil
	}
	var list []journal.Change
	if live.name != trial.name {
		list = append(list, journal.Change{Path: at + "/name", Live: live.name, Trial: trial.name})
	}
	at += "/arguments"
	if live.valid && trial.valid {
		return append(list, diffValues(at, live.value, trial.value)...)
	}
	if live.valid == trial.valid && live.raw == trial.raw {
		return list
	}
	return append(list, journal.Change{Path: at, Live: live.arguments(), Trial: trial.arguments()})
}

// arguments is the tree, or the text where it is no JSON.
func (c *parsedCall) arguments() any {
	if c.valid {
		return c.value
	}
	return c.raw
}

func (c *parsedCall) shown() any {
	return map[string]any{"name": c.name, "arguments": c.arguments()}
}
