//go:build benchcapture

package main

import (
	"fmt"
	"math"
	"slices"
)

// over is the median over the rounds of what of gives; rounds without it are left out.
func over(rounds []benchRound, of func(benchRound) (float64, bool)) float64 {
	var v []float64
	for _, r := range rounds {
		if x, ok := of(r); ok {
			v = append(v, x)
		}
	}
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// median is that of one figure.
func median(rounds []benchRound, target, kind string, of func(benchFigure) float64) float64 {
	return over(rounds, func(r benchRound) (float64, bool) {
		f, ok := r[target][kind]
		return of(f), ok
	})
}

// ratio is the median of the ratios to another target in the same round.
func ratio(rounds []benchRound, target, to, kind string, of func(benchFigure) float64) float64 {
	return over(rounds, func(r benchRound) (float64, bool) {
		a, ok := r[target][kind]
		b, also := r[to][kind]
		return of(a) / of(b), ok && also
	})
}

// added is the median of what a target adds to direct in the same round.
func added(rounds []benchRound, target, kind string, of func(benchFigure) float64) float64 {
	return over(rounds, func(r benchRound) (float64, bool) {
		a, ok := r[target][kind]
		b, also := r[direct][kind]
		return of(a) - of(b), ok && also
	})
}

func perSecond(f benchFigure) float64 { return f.rate() }
func cpuEach(f benchFigure) float64   { return f.cpu }
func atRSS(f benchFigure) float64     { return f.rss }
func atP50(f benchFigure) float64     { return f.P50 }
func atP99(f benchFigure) float64     { return f.P99 }
func atFirst(f benchFigure) float64   { return f.First }

// benchTables prints what was measured, a table for each load.
func benchTables(rounds []benchRound, kinds []benchKind) {
	for _, k := range kinds {
		lines := []string{fmt.Sprintf("\n%s: %s, %d clients, bodies of %d bytes", k.name, k.job.Mode, k.job.Clients, k.job.Size)}
		switch k.job.Mode {
		case "closed":
			lines = append(lines, "\tanswers/s\tx direct\tx nginx\tx bare\tCPU µs each\tx bare\tRSS MiB\tstored")
		case "open":
			lines = append(lines, "\tadded p50 µs\tadded p99 µs\tCPU µs each\tRSS MiB\tstored")
		default:
			lines = append(lines, "\tadded first byte µs\tadded per event p50 µs\tp99\tCPU µs a stream\tRSS MiB\tstored")
		}
		for _, name := range benchTargets {
			if _, ok := rounds[0][name]; ok {
				lines = append(lines, benchLine(rounds, name, k))
			}
		}
		benchPrint(lines...)
	}
}

func benchLine(rounds []benchRound, name string, k benchKind) string {
	stored := ""
	if name == on || name == onEmbedded {
		stored = fmt.Sprintf("%.2f %%", 100*median(rounds, name, k.name, func(f benchFigure) float64 { return f.stored }))
	}
	cpu, rss := median(rounds, name, k.name, cpuEach), median(rounds, name, k.name, atRSS)
	plus := func(of func(benchFigure) float64) string {
		if name == direct {
			return fmt.Sprintf("(%.0f)", median(rounds, name, k.name, of))
		}
		return fmt.Sprintf("%+.0f", added(rounds, name, k.name, of))
	}
	switch k.job.Mode {
	case "closed":
		return fmt.Sprintf("%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\t%.0f\t%s", name, median(rounds, name, k.name, perSecond), ratio(rounds, name, direct, k.name, perSecond),
			ratio(rounds, name, nginx, k.name, perSecond), ratio(rounds, name, reverse, k.name, perSecond), cpu, ratio(rounds, name, reverse, k.name, cpuEach), rss, stored)
	case "open":
		return fmt.Sprintf("%s\t%s\t%s\t%.0f\t%.0f\t%s", name, plus(atP50), plus(atP99), cpu, rss, stored)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%.0f\t%.0f\t%s", name, plus(atFirst), plus(atP50), plus(atP99), cpu, rss, stored)
}

// benchGoals says which of the goals are met. A busy machine misses them without a fault
// of the code, so nothing fails.
func benchGoals(rounds []benchRound) {
	addedRatio := func(kind string, of func(benchFigure) float64) func(string) float64 {
		return func(name string) float64 {
			return added(rounds, name, kind, of) / added(rounds, reverse, kind, of)
		}
	}
	lines := []string{"\nto the bare ReverseProxy unless said otherwise\tgoal\ton\ton, embedded\toff"}
	for _, g := range []struct {
		what  string
		goal  float64
		least bool
		of    func(name string) float64
	}{
		{"1 kB: answers/s", 0.85, true, func(n string) float64 { return ratio(rounds, n, reverse, "1k", perSecond) }},
		{"1 kB: CPU of a request", 1.2, false, func(n string) float64 { return ratio(rounds, n, reverse, "1k", cpuEach) }},
		{"1 kB: answers/s to nginx with mirror", 1, true, func(n string) float64 { return ratio(rounds, n, mirrored, "1k", perSecond) }},
		{"the same, its connections to the mirror kept", 1, true, func(n string) float64 { return ratio(rounds, n, mirroredKept, "1k", perSecond) }},
		{"120 kB: answers/s", 0.85, true, func(n string) float64 { return ratio(rounds, n, reverse, "120k", perSecond) }},
		{"1 MB: answers/s", 0.85, true, func(n string) float64 { return ratio(rounds, n, reverse, "1m", perSecond) }},
		{"500/s of 1 kB: added p50", 1, false, addedRatio("open", atP50)},
		{"50/s of 120 kB: added p50", 1, false, addedRatio("open120k", atP50)},
		{"100 streams: added first byte", 1.1, false, addedRatio("streams", atFirst)},
		{"100 streams: added per event, p50", 1, false, addedRatio("streams", atP50)},
	} {
		if math.IsNaN(g.of(on)) {
			continue
		}
		line := fmt.Sprintf("%s\t%s %.2f", g.what, map[bool]string{true: ">=", false: "<="}[g.least], g.goal)
		for _, name := range []string{on, onEmbedded, off} {
			x := g.of(name)
			verdict := "missed"
			if g.least && x >= g.goal || !g.least && x <= g.goal {
				verdict = "met"
			}
			line += fmt.Sprintf("\t%.2f %s", x, verdict)
		}
		lines = append(lines, line)
	}
	benchPrint(lines...)
}
