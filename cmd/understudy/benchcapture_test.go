//go:build benchcapture

// What the proxy costs, as ratios of one run: make bench-capture. Load, upstream and sink
// are processes on core 0, each proxy has core 1 for itself, and one is loaded at a time.
//
//	BENCH_ROUNDS=5     interleaved rounds
//	BENCH_SYNC=always  how NATS syncs, or "interval"
//	BENCH_REDACT=on    what [capture.redact] mode is
//	BENCH_ONLY=1k,…    of the loads 1k, 120k, 1m, open, open120k, streams
//	BENCH_PROFILE=DIR  where TestBenchCaptureProfile writes profiles
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// benchOption is an environment variable or its default.
func benchOption(name, or string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return or
}

func benchNumber(t testing.TB, name string, or int) int {
	t.Helper()
	n, err := strconv.Atoi(benchOption(name, strconv.Itoa(or)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A benchKind is one load.
type benchKind struct {
	name string
	job  benchJob
}

var benchKinds = []benchKind{
	{"1k", benchJob{Mode: "closed", Clients: 64, Size: 1 << 10, Seconds: 2}},
	{"120k", benchJob{Mode: "closed", Clients: 64, Size: 120_000, Seconds: 1}},
	{"1m", benchJob{Mode: "closed", Clients: 16, Size: 1 << 20, Seconds: 1}},
	{"open", benchJob{Mode: "open", Clients: 64, Size: 1 << 10, Rate: 500, Seconds: 2}},
	{"open120k", benchJob{Mode: "open", Clients: 16, Size: 120_000, Rate: 50, Seconds: 2}},
	{"streams", benchJob{Mode: "streams", Clients: 100, Size: 1 << 10}},
}

// The targets.
const (
	direct, nginx, mirrored, mirroredKept = "direct", "nginx", "nginx-mirror", "nginx-mirror, kept"
	reverse, off, on, onEmbedded          = "bare", "off", "on", "on, embedded"
)

var benchTargets = []string{direct, nginx, mirrored, mirroredKept, reverse, off, on, onEmbedded}

// A benchFigure is one load of one target in one round.
type benchFigure struct {
	benchResult
	cpu float64 // µs a request
	rss float64 // MiB after it
	// stored is the share of the answers that are in NATS, of ours with capture on.
	stored float64
}

// A benchRound has the figures by target and load.
type benchRound map[string]map[string]benchFigure

// A benchSite is what all rounds share.
type benchSite struct {
	upstream, sync, redact string
	fixed                  []*benchTarget
	first                  int64
}

func newBenchSite(t testing.TB) *benchSite {
	t.Helper()
	s := &benchSite{sync: benchOption("BENCH_SYNC", "always"), redact: benchOption("BENCH_REDACT", "on")}
	s.upstream, _ = benchServe(t, benchLoadCore, benchJob{Role: "upstream"})
	return s
}

// others starts the targets that keep nothing and so live through all rounds.
func (s *benchSite) others(t testing.TB) {
	t.Helper()
	sink, _ := benchServe(t, benchLoadCore, benchJob{Role: "sink"})
	s.fixed = append(s.fixed, &benchTarget{name: direct, url: s.upstream})
	if plain := benchNginx(t, nginx, s.upstream, "", ""); plain != nil {
		s.fixed = append(s.fixed, plain, benchNginx(t, mirrored, s.upstream, sink, ""),
			benchNginx(t, mirroredKept, s.upstream, sink, "keepalive 256; keepalive_requests 100000000;"))
	} else {
		fmt.Println("nginx is not installed (apt-get install nginx-light): its rows are left out")
	}
	url, pid := benchServe(t, benchMyCore, benchJob{Role: "bare", URL: s.upstream})
	s.fixed = append(s.fixed, &benchTarget{name: reverse, url: url, pid: pid})
}

// load runs one load and counts what it cost until all of it is stored.
func (s *benchSite) load(t testing.TB, b *benchTarget, job benchJob) benchFigure {
	t.Helper()
	job.URL, job.First = b.url, s.first
	s.first += 1_000_000
	cpu := b.cpu(t)
	var stored, known float64
	if b.admin != "" {
		stored, known = b.metric(t, `understudy_capture_requests_total{outcome="captured"}`), b.metric(t, "understudy_capture_requests_total")
	}
	f := benchFigure{benchResult: benchRun(t, job)}
	b.drained(t)
	n := float64(f.Answers)
	f.cpu, f.rss = float64((b.cpu(t)-cpu).Microseconds())/n, b.rss(t)
	if b.admin != "" {
		f.stored = (b.metric(t, `understudy_capture_requests_total{outcome="captured"}`) - stored) / n
		if all := b.metric(t, "understudy_capture_requests_total") - known; all != n+float64(f.Errors+f.Differ) {
			t.Errorf("%s: %d answers, %g accounted for", b.name, f.Answers, all)
		}
	}
	if f.Differ > 0 || f.Errors > 0 {
		t.Errorf("%s: %d answers, %d differ, %d failed: %s", b.name, f.Answers, f.Differ, f.Errors, f.FirstError)
	}
	return f
}

// round loads one target after the other with each kind; ours starts anew.
func (s *benchSite) round(t testing.TB, kinds []benchKind) benchRound {
	t.Helper()
	setup := benchSetup{upstream: s.upstream, sync: s.sync, redact: s.redact, sample: 1}
	list := slices.Clone(s.fixed)
	var broker func()
	for _, name := range []string{off, on, onEmbedded} {
		setup.name, setup.nats, setup.sample = name, "", 1
		switch name {
		case off:
			setup.sample = 0
		case on:
			setup.nats, _, broker = benchBroker(t, s.sync)
		}
		list = append(list, benchOurTarget(t, setup))
	}
	for _, b := range list {
		warm := benchKinds[0].job
		warm.Clients, warm.Seconds = 128, 0.4 // as many connections as any load takes
		s.load(t, b, warm)
	}
	r := benchRound{}
	for _, b := range list {
		r[b.name] = map[string]benchFigure{}
	}
	for _, k := range kinds {
		for _, b := range list {
			r[b.name][k.name] = s.load(t, b, k.job)
		}
	}
	for _, b := range list[len(s.fixed):] {
		b.stop()
	}
	broker()
	return r
}

func benchSelected() (kinds []benchKind) {
	only := os.Getenv("BENCH_ONLY")
	for _, k := range benchKinds {
		if only == "" || slices.Contains(strings.Split(only, ","), k.name) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func TestBenchCapture(t *testing.T) {
	s, kinds := newBenchSite(t), benchSelected()
	s.others(t)
	var rounds []benchRound
	for i := range benchNumber(t, "BENCH_ROUNDS", 5) {
		began := time.Now()
		rounds = append(rounds, s.round(t, kinds))
		fmt.Printf("round %d took %s\n", i+1, time.Since(began).Round(time.Second))
	}
	fmt.Printf("\n%d rounds, capture on with sync %q and redaction %q; its NATS on the load's core, or embedded in the proxy\n", len(rounds), s.sync, s.redact)
	if !benchPinned() {
		fmt.Println("taskset or a second core is missing: nothing is pinned, and the ratios mean little")
	}
	benchTables(rounds, kinds)
	benchGoals(rounds)
}

// TestBenchCaptureProfile writes profiles of the proxy at its maximum.
func TestBenchCaptureProfile(t *testing.T) {
	dir := os.Getenv("BENCH_PROFILE")
	if dir == "" {
		t.Skip("BENCH_PROFILE names no folder")
	}
	s := newBenchSite(t)
	url, _, _ := benchBroker(t, s.sync)
	setup := benchSetup{upstream: s.upstream, sync: s.sync, redact: s.redact}
	for _, k := range benchSelected() {
		for _, name := range []string{off, on, onEmbedded} {
			setup.name, setup.nats, setup.sample, setup.profile = name, url, 1, filepath.Join(dir, strings.ReplaceAll(name, ", ", "-")+"-"+k.name)
			switch name {
			case off:
				setup.sample = 0
			case onEmbedded:
				setup.nats = ""
			}
			b := benchOurTarget(t, setup)
			k.job.Seconds = 6
			f := s.load(t, b, k.job)
			b.stop()
			fmt.Printf("%s %s: %.0f/s, %.0f µs each, %.1f %% stored, %.0f MiB\n", k.name, name, f.rate(), f.cpu, 100*f.stored, f.rss)
		}
		job := benchJob{Role: "bare", URL: s.upstream, Profile: filepath.Join(dir, "bare-"+k.name)}
		p := benchStart(t, benchMyCore, job)
		b := &benchTarget{name: reverse, url: p.next(t).URL, pid: p.cmd.Process.Pid}
		f := s.load(t, b, k.job)
		p.end(t)
		fmt.Printf("%s bare: %.0f/s, %.0f µs each\n", k.name, f.rate(), f.cpu)
	}
}

func benchPrint(lines ...string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	_ = w.Flush()
}
