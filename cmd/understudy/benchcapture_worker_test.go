//go:build benchcapture

package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A benchJob is what one process of the benchmark does. Load, upstream and sink have
// core 0, what is measured has core 1.
type benchJob struct {
	Role string
	// URL is where load goes to, or what a proxy stands before, as host:port.
	URL string
	// Mode of load is "closed" (Clients one after the other), "open" (Rate a second from
	// Clients connections) or "streams" (Clients streams at once).
	Mode    string
	Clients int
	Rate    float64
	Seconds float64
	// Answers ends a closed loop, where it is set, in place of Seconds.
	Answers int64
	// Size of the request bodies in bytes, and First the number of the first request.
	Size  int
	First int64
	// Args are those of understudy, whose profiles go to Profile.
	Args    []string
	Profile string
}

// A benchResult is what a process says at its end, or, where it serves, at its start.
type benchResult struct {
	Error string
	URL   string
	// Answers came whole and as they should; Differ came otherwise, Errors not at all.
	Answers, Differ, Errors int64
	// FirstError says what the first of those was.
	FirstError string
	Seconds    float64
	// P50 and P99 are latencies in µs, of an open loop from the intended time; of
	// streams First is to the first byte and P50, P99 are one-way delays of the events.
	P50, P99, First float64
}

func (r benchResult) rate() float64 { return float64(r.Answers) / r.Seconds }

const (
	benchEnv                   = "UNDERSTUDY_BENCH_CAPTURE"
	benchLoadCore, benchMyCore = 0, 1
)

var benchRoles = map[string]func(*testing.T, benchJob) (benchResult, error){
	"upstream": benchUpstream, "sink": benchSink, "load": benchLoad, "bare": benchBare, "ours": benchOurs,
}

// TestBenchCaptureWorker is one process of the benchmark, and no test by itself.
func TestBenchCaptureWorker(t *testing.T) {
	var job benchJob
	if err := json.Unmarshal([]byte(os.Getenv(benchEnv)), &job); err != nil {
		t.Skip("runs inside TestBenchCapture only")
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

// benchPinned tells whether processes can have a core each.
func benchPinned() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && runtime.NumCPU() > 1
}

// benchCommand is a command on one core.
func benchCommand(cpu int, args ...string) *exec.Cmd {
	if benchPinned() {
		args = append([]string{"taskset", "-c", strconv.Itoa(cpu)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	return cmd
}

// A benchProcess is a running worker.
type benchProcess struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	result *json.Decoder
	pipe   *os.File
}

// benchStart starts a worker on one core.
func benchStart(t testing.TB, cpu int, job benchJob) *benchProcess {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := benchCommand(cpu, os.Args[0], "-test.run=^TestBenchCaptureWorker$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), benchEnv+"="+string(text))
	cmd.ExtraFiles = []*os.File{write}
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
func (p *benchProcess) next(t testing.TB) benchResult {
	t.Helper()
	var r benchResult
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
func (p *benchProcess) end(t testing.TB) {
	t.Helper()
	_ = p.stdin.Close()
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	late.Stop()
	_ = p.pipe.Close()
	if err != nil {
		t.Errorf("a process of the benchmark: %v", err)
	}
}

// benchRun runs a load to its end.
func benchRun(t testing.TB, job benchJob) benchResult {
	t.Helper()
	job.Role = "load"
	p := benchStart(t, benchLoadCore, job)
	defer p.end(t)
	return p.next(t)
}

// benchServe starts a worker that serves until the test ends, and gives its address.
func benchServe(t testing.TB, cpu int, job benchJob) (url string, pid int) {
	t.Helper()
	p := benchStart(t, cpu, job)
	t.Cleanup(func() { p.end(t) })
	return p.next(t).URL, p.cmd.Process.Pid
}

// benchOurs runs understudy in this process, so that it can be profiled, until it is
// let go of.
func benchOurs(t *testing.T, job benchJob) (benchResult, error) {
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { command(ctx, job.Args, io.Discard, os.Stderr) })
	benchSay(t, benchResult{URL: job.URL})
	err := benchProfile(job.Profile)
	cancel()
	ended.Wait()
	return benchResult{}, err
}
