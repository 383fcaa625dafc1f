package judge

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
)

// Agreement says how far two answers say the same, from 0 to 1, without a model:
//
//   - where either calls tools: the share of equal places (function names, and
//     arguments leaf by leaf) in the calls of both, calls in any order;
//   - where both are JSON objects or arrays: the share of equal leaves by place;
//   - else: the share of common words, each as often as it stands in both.
//
// The share is Dice's, 2·common ÷ (one side's + the other's); two empty answers
// agree. It is a measure of likeness and not of quality: the same thing in other
// words agrees little, which is why it is read beside the control's own.
func Agreement(live, trial *Answer) float64 {
	if len(live.ToolCalls)+len(trial.ToolCalls) > 0 {
		return dice(callPlaces(live), callPlaces(trial))
	}
	if l, t := jsonPlaces(live.Text), jsonPlaces(trial.Text); l != nil && t != nil {
		return dice(l, t)
	}
	return dice(wordsOf(live.Text+" "+live.Refusal), wordsOf(trial.Text+" "+trial.Refusal))
}

// A bag counts how often a place or word occurs.
type bag map[string]int

func dice(a, b bag) float64 {
	common, all := 0, 0
	for k, n := range a {
		common += min(n, b[k])
		all += n
	}
	for _, n := range b {
		all += n
	}
	if all == 0 {
		return 1
	}
	return 2 * float64(common) / float64(all)
}

// callPlaces counts the places of all calls, each under its function's name.
func callPlaces(a *Answer) bag {
	places := bag{}
	for _, c := range a.ToolCalls {
		places["call "+c.Name]++
		v, err := parseArguments(c.Arguments)
		if err != nil {
			places["text "+c.Name+" "+c.Arguments]++
			continue
		}
		leaves(places, c.Name, v)
	}
	return places
}

// jsonPlaces is nil where the text is no JSON object or array.
func jsonPlaces(text string) bag {
	v, err := parseValue(text)
	if err != nil {
		return nil
	}
	switch v.(type) {
	case map[string]any, []any:
		places := bag{}
		leaves(places, "", v)
		return places
	}
	return nil
}

func leaves(places bag, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, c := range v {
			leaves(places, path+"/"+escapePointer(k), c)
		}
		if len(v) == 0 {
			places[path+" {}"]++
		}
	case []any:
		for i, c := range v {
			leaves(places, path+"/"+strconv.Itoa(i), c)
		}
		if len(v) == 0 {
			places[path+" []"]++
		}
	case json.Number:
		places[path+" "+canonicalNumber(v.String())]++
	default:
		places[path+" "+canonicalText(v)]++
	}
}

// wordsOf counts the words of a text, letters and digits, without case.
func wordsOf(text string) bag {
	words := bag{}
	if len(text) > maxValueBytes {
		text = text[:maxValueBytes]
	}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[w]++
	}
	return words
}
