package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Bounds of what is parsed. Answers come from models and schemas from captured
// requests: neither may cost the daemon more than a moment.
const (
	maxValueBytes = 1 << 20
	maxValueNodes = 50_000
	maxValueDepth = 200
)

// errTooLarge tells that a JSON text is beyond the bounds: it is neither good
// nor bad, it was not looked at.
var errTooLarge = errors.New("JSON value is beyond the bounds of the checks")

// parseValue reads one JSON value as a tree of map[string]any, []any, string,
// bool, nil and json.Number, so that no digit of a number is lost. Of a name
// that an object repeats, the last one counts.
func parseValue(text string) (any, error) {
	if len(text) > maxValueBytes {
		return nil, errTooLarge
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the JSON value")
	}
	if nodes, depth := measure(v); nodes > maxValueNodes || depth > maxValueDepth {
		return nil, errTooLarge
	}
	return v, nil
}

// measure counts the values of a tree and its levels.
func measure(v any) (nodes, depth int) {
	nodes = 1
	add := func(child any) {
		n, d := measure(child)
		nodes += n
		depth = max(depth, d)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, c := range v {
			add(c)
		}
	case []any:
		for _, c := range v {
			add(c)
		}
	}
	return nodes, depth + 1
}

// canonicalText writes a tree so that two trees of equal value give equal text:
// names sorted, numbers by value (1, 1.0 and 1e0 are one number).
func canonicalText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(canonicalNumbers(v)); err != nil {
		// A parsed tree always encodes; a text of its own keeps it unequal.
		return "unencodable: " + err.Error()
	}
	return b.String()
}

func canonicalNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return json.Number(canonicalNumber(v.String()))
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, c := range v {
			m[k] = canonicalNumbers(c)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, c := range v {
			l[i] = canonicalNumbers(c)
		}
		return l
	}
	return v
}

// canonicalNumber writes a JSON number as digits without a zero at either end
// and an exponent. It works on the text, so a number of any size is exact and
// none of them is expensive. Exponents beyond 17 digits are left as written.
func canonicalNumber(s string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	var e int64
	if exponent != "" {
		var err error
		if e, err = strconv.ParseInt(exponent, 10, 64); err != nil || len(exponent) > 18 {
			return s
		}
	}
	trimmed := strings.TrimRight(digits, "0")
	e += int64(len(digits)-len(trimmed)) - int64(len(fraction))
	if e == 0 {
		return sign + trimmed
	}
	return sign + trimmed + "e" + strconv.FormatInt(e, 10)
}
