package capture

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"understudy/internal/journal"
)

// BenchmarkProxy compares, interleaved in one run, the direct call, a bare
// httputil.ReverseProxy and this proxy with capture off and on (into memory, so
// that it is the proxy that is measured). It reports medians of same-round
// ratios: everything runs on the same cores, so absolute numbers mean little.
func BenchmarkProxy(b *testing.B) {
	for _, bc := range []struct {
		name          string
		size, clients int
	}{{"1kB/16clients", 1 << 10, 16}, {"32kB/16clients", 32 << 10, 16}, {"1kB/1client", 1 << 10, 1}} {
		b.Run(bc.name, func(b *testing.B) { benchmarkProxy(b, []byte(long(bc.size)), bc.clients) })
	}
}

func benchmarkProxy(b *testing.B, body []byte, clients int) {
	up := provider(b, answering)
	to, err := url.Parse(up)
	if err != nil {
		b.Fatal(err)
	}
	bare := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}
	plain := httptest.NewServer(bare)
	defer plain.Close()
	off := start(b, up, rigConfig{cfg: func(c *Config) { c.Sample = 0 }})
	on := start(b, up, rigConfig{pub: &forgetful{}})
	targets := []string{up, plain.URL, off.url, on.url}
	rate, p50 := make([][]float64, len(targets)), make([][]float64, len(targets))
	for b.Loop() {
		for i, url := range targets {
			r, m := load(b, url+chatPath, body, clients)
			rate[i], p50[i] = append(rate[i], r), append(p50[i], m)
		}
	}
	const direct, proxy = 0, 1
	for i, name := range []string{"", "bare", "off", "on"} {
		if i == direct {
			continue
		}
		b.ReportMetric(median(ratios(rate[i], rate[direct])), name+"/direct-rate")
		if i > proxy {
			b.ReportMetric(median(ratios(rate[i], rate[proxy])), name+"/bare-rate")
			b.ReportMetric(median(ratios(p50[i], p50[proxy])), name+"/bare-p50")
		}
	}
	if a := on.Accounts(); a.Captured+a.Pending != a.Received {
		b.Errorf("accounts %+v", a)
	}
}

// load sends some 2,000 requests and gives their rate and median latency.
func load(b *testing.B, url string, body []byte, clients int) (perSecond, p50 float64) {
	each := 2000 / clients
	tr := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	var mu sync.Mutex
	var all []float64
	var wg sync.WaitGroup
	began := time.Now()
	for range clients {
		wg.Go(func() {
			took := make([]float64, 0, each)
			for range each {
				at := time.Now()
				res, err := c.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if err != nil || n != int64(len(completion)) {
					b.Errorf("%d bytes, %v", n, err)
				}
				took = append(took, time.Since(at).Seconds())
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	wg.Wait()
	return float64(clients*each) / time.Since(began).Seconds(), median(all)
}

func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// forgetful stores nothing.
type forgetful struct{ shelf }

func (f *forgetful) PublishExchanges(_ context.Context, _ string, _ []*journal.Exchange) (uint64, error) {
	return 1, nil
}
