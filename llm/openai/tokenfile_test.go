package openai

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"understudy/llm"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// TestTokenFile: the file is read again when it changed, and each minute even where it
// looks as it did; moments without a token are bridged, and only they.
func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	c := newClock()
	f := &tokenFile{path: path, now: c.now}
	got := func(want string) {
		t.Helper()
		token, err := f.token()
		if token != want || (err == nil) != (want != "") {
			t.Errorf("%q, %v, want %q", token, err, want)
		}
	}
	got("")
	put(t, path, "one\n")
	got("one")
	put(t, path, "longer")
	got("longer")

	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	got("longer")
	if err := os.WriteFile(path, []byte("as-old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	got("longer") // same time, same size: it cannot be told
	c.forward(time.Minute)
	got("as-old")

	put(t, path, "")
	got("as-old")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.forward(59 * time.Second)
	got("as-old")
	c.forward(time.Second)
	got("")
	put(t, path, "two tokens")
	got("")
	put(t, path, "new")
	got("new")
}

// TestTokenFileRenewed: calls go on while a token is replaced, each with one of the
// whole tokens, and the last with the last.
func TestTokenFileRenewed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	var newest atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		if !strings.HasPrefix(token, "Bearer eyJ-") || !strings.HasSuffix(token, "-end") || r.Header.Get("Api-Key") != "" {
			t.Errorf("%v", r.Header)
		}
		newest.Store(&token)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
	}))
	defer server.Close()
	put(t, path, "eyJ-0-end\n")
	ep := azureEndpoint(server.URL)
	ep.APIKeyFile = path
	client := mustEntra(t, ep)
	call := func() {
		if _, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)}); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				call()
			}
		})
	}
	for i := range 30 {
		put(t, path, fmt.Sprintf("eyJ-%0*d-end\n", i+1, i))
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	put(t, path, "eyJ-last-of-all-that-there-are-here-in-this-test-end\n")
	call()
	if got := *newest.Load(); got != "Bearer eyJ-last-of-all-that-there-are-here-in-this-test-end" {
		t.Errorf("after the renewal: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// The client that is told of no file by its own first read says so as a fault of the call.
	who := bearerAuthorizer(fromFile(path))
	other, err := NewClientAs(ep, who, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Do(t.Context(), &llm.Call{Body: []byte(`{}`)})
	if llm.ClassOf(err) != llm.ClassAccess || !strings.Contains(err.Error(), "api_key_file") {
		t.Errorf("without a file: %v", err)
	}
}
