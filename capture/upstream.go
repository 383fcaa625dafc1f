package capture

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"understudy/llm"
)

// An Upstream is a section [[upstream]]: where live requests go.
type Upstream struct {
	// Name stands in records, messages and metrics.
	Name string `toml:"name"`
	// BaseURL is the part before the client's path, without /v1. Plain http is
	// accepted on loopback only.
	BaseURL string `toml:"base_url"`
	// Kind is "openai" (also when empty) or "azure".
	Kind string `toml:"kind"`
	// Match is the path prefix, by whole segments, whose requests come here;
	// of several the longest wins. Empty takes everything else.
	Match string `toml:"match"`
	// HTTP2 uses HTTP/2 where the upstream offers it: many requests over one
	// connection. Without it each request in flight has a connection of its own.
	HTTP2 bool `toml:"http2"`
	// CAFile holds certificate authorities in PEM form that are believed besides
	// the system's.
	CAFile string `toml:"ca_file"`
}

// Validate reports what is wrong with the section, all faults joined.
func (u *Upstream) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if !llm.ValidName(u.Name) {
		bad("name %q is not %s", u.Name, llm.NameRule)
	}
	if u.BaseURL == "" {
		bad("base_url is missing (for example \"https://api.openai.com\")")
	} else if err := llm.ValidBaseURL(u.BaseURL); err != nil {
		bad("base_url %w", err)
	} else if b, err := url.Parse(u.BaseURL); err == nil {
		switch {
		case b.RawQuery != "" || b.Fragment != "" || b.User != nil:
			bad("base_url must be scheme, host and at most a path: no user, query or fragment")
		case strings.HasSuffix(strings.TrimSuffix(b.Path, "/"), "/v1"):
			bad("base_url is the part before the client's path: remove /v1, which clients send themselves")
		}
	}
	if u.Kind != "" && u.Kind != "openai" && u.Kind != "azure" {
		bad("kind %q is unknown: \"openai\" or \"azure\"", u.Kind)
	}
	if u.Match != "" && !strings.HasPrefix(u.Match, "/") {
		bad("match %q is not a path prefix: it begins with /", u.Match)
	}
	if u.CAFile != "" {
		if _, _, err := authorities(u.CAFile, x509.NewCertPool()); err != nil {
			bad("ca_file: %w", err)
		}
	}
	return errors.Join(errs...)
}

// A target is an upstream ready to be used.
type target struct {
	name string
	// scheme and host address it; prefix is the escaped path of the base URL
	// without a slash at its end.
	scheme, host, prefix string
	match                string
	transport            *http.Transport
}

// compileUpstreams puts the longest match first.
func compileUpstreams(list []Upstream, connect func(*Upstream) (*http.Transport, error)) ([]target, error) {
	var out []target
	var errs []error
	for i := range list {
		u := &list[i]
		b, err := url.Parse(u.BaseURL)
		transport, failed := connect(u)
		if err = errors.Join(u.Validate(), err, failed); err != nil {
			errs = append(errs, fmt.Errorf("upstream %q: %w", u.Name, err))
			continue
		}
		t := target{
			name: u.Name, scheme: b.Scheme, host: b.Host,
			prefix: strings.TrimSuffix(b.EscapedPath(), "/"), match: strings.TrimSuffix(u.Match, "/"), transport: transport,
		}
		for _, o := range out {
			if o.match == t.match {
				errs = append(errs, fmt.Errorf("upstream %q: match %q is also that of %q; each needs its own", u.Name, u.Match, o.name))
			}
		}
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b target) int { return len(b.match) - len(a.match) })
	return out, errors.Join(errs...)
}

// choose finds the upstream of a path, nil when none takes it.
func choose(targets []target, path string) *target {
	for i := range targets {
		rest, ok := strings.CutPrefix(path, targets[i].match)
		if ok && (rest == "" || rest[0] == '/' || targets[i].match == "") {
			return &targets[i]
		}
	}
	return nil
}
