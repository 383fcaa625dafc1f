package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// Exclude is the section [capture.exclude]: requests that pass and are counted, and of
// which nothing is ever written.
type Exclude struct {
	// Keys are fingerprints of provider keys: "sha256:" and the first 16 or more
	// hexadecimal digits of the key's SHA-256.
	Keys []string `toml:"keys"`
	// Headers are "Name", for any value, or "Name: pattern" with * and ?.
	Headers []string `toml:"headers"`
	// Pointers are JSON Pointers into the request: "/metadata/private" for any value but
	// false, null and an empty text, or "/metadata/team=legal" for one.
	Pointers []string `toml:"pointers"`
	// Tenants are those of tenant_header and tenant_pointers.
	Tenants []string `toml:"tenants"`
	// Consent is "required" where only requests that carry consent are recorded.
	Consent string `toml:"consent"`
	// ConsentPointers say where in the request consent stands, besides the header
	// X-Understudy-Consent of a trusted client: true, "true", "yes", "granted" or 1.
	ConsentPointers []string `toml:"consent_pointers"`
}

const (
	// headerSkip excludes a request, whoever sends it: it can only take away.
	headerSkip    = ownPrefix + "Skip"
	headerConsent = ownPrefix + "Consent"

	consentRequired = "required"
	fingerprintForm = "sha256:"
	minFingerprint  = 16
)

// Why a request is excluded, as a metric tells it.
const (
	excludedPath    = "path" // it is no Chat Completions call
	excludedBypass  = "bypass"
	excludedSkip    = "skip"
	excludedKey     = "key"
	excludedHeader  = "header"
	excludedPointer = "pointer"
	excludedTenant  = "tenant"
	excludedConsent = "consent"
)

var exclusions = [...]string{excludedPath, excludedBypass, excludedSkip, excludedKey, excludedHeader, excludedPointer, excludedTenant, excludedConsent}

// excluder is an Exclude ready to be used.
type excluder struct {
	keys            []string // hexadecimal digits
	headers         []headerRule
	pointers        []pointerRule
	tenants         []string
	consent         bool
	consentPointers []pointer
}

type headerRule struct {
	name  string
	value *regexp.Regexp // nil for any
}

type pointerRule struct {
	at     pointer
	equals string // empty for any
}

func compileExclude(e *Exclude) (*excluder, error) {
	out := &excluder{tenants: e.Tenants, consent: e.Consent == consentRequired}
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf("exclude."+format, a...)) }
	for _, s := range e.Keys {
		digits, ok := strings.CutPrefix(strings.ToLower(s), fingerprintForm)
		even := digits[:len(digits)&^1] // an odd number of digits is a prefix as well
		if _, err := hex.DecodeString(even); !ok || err != nil || len(digits) < minFingerprint || len(digits) > 2*sha256.Size || strings.Trim(digits, "0123456789abcdef") != "" {
			bad("keys: %q is no fingerprint: sha256: and the first %d or more digits of printf %%s \"$KEY\" | sha256sum", s, minFingerprint)
		}
		out.keys = append(out.keys, digits)
	}
	for _, s := range e.Headers {
		name, value, has := strings.Cut(s, ":")
		r := headerRule{name: textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))}
		if r.name == "" || strings.ContainsAny(r.name, " \t") {
			bad("headers: %q is neither Name nor Name: pattern", s)
		}
		if has {
			r.value = pattern(strings.TrimSpace(value))
		}
		out.headers = append(out.headers, r)
	}
	for _, s := range e.Pointers {
		at, equals, _ := strings.Cut(s, "=")
		p, err := parsePointer(at)
		if err != nil {
			bad("pointers: %w", err)
		}
		out.pointers = append(out.pointers, pointerRule{at: p, equals: equals})
	}
	if e.Consent != "" && e.Consent != consentRequired {
		bad("consent %q is unknown: %q, or empty", e.Consent, consentRequired)
	}
	var err error
	if out.consentPointers, err = compilePointers("exclude.consent_pointers", e.ConsentPointers); err != nil {
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// head decides by a request's head, before anything of it is copied; empty where it
// does not exclude.
func (x *excluder) head(h http.Header) string {
	switch {
	case said(h.Get(headerSkip)):
		return excludedSkip
	case len(x.keys) > 0 && x.hasKey(h):
		return excludedKey
	}
	for _, r := range x.headers {
		for _, v := range h[r.name] {
			if r.value == nil || r.value.MatchString(v) {
				return excludedHeader
			}
		}
	}
	return ""
}

func (x *excluder) hasKey(h http.Header) bool {
	for _, key := range providerKeys(h) {
		sum := sha256.Sum256([]byte(key))
		digits := hex.EncodeToString(sum[:])
		if slices.ContainsFunc(x.keys, func(k string) bool { return strings.HasPrefix(digits, k) }) {
			return true
		}
	}
	return false
}

// body decides by what a request says.
func (x *excluder) body(t *take, d *document) string {
	for _, r := range x.pointers {
		v, scalar, there := d.value(r.at)
		switch {
		case r.equals != "" && scalar && v == r.equals:
			return excludedPointer
		case r.equals == "" && there && (!scalar || said(v)):
			return excludedPointer
		}
	}
	if len(x.tenants) > 0 && slices.Contains(x.tenants, t.tenantOf(d)) {
		return excludedTenant
	}
	if !x.consent || agreed(t.ownHeader(headerConsent)) {
		return ""
	}
	for _, p := range x.consentPointers {
		if v, ok := d.scalar(p); ok && agreed(v) {
			return ""
		}
	}
	return excludedConsent
}

// said tells whether a mark is set.
func said(v string) bool { return v != "" && v != "0" && !strings.EqualFold(v, "false") }

// agreed tells whether a text is consent: nothing but a clear yes is.
func agreed(v string) bool {
	return slices.Contains([]string{"true", "yes", "granted", "1"}, strings.ToLower(v))
}
