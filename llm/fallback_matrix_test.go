//go:build fallback

package llm_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"understudy/llm"
	"understudy/llm/sim"
)

const (
	matrixRequests    = 20_000
	matrixConcurrency = 64
)

// matrixChain is impatient, so that a run does not take hours; the default is slower by
// the same factor throughout.
func matrixChain() llm.ChainConfig {
	return llm.ChainConfig{Deadline: 30 * time.Second, FirstContent: 500 * time.Millisecond,
		Breaker: llm.BreakerConfig{Window: 10 * time.Second, MinCalls: 20, FailureRate: 0.5, SlowRate: 0.8, SlowAfter: 400 * time.Millisecond, OpenFor: time.Second, Probes: 2}}
}

// A matrixCase breaks the candidate, its other region, or the baseline.
type matrixCase struct {
	name                        string
	candidate, region, baseline []sim.Fault
	otherRegion                 bool
	// late tells that the candidate fails after it has been seen, so that what it
	// broke is lost: as many as the breaker lets through.
	late bool
}

var matrix = []matrixCase{
	{name: "candidate healthy"},
	{name: "candidate fails 100 %", candidate: []sim.Fault{{Kind: sim.FaultServerError}}},
	{name: "candidate fails 50 %", candidate: []sim.Fault{{Kind: sim.FaultServerError, Rate: 0.5}}},
	{name: "stalls before first content", candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: forever}}},
	{name: "stalls after first content", candidate: []sim.Fault{{Kind: sim.FaultStallMid, ForMS: forever}}, late: true},
	{name: "cuts its answers", candidate: []sim.Fault{{Kind: sim.FaultCut}}, late: true},
	{name: "throttles", candidate: []sim.Fault{{Kind: sim.FaultThrottle}}},
	{name: "its region is down", candidate: []sim.Fault{{Kind: sim.FaultUnavailable}}, otherRegion: true},
	{name: "both its regions are down", candidate: []sim.Fault{{Kind: sim.FaultUnavailable}}, region: []sim.Fault{{Kind: sim.FaultUnavailable}}, otherRegion: true},
	{name: "candidate and baseline are down", candidate: []sim.Fault{{Kind: sim.FaultServerError}}, baseline: []sim.Fault{{Kind: sim.FaultServerError}}},
}

// An answered is what the callers of one run saw, request by request.
type answered struct {
	texts []string
	ok    []bool
	times []time.Duration
	took  time.Duration
}

func (a *answered) succeeded() (n int) {
	for _, ok := range a.ok {
		if ok {
			n++
		}
	}
	return n
}

func (a *answered) quantile(p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(a.times))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func (a *answered) mean() time.Duration {
	var sum time.Duration
	for _, t := range a.times {
		sum += t
	}
	return sum / time.Duration(len(a.times))
}

// ownFailures is the share at which the baseline fails by itself.
const ownFailures = 0.01

// side starts a simulator and its client. The same seed draws the same answers and
// failures for the same requests in every run.
func side(t *testing.T, sp spoke, mean time.Duration, faults []sim.Fault) llm.Client {
	t.Helper()
	p := sim.DefaultPersona()
	p.LatencyMean, p.OutputTokens = mean, 20
	server := must(sim.New(sim.Config{Kind: sp.kind, Seed: 7, Faults: faults, Personas: map[string]sim.Persona{"*": p}}))(t)
	if err := server.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2 * matrixConcurrency}
	t.Cleanup(func() { transport.CloseIdleConnections(); _ = server.Close() })
	ep := patient()
	ep.Model, ep.StallTimeout, ep.Concurrency = sp.model, 500*time.Millisecond, matrixConcurrency
	return must(sp.client(ep, server.URL(), &http.Client{Transport: transport}))(t)
}

func baselineFaults(more []sim.Fault) []sim.Fault {
	return append(slices.Clone(more), sim.Fault{Kind: sim.FaultServerError, Rate: ownFailures})
}

