package capture

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestBufferSizes(t *testing.T) {
	last := int64(0)
	classes := map[int]int64{}
	for n := int64(1); n <= maxBuffer+2; n += 1 + n/500 {
		size, class := bufferSize(n)
		if size < n || size < last || n > minBuffer && size > n*5/4+1 {
			t.Fatalf("a buffer of %d bytes for %d, after one of %d", size, n, last)
		}
		last = size
		if class < 0 {
			if n <= maxBuffer {
				t.Fatalf("%d bytes have no class", n)
			}
			continue
		}
		if other, ok := classes[class]; ok && other != size || class >= len(idle) {
			t.Fatalf("class %d of %d has buffers of %d and %d bytes", class, len(idle), other, size)
		}
		classes[class] = size
		b := append(buffer(size), 1)
		if int64(cap(b)) != size {
			t.Fatalf("a buffer of %d bytes has %d", size, cap(b))
		}
		recycle(b)
		if b = buffer(size); len(b) != 0 || int64(cap(b)) != size {
			t.Fatalf("a buffer of %d bytes that is used again has %d of %d", size, len(b), cap(b))
		}
	}
}

// A record is never written over by what passes after it.
func TestRecordsKeepTheirBytesWhileBuffersAreUsedAgain(t *testing.T) {
	const n = 240
	text := func(i int) string { return strings.Repeat(fmt.Sprintf("%04d ", i), 50+i%7*300) }
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		var i int
		fmt.Sscan(r.Header.Get("X-Number"), &i)
		answer := fmt.Sprintf(`{"id":"%d","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, i, text(i))
		switch i % 3 {
		case 0:
			w.Header().Set("Content-Type", "text/event-stream")
			answer = strings.Replace(answer, `"message"`, `"delta"`, 1)
			for _, part := range []string{"data: ", answer[:len(answer)/2], answer[len(answer)/2:], "\n\ndata: [DONE]\n\n"} {
				_, _ = io.WriteString(w, part)
				w.(http.Flusher).Flush()
			}
		case 1:
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, answer)
			_ = z.Close()
		default:
			_, _ = io.WriteString(w, answer)
		}
	})
	rig := start(t, up, rigConfig{})
	var numbers sync.Mutex
	next := 0
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				numbers.Lock()
				i := next
				next++
				numbers.Unlock()
				if i >= n {
					return
				}
				body := fmt.Sprintf(`{"model":"m","metadata":{"conversation":"c%d"},"messages":[{"role":"user","content":%q}]}`, i, text(i))
				req, err := http.NewRequest(http.MethodPost, rig.url+chatPath, strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("X-Number", fmt.Sprint(i))
				req.Header.Set("Accept-Encoding", "gzip")
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	clients.Wait()
	rig.settled(n)
	seen := map[string]bool{}
	for _, e := range rig.shelf.records() {
		var i int
		fmt.Sscan(e.AnswerID, &i)
		seen[e.AnswerID] = true
		if e.Conversation != fmt.Sprint("c", i) || !bytes.Contains(e.Request, []byte(text(i))) || !bytes.Contains(e.Response, []byte(text(i))) {
			t.Errorf("the record of %q has the texts of others", e.AnswerID)
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d exchanges are recorded", len(seen), n)
	}
}
