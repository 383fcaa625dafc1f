package capture

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("authority", nil)
	a.file = a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(name string, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	by, with := template, key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		by, with = parent.cert, parent.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, with)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue writes a certificate and its key, and gives their files.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	c, k := a.sign(name, a)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", c.Raw), a.write(name+".key", "PRIVATE KEY", raw)
}

func (a *authority) write(name, kind string, raw []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// client believes the authority, and shows a certificate where name is not empty.
func (a *authority) client(name string, http2 bool) *http.Client {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: pool}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.issue(name))
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	tr := &http.Transport{TLSClientConfig: cfg, Protocols: p, DisableCompression: true}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// secured is an upstream with TLS that speaks HTTP/2 as well, and tells which protocol it was asked by.
func (a *authority) secured(h http.HandlerFunc) string {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.issue("upstream"))
	if err != nil {
		a.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2, s.TLS = true, &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	a.t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

func TestTLSOnEitherSideWithBothProtocols(t *testing.T) {
	ca := newAuthority(t)
	for _, http2 := range []bool{false, true} {
		up := ca.secured(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Protocol", r.Proto)
			w.Header().Set("X-Forwarded", r.Header.Get("X-Forwarded-For")+r.Header.Get("Via"))
			if string(body) != question {
				t.Errorf("upstream got %q", body)
			}
			for _, e := range events() {
				_, _ = io.WriteString(w, e)
				_ = http.NewResponseController(w).Flush()
			}
		})
		cert, key := ca.issue("proxy")
		r := start(t, up, rigConfig{
			cfg:       func(c *Config) { c.TLSCert, c.TLSKey = cert, key },
			upstreams: []Upstream{{Name: "openai", BaseURL: up, HTTP2: http2, CAFile: ca.file}},
		})
		for n, clientHTTP2 := range []bool{false, true} {
			res, err := ca.client("", clientHTTP2).Post(r.url+chatPath, "application/json", strings.NewReader(question))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(body) != strings.Join(events(), "") {
				t.Errorf("got %q, %v", body, err)
			}
			if res.ProtoMajor == 2 != clientHTTP2 || (res.Header.Get("X-Protocol") == "HTTP/2.0") != http2 || res.Header.Get("X-Forwarded") != "" {
				t.Errorf("client spoke %s, upstream was asked by %s (HTTP/2 %v): %v", res.Proto, res.Header.Get("X-Protocol"), http2, res.Header)
			}
			if a := r.settled(int64(n + 1)); a.Captured != int64(n+1) {
				t.Errorf("accounts %+v", a)
			}
		}
	}
}

