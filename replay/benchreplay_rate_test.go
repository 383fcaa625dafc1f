//go:build benchreplay

package replay_test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"understudy/llm"
)

// benchRate is how well two processes that share a NATS hold one endpoint's limit of
// requests in a minute, counted where the calls arrive.
func benchRate(t *testing.T, b *benchTable) {
	const rpm, settle, steady, goal = 1200, 8 * time.Second, 30 * time.Second, 0.01
	what := fmt.Sprintf("rate of two processes at rpm = %d over %s", rpm, steady)
	if !benchSetRPM(&llm.Endpoint{}, rpm) {
		b.note(what, "skipped: endpoint has no rpm yet")
		t.Skip("endpoint has no rpm yet")
	}
	url := benchServe(t, benchSimCore, benchJob{Role: "sim"})
	nats := benchServe(t, benchSimCore, benchJob{
		Role: "nats", Dir: t.TempDir(), Sync: "interval", Listen: benchFreeAddress(t), Exchanges: 4 * benchCalls, Batch: benchBatch,
	})
	var stages []*benchProcess
	for _, name := range []string{"one", "two"} {
		stages = append(stages, benchStart(t, benchStageCore, benchJob{
			Role: "stage", Dir: t.TempDir(), Sync: "interval", URL: nats, Sim: url, Exchanges: 4 * benchCalls, Concurrency: benchConcurrency,
			RPM: rpm, Seconds: int((settle + steady + 4*time.Second).Seconds()), Instance: name,
		}))
	}
	for _, p := range stages {
		p.next(t)
		p.end(t)
	}
	n, worst := benchArrivals(t, url, settle, steady)
	allowed := rpm / time.Minute.Seconds() * steady.Seconds()
	off := float64(n)/allowed - 1
	b.goal(t, off >= -goal && off <= goal, what, fmt.Sprintf("±%.0f %%", 100*goal), "%d of %.0f calls, %+.2f %%; in the fullest second %d of %.0f", n, allowed, 100*off, worst, rpm/time.Minute.Seconds())
}

// benchArrivals counts the calls in the steady time, and those of its fullest second.
func benchArrivals(t *testing.T, url string, settle, steady time.Duration) (n, worst int) {
	t.Helper()
	var all []time.Duration
	if err := benchAsk(t.Context(), url+"/__arrivals", &all); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no call arrived")
	}
	slices.Sort(all)
	from := all[0] + settle
	for i, at := range all {
		if at < from || at >= from+steady {
			continue
		}
		n++
		end, _ := slices.BinarySearch(all, at+time.Second)
		worst = max(worst, end-i)
	}
	return n, worst
}

// benchFreeAddress is a loopback address whose port was free just now.
func benchFreeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
