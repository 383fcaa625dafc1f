//go:build benchcapture

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// benchLoad sends what the job says and compares every answer byte for byte.
func benchLoad(_ *testing.T, job benchJob) (benchResult, error) {
	l := &benchLoader{job: job}
	l.next.Store(job.First)
	began := time.Now()
	switch job.Mode {
	case "closed":
		l.closed(began.Add(time.Duration(job.Seconds * 1e9)))
	case "open":
		l.open(began)
	case "streams":
		l.streams()
	default:
		return benchResult{}, fmt.Errorf("no load %q", job.Mode)
	}
	return l.result(time.Since(began)), nil
}

// A benchLoader is a load while it runs.
type benchLoader struct {
	job  benchJob
	next atomic.Int64

	mu     sync.Mutex
	sum    benchResult
	took   []float64 // µs
	firsts []float64
}

func (l *benchLoader) result(took time.Duration) benchResult {
	r := l.sum
	r.Seconds = took.Seconds()
	r.P50, r.P99, r.First = quantile(l.took, 0.5), quantile(l.took, 0.99), quantile(l.firsts, 0.5)
	return r
}

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// count adds one answer.
func (l *benchLoader) count(differ bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.sum.Errors++
	case differ:
		l.sum.Differ++
		err = fmt.Errorf("an answer is not what the upstream sent")
	default:
		l.sum.Answers++
	}
	if err != nil && l.sum.FirstError == "" {
		l.sum.FirstError = err.Error()
	}
}

func (l *benchLoader) over(deadline time.Time) bool {
	if l.job.Answers > 0 {
		return l.next.Load() >= l.job.First+l.job.Answers
	}
	return time.Now().After(deadline)
}

func (l *benchLoader) closed(deadline time.Time) {
	var wg sync.WaitGroup
	for range l.job.Clients {
		wg.Go(func() {
			c := newBenchClient(l.job)
			defer c.close()
			for !l.over(deadline) {
				l.count(c.do(l.next.Add(1)))
			}
		})
	}
	wg.Wait()
}

// open sends at a fixed rate and counts the latency from the time at which a request was
// to be sent. The pace is kept by a thread that sleeps in the kernel: the runtime's timers
// are up to a millisecond late on an idle process.
func (l *benchLoader) open(began time.Time) {
	due := make(chan time.Time, 1<<16)
	var wg sync.WaitGroup
	for range l.job.Clients {
		wg.Go(func() {
			c := newBenchClient(l.job)
			defer c.close()
			for at := range due {
				l.count(c.do(l.next.Add(1)))
				took := float64(time.Since(at).Nanoseconds()) / 1e3
				l.mu.Lock()
				l.took = append(l.took, took)
				l.mu.Unlock()
			}
		})
	}
	runtime.LockOSThread()
	for i := range int(l.job.Rate * l.job.Seconds) {
		at := began.Add(time.Duration(float64(i) / l.job.Rate * 1e9))
		if d := time.Until(at); d > 0 {
			ts := syscall.NsecToTimespec(d.Nanoseconds())
			_ = syscall.Nanosleep(&ts, nil)
		}
		due <- at
	}
	close(due)
	wg.Wait()
}

// streams opens all streams, one after the other, so that their events do not all come at
// the same time.
func (l *benchLoader) streams() {
	var wg sync.WaitGroup
	for range l.job.Clients {
		time.Sleep(2100 * time.Microsecond)
		wg.Go(func() {
			c := newBenchClient(l.job)
			defer c.close()
			first, took, differ, err := c.stream(l.next.Add(1))
			l.count(differ, err)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.firsts, l.took = append(l.firsts, first), append(l.took, took...)
		})
	}
	wg.Wait()
}

// A benchClient is one connection, which is opened again after an error.
type benchClient struct {
	to      string
	c       net.Conn
	r       *bufio.Reader
	request *benchRequest
	answer  *benchAnswer
	buf     []byte
}

func newBenchClient(job benchJob) *benchClient {
	return &benchClient{to: job.URL, request: benchRequestOf(job.URL, job.Size, job.Mode == "streams"), answer: benchAnswerOf(), buf: make([]byte, 4<<10)}
}

func (c *benchClient) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

// begin sends request n and reads the head of its answer.
func (c *benchClient) begin(n int64) (sum uint32, err error) {
	if c.c == nil {
		if c.c, err = net.Dial("tcp", c.to); err != nil {
			return 0, err
		}
		c.r = bufio.NewReaderSize(c.c, 16<<10)
	}
	sum = c.request.number(n)
	if err = c.c.SetDeadline(time.Now().Add(30 * time.Second)); err == nil {
		_, err = c.c.Write(c.request.bytes)
	}
	return sum, err
}

// do sends request n; differ tells that the answer is another than the upstream's.
func (c *benchClient) do(n int64) (differ bool, err error) {
	defer func() {
		if differ || err != nil {
			c.close()
		}
	}()
	sum, err := c.begin(n)
	if err != nil {
		return false, err
	}
	h, err := benchReadHead(c.r)
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(h.first, "HTTP/1.1 200") {
		return false, fmt.Errorf("answer %q", h.first)
	}
	c.answer.to(n, sum)
	got, body := c.buf[:0], benchBody(c.r, h)
	for err == nil && len(got) < cap(got) {
		var k int
		k, err = body.Read(got[len(got):cap(got)])
		got = got[:len(got)+k]
	}
	if err != nil && err != io.EOF {
		return false, err
	}
	return !bytes.Equal(got, c.answer.body), nil
}

// stream sends request n and reads its events as they come: the time to the first byte
// and the one-way delays of the events, in µs.
func (c *benchClient) stream(n int64) (first float64, took []float64, differ bool, err error) {
	began := time.Now()
	sum, err := c.begin(n)
	if err != nil {
		return 0, nil, false, err
	}
	if _, err = c.r.Peek(1); err != nil {
		return 0, nil, false, err
	}
	first = float64(time.Since(began).Nanoseconds()) / 1e3
	h, err := benchReadHead(c.r)
	if err != nil {
		return 0, nil, false, err
	}
	if !strings.HasPrefix(h.first, "HTTP/1.1 200") {
		return 0, nil, false, fmt.Errorf("answer %q", h.first)
	}
	want := benchEventOf()
	want.to(n, sum)
	body, got := benchBody(c.r, h), make([]byte, len(want.bytes))
	for range benchEvents {
		if _, err = io.ReadFull(body, got); err != nil {
			return 0, nil, false, err
		}
		now := time.Now().UnixNano()
		sent, nerr := strconv.ParseInt(string(got[want.ns:want.ns+benchNS]), 10, 64)
		copy(want.bytes[want.ns:], got[want.ns:want.ns+benchNS])
		if nerr != nil || !bytes.Equal(got, want.bytes) {
			return first, took, true, nil
		}
		took = append(took, float64(now-sent)/1e3)
	}
	end, err := io.ReadAll(body)
	return first, took, string(end) != benchStreamEnd, err
}
