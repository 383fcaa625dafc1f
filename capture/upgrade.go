package capture

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
)

// wantsWebSocket tells whether a request asks for a WebSocket (the Realtime
// API). Every other Upgrade header, such as the h2c that some Java clients
// always send, is dropped with the other headers of the connection.
func wantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 && listed(r.Header["Upgrade"], "websocket") && listed(r.Header["Connection"], "upgrade")
}

// upgrade relays a WebSocket, unrecorded. The standard proxy knows how; the
// addresses and headers are ours.
func (p *passage) upgrade(w http.ResponseWriter, r *http.Request) {
	u := address(r, p.to)
	if u == nil {
		refuse(w, http.StatusBadRequest, "invalid_request_target", "the path cannot be passed on unchanged")
		return
	}
	relay := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL, pr.Out.Host = u, p.to.host
			for k, v := range passedHeaders(pr.In.Header) {
				pr.Out.Header[k] = v
			}
			for k := range pr.Out.Header {
				if strings.HasPrefix(k, ownPrefix) {
					delete(pr.Out.Header, k)
				}
			}
		},
		Transport:     p.to.transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(p.c.log.Handler(), slog.LevelDebug),
		ErrorHandler:  func(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, r, nil, err) },
	}
	relay.ServeHTTP(w, r)
}
