//go:build benchcapture

// What the proxy promises, held while it is loaded: make bench-capture-safety. An answer
// that differs or fails, and an account that does not add up, fail the test; shares of a
// machine's speed and memory are printed with their goals.
//
//	BENCH_ANSWERS=60000  answers that are compared (1,000,000 in the long form)
//	BENCH_STALL=20       seconds for which NATS is stalled (60)
//	BENCH_HALF=5         seconds at half of the maximum, for each size
//	BENCH_SOAK=600       seconds of make soak-capture
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"understudy/internal/journal"
)

// What ours may hold at most: the default of capture.memory, and what a Go program and
// its connections need besides.
const benchBudget, benchRest = 64.0, 48.0

// benchWithBroker starts a nats-server and ours before it.
func benchWithBroker(t testing.TB, s *benchSite) (b *benchTarget, url string, broker int) {
	t.Helper()
	url, broker, _ = benchBroker(t, s.sync)
	return benchOurTarget(t, benchSetup{name: on, upstream: s.upstream, sync: s.sync, redact: s.redact, nats: url, sample: 1}), url, broker
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func TestBenchCaptureSafety(t *testing.T) {
	s := newBenchSite(t)
	lines := []string{fmt.Sprintf("sync %q, redaction %q\tmeasured\tgoal\t", s.sync, s.redact)}
	defer func() { benchPrint(lines...) }()
	add := func(what, goal string, met bool, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s", what, fmt.Sprintf(format, args...), goal, verdict(met)))
	}
	t.Run("answers", func(t *testing.T) { benchCompareAnswers(t, s, add) })
	t.Run("complete", func(t *testing.T) { benchComplete(t, s, add) })
	t.Run("stalled", func(t *testing.T) { benchStalled(t, s, add) })
}

// A benchAdd adds a line to the table.
type benchAdd func(what, goal string, met bool, format string, args ...any)

// benchCompareAnswers sends requests of all sizes and streams, all of them compared.
func benchCompareAnswers(t *testing.T, s *benchSite, add benchAdd) {
	b, _, _ := benchWithBroker(t, s)
	defer b.stop()
	n := int64(benchNumber(t, "BENCH_ANSWERS", 60_000))
	var sum benchResult
	for _, part := range []struct {
		size, clients int
		share         int64 // of a thousand
	}{{1 << 10, 64, 950}, {32_000, 64, 40}, {120_000, 32, 9}, {1 << 20, 8, 1}} {
		r := s.load(t, b, benchJob{Mode: "closed", Clients: part.clients, Size: part.size, Answers: n * part.share / 1000})
		sum.Answers, sum.Differ, sum.Errors = sum.Answers+r.Answers, sum.Differ+r.Differ, sum.Errors+r.Errors
	}
	for range max(1, n/20_000) {
		r := s.load(t, b, benchJob{Mode: "streams", Clients: 100, Size: 1 << 10})
		sum.Answers, sum.Differ, sum.Errors = sum.Answers+r.Answers, sum.Differ+r.Differ, sum.Errors+r.Errors
	}
	add("answers compared", "0 differ, 0 fail", sum.Differ+sum.Errors == 0, "%d, of them %d differ and %d failed", sum.Answers, sum.Differ, sum.Errors)
}

// A benchAccount is what our metrics say.
type benchAccount struct{ captured, dropped float64 }

func (b *benchTarget) account(t testing.TB) benchAccount {
	t.Helper()
	return benchAccount{b.metric(t, `understudy_capture_requests_total{outcome="captured"}`), b.metric(t, "understudy_capture_dropped_total")}
}

// benchStored reads what NATS holds: how often each answer is there, by its id.
func benchStored(t testing.TB, url string) map[string]int {
	t.Helper()
	cfg := journal.DefaultConfig()
	cfg.Mode, cfg.URL, cfg.Create, cfg.Dir = "external", url, false, filepath.Join(t.TempDir(), "reader")
	j, err := journal.Open(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	err = j.Read(t.Context(), journal.StreamExchanges, nil, func(m *journal.Message) error {
		list, err := journal.ReadExchanges(m.Subject, m.Data)
		for _, e := range list {
			ids[e.AnswerID]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// benchComplete counts what NATS holds of the answers at half of the maximum and at it.
func benchComplete(t *testing.T, s *benchSite, add benchAdd) {
	seconds := float64(benchNumber(t, "BENCH_HALF", 5))
	for _, k := range benchKinds[:3] {
		b, url, _ := benchWithBroker(t, s)
		s.load(t, b, k.job) // warming up
		before := b.account(t)
		most := s.load(t, b, benchJob{Mode: "closed", Clients: k.job.Clients, Size: k.job.Size, Seconds: 3})
		after := b.account(t)
		stored, dropped := after.captured-before.captured, after.dropped-before.dropped
		exact := stored+dropped == float64(most.Answers)
		if !exact {
			t.Errorf("%s: %d answers, %g stored and %g dropped", k.name, most.Answers, stored, dropped)
		}
		add(k.name+" at the maximum", ">= 99.9 % stored, all counted", exact && stored >= 0.999*float64(most.Answers), "%d answers, %g stored, %g dropped: %.2f %% of %.0f/s",
			most.Answers, stored, dropped, 100*stored/float64(most.Answers), most.rate())

		first := s.first
		half := s.load(t, b, benchJob{Mode: "open", Clients: k.job.Clients, Size: k.job.Size, Rate: most.rate() / 2, Seconds: seconds})
		end := b.account(t)
		ids := benchStored(t, url)
		there, twice := 0, 0
		low, high := fmt.Sprintf("%s%0*d", benchID, benchDigits, first), fmt.Sprintf("%s%0*d", benchID, benchDigits, s.first)
		for id, n := range ids {
			if id > low && id < high {
				there++
			}
			twice += n - 1
		}
		if twice > 0 || float64(len(ids)) != end.captured {
			t.Errorf("%s: NATS holds %d answers, %d of them more than once; %g are counted as stored", k.name, len(ids), twice, end.captured)
		}
		add(k.name+" at half of it", "100 %, none twice", int64(there) == half.Answers && twice == 0, "%d of %d answers at %.0f/s, %d twice; NATS holds %d, counted %g",
			there, half.Answers, most.rate()/2, twice, len(ids), end.captured)
		b.stop()
	}
}

// benchWatched runs a load and samples the target's memory every half second.
func benchWatched(t testing.TB, s *benchSite, b *benchTarget, job benchJob) (r benchResult, rss []float64) {
	t.Helper()
	job.Role, job.URL, job.First = "load", b.url, s.first
	s.first += 10_000_000
	p := benchStart(t, benchLoadCore, job)
	done := make(chan struct{})
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		for tick := time.NewTicker(time.Second / 2); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				rss = append(rss, b.rss(t))
			}
		}
	}()
	r = p.next(t)
	close(done)
	<-sampled
	p.end(t)
	if r.Differ > 0 || r.Errors > 0 {
		t.Errorf("%s: %d answers, %d differ, %d failed: %s", b.name, r.Answers, r.Differ, r.Errors, r.FirstError)
	}
	return r, rss
}

// benchMemory judges samples of the memory: under the limit, and flat from the tenth
// second or, of a short run, the first half on.
func benchMemory(rss []float64, add benchAdd, what string) {
	if len(rss) < 4 {
		return
	}
	from := min(20, len(rss)/2)
	most, grown := slices.Max(rss), slices.Max(rss[from:])/rss[from]
	add(what+": memory", fmt.Sprintf("<= %.0f MiB", benchBudget+benchRest), most <= benchBudget+benchRest, "%.0f MiB at most", most)
	add(what+": memory, from the tenth second on", "<= 1.05 x", grown <= 1.05, "%.2f x", grown)
}

// benchStalled stops NATS, as a hung disk or host does, while the proxy is at its maximum.
func benchStalled(t *testing.T, s *benchSite, add benchAdd) {
	b, _, broker := benchWithBroker(t, s)
	defer b.stop()
	off := benchOurTarget(t, benchSetup{name: off, upstream: s.upstream, sync: s.sync, redact: s.redact})
	defer off.stop()
	job := benchKinds[0].job
	for _, b := range []*benchTarget{off, b} {
		s.load(t, b, job) // warming up
	}
	const slice = 5
	seconds := benchNumber(t, "BENCH_STALL", 20)
	job.Seconds = slice
	account := b.account(t)
	if err := syscall.Kill(broker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Both in turns, so that what else the machine does befalls both.
	var ratios, rss []float64
	var stalled benchResult
	for range max(2, seconds/slice) {
		without := s.load(t, off, job)
		with, samples := benchWatched(t, s, b, job)
		ratios, rss = append(ratios, with.rate()/without.rate()), append(rss, samples...)
		stalled.Answers, stalled.Seconds = stalled.Answers+with.Answers, stalled.Seconds+with.Seconds
	}
	_ = syscall.Kill(broker, syscall.SIGCONT)
	b.drained(t)
	end := b.account(t)
	again := s.load(t, b, job)
	ratio := quantile(ratios[1:], 0.5) // the first fills the memory
	add(fmt.Sprintf("NATS stalled, %.0f s at the maximum: answers/s to capture off", stalled.Seconds), ">= 0.95 x", ratio >= 0.95, "%.2f x (%.0f/s)", ratio, stalled.rate())
	stored, dropped := end.captured-account.captured, end.dropped-account.dropped
	if stored+dropped != float64(stalled.Answers) {
		t.Errorf("stalled: %d answers, %g stored and %g dropped", stalled.Answers, stored, dropped)
	}
	add("the same: accounts", "exact", stored+dropped == float64(stalled.Answers), "%d answers, %g stored, %g dropped", stalled.Answers, stored, dropped)
	benchMemory(rss, add, "the same")
	add("NATS back", "stored again", again.stored > 0, "%.2f %% of %.0f/s stored", 100*again.stored, again.rate())
}

// TestSoakCapture is ten minutes at 70 % of the maximum with a dead NATS.
func TestSoakCapture(t *testing.T) {
	s := newBenchSite(t)
	lines := []string{"what\tmeasured\tgoal\t"}
	add := func(what, goal string, met bool, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s", what, fmt.Sprintf(format, args...), goal, verdict(met)))
	}
	b, _, broker := benchWithBroker(t, s)
	job := benchKinds[0].job
	most := s.load(t, b, job)
	if err := syscall.Kill(broker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	seconds := benchNumber(t, "BENCH_SOAK", 600)
	r, rss := benchWatched(t, s, b, benchJob{Mode: "open", Clients: 64, Size: job.Size, Rate: 0.7 * most.rate(), Seconds: float64(seconds)})
	add(fmt.Sprintf("NATS dead, %.0f/s of 1 kB for %d s", 0.7*most.rate(), seconds), "0 differ, 0 fail", r.Differ+r.Errors == 0, "%d answers, %d differ, %d failed, p50 %.0f µs", r.Answers, r.Differ, r.Errors, r.P50)
	benchMemory(rss, add, "the same")
	add("the same: dropped", "counted", true, "%s", strings.Join(b.reasons(t), ", "))
	benchPrint(lines...)
	if path := os.Getenv("BENCH_RSS"); path != "" {
		writeOver(t, path, strings.Trim(fmt.Sprint(rss), "[]")+"\n")
	}
}

// reasons are the drops so far, by reason.
func (b *benchTarget) reasons(t testing.TB) (list []string) {
	t.Helper()
	for reason, n := range b.metrics(t, "understudy_capture_dropped_total") {
		if n > 0 {
			list = append(list, fmt.Sprintf("%s: %g", reason, n))
		}
	}
	slices.Sort(list)
	return list
}
