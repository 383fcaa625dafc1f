package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"understudy/internal/journal"
)

// A cluster is three nats-server processes that are one JetStream, with the shipped
// configuration.
type cluster struct {
	t       testing.TB
	seeds   seeds
	brokers []*broker
	js      jetstream.JetStream
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	keys, conf := newSeeds(t)
	c := &cluster{t: t, seeds: keys}
	var clients, routes []string
	for range 3 {
		clients, routes = append(clients, steadyPort(t)), append(routes, steadyPort(t))
	}
	for i, addr := range clients {
		host := fmt.Sprintf("ROUTE_LISTEN: %q\nROUTES: [ \"nats://%s\" ]\n", routes[i], strings.Join(routes, `", "nats://`))
		c.brokers = append(c.brokers, shippedBroker(t, "cluster.conf", fmt.Sprint("nats-", i+1), addr, host, conf))
	}
	c.js = keys.dial(t, c.urls(), "owner")
	eventually(t, 30*time.Second, "the cluster has a leader", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.js.AccountInfo(ctx)
		return err == nil
	})
	return c
}

func (c *cluster) urls() string {
	var urls []string
	for _, b := range c.brokers {
		urls = append(urls, b.url())
	}
	return strings.Join(urls, ",")
}

// leader is the server that leads a stream.
func (c *cluster) leader(stream string) *broker {
	c.t.Helper()
	var b *broker
	eventually(c.t, 20*time.Second, stream+" has a leader", func() bool {
		info, err := c.info(stream)
		if err != nil || info.Cluster == nil {
			return false
		}
		i := slices.IndexFunc(c.brokers, func(b *broker) bool { return b.name == info.Cluster.Leader })
		if i >= 0 {
			b = c.brokers[i]
		}
		return i >= 0
	})
	return b
}

func (c *cluster) info(stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// whole waits until every stream, bucket and store has three replicas that are current.
func (c *cluster) whole() {
	c.t.Helper()
	eventually(c.t, 60*time.Second, "all streams have three current replicas", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		n := 0
		names := c.js.StreamNames(ctx)
		for name := range names.Name() {
			if info, err := c.info(name); err != nil || !current(info) {
				return false
			}
			n++
		}
		return names.Err() == nil && n >= 11
	})
}

// current tells whether a stream has a leader and two followers that are up to date.
func current(info *jetstream.StreamInfo) bool {
	if info.Config.Replicas != 3 || info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
		return false
	}
	return !slices.ContainsFunc(info.Cluster.Replicas, func(r *jetstream.PeerInfo) bool { return !r.Current || r.Offline })
}

// A stopwatch measures how long no exchange is acknowledged: it reads the proxy's own
// counter of captured requests, which counts acknowledgements.
type stopwatch struct {
	mu      sync.Mutex
	last    time.Time
	count   int
	longest time.Duration
}

var capturedLine = regexp.MustCompile(`(?m)^understudy_capture_requests_total\{outcome="captured"\} (\d+)$`)

