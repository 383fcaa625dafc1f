package judge

import (
	"errors"
	"strings"
	"testing"
)

func TestCanonicalNumber(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"integer and fraction", "1", "1.0", true},
		{"exponent", "1", "10e-1", true},
		{"capital exponent", "100", "1E+2", true},
		{"small", "0.001", "1e-3", true},
		{"zero of either sign", "-0", "0.0e7", true},
		{"sign", "1", "-1", false},
		{"beyond a float", "9007199254740993", "9007199254740992", false},
		{"beyond any float", "1e400", "1e401", false},
		{"long exponent", "1e999999999999", "10e999999999998", true},
		{"exponent beyond int64", "1e99999999999999999999", "1e99999999999999999998", false},
		{"digits", "123.4500", "12345e-2", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, b := canonicalNumber(tt.a), canonicalNumber(tt.b); (a == b) != tt.same {
				t.Errorf("%s is %s, %s is %s; want the same: %v", tt.a, a, tt.b, b, tt.same)
			}
		})
	}
}

func TestParseValue(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		good       bool
		tooLarge   bool
	}{
		{"object", ` {"a": [1, null]} `, true, false},
		{"two values", `{} {}`, false, false},
		{"cut", `{"a":`, false, false},
		{"nothing", ``, false, false},
		{"deep", strings.Repeat("[", 300) + strings.Repeat("]", 300), false, true},
		{"long", `"` + strings.Repeat("x", maxValueBytes) + `"`, false, true},
		{"many", "[" + strings.Repeat("1,", maxValueNodes) + "1]", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseValue(tt.text)
			if (err == nil) != tt.good || errors.Is(err, errTooLarge) != tt.tooLarge {
				t.Errorf("error %v; want good %v, too large %v", err, tt.good, tt.tooLarge)
			}
		})
	}
}
