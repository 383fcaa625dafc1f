package capture

import (
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strings"
)

// headerToken carries what a client proves itself with towards the proxy alone. Like
// all headers of ours it never goes upstream and is never recorded.
const headerToken = ownPrefix + "Token"

// minToken is the length of the shortest token that is accepted.
const minToken = 16

// trusted are the clients whose X-Understudy-* headers count.
type trusted struct {
	addresses []netip.Prefix
	tokens    [][]byte
	names     []string // patterns of the names in client certificates
}

// The forms of an entry of trusted_clients besides an address and a CIDR.
const (
	tokenEnv  = "token:env:"
	tokenFile = "token:file:"
	certName  = "mtls:"
	certAny   = "mtls"
)

func parseTrusted(list []string) (trusted, error) {
	var out trusted
	var errs []error
	for _, s := range list {
		if err := out.add(s); err != nil {
			errs = append(errs, fmt.Errorf("trusted_clients: %w", err))
		}
	}
	return out, errors.Join(errs...)
}

func (t *trusted) add(s string) error {
	name, isEnv := strings.CutPrefix(s, tokenEnv)
	file, isFile := strings.CutPrefix(s, tokenFile)
	pattern, isName := strings.CutPrefix(s, certName)
	switch {
	case isEnv:
		return t.addToken(s, os.Getenv(name), nil)
	case isFile:
		data, err := os.ReadFile(file)
		return t.addToken(s, string(data), err)
	case s == certAny:
		t.names = append(t.names, "*")
		return nil
	case isName:
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return fmt.Errorf("%q names no certificate: mtls:NAME, where NAME may have *", s)
		}
		t.names = append(t.names, pattern)
		return nil
	}
	p, err := parsePrefix(s)
	if err != nil {
		return err
	}
	t.addresses = append(t.addresses, p)
	return nil
}

func (t *trusted) addToken(entry, token string, err error) error {
	token = strings.TrimSpace(token)
	switch {
	case err != nil:
		return fmt.Errorf("%q: %w", entry, err)
	case token == "":
		return fmt.Errorf("%q holds no token: set it, at least %d characters", entry, minToken)
	case len(token) < minToken:
		return fmt.Errorf("%q holds %d characters; a token has at least %d", entry, len(token), minToken)
	}
	t.tokens = append(t.tokens, []byte(token))
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is no address (10.0.0.7), CIDR (10.0.0.0/8), token (token:env:NAME, token:file:PATH) or certificate (mtls, mtls:NAME)", s)
}

// trusts tells whether a request is one of a trusted client: by its address, by a token
// that it carries, or by a certificate that the server has verified.
func (t *trusted) trusts(remote, token string, conn *tls.ConnectionState) bool {
	return t.address(remote) || token != "" && t.token(token) || conn != nil && t.certificate(conn)
}

func (t *trusted) address(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap().WithZone("")
	for _, p := range t.addresses {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// token compares in a time that does not depend on how much of a token is right.
func (t *trusted) token(s string) bool {
	found := 0
	for _, known := range t.tokens {
		found |= subtle.ConstantTimeCompare(known, []byte(s))
	}
	return found == 1
}

func (t *trusted) certificate(conn *tls.ConnectionState) bool {
	if len(conn.VerifiedChains) == 0 {
		return false
	}
	for _, name := range certNames(conn.PeerCertificates[0]) {
		for _, p := range t.names {
			if ok, _ := path.Match(p, name); ok || p == "*" {
				return true
			}
		}
	}
	return false
}

// certNames are the names that a certificate goes by: those of its subject and its
// alternatives.
func certNames(c *x509.Certificate) []string {
	names := append([]string{c.Subject.CommonName}, c.DNSNames...)
	names = append(names, c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}
