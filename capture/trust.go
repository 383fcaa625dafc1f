package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// trusted are the clients whose X-Understudy-* headers count.
type trusted []netip.Prefix

func parseTrusted(list []string) (trusted, error) {
	var out trusted
	var errs []error
	for _, s := range list {
		p, err := parsePrefix(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, p)
	}
	return out, errors.Join(errs...)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	if strings.Contains(strings.ToLower(s), "token") {
		return netip.Prefix{}, fmt.Errorf("trusted_clients: %q looks like a token reference, which this build does not know; name the client's address or CIDR", s)
	}
	return netip.Prefix{}, fmt.Errorf("trusted_clients: %q is neither an address (10.0.0.7) nor a CIDR (10.0.0.0/8)", s)
}

// has tells whether a request's RemoteAddr is one of the trusted clients.
func (t trusted) has(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap().WithZone("")
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
