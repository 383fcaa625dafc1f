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
		return strings.Replace("$"+strconv.FormatFloat(x, 'f', 2, 64), "$-", "-$", 1)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	return strings.Replace("$"+strconv.FormatFloat(x, 'f', digits, 64), "$-", "-$", 1)
}

func percent(n canary.Number) string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatFloat(100*float64(n), 'f', 2, 64) + " %"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	}
	return strconv.FormatFloat(d.Hours(), 'f', 1, 64) + " h"
}

func orDash(s string) string { return cmp.Or(s, "-") }

// classes lists the classes of failed trials, by name.
func classes(c *Cell) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(c.Failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.Failures[class], class))
	}
	return strings.Join(parts, ", ")
}
