//go:build benchreplay

// How fast the replay stage is, as ratios of one run: make bench-replay. Every side is a
// process of its own, the simulated Bedrock on core 0, what is measured on core 1 with
// GOMAXPROCS=1. The stage is used as cmd/understudy uses it, through what the packages
// export. BENCH_PROFILE=DIR writes profiles of longer runs there.
package replay_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

const (
	benchCalls       = 3000 // of one run against a simulator without latency
	benchConcurrency = 32
	benchRounds      = 5
	benchBatch       = 64 // records in a message, as captured under load

	benchSimCore, benchStageCore = 0, 1
)

// A benchTable is what the run found, a line for each figure.
type benchTable struct {
	lines []string
}

// note adds a figure without a goal.
func (b *benchTable) note(what, format string, args ...any) {
	b.lines = append(b.lines, fmt.Sprintf("%s\t%s\t\t", what, fmt.Sprintf(format, args...)))
}

// goal adds a figure that has one; missing it fails the test.
func (b *benchTable) goal(t *testing.T, met bool, what, goal, format string, args ...any) {
	t.Helper()
	verdict, measured := "met", fmt.Sprintf(format, args...)
	if !met {
		verdict = "MISSED"
		t.Errorf("%s: %s; the goal is %s", what, measured, goal)
	}
	b.lines = append(b.lines, strings.Join([]string{what, measured, goal, verdict}, "\t"))
}

func (b *benchTable) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nwhat\tmeasured\tgoal\t")
	for _, line := range b.lines {
		fmt.Fprintln(w, line)
	}
	_ = w.Flush()
}

