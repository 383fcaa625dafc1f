//go:build benchreplay

package replay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/replay"
)

// A benchWatch looks at a count until it reaches a total, and measures the steady
// part in the middle: what comes before is warming up, what comes after running out.
type benchWatch struct {
	job   benchJob
	count func() (int, error)
	r     *benchResult
}

// The steady part's ends, as shares of the whole.
const benchSteadyFrom, benchSteadyTo = 0.15, 0.95

const benchLook = 20 * time.Millisecond

// run blocks until the count is complete.
func (w benchWatch) run(ctx context.Context) error {
	start, total := time.Now(), w.job.Exchanges
	tick := time.NewTicker(benchLook)
	defer tick.Stop()
	var began, ended bool
	var from time.Time
	var cpu, waited time.Duration
	var first int
	for range tick.C {
		n, err := w.count()
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		switch {
		case !began && n >= int(benchSteadyFrom*float64(total)):
			began = true
			if err := w.begin(ctx); err != nil {
				return err
			}
			from, cpu, waited, first = time.Now(), benchCPU(), benchWaited(), n
		case began && !ended && n >= int(benchSteadyTo*float64(total)):
			ended = true
			w.r.Seconds, w.r.CPU, w.r.N = time.Since(from).Seconds(), (benchCPU() - cpu).Seconds(), n-first
			w.r.Waited = (benchWaited() - waited).Seconds()
			if err := w.end(ctx); err != nil {
				return err
			}
		}
		if n >= total {
			w.r.Whole = time.Since(start).Seconds()
			return nil
		}
	}
	return nil
}

func (w benchWatch) begin(ctx context.Context) error {
	if w.job.Profile != "" {
		f, err := os.Create(w.job.Profile + ".cpu")
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			return err
		}
	}
	return benchAsk(ctx, w.job.Sim+"/__mark", &w.r.From)
}

func (w benchWatch) end(ctx context.Context) error {
	if w.job.Profile != "" {
		pprof.StopCPUProfile()
		for _, kind := range []string{"allocs", "heap"} {
			f, err := os.Create(w.job.Profile + "." + kind)
			if err != nil {
				return err
			}
			if err := pprof.Lookup(kind).WriteTo(f, 0); err != nil {
				return err
			}
			_ = f.Close()
		}
	}
	return benchAsk(ctx, w.job.Sim+"/__mark", &w.r.To)
}

// benchWaited is how long the threads of this process stood ready to run and did not.
func benchWaited() (sum time.Duration) {
	tasks, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if f := strings.Fields(string(text)); len(f) == 3 { // ran, waited, slices
			ns, _ := strconv.ParseInt(f[1], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// benchPeak is the process's largest resident memory, in kB.
func benchPeak() (int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		}
	}
	return 0, errors.New("no VmHWM in /proc/self/status")
}

func benchLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func benchJournal(job benchJob) (*journal.Journal, error) {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.Sync, cfg.Listen = job.Dir, job.Sync, job.Listen
	if job.URL != "" {
		cfg.Mode, cfg.URL = "external", job.URL
	}
	return journal.Open(cfg, benchLog())
}

// benchFill stores the backlog.
func benchFill(t *testing.T, job benchJob) (benchResult, error) {
	j, err := benchJournal(job)
	if err != nil {
		return benchResult{}, err
	}
	defer j.Close()
	return benchResult{}, benchPublish(t.Context(), j, job)
}

func benchPublish(ctx context.Context, j *journal.Journal, job benchJob) error {
	var list []*journal.Exchange
	for i := range job.Exchanges {
		e, err := benchExchange(i)
		if err != nil {
			return err
		}
		list = append(list, e)
		if len(list) == job.Batch || i == job.Exchanges-1 {
			if _, err := j.PublishExchanges(ctx, benchSubmodule, list); err != nil {
				return err
			}
			list = nil
		}
	}
	return nil
}

// benchNATS stores the backlog and serves it to other processes.
func benchNATS(t *testing.T, job benchJob) (benchResult, error) {
	j, err := benchJournal(job)
	if err != nil {
		return benchResult{}, err
	}
	defer j.Close()
	if err := benchPublish(t.Context(), j, job); err != nil {
		return benchResult{}, err
	}
	benchSay(t, benchResult{URL: j.URL()})
	benchUntilStdin()
	return benchResult{}, nil
}

func benchEndpoint(job benchJob) (llm.Endpoint, error) {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.Region = "llama-3.3-70b", "bedrock", benchModel, "us-east-1"
	ep.BaseURL, ep.Concurrency = job.Sim, job.Concurrency
	if job.RPM > 0 && !benchSetRPM(&ep, job.RPM) {
		return ep, errors.New("endpoint has no rpm yet")
	}
	return ep, ep.Validate()
}

// benchSetRPM sets the endpoint's limit of requests in a minute; false where this
// build has none.
func benchSetRPM(ep *llm.Endpoint, rpm int) bool {
	f := reflect.ValueOf(ep).Elem().FieldByName("RPM")
	switch {
	case !f.IsValid():
		return false
	case f.CanInt():
		f.SetInt(int64(rpm))
	case f.CanFloat():
		f.SetFloat(float64(rpm))
	default:
		return false
	}
	return true
}

var benchKeys = credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")

// benchCandidate is a candidate on the simulator whose budget never ends.
func benchCandidate(job benchJob) (replay.Candidate, error) {
	ep, err := benchEndpoint(job)
	if err != nil {
		return replay.Candidate{}, err
	}
	client, err := bedrock.NewClient(ep, bedrock.Credentials{Provider: benchKeys}, nil)
	if err != nil {
		return replay.Candidate{}, err
	}
	return replay.Candidate{
		Endpoint: ep, Role: journal.RoleCandidate, Client: client, Rates: llm.NewRates(llm.Price{Input: 0.72, Output: 0.72}),
		Submodules: []string{benchSubmodule}, Wants: func(s string) bool { return s == benchSubmodule },
	}, nil
}

// benchStage runs the replay stage until every exchange has its trial stored, or for
// the job's seconds.
func benchStage(t *testing.T, job benchJob) (r benchResult, err error) {
	j, err := benchJournal(job)
	if err != nil {
		return r, err
	}
	defer j.Close()
	if err := j.WaitReady(t.Context()); err != nil { // of a NATS elsewhere
		return r, err
	}
	c, err := benchCandidate(job)
	if err != nil {
		return r, err
	}
	cfg := replay.DefaultConfig()
	cfg.DailyUSD = 1e6
	live := llm.NewRates(llm.Price{Input: 10, Output: 30})
	stage := replay.New(cfg, j, []replay.Candidate{c}, func(string) (llm.Rates, bool) { return live, true }, job.Instance, benchLog(), metrics.NewSet())
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- stage.Run(ctx) }()
	if job.Seconds > 0 {
		select {
		case <-time.After(time.Duration(job.Seconds) * time.Second):
		case err := <-done:
			return r, err
		}
	} else if err := (benchWatch{job, func() (int, error) {
		n, err := j.LastSeq(ctx, journal.StreamTrials)
		return int(n), err
	}, &r}).run(ctx); err != nil {
		return r, err
	}
	cancel()
	if err := <-done; err != nil {
		return r, err
	}
	if r.PeakKB, err = benchPeak(); err != nil || job.Seconds > 0 {
		return r, err
	}
	return r, benchSum(t.Context(), j, &r)
}

