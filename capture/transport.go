package capture

import (
	"net"
	"net/http"
	"time"
)

// newTransport makes the connections to the upstreams. It adds nothing to a
// request and changes nothing in an answer.
func newTransport(answerTimeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 nil, // the upstream comes from the config alone, never from the environment
		DialContext:           dialer.DialContext,
		Protocols:             protocols,
		DisableCompression:    true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: answerTimeout,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          0, // no limit over all upstreams
		MaxIdleConnsPerHost:   1024,
		// Below the idle time after which providers close (Azure: 4 minutes),
		// so that no request meets a connection that is just being closed.
		IdleConnTimeout: 90 * time.Second,
	}
}