// benchMedian is the median of what of gives for each round.
func benchMedian[T any](rounds []T, of func(T) float64) float64 {
	var v []float64
	for _, r := range rounds {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func TestBenchReplay(t *testing.T) {
	b := &benchTable{}
	defer b.print()
	if !benchPinned() {
		b.note("cores", "taskset or a second core is missing: nothing is pinned, and the ratios mean little")
	}
	t.Run("throughput", func(t *testing.T) { benchThroughput(t, b) })
	t.Run("busy", func(t *testing.T) { benchBusy(t, b) })
	t.Run("backlog", func(t *testing.T) { benchBacklog(t, b) })
	t.Run("rate", func(t *testing.T) { benchRate(t, b) })
}

// A benchKind is a way to run the stage.
type benchKind struct {
	sync  string
	batch int
}

var benchKinds = []benchKind{{"interval", benchBatch}, {"interval", 1}, {"always", benchBatch}, {"always", 1}}

func (k benchKind) String() string {
	if k.batch == 1 {
		return fmt.Sprintf("sync %q, 1 record a message", k.sync)
	}
	return fmt.Sprintf("sync %q, %d records a message", k.sync, k.batch)
}

// benchReplayed stores a backlog and runs the stage over it, each in a process.
func benchReplayed(t *testing.T, k benchKind, job benchJob) benchResult {
	t.Helper()
	job.Dir, job.Sync, job.Batch, job.Instance = t.TempDir(), "interval", k.batch, "bench"
	job.Role = "fill"
	benchRun(t, benchStageCore, job)
	benchReset(t, job.Sim)
	job.Role, job.Sync = "stage", k.sync
	r := benchRun(t, benchStageCore, job)
	if r.Failed > 0 {
		t.Errorf("%s: %d of %d trials failed", k, r.Failed, job.Exchanges)
	}
	return r
}

// benchReset makes the simulator answer a request as if it had never seen it.
func benchReset(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Post(url+"/__reset", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func (r benchResult) rate() float64 { return float64(r.N) / r.Seconds }

// cost is the processor time of a call, in µs.
func (r benchResult) cost() float64 { return r.CPU / float64(r.N) * 1e6 }

// simLoad is how much of its core the simulator used.
func (r benchResult) simLoad() float64 {
	return float64(r.To.CPU-r.From.CPU) / float64(r.To.At-r.From.At)
}

// A benchRound is the bare loop and the stage in each of its kinds, one after the other.
type benchRound struct {
	bare  benchResult
	stage map[benchKind]benchResult
}

func benchOneRound(t *testing.T, url string, kinds []benchKind) benchRound {
	t.Helper()
	job := benchJob{Role: "bare", Sim: url, Exchanges: benchCalls, Concurrency: benchConcurrency}
	benchReset(t, url)
	round := benchRound{bare: benchRun(t, benchStageCore, job), stage: map[benchKind]benchResult{}}
	if n := round.bare.Failed; n > benchCalls/100 {
		t.Errorf("%d of %d bare calls failed", n, benchCalls)
	}
	for _, k := range kinds {
		round.stage[k] = benchReplayed(t, k, job)
		// The bare SDK now and then breaks a connection under a stream.
		if got, want := round.stage[k].Text, round.bare.Text; got != want && round.bare.Failed == 0 {
			t.Errorf("%s: the answers have %d bytes of text, those of the bare loop %d: not the same calls", k, got, want)
		}
	}
	return round
}

// benchThroughput is the stage against the bare loop, with a simulator that plays its
// answers and so costs little, and with the simulator as it is, which is busier than the
// bare loop and holds it back.
func benchThroughput(t *testing.T, b *benchTable) {
	played := benchServe(t, benchSimCore, benchJob{Role: "sim", Played: true})
	plain := benchServe(t, benchSimCore, benchJob{Role: "sim"})
	benchRun(t, benchStageCore, benchJob{Role: "bare", Sim: played, Exchanges: benchCalls, Concurrency: benchConcurrency}) // the first take
	var fast, slow []benchRound
	batches := []benchKind{{"interval", benchBatch}, {"always", benchBatch}}
	for i := range benchRounds {
		if i%2 == 1 {
			fast = append(fast, benchOneRound(t, played, batches))
			continue
		}
		fast = append(fast, benchOneRound(t, played, benchKinds))
		slow = append(slow, benchOneRound(t, plain, batches))
	}
	benchCompare(t, b, "recorded answers", fast)
	benchCompare(t, b, "simulator", slow)
	benchProfiles(t, played)
}

const benchThroughputGoal = 0.8

func benchCompare(t *testing.T, b *benchTable, sim string, rounds []benchRound) {
	b.note("throughput, "+sim+": bare loop", "%.0f calls/s, %.0f µs CPU each, simulator's core %.0f %% busy; the loop waited %.0f %% of the time for its own",
		benchMedian(rounds, func(r benchRound) float64 { return r.bare.rate() }),
		benchMedian(rounds, func(r benchRound) float64 { return r.bare.cost() }),
		benchMedian(rounds, func(r benchRound) float64 { return 100 * r.bare.simLoad() }),
		benchMedian(rounds, func(r benchRound) float64 { return 100 * r.bare.Waited / r.bare.Seconds }))
	for _, k := range benchKinds {
		var with []benchRound
		for _, r := range rounds {
			if _, ok := r.stage[k]; ok {
				with = append(with, r)
			}
		}
		if len(with) == 0 {
			continue
		}
		ratio := benchMedian(with, func(r benchRound) float64 { return r.stage[k].rate() / r.bare.rate() })
		cpu := benchMedian(with, func(r benchRound) float64 { return r.stage[k].cost() })
		waited := benchMedian(with, func(r benchRound) float64 { return 100 * r.stage[k].Waited / r.stage[k].Seconds })
		what := "throughput, " + sim + ": " + k.String()
		if k.batch == 1 {
			b.note(what, "%.2f x bare, %.0f µs CPU each, waited %.0f %%", ratio, cpu, waited)
			continue
		}
		b.goal(t, ratio >= benchThroughputGoal, what, fmt.Sprintf(">= %.2f", benchThroughputGoal), "%.2f x bare, %.0f µs CPU each, waited %.0f %%", ratio, cpu, waited)
	}
}

// benchProfiles writes profiles of longer runs, where they are asked for.
func benchProfiles(t *testing.T, url string) {
	dir := os.Getenv("BENCH_PROFILE")
	if dir == "" {
		return
	}
	job := benchJob{Role: "bare", Sim: url, Exchanges: 20_000, Concurrency: benchConcurrency}
	benchRun(t, benchStageCore, job) // the first take
	job.Profile = filepath.Join(dir, "bare")
	benchRun(t, benchStageCore, job)
	for _, k := range benchKinds {
		job.Profile = filepath.Join(dir, fmt.Sprintf("stage-%s-%d", k.sync, k.batch))
		benchReplayed(t, k, job)
	}
}

// benchBusy is the share of the allowed concurrency that has a call in flight.
func benchBusy(t *testing.T, b *benchTable) {
	const latency, concurrency, seconds, goal = 200, 64, 10, 0.99
	url := benchServe(t, benchSimCore, benchJob{Role: "sim", LatencyMS: latency})
	for _, k := range benchKinds {
		r := benchReplayed(t, k, benchJob{Sim: url, Exchanges: concurrency * seconds * 1000 / latency, Concurrency: concurrency})
		could := float64(concurrency) * float64(r.To.At-r.From.At)
		busy := float64(r.To.Flight-r.From.Flight) / could
		asleep := float64(r.To.Calls-r.From.Calls) * float64(latency*time.Millisecond) / could
		b.goal(t, busy >= goal, fmt.Sprintf("busy of %d slots at %d ms, %s", concurrency, latency, k), fmt.Sprintf(">= %.0f %%", 100*goal),
			"%.1f %% (calls x %d ms: %.1f %%)", 100*busy, latency, 100*asleep)
	}
}

// benchBacklog is what ten times the work costs.
func benchBacklog(t *testing.T, b *benchTable) {
	const timeGoal, memoryGoal = 10.5, 1.1
	url := benchServe(t, benchSimCore, benchJob{Role: "sim", Played: true})
	job := benchJob{Role: "bare", Sim: url, Exchanges: 10 * benchCalls, Concurrency: benchConcurrency}
	benchRun(t, benchStageCore, job) // the first take
	type pair struct{ one, ten benchResult }
	var rounds []pair
	for range 3 {
		var p pair
		job.Exchanges = benchCalls
		p.one = benchReplayed(t, benchKinds[0], job)
		job.Exchanges = 10 * benchCalls
		p.ten = benchReplayed(t, benchKinds[0], job)
		rounds = append(rounds, p)
	}
	what := fmt.Sprintf("backlog of %d / %d, %s: ", 10*benchCalls, benchCalls, benchKinds[0])
	times := benchMedian(rounds, func(p pair) float64 { return p.ten.Whole / p.one.Whole })
	one, ten := benchApart(t, job, benchCalls), benchApart(t, job, 10*benchCalls)
	memory := float64(ten.PeakKB) / float64(one.PeakKB)
	b.goal(t, times <= timeGoal, what+"time", fmt.Sprintf("<= %.1f", timeGoal), "%.2f x; CPU of one trial %.2f x", times,
		benchMedian(rounds, func(p pair) float64 { return p.ten.cost() / p.one.cost() }))
	b.goal(t, memory <= memoryGoal, what+"peak memory, NATS elsewhere", fmt.Sprintf("<= %.1f", memoryGoal), "%.2f x (VmHWM %.0f and %.0f MiB)", memory,
		float64(ten.PeakKB)/1024, float64(one.PeakKB)/1024)
	b.note(what+"peak memory, embedded NATS", "%.2f x (VmHWM %.0f and %.0f MiB): the server's indexes of the trials are in it",
		benchMedian(rounds, func(p pair) float64 { return float64(p.ten.PeakKB) / float64(p.one.PeakKB) }),
		benchMedian(rounds, func(p pair) float64 { return float64(p.ten.PeakKB) / 1024 }), benchMedian(rounds, func(p pair) float64 { return float64(p.one.PeakKB) / 1024 }))
}

// benchApart works a backlog off whose NATS is a process of its own, so that the memory
// is the stage's alone.
func benchApart(t *testing.T, job benchJob, exchanges int) benchResult {
	t.Helper()
	benchReset(t, job.Sim)
	job.Role, job.Dir, job.Sync, job.Instance, job.Exchanges = "stage", t.TempDir(), "interval", "apart", exchanges
	job.URL = benchServe(t, benchSimCore, benchJob{
		Role: "nats", Dir: t.TempDir(), Sync: "interval", Listen: benchFreeAddress(t), Exchanges: exchanges, Batch: benchBatch,
	})
	return benchRun(t, benchStageCore, job)
}
