package capture

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A link is what distinguishes the connections to one upstream from those to another.
type link struct {
	answerTimeout time.Duration
	http2         bool
	authorities   [32]byte // sum of the ca_file, zero without one
}

// transports are the connections to the upstreams, kept over a reload.
type transports map[link]*http.Transport

// connect gives the transport of an upstream: that of before, where it is still the
// same, so that its open connections are kept.
func (t transports) connect(u *Upstream, answerTimeout time.Duration, before transports) (*http.Transport, error) {
	l := link{answerTimeout: answerTimeout, http2: u.HTTP2}
	var pool *x509.CertPool
	if u.CAFile != "" {
		system, err := x509.SystemCertPool()
		if err != nil {
			system = x509.NewCertPool()
		}
		if pool, l.authorities, err = authorities(u.CAFile, system); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	if t[l] == nil {
		if t[l] = before[l]; t[l] == nil {
			t[l] = newTransport(answerTimeout, u.HTTP2, pool)
		}
	}
	return t[l], nil
}

// closeIdle closes idle connections, but for those that other transports still use.
func (t transports) closeIdle(but transports) {
	for l, one := range t {
		if but[l] != one {
			one.CloseIdleConnections()
		}
	}
}

// newTransport makes the connections to an upstream. It adds nothing to a request and
// changes nothing in an answer. pool holds further authorities, nil the system's alone.
func newTransport(answerTimeout time.Duration, http2 bool, pool *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	return &http.Transport{
		Proxy:                 nil, // the upstream comes from the config alone, never from the environment
		DialContext:           dialer.DialContext,
		Protocols:             protocols,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
		DisableCompression:    true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: answerTimeout,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          0, // no limit over all upstreams
		MaxIdleConnsPerHost:   1024,
		// Below the idle time after which providers close (Azure: 4 minutes),
		// so that no request meets a connection that is just being closed.
		IdleConnTimeout: 90 * time.Second,
		// One connection carries many streams: a dead one is found out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}
