package capture

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
)

// hopByHop headers belong to one connection and end at the proxy (RFC 9110,
// 7.6.1), as do those that Connection names.
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

const ownPrefix = "X-Understudy-"

// outgoing is the request as it goes upstream: path, query, headers and body
// byte for byte, without the headers of the connection and our own, and with
// nothing added. nil when the path cannot be sent as it is.
func outgoing(r *http.Request, to *target, body *clientBody) *http.Request {
	u := address(r, to)
	if u == nil {
		return nil
	}
	out := &http.Request{
		Method: r.Method, URL: u, Host: to.host, Header: passedHeaders(r.Header),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if body != nil {
		// The server fills the trailers in when it has read the body, before
		// the transport writes its own.
		removeOwn(r.Trailer) // those announced; the values come with the body's end
		body.trailer = r.Trailer
		out.Body, out.ContentLength, out.Trailer = body, r.ContentLength, r.Trailer
	}
	return out
}

// address is where a request goes: the upstream's base URL and the client's
// path and query, not one byte changed.
func address(r *http.Request, to *target) *url.URL {
	u := &url.URL{Scheme: to.scheme, Host: to.host, Opaque: to.prefix + r.RequestURI}
	if strings.HasPrefix(u.Opaque, "//") {
		// An opaque address that begins so would be sent in absolute form.
		u = &url.URL{
			Scheme: to.scheme, Host: to.host, Path: r.URL.Path, RawPath: r.URL.RawPath,
			RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery,
		}
		if u.RequestURI() != r.RequestURI {
			return nil
		}
	}
	return u
}

func passedHeaders(in http.Header) http.Header {
	h := make(http.Header, len(in)+1)
	for k, v := range in {
		if !strings.HasPrefix(k, ownPrefix) {
			h[k] = v
		}
	}
	removeHopByHop(h)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // else net/http would send its own
	}
	return h
}

// removeOwn takes our own headers out, which never go upstream.
func removeOwn(h http.Header) {
	for k := range h {
		if strings.HasPrefix(k, ownPrefix) {
			delete(h, k)
		}
	}
}

func removeHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// listed tells whether a comma-separated header has a token, in any case.
func listed(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			t, _, _ = strings.Cut(t, ";")
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

// forwardInformational passes 1xx answers on while the upstream's final answer
// is awaited. The result ends that: after it the ResponseWriter is the caller's
// alone. 100 Continue is left out: the server sends its own when the body is
// first read, which the transport does once the upstream has said 100, and two
// of them from two goroutines would meet on one connection.
func forwardInformational(ctx context.Context, w http.ResponseWriter) (context.Context, func()) {
	var mu sync.Mutex
	over := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			if over || code == http.StatusContinue || code == http.StatusSwitchingProtocols {
				return nil
			}
			h := w.Header()
			for k, v := range header {
				h[k] = v
			}
			w.WriteHeader(code)
			clear(h)
			return nil
		},
	})
	return ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}
