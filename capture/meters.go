package capture

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/capture/redact"
	"understudy/capture/spool"
	"understudy/internal/journal"
	"understudy/llm"
)

const (
	outcomeCaptured   = "captured"
	outcomeSampledOut = "sampled_out"
	outcomeExcluded   = "excluded"
	outcomeDropped    = "dropped"
)

// What became of the requests that asked for the usage of their stream.
const (
	usageAsked    = "asked"    // the answer stood
	usageRefused  = "refused"  // the upstream took the request without the question alone
	usageRepeated = "repeated" // it took it neither way
)

// Bounds in seconds: an answer of a language model, one token of a stream, and the proxy's
// own share.
var (
	answerBounds   = [...]float64{0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 20, 30, 60, 120}
	tokenBounds    = [...]float64{0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1}
	overheadBounds = [...]float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1}
)

// maxSubmodules bounds the sub-modules that have metrics of their own: with no
// sub-modules configured their names come from clients.
const maxSubmodules = 64

// meters are the metrics of the proxy. docs/metrics.md explains them.
type meters struct {
	set      *metrics.Set
	overhead *metrics.PrometheusHistogram
	outcomes map[string]*metrics.Counter
	drops    map[string]*metrics.Counter
	usage    map[string]*metrics.Counter
	by       map[string]*metrics.Counter // what excluded requests

	mu         sync.Mutex
	paths      map[string]int64
	submodules map[string]bool
}

func newMeters(set *metrics.Set, c *Capture) *meters {
	m := &meters{
		set: set, outcomes: map[string]*metrics.Counter{}, drops: map[string]*metrics.Counter{}, usage: map[string]*metrics.Counter{}, by: map[string]*metrics.Counter{},
		paths: map[string]int64{}, submodules: map[string]bool{},
		overhead: set.GetOrCreatePrometheusHistogramExt("understudy_capture_overhead_seconds", overheadBounds[:]),
	}
	for _, o := range []string{outcomeCaptured, outcomeSampledOut, outcomeExcluded, outcomeDropped} {
		m.outcomes[o] = set.GetOrCreateCounter(fmt.Sprintf("understudy_capture_requests_total{outcome=%q}", o))
	}
	for _, r := range reasons {
		m.drops[r] = set.GetOrCreateCounter(fmt.Sprintf("understudy_capture_dropped_total{reason=%q}", r))
	}
	for _, by := range exclusions {
		m.by[by] = set.GetOrCreateCounter(fmt.Sprintf("understudy_capture_excluded_total{by=%q}", by))
	}
	m.redacted(&redact.Counts{Spans: map[string]int{redact.KindPointer: 0, redact.KindCredential: 0}})
	for _, kind := range redact.Kinds {
		m.redacted(&redact.Counts{Spans: map[string]int{kind: 0}})
	}
	for _, o := range []string{usageAsked, usageRefused, usageRepeated} {
		m.usage[o] = set.GetOrCreateCounter(fmt.Sprintf("understudy_capture_ask_usage_total{outcome=%q}", o))
	}
	set.GetOrCreateGauge("understudy_capture_inflight", func() float64 { return float64(c.inflight.Load()) })
	set.GetOrCreateGauge("understudy_capture_memory_bytes", func() float64 { return float64(c.budget.used.Load()) })
	set.GetOrCreateGauge("understudy_capture_memory_limit_bytes", func() float64 { return float64(c.budget.limit.Load()) })
	set.GetOrCreateGauge("understudy_capture_pending", func() float64 { return float64(c.ledger.read().Pending) })
	spooled := func(value func(*spool.State) float64) func() float64 {
		return func() float64 {
			if s := c.Spool(); s != nil {
				return value(s)
			}
			return 0
		}
	}
	set.GetOrCreateGauge("understudy_capture_spool_bytes", spooled(func(s *spool.State) float64 { return float64(s.Bytes) }))
	set.GetOrCreateGauge("understudy_capture_spool_records", spooled(func(s *spool.State) float64 { return float64(s.Records) }))
	set.GetOrCreateGauge("understudy_capture_spool_damaged_segments", spooled(func(s *spool.State) float64 { return float64(s.Corrupt) }))
	set.GetOrCreateGauge("understudy_capture_spool_oldest_seconds", spooled(func(s *spool.State) float64 {
		if s.Oldest.IsZero() {
			return 0
		}
		return time.Since(s.Oldest).Seconds()
	}))
	set.GetOrCreateGauge("understudy_capture_queue_age_seconds", func() float64 { return c.queueAge(time.Now()).Seconds() })
	return m
}

// queueAge is how long the oldest recorded exchange waits to be stored.
func (c *Capture) queueAge(now time.Time) time.Duration {
	age := time.Duration(0)
	for _, at := range []time.Time{c.queue.oldest(), c.publisher.oldest()} {
		if !at.IsZero() {
			age = max(age, now.Sub(at))
		}
	}
	return age
}

// outcome counts requests that ended in a bucket.
func (m *meters) outcome(outcome, reason string, n int) {
	m.outcomes[outcome].Add(n)
	if outcome == outcomeDropped {
		m.drops[reason].Add(n)
	}
}

// excluded counts a request of which nothing is recorded, by what excludes it.
func (m *meters) excluded(by string) { m.by[by].Inc() }

// redacted notes what a redactor looked at and replaced.
func (m *meters) redacted(n *redact.Counts) {
	m.set.GetOrCreateCounter("understudy_capture_redact_texts_total").Add(n.Strings)
	m.set.GetOrCreateCounter("understudy_capture_redact_bytes_total").Add(n.Bytes)
	for kind, spans := range n.Spans {
		m.set.GetOrCreateCounter(fmt.Sprintf("understudy_capture_redacted_total{kind=%q}", kind)).Add(spans)
	}
	m.set.GetOrCreateCounter("understudy_capture_media_dropped_total").Add(n.Media)
}

// passed counts a request that is not recorded, by its path group.
func (m *meters) passed(group string) {
	m.set.GetOrCreateCounter(fmt.Sprintf("understudy_capture_passed_total{path=%q}", group)).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paths[group]++
}

func (m *meters) passedByPath() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.paths)
}

// live notes how the live answer did.
func (m *meters) live(e *journal.Exchange) {
	name := m.submodule(e.Submodule)
	if e.Class != llm.ClassOK {
		m.set.GetOrCreateCounter(fmt.Sprintf("understudy_live_errors_total{submodule=%q,class=%q}", name, e.Class)).Inc()
		return
	}
	if e.Aborted || e.ClientSlow {
		return // its time is the client's
	}
	m.set.GetOrCreatePrometheusHistogramExt(fmt.Sprintf("understudy_live_response_seconds{submodule=%q}", name), answerBounds[:]).Update(e.LatencyMS / 1000)
	if e.TTFTMS != nil {
		m.set.GetOrCreatePrometheusHistogramExt(fmt.Sprintf("understudy_live_time_to_first_token_seconds{submodule=%q}", name), answerBounds[:]).Update(*e.TTFTMS / 1000)
	}
	if ms, ok := e.PerTokenMS(); ok {
		m.set.GetOrCreatePrometheusHistogramExt(fmt.Sprintf("understudy_live_time_per_output_token_seconds{submodule=%q}", name), tokenBounds[:]).Update(ms / 1000)
	}
}

func (m *meters) submodule(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.submodules[name] {
		if len(m.submodules) == maxSubmodules {
			return "other"
		}
		m.submodules[name] = true
	}
	return name
}
