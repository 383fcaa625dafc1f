package canary

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Code is the machine's part of a reason: what stands before its first space.
func Code(reason string) string {
	code, _, _ := strings.Cut(reason, " ")
	return code
}

// Sentence states the finding's estimate, interval, limit and number of
// conversations, with their unit.
func (f *Finding) Sentence() string {
	if !f.Estimate.Known() {
		return fmt.Sprintf("no estimate, limit %s, %s", f.ShowLimit(), count(f.Clusters, "conversation"))
	}
	return fmt.Sprintf("%s, interval [%s, %s], limit %s, %s", f.Show(f.Estimate),
		f.Show(f.Interval[0]), f.Show(f.Interval[1]), f.ShowLimit(), count(f.Clusters, "conversation"))
}

// String states the control in words, as shares of preferences.
func (c *Control) String() string {
	percent := func(n Number) string { return strconv.FormatFloat(100*float64(n), 'f', 1, 64) }
	return fmt.Sprintf("it preferred the control by %s %%, interval [%s %%, %s %%], %s", percent(c.Estimate),
		percent(c.Interval[0]), percent(c.Interval[1]), count(c.Clusters, "conversation"))
}

// ShowLimit writes the limit as the estimate must meet it: where more is better, a
// margin is the least difference accepted.
func (f *Finding) ShowLimit() string {
	switch kind, _ := (Gate{Name: f.Name}).kind(); kind {
	case "check.", "score.", "agreement":
		return "at least " + f.Show(Number(-f.Limit))
	case "win_rate":
		return "at least " + f.Show(Number(f.Limit))
	}
	return "at most " + f.Show(Number(f.Limit))
}

// Show writes a number of the gate's scale with its unit, rounded for reading; pp
// are percentage points.
func (f *Finding) Show(n Number) string {
	x := float64(n)
	if !n.Known() {
		return "unknown"
	}
	if math.IsInf(x, 0) {
		return strings.Replace(strconv.FormatFloat(x, 'g', -1, 64), "+Inf", "no bound", 1)
	}
	switch {
	case strings.HasSuffix(f.Name, "_ms"):
		return strconv.FormatFloat(x, 'f', 0, 64) + " ms"
	case strings.HasSuffix(f.Name, "_usd"):
		return "$" + strconv.FormatFloat(x, 'f', 4, 64)
	case strings.HasSuffix(f.Name, "_ratio"), f.Name == "win_rate":
		return strconv.FormatFloat(x, 'f', 3, 64)
	case f.isScore(), f.Name == "agreement":
		return strconv.FormatFloat(x, 'f', 4, 64)
	default:
		return strconv.FormatFloat(100*x, 'f', 2, 64) + " pp"
	}
}

// count writes a number and its noun, in the plural where it is not one.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// span writes a duration as a person would say it.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return strconv.FormatFloat(math.Round(10*d.Seconds())/10, 'f', -1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}
