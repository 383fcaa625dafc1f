package capture

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A plan is one random request and the answer that the upstream gives to it.
type plan struct {
	body     []byte
	chunked  bool
	header   http.Header
	trailers http.Header // of the request

	status   int
	answer   http.Header
	pieces   [][]byte
	length   bool // the answer states its length
	after    http.Header
	announce bool
	early    bool // the upstream answers before it has read the request
}

func randomPlan(r *rand.Rand) *plan {
	p := &plan{header: http.Header{}, answer: http.Header{}, after: http.Header{}, trailers: http.Header{}}
	p.body = []byte(question)
	switch r.IntN(4) {
	case 0:
		p.body = randomBytes(r, r.IntN(200_000))
	case 1:
		p.body = []byte(long(100 + r.IntN(100_000)))
	}
	p.chunked = r.IntN(3) == 0
	if p.chunked && r.IntN(2) == 0 {
		p.trailers.Set("X-Sum", strconv.Itoa(r.Int()))
	}
	for i := range r.IntN(5) {
		p.header.Add(fmt.Sprintf("X-Any-%d", i%3), strconv.Itoa(r.Int()))
	}
	if r.IntN(2) == 0 {
		p.header.Set("User-Agent", "")
	}
	p.header.Set("Accept-Encoding", []string{"", "gzip, br", "identity"}[r.IntN(3)])
	p.header.Set("X-Forwarded-For", "203.0.113.9")

	p.status = []int{200, 200, 200, 200, 201, 204, 302, 304, 400, 404, 429, 500, 503}[r.IntN(13)]
	for i := range r.IntN(5) {
		p.answer.Add(fmt.Sprintf("X-Answer-%d", i%3), strconv.Itoa(r.Int()))
	}
	p.answer.Add("Set-Cookie", "a=1")
	p.answer.Add("Set-Cookie", "b=2")
	if p.status == 204 || p.status == 304 {
		return p
	}
	var body []byte
	switch r.IntN(5) {
	case 0:
		body = randomBytes(r, r.IntN(150_000))
	case 1:
		body = []byte(completion)
		p.answer.Set("Content-Type", "application/json")
	case 2:
		body = []byte(strings.Join(events(), ""))
		p.answer.Set("Content-Type", "text/event-stream")
	case 3:
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(completion))
		z.Close()
		body = b.Bytes()
		p.answer.Set("Content-Encoding", "gzip")
	}
	p.length = r.IntN(2) == 0
	if p.length {
		p.answer.Set("Content-Length", strconv.Itoa(len(body)))
	} else {
		p.announce = r.IntN(2) == 0
		for i := range r.IntN(3) {
			p.after.Set(fmt.Sprintf("X-After-%d", i), strconv.Itoa(r.Int()))
		}
	}
	p.early = r.IntN(4) == 0
	for len(body) > 0 {
		n := min(len(body), 1+r.IntN(1+len(body)/(1+r.IntN(8))))
		p.pieces, body = append(p.pieces, body[:n]), body[n:]
	}
	return p
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// play is the upstream's part; it says in a header what it saw.
func (p *plan) play(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	maps.Copy(h, p.answer)
	var sum []byte
	if !p.early {
		sum, _ = io.ReadAll(r.Body)
	} else if http.NewResponseController(w).EnableFullDuplex() != nil {
		panic("no full duplex")
	}
	seen := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.ContentLength, r.TransferEncoding, " ", len(sum), " ", crc32.ChecksumIEEE(sum))
	for _, k := range slices.Sorted(maps.Keys(r.Header)) {
		seen += fmt.Sprint(" ", k, r.Header[k])
	}
	h.Set("X-Seen", fmt.Sprint(seen, " trailers ", r.Trailer))
	for k := range p.after {
		if p.announce {
			h.Add("Trailer", k)
		}
	}
	w.WriteHeader(p.status)
	for _, b := range p.pieces {
		w.Write(b)
		if !p.length {
			w.(http.Flusher).Flush()
		}
	}
	if p.early {
		io.Copy(io.Discard, r.Body)
	}
	for k, v := range p.after {
		if !p.announce {
			k = http.TrailerPrefix + k
		}
		h[k] = v
	}
}

// An outcome is all that a client can see of an answer.
type outcome struct {
	Status   int
	Header   http.Header
	Length   int64
	Encoding []string
	Body     string
	Trailer  http.Header
	Err      string
}

func (p *plan) run(c *http.Client, url string) outcome {
	var body io.Reader = bytes.NewReader(p.body)
	if p.chunked {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		return outcome{Err: err.Error()}
	}
	req.Header = p.header.Clone()
	if p.chunked && len(p.trailers) > 0 {
		req.Trailer = p.trailers.Clone()
	}
	res, err := c.Do(req)
	if err != nil {
		return outcome{Err: err.Error()}
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	o := outcome{Status: res.StatusCode, Header: res.Header, Length: res.ContentLength, Encoding: res.TransferEncoding, Body: string(got), Trailer: res.Trailer}
	if err != nil {
		o.Err = err.Error()
	}
	o.Header.Del("Date")
	return o
}

// Promise 1: what the client sees is what it would see without the proxy, with
// capture on and off, whatever is sent.
func TestBytesAreTheSameWithCaptureOnOffAndDirect(t *testing.T) {
	const rounds = 250
	plans := make([]*plan, rounds)
	for i := range plans {
		plans[i] = randomPlan(rand.New(rand.NewPCG(7, uint64(i))))
	}
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(r.URL.Query().Get("plan"))
		plans[i].play(w, r)
	})
	on := start(t, up, rigConfig{})
	off := start(t, up, rigConfig{cfg: func(c *Config) { c.Sample = 0 }})
	c := client(t)
	for i, p := range plans {
		path := chatPath + "?plan=" + strconv.Itoa(i)
		direct := p.run(c, up+path)
		for name, url := range map[string]string{"on": on.url, "off": off.url} {
			if d := cmp.Diff(direct, p.run(c, url+path)); d != "" {
				t.Fatalf("plan %d (%+v), capture %s: direct against proxy:\n%.4000s", i, p.status, name, d)
			}
		}
	}
	a := on.settled(rounds)
	if a.Captured == 0 || a.Dropped[reasonMalformed] == 0 || a.Excluded != 0 {
		t.Errorf("accounts %+v", a)
	}
	if a := off.settled(rounds); a.SampledOut != rounds {
		t.Errorf("accounts with capture off %+v", a)
	}
}
