package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"understudy/llm"
)

const secret = "s3cr3t~of-the.application"

// An authority gives out tokens as Entra does, t1, t2 and so on.
type authority struct {
	*httptest.Server
	asked atomic.Int64
	// answer replaces the usual one where it is set.
	answer atomic.Pointer[http.HandlerFunc]
	form   atomic.Pointer[url.Values]
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := a.asked.Add(1)
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		form := r.PostForm
		a.form.Store(&form)
		if r.Method != http.MethodPost || r.URL.Path != "/tenant-1/oauth2/v2.0/token" || r.URL.RawQuery != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s, %v", r.Method, r.URL, r.Header)
		}
		if other := a.answer.Load(); other != nil {
			(*other)(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"access_token":"t%d"}`, n)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) reply(h http.HandlerFunc) { a.answer.Store(&h) }

func (a *authority) app(t *testing.T) llm.Entra {
	t.Setenv("ENTRA_SECRET", secret)
	return llm.Entra{Tenant: "tenant-1", ClientID: "app-1", ClientSecretEnv: "ENTRA_SECRET", Authority: a.URL + "/"}
}

// A clock stands where it is put.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func signInAt(t *testing.T, a *authority) (*signIn, *clock) {
	t.Helper()
	s, err := newSignIn(a.app(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	s.now = c.now
	return s, c
}

// TestEntraToken: what is asked, and when it is asked again.
func TestEntraToken(t *testing.T) {
	a := newAuthority(t)
	s, c := signInAt(t, a)
	got := func(want string) {
		t.Helper()
		if token, err := s.token(t.Context()); err != nil || token != want {
			t.Errorf("after %d questions: %q, %v, want %q", a.asked.Load(), token, err, want)
		}
	}
	got("t1")
	want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"app-1"}, "client_secret": {secret}, "scope": {"https://cognitiveservices.azure.com/.default"}}
	if form := *a.form.Load(); form.Encode() != want.Encode() {
		t.Errorf("asked with %v, want %v", form, want)
	}
	c.forward(54 * time.Minute)
	got("t1")
	c.forward(2 * time.Minute) // within five minutes of its end the next is fetched, and nobody waits for it
	got("t1")
	waitFor(t, func() bool { return s.current().value == "t2" })
	got("t2")
	c.forward(2 * time.Hour) // nothing was asked for long: there is none to use meanwhile
	got("t3")
	if n := a.asked.Load(); n != 3 {
		t.Errorf("%d questions, want 3", n)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came")
		}
	}
}

// TestEntraManyCallers: one question serves all, and the first caller's end is no
// other's.
func TestEntraManyCallers(t *testing.T) {
	a := newAuthority(t)
	open := make(chan struct{})
	a.reply(func(w http.ResponseWriter, r *http.Request) {
		<-open
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"one"}`)
	})
	s, c := signInAt(t, a)
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := s.token(first); gone <- err }()
	waitFor(t, func() bool { return a.asked.Load() == 1 })
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller: %v", err)
	}
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if token, err := s.token(t.Context()); err != nil || token != "one" {
				t.Errorf("%q, %v", token, err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // most of them wait now; those who come later find the token
	close(open)
	wg.Wait()
	if n := a.asked.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
	for range 200 { // renewal under load
		wg.Go(func() {
			if _, err := s.token(t.Context()); err != nil {
				t.Error(err)
			}
		})
		c.forward(time.Minute)
	}
	wg.Wait()
}

// TestEntraRenewalFails: a token that is good is used while there is no other, and
// whoever cannot give one is not asked at every call.
func TestEntraRenewalFails(t *testing.T) {
	a := newAuthority(t)
	s, c := signInAt(t, a)
	if _, err := s.token(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.reply(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	c.forward(56 * time.Minute)
	for range 50 {
		if token, err := s.token(t.Context()); err != nil || token != "t1" {
			t.Fatalf("%q, %v", token, err)
		}
		waitFor(t, func() bool { return c.now().Before(s.current().renew) })
	}
	if n := a.asked.Load(); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
	c.forward(5 * time.Minute)
	if token, err := s.token(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP 503") {
		t.Errorf("after its end: %q, %v", token, err)
	}
	a.answer.Store(nil)
	if token, err := s.token(t.Context()); err != nil || token != "t4" {
		t.Errorf("when it can again: %q, %v", token, err)
	}
}

// TestEntraRefusals: every way of having no token is a call that was not sent, whose
// text says what to do and holds no secret.
func TestEntraRefusals(t *testing.T) {
	says := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"the secret is wrong": {says(401, "application/json", `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided: `+secret+`. Trace ID: x","error_codes":[7000215]}`),
			"HTTP 401 invalid_client AADSTS7000215; check tenant"},
		"an echo":        {says(400, "application/json", `{"error":"`+secret+`","error_description":"`+secret+`"}`), "HTTP 400; check tenant"},
		"no JSON":        {says(500, "text/html", `<p>`+secret+`</p>`), "HTTP 500"},
		"no token":       {says(200, "application/json", `{"secret":"`+secret+`"}`), "the answer is no token"},
		"half an answer": {says(200, "application/json", `{"access_token":"`+secret), "the answer is no token"},
		"a strange one":  {says(200, "application/json", `{"access_token":"a\r\nb `+secret+`","expires_in":3600}`), "none that can be sent"},
		"a redirect":     {says(307, "text/plain", ``), "HTTP 307"},
		"no HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte(secret + "\r\n\r\n"))
				conn.Close()
			}
		}, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			a.reply(c.answer)
			checkNotSent(t, a, c.want)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		a := newAuthority(t)
		a.Close()
		checkNotSent(t, a, "refused")
	})
}