func (w *stopwatch) run(ctx context.Context, admin string) {
	for ctx.Err() == nil {
		if n := capturedNow(admin); n >= 0 {
			w.mu.Lock()
			if now := time.Now(); n > w.count {
				if w.count > 0 {
					w.longest = max(w.longest, now.Sub(w.last))
				}
				w.count, w.last = n, now
			}
			w.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// capturedNow is below 0 where the process does not answer.
func capturedNow(admin string) int {
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	m := capturedLine.FindSubmatch(b)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// lap gives the longest wait since the last lap, and how many are acknowledged.
func (w *stopwatch) lap() (longest time.Duration, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	longest, w.longest = w.longest, 0
	return longest, w.count
}

func (w *stopwatch) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// A load sends requests at a steady pace until it is told that it may end.
type load struct {
	mu     sync.Mutex
	sent   []string
	failed []error
	n      atomic.Int64
}

func (l *load) run(ctx context.Context, s *split, workers int, pace time.Duration, least int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, workers)
	for i := 0; i < least || ctx.Err() == nil; i++ {
		<-tick.C
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			text := fmt.Sprint("request ", i)
			var more []string
			if i%3 == 0 {
				more = []string{`"stream":true`, `"stream_options":{"include_usage":true}`}
			}
			err := s.ask([]string{"a/b", "a/c"}[i%2], fmt.Sprint("c", i/4), text, more...)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.sent = append(l.sent, text)
			if err != nil {
				l.failed = append(l.failed, fmt.Errorf("%s: %w", text, err))
			}
			l.n.Add(1)
		})
	}
}

const clusterSections = `
[[submodule]]
name = "a/b"
baseline = "gpt"
candidates = ["llama-3.3", "haiku"]
criteria = { error_rate = 0.1 }
[[submodule]]
name = "a/c"
baseline = "gpt"
candidates = ["llama-3.3", "haiku"]
criteria = { error_rate = 0.1 }
`

// leaderChanges kills the servers that lead the given streams, one after the other,
// under load. It proves that no client sees it, and that nothing is lost.
func leaderChanges(t *testing.T, requests int, pace time.Duration, streams ...string) (*cluster, int) {
	start := time.Now()
	phase := func(what string) { t.Logf("%5.1f s: %s", time.Since(start).Seconds(), what) }
	c := newCluster(t)
	s := newSplit(t, fmt.Sprintf("url = %q\nreplicas = 3\nsync = \"always\"", c.urls()), 20*time.Millisecond, 20*time.Millisecond)
	s.extra = clusterSections
	workers := s.start("replay,judge,canary", c.seeds.keysOf("owner")+"proxies = [\"edge-1\"]\n")
	front := s.start("capture", c.seeds.keysOf("capture")+"create = false\nproxy = \"edge-1\"\n")
	c.whole()
	phase("cluster and processes are ready")

	ctx, stop := context.WithCancel(t.Context())
	var l load
	var w stopwatch
	var wg sync.WaitGroup
	watching, unwatch := context.WithCancel(t.Context())
	wg.Go(func() { w.run(watching, front.admin) })
	loaded := make(chan struct{})
	go func() { defer close(loaded); l.run(ctx, s, 16, pace, requests) }()
	defer func() { stop(); <-loaded; unwatch(); wg.Wait() }()

	for i, stream := range streams {
		due := int64((i + 1) * requests / (len(streams) + 2))
		eventually(t, 2*time.Minute, fmt.Sprint(due, " requests are sent"), func() bool { return l.n.Load() >= due })
		steady, before := w.lap()
		b := c.leader(stream)
		led := c.ledBy(b)
		b.kill()
		killed := time.Now()
		if next := c.leaderOtherThan(stream, b); next != nil {
			t.Logf("kill %d: %s led %s; %s leads it %s later", i+1, b.name, strings.Join(led, " "), next.name, time.Since(killed).Round(10*time.Millisecond))
		}
		// What was sent at the kill and after it must be acknowledged without the server.
		sent := int(l.n.Load())
		eventually(t, 60*time.Second, "requests that came after the kill are acknowledged", func() bool { return w.acknowledged() >= sent })
		gap, after := w.lap()
		t.Logf("kill %d: no publish was acknowledged for %s (before it at most %s), %d requests were acknowledged meanwhile", i+1, gap.Round(10*time.Millisecond), steady.Round(time.Millisecond), after-before)
		b.start()
		if i+1 < len(streams) {
			c.whole()
			phase("the cluster is whole again")
		}
	}
	stop()
	<-loaded
	phase("the load has ended")

	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed: %v", len(l.failed), len(l.sent), l.failed[:min(3, len(l.failed))])
	}
	n := len(l.sent)
	st := s.settled(workers, n, 2*time.Minute)
	if own := front.status().Accounts; own.Received != int64(n) || own.Captured != int64(n) || own.Pending != 0 || own.Unaccounted != 0 || len(own.Dropped) != 0 {
		t.Errorf("the proxy's accounts: %+v", own)
	}
	if len(st.Accounts.Dropped) != 0 || st.Accounts.Unaccounted != 0 || !closed(st) {
		t.Errorf("accounts: %+v", st.Accounts)
	}
	phase("all is settled")
	s.verifyStored(workers, l.sent)
	for _, b := range c.brokers {
		for _, v := range b.violations() {
			t.Error(b.name, "violation", v)
		}
	}
	phase("what is stored is read")
	t.Logf("%d requests, %d failed; %d trials; %d calls paid", n, len(l.failed), n*len(splitModels), s.bedrockCalls())
	return c, n * len(splitModels)
}

// ledBy names the streams that a server leads.
func (c *cluster) ledBy(b *broker) []string {
	var led []string
	for info := range c.js.ListStreams(context.Background()).Info() {
		if info.Cluster != nil && info.Cluster.Leader == b.name {
			led = append(led, strings.TrimPrefix(info.Config.Name, "UNDERSTUDY_"))
		}
	}
	return led
}

// leaderOtherThan waits until a stream is led by another server.
func (c *cluster) leaderOtherThan(stream string, old *broker) *broker {
	var b *broker
	eventually(c.t, 60*time.Second, stream+" has a new leader", func() bool {
		b = c.leader(stream)
		return b != old
	})
	return b
}

// One leader is killed; `make cluster` does more of it.
func TestLeaderChangeIsInvisible(t *testing.T) {
	if testing.Short() {
		t.Skip("a cluster and its elections take about twenty seconds")
	}
	leaderChanges(t, 250, 20*time.Millisecond, journal.StreamExchanges)
}