// benchSum adds up what the stored trials hold.
func benchSum(ctx context.Context, j *journal.Journal, r *benchResult) error {
	return j.Read(ctx, journal.StreamTrials, nil, func(m *journal.Message) error {
		var tr journal.Trial
		if err := m.Decode(&tr); err != nil {
			return err
		}
		r.Text += len(tr.Text)
		if tr.Disposition != journal.Tried || tr.Class != llm.ClassOK {
			r.Failed++
		}
		return nil
	})
}

// benchBare is what the stage is compared with: the SDK alone in a loop, which reads
// every event and stores nothing.
func benchBare(t *testing.T, job benchJob) (r benchResult, err error) {
	client := bedrockruntime.New(bedrockruntime.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(job.Sim), Credentials: benchKeys, Retryer: aws.NopRetryer{},
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.MaxIdleConnsPerHost = job.Concurrency }),
	})
	inputs := make([]*bedrockruntime.ConverseStreamInput, job.Exchanges)
	for i := range inputs {
		inputs[i] = benchChatOf(i).input()
	}
	var next, done, text, failed atomic.Int64
	var wg sync.WaitGroup
	for range job.Concurrency {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(inputs)); i = next.Add(1) - 1 {
				n, err := benchConverse(t.Context(), client, inputs[i])
				if err != nil {
					failed.Add(1)
					fmt.Fprintln(os.Stderr, "bare call:", err)
				}
				text.Add(int64(n))
				done.Add(1)
			}
		})
	}
	err = benchWatch{job, func() (int, error) { return int(done.Load()), nil }, &r}.run(t.Context())
	wg.Wait()
	r.Text, r.Failed = int(text.Load()), int(failed.Load())
	return r, err
}

// benchConverse makes one call and gives the length of the answer's text.
func benchConverse(ctx context.Context, client *bedrockruntime.Client, in *bedrockruntime.ConverseStreamInput) (n int, err error) {
	out, err := client.ConverseStream(ctx, in)
	if err != nil {
		return 0, err
	}
	stream, whole := out.GetStream(), false
	for e := range stream.Events() {
		switch e := e.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			if d, ok := e.Value.Delta.(*types.ContentBlockDeltaMemberText); ok {
				n += len(d.Value)
			}
		case *types.ConverseStreamOutputMemberMessageStop:
			whole = true
		}
	}
	err = errors.Join(stream.Err(), stream.Close())
	if err == nil && !whole {
		err = errors.New("the stream ended early")
	}
	return n, err
}