func checkNotSent(t *testing.T, a *authority, want string) {
	t.Helper()
	ep := azureEndpoint("http://127.0.0.1:1") // where a call would fail otherwise
	app := a.app(t)
	ep.Entra = &app
	client := mustEntra(t, ep)
	_, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)})
	var e *llm.Error
	if !errors.As(err, &e) || e.Class != llm.ClassAccess || !e.NotSent || e.Endpoint != "live" || e.Op == "" {
		t.Fatalf("%#v", err)
	}
	if text := e.Summary(); !strings.Contains(text, want) || !strings.Contains(text, "app-1") {
		t.Errorf("%q does not say %q", text, want)
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, secret) {
			t.Errorf("the secret stands in %q", text)
		}
	}
}

func azureEndpoint(url string) llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.BaseURL, ep.Auth = "live", "azure", "deployed", url, llm.AuthEntra
	ep.Timeout = 5 * time.Second
	return ep
}

func mustEntra(t *testing.T, ep llm.Endpoint) *Client {
	t.Helper()
	if err := ep.Validate(); err != nil {
		t.Fatal(err)
	}
	who, err := EntraAuthorizer(ep, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClientAs(ep, who, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestEntraCall: the token goes where the deployment is, and nobody else's key does;
// what the authority's connection did is not taken for the call's.
func TestEntraCall(t *testing.T) {
	a := newAuthority(t)
	resource := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t1" || r.Header.Get("Api-Key") != "" || r.URL.Path != "/openai/deployments/deployed/chat/completions" {
			t.Errorf("%s, %v", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
	}))
	defer resource.Close()
	ep := azureEndpoint(resource.URL)
	app := a.app(t)
	ep.Entra = &app
	client := mustEntra(t, ep)
	for range 3 {
		if resp, err := client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)}); err != nil || resp.Text != "Hi" {
			t.Errorf("%+v, %v", resp, err)
		}
	}
	if n := a.asked.Load(); n != 1 {
		t.Errorf("%d questions for 3 calls", n)
	}
	ep.BaseURL = "http://127.0.0.1:1"
	_, err := mustEntra(t, ep).Do(t.Context(), &llm.Call{Body: []byte(`{}`)})
	var e *llm.Error
	if !errors.As(err, &e) || e.Class != llm.ClassNetwork || !e.NotSent {
		t.Errorf("a resource where nobody is: %v", err)
	}
}

// TestEntraCallEnds: a caller who leaves, or whose time is over, while a token is
// fetched has sent nothing.
func TestEntraCallEnds(t *testing.T) {
	for name, class := range map[string]llm.Class{"leaves": llm.ClassCancelled, "out of time": llm.ClassTimeout} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			open := make(chan struct{})
			defer close(open)
			a.reply(func(http.ResponseWriter, *http.Request) { <-open })
			ep := azureEndpoint("http://127.0.0.1:1")
			app := a.app(t)
			ep.Entra, ep.Timeout = &app, 50*time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if class == llm.ClassCancelled {
				ep.Timeout = time.Minute
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			_, err := mustEntra(t, ep).Do(ctx, &llm.Call{Body: []byte(`{}`)})
			var e *llm.Error
			if !errors.As(err, &e) || e.Class != class || !e.NotSent {
				t.Errorf("%v, want %s", err, class)
			}
		})
	}
}

func TestEntraRefusesConfiguration(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ENTRA_SECRET", secret)
	t.Setenv("NO_SECRET", "")
	for name, c := range map[string]struct {
		app  llm.Entra
		want string
	}{
		"plain http":       {llm.Entra{ClientSecretEnv: "ENTRA_SECRET", Authority: "http://login.example"}, "plain http"},
		"no variable":      {llm.Entra{ClientSecretEnv: "NO_SECRET"}, `"NO_SECRET" (client_secret_env) is empty`},
		"no file":          {llm.Entra{ClientSecretFile: filepath.Join(dir, "none")}, "client_secret_file"},
		"an empty file":    {llm.Entra{ClientSecretFile: empty}, "is empty"},
		"no token's file":  {llm.Entra{}, "api_key_file"},
		"an empty token's": {llm.Entra{Tenant: "-"}, "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			ep := azureEndpoint("https://x.example")
			switch {
			case c.app == (llm.Entra{}):
				ep.APIKeyFile = filepath.Join(dir, "none")
			case c.app.Tenant == "-":
				ep.APIKeyFile = empty
			default:
				ep.Entra = &c.app
			}
			if _, err := EntraAuthorizer(ep, nil); err == nil || !strings.HasPrefix(err.Error(), "endpoint live: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestSecretReplaced: the file of a secret is read at each question.
func TestSecretReplaced(t *testing.T) {
	a := newAuthority(t)
	app := a.app(t)
	app.ClientSecretEnv, app.ClientSecretFile = "", filepath.Join(t.TempDir(), "secret")
	put(t, app.ClientSecretFile, "first\n")
	s, err := newSignIn(app, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	s.now = c.now
	for _, want := range []string{"first", "second"} {
		put(t, app.ClientSecretFile, want+"\n")
		c.forward(2 * time.Hour)
		if _, err := s.token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := a.form.Load().Get("client_secret"); got != want {
			t.Errorf("asked with %q, want %q", got, want)
		}
	}
}