// HTTP/2 without TLS, by prior knowledge, as service meshes speak it.
func TestHTTP2InClear(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Post(r.url+chatPath, "application/json", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if string(body) != completion || res.ProtoMajor != 2 {
		t.Errorf("%s: %q", res.Proto, body)
	}
	if a := r.settled(1); a.Captured != 1 {
		t.Errorf("accounts %+v", a)
	}
}

// An upstream with a certificate that nobody vouches for gets no request.
func TestUnknownAuthorityIsRefused(t *testing.T) {
	ca := newAuthority(t)
	up := ca.secured(func(http.ResponseWriter, *http.Request) { t.Error("a request came through") })
	r := start(t, up, rigConfig{})
	res, body := ask(t, r.url+chatPath, question)
	if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, "unknown authority") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestWhoIsTrusted(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key := ca.issue("proxy")
	const token = "0123456789abcdef-token"
	t.Setenv("UNDERSTUDY_TEST_TOKEN", token)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plainTrust := func(list ...string) func(*Config) {
		return func(c *Config) { c.TrustedClients = list }
	}
	mutual := func(list ...string) func(*Config) {
		return func(c *Config) {
			c.TLSCert, c.TLSKey, c.ClientCA, c.TrustedClients = cert, key, ca.file, list
		}
	}
	for name, tc := range map[string]struct {
		cfg    func(*Config)
		client *http.Client
		token  string
		want   string
		refuse bool
	}{
		"nobody":                         {cfg: plainTrust(), want: "unclassified"},
		"token of the environment":       {cfg: plainTrust("token:env:UNDERSTUDY_TEST_TOKEN"), token: token, want: "a/b"},
		"token of a file":                {cfg: plainTrust("10.0.0.0/8", "token:file:"+file), token: token + "2", want: "a/b"},
		"no token":                       {cfg: plainTrust("token:env:UNDERSTUDY_TEST_TOKEN"), want: "unclassified"},
		"another token":                  {cfg: plainTrust("token:env:UNDERSTUDY_TEST_TOKEN"), token: token[:len(token)-1], want: "unclassified"},
		"certificate":                    {cfg: mutual("mtls"), client: ca.client("app", true), want: "a/b"},
		"certificate by name":            {cfg: mutual("mtls:app-*"), client: ca.client("app-7", false), want: "a/b"},
		"certificate of another name":    {cfg: mutual("mtls:app-*"), client: ca.client("other", true), want: "unclassified"},
		"no certificate":                 {cfg: mutual("mtls"), client: ca.client("", true), want: "unclassified"},
		"certificate, but no such trust": {cfg: mutual("10.0.0.0/8"), client: ca.client("app", true), want: "unclassified"},
		"certificate of a stranger":      {cfg: mutual("mtls"), client: mixed(t, ca, stranger), refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			up := provider(t, func(w http.ResponseWriter, r *http.Request) {
				for k := range r.Header {
					if strings.HasPrefix(k, ownPrefix) {
						t.Errorf("%s went upstream", k)
					}
				}
				answering(w, r)
			})
			r := start(t, up, rigConfig{cfg: tc.cfg})
			req, _ := http.NewRequest("POST", r.url+chatPath, strings.NewReader(strings.Replace(question, "are you", "are you, "+token, 1)))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Understudy-Submodule", "a/b")
			if tc.token != "" {
				req.Header.Set("X-Understudy-Token", tc.token)
			}
			c := tc.client
			if c == nil {
				c = client(t)
			}
			res, err := c.Do(req)
			if tc.refuse {
				if err == nil {
					t.Error("the connection was accepted")
					res.Body.Close()
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadAll(res.Body)
			res.Body.Close()
			e := r.one()
			if e.Submodule != tc.want {
				t.Errorf("filed under %q, want %q", e.Submodule, tc.want)
			}
			if tc.token != "" && strings.Contains(string(e.Request), tc.token) {
				t.Errorf("the token stands in the record: %s", e.Request)
			}
		})
	}
}

// mixed believes the proxy's authority and shows a certificate of another.
func mixed(t *testing.T, ca, stranger *authority) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	c := stranger.client("app", true)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	return c
}

func TestTLSConfigSaysWhatIsWrong(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue("proxy")
	_, other := ca.issue("other")
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"whole":                     {func(c *Config) { c.TLSCert, c.TLSKey, c.ClientCA = cert, key, ca.file }, ""},
		"no key":                    {func(c *Config) { c.TLSCert = cert }, "belong together"},
		"authority alone":           {func(c *Config) { c.ClientCA = ca.file }, "needs both"},
		"key of another":            {func(c *Config) { c.TLSCert, c.TLSKey = cert, other }, "tls_cert, tls_key: "},
		"no such file":              {func(c *Config) { c.TLSCert, c.TLSKey = cert+"x", key }, "no such file"},
		"authority is a key":        {func(c *Config) { c.TLSCert, c.TLSKey, c.ClientCA = cert, key, key }, "holds no certificate"},
		"mtls without an authority": {func(c *Config) { c.TrustedClients = []string{"mtls:app"} }, "needs client_ca"},
		"short token":               {func(c *Config) { c.TrustedClients = []string{"token:file:" + writeShort(t)} }, "holds 5 characters"},
		"no token":                  {func(c *Config) { c.TrustedClients = []string{"token:env:UNDERSTUDY_TEST_NOT_SET"} }, "holds no token"},
		"bad entry":                 {func(c *Config) { c.TrustedClients = []string{"everybody"} }, "is no address"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Redact.Mode = "off"
			tc.change(&cfg)
			expect(t, cfg.Validate(), tc.want)
		})
	}
	expect(t, (&Upstream{Name: "a", BaseURL: "https://h", CAFile: key}).Validate(), "holds no certificate")
}

func writeShort(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A reload shows a renewed certificate; connections to an upstream that did not change stay open.
func TestReloadRenewsTheCertificate(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue("proxy")
	cfg := DefaultConfig()
	cfg.Redact.Mode, cfg.TLSCert, cfg.TLSKey = "off", cert, key
	up := provider(t, answering)
	r := start(t, up, rigConfig{cfg: func(c *Config) { *c = cfg }})
	shown := func() string {
		res, err := ca.client("", false).Post(r.url+chatPath, "application/json", strings.NewReader(question))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.TLS.PeerCertificates[0].SerialNumber.String()
	}
	before := shown()
	kept := r.settings.Load().targets[0].transport
	ca.issue("proxy") // over the same files
	if err := r.Reload(cfg, []Upstream{{Name: "openai", BaseURL: up}}, nil); err != nil {
		t.Fatal(err)
	}
	if after := shown(); after == before {
		t.Error("the old certificate is shown after a reload")
	}
	if r.settings.Load().targets[0].transport != kept {
		t.Error("the connections to an unchanged upstream were thrown away")
	}
	cfg.TLSCert, cfg.TLSKey = "", ""
	expect(t, r.Reload(cfg, []Upstream{{Name: "openai", BaseURL: up}}, nil), "by a restart")
}