// askAll puts every request to a client, as an application that streams does.
func askAll(t *testing.T, client llm.Client) *answered {
	t.Helper()
	a := &answered{texts: make([]string, matrixRequests), ok: make([]bool, matrixRequests), times: make([]time.Duration, matrixRequests)}
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range matrixConcurrency {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= matrixRequests {
					return
				}
				var seen strings.Builder
				finished := false
				began := time.Now()
				call, err := client.Prepare(&llm.Request{Stream: true, Messages: []llm.Message{{Role: llm.RoleUser,
					Parts: []llm.Part{{Kind: llm.PartText, Text: fmt.Sprintf("Question %d: what should a candidate know?", i)}}}}})
				if err != nil {
					t.Error(err)
					return
				}
				call.Emit = func(e llm.Event) {
					if e.Kind == llm.EventText {
						seen.WriteString(e.Text)
					}
					finished = finished || e.Kind == llm.EventFinish
				}
				resp, err := client.Do(t.Context(), call)
				a.times[i] = time.Since(began)
				if a.ok[i] = err == nil; a.ok[i] != finished || a.ok[i] && resp.Text != seen.String() {
					t.Errorf("request %d: err %v, finish seen %t", i, err, finished)
				}
				a.texts[i] = seen.String()
			}
		})
	}
	wg.Wait()
	a.took = time.Since(start)
	return a
}

// TestFallbackMatrix: what a client sees of a chain is never worse than the baseline
// alone, but for the answers that the candidate began and broke while its breaker was
// closed; and never two models in one answer.
func TestFallbackMatrix(t *testing.T) {
	const candidateMean, baselineMean = 6 * time.Millisecond, 12 * time.Millisecond
	alone := askAll(t, side(t, spokes[0], baselineMean, baselineFaults(nil)))
	theirs := askAll(t, side(t, spokes[2], candidateMean, nil))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d requests each, %d at once; the baseline alone fails %d\n", matrixRequests, matrixConcurrency, matrixRequests-alone.succeeded())
	fmt.Fprintln(w, "CASE\tANSWERED\tBASELINE'S OWN\tLOST\tSPLICED\tMEAN\tP50\tP99\tMEAN ÷ BASELINE'S\tACTIVATIONS")
	row := func(name string, a *answered, lost, spliced int, counts string) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%.2f\t%s\n", name, a.succeeded(), alone.succeeded(), lost, spliced,
			a.mean().Round(100*time.Microsecond), a.quantile(0.5).Round(100*time.Microsecond), a.quantile(0.99).Round(100*time.Microsecond),
			float64(a.mean())/float64(alone.mean()), counts)
	}
	row("the baseline alone", alone, 0, 0, "-")
	for _, c := range matrix {
		links := []llm.Link{
			{Name: "candidate", Client: side(t, spokes[2], candidateMean, c.candidate)},
			{Name: "baseline", Client: side(t, spokes[0], baselineMean, baselineFaults(c.baseline))},
		}
		if c.otherRegion {
			links[0].Region = side(t, spokes[2], candidateMean, c.region)
		}
		chain := must(llm.NewChain(links, matrixChain()))(t)
		got := askAll(t, chain)
		lost, spliced := 0, 0
		for i, ok := range got.ok {
			text := got.texts[i]
			whole := text == alone.texts[i] || text == theirs.texts[i]
			part := strings.HasPrefix(alone.texts[i], text) || strings.HasPrefix(theirs.texts[i], text)
			if alone.texts[i] == "" && ok && text != theirs.texts[i] || ok && !whole || !ok && !part {
				spliced++
			}
			if !ok && alone.ok[i] {
				lost++
			}
		}
		row(c.name, got, lost, spliced, counts(chain))
		down := len(c.baseline) > 0
		// While the breaker is closed it lets through what fills its window and what is
		// under way, then its probes once in every OpenFor.
		most := 0
		if c.late {
			cfg := matrixChain().Breaker
			most = cfg.MinCalls + matrixConcurrency + (cfg.Probes+matrixConcurrency/8)*(1+int(got.took/cfg.OpenFor))
		}
		switch {
		case spliced > 0:
			t.Errorf("%s: %d answers are of two models", c.name, spliced)
		case down && got.succeeded() > 0:
			t.Errorf("%s: %d answers from nobody", c.name, got.succeeded())
		case !down && lost > most:
			t.Errorf("%s: %d answers lost that the baseline gives, at most %d may be", c.name, lost, most)
		}
	}
	w.Flush()
}

func counts(c *llm.Chain) string {
	var out []string
	for a, n := range c.Counts() {
		out = append(out, fmt.Sprintf("%s→%s %s %d", a.From, a.To, a.Reason, n))
	}
	slices.Sort(out)
	if out == nil {
		return "none"
	}
	return strings.Join(out, ", ")
}
