package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"understudy/canary"
	"understudy/llm"
)

func ms(n canary.Number) string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatFloat(float64(n), 'f', 0, 64) + " ms"
}

// usd keeps three significant digits of small amounts and cents of large ones.
func usd(n canary.Number) string {
	x := float64(n)
	switch {
	case !n.Known():
		return "-"
	case x == 0:
		return "$0"
	case math.Abs(x) >= 1:
		return dollars(strconv.FormatFloat(x, 'f', 2, 64))
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	return dollars(strconv.FormatFloat(x, 'f', digits, 64))
}

// about keeps three significant digits: a projection is no better than that.
func about(n canary.Number) string {
	x := float64(n)
	if math.Abs(x) < 100 {
		return usd(n)
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-2)
	return dollars(strconv.FormatFloat(math.Round(x/unit)*unit, 'f', 0, 64))
}

// dollars puts the sign, the mark of the currency and commas into a number.
func dollars(digits string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	whole, fraction, has := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if has {
		whole += "." + fraction
	}
	return sign + "$" + whole
}

func percent(n canary.Number) string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatFloat(100*float64(n), 'f', 2, 64) + " %"
}

// decimal writes a plain number with few digits.
func decimal(n canary.Number, digits int) string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatFloat(float64(n), 'f', digits, 64)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.FormatFloat(d.Hours(), 'f', 1, 64) + " h"
	}
	return strconv.FormatFloat(d.Hours()/24, 'f', 1, 64) + " days"
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func orDash(s string) string { return cmp.Or(s, "-") }

// classes lists failures by class.
func classes(failures map[llm.Class]int) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", failures[class], class))
	}
	return strings.Join(parts, ", ")
}
