//go:build benchreplay

package replay_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A benchJob is what one process of the benchmark does. Every side that is measured
// runs in a process of its own, alone on its core.
type benchJob struct {
	Role string
	// Dir is the state directory, Sync as in [nats], URL of a NATS elsewhere, Listen
	// the address of the embedded one.
	Dir, Sync, URL, Listen string
	// Sim is the address of the simulator. It answers after LatencyMS, or, where
	// Played, with what it answered to the same request before.
	Sim       string
	LatencyMS int
	Played    bool
	// Exchanges is the backlog, Batch how many records a message holds.
	Exchanges, Batch int
	Concurrency      int
	// RPM is the endpoint's limit; with Seconds the stage ends after that time,
	// else when the backlog is done.
	RPM, Seconds int
	Instance     string
	// Profile is where profiles of the steady part go, "" for none.
	Profile string
}

// A benchResult is what a process says at its end, or, where it serves, at its start.
type benchResult struct {
	Error string
	// URL is where a serving process listens.
	URL string
	// Whole is the time from the start of the work to its end, in seconds; N the
	// number of calls in the steady part, Seconds and CPU its time and the processor
	// time of the process, Waited how long it waited for its core, which others had.
	Whole                float64
	N                    int
	Seconds, CPU, Waited float64
	// Text is the number of bytes of all answers, Failed the number of calls that failed.
	Text, Failed int
	// PeakKB is the process's largest resident memory (VmHWM).
	PeakKB int
	// From and To are the simulator's own figures at the ends of the steady part.
	From, To benchMark
}

const benchEnv = "UNDERSTUDY_BENCH_REPLAY"

var benchRoles = map[string]func(*testing.T, benchJob) (benchResult, error){
	"sim": benchSimulator, "fill": benchFill, "stage": benchStage, "bare": benchBare, "nats": benchNATS,
}

// TestBenchReplayWorker is one process of the benchmark, and no test by itself.
func TestBenchReplayWorker(t *testing.T) {
	var job benchJob
	if err := json.Unmarshal([]byte(os.Getenv(benchEnv)), &job); err != nil {
		t.Skip("runs inside TestBenchReplay only")
	}
	result, err := benchRoles[job.Role](t, job)
	if err != nil {
		result.Error = err.Error()
	}
	benchSay(t, result)
}

// benchPipe is the way to the process that waits for a result.
var benchPipe = sync.OnceValue(func() *os.File { return os.NewFile(3, "result") })

// benchSay sends a result there.
func benchSay(t *testing.T, result benchResult) {
	if err := json.NewEncoder(benchPipe()).Encode(result); err != nil {
		t.Fatal(err)
	}
}

// benchUntilStdin blocks until whoever started this process lets go of it.
func benchUntilStdin() { _, _ = io.Copy(io.Discard, os.Stdin) }

// A benchProcess is a running worker.
type benchProcess struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	result *json.Decoder
	pipe   *os.File
}

// benchPinned tells whether processes can have a core each.
func benchPinned() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && runtime.NumCPU() > 1
}

// benchStart starts a worker on one core.
func benchStart(t *testing.T, cpu int, job benchJob) *benchProcess {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{os.Args[0], "-test.run=^TestBenchReplayWorker$", "-test.timeout=0"}
	if benchPinned() {
		args = append([]string{"taskset", "-c", strconv.Itoa(cpu)}, args...)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), benchEnv+"="+string(text), "GOMAXPROCS=1")
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{write}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	return &benchProcess{cmd: cmd, stdin: stdin, result: json.NewDecoder(read), pipe: read}
}

// next waits for the worker's next result.
func (p *benchProcess) next(t *testing.T) benchResult {
	t.Helper()
	var r benchResult
	_ = p.pipe.SetReadDeadline(time.Now().Add(4 * time.Minute))
	if err := p.result.Decode(&r); err != nil {
		_ = p.cmd.Process.Kill()
		t.Fatalf("a process of the benchmark ended without a result: %v", err)
	}
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	return r
}

// end lets a worker go and waits for its end.
func (p *benchProcess) end(t *testing.T) {
	t.Helper()
	_ = p.stdin.Close()
	err := p.cmd.Wait()
	_ = p.pipe.Close()
	if err != nil {
		t.Error(fmt.Errorf("a process of the benchmark: %w", err))
	}
}

// benchRun runs a worker to its end.
func benchRun(t *testing.T, cpu int, job benchJob) benchResult {
	t.Helper()
	p := benchStart(t, cpu, job)
	defer p.end(t)
	return p.next(t)
}

// benchServe starts a worker that serves until the test ends, and gives its address.
func benchServe(t *testing.T, cpu int, job benchJob) string {
	t.Helper()
	p := benchStart(t, cpu, job)
	t.Cleanup(func() { p.end(t) })
	return p.next(t).URL
}
