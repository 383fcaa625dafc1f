package capture

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// A Server is the server of the data port.
type Server struct{ *http.Server }

// NewServer makes the server of the data port: HTTP/1.1 and HTTP/2 (over TLS, or in
// clear by prior knowledge), limits on what a client may take before its request is
// there, and none on how long an answer may stream. With tls nil it speaks plain HTTP.
// What net/http has to say about a connection is logged at debug level: it is the
// client's doing.
func NewServer(h http.Handler, tls *tls.Config, log *slog.Logger) *Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(tls != nil)
	protocols.SetUnencryptedHTTP2(tls == nil)
	return &Server{&http.Server{
		Handler:                      h,
		TLSConfig:                    tls,
		Protocols:                    protocols,
		ReadHeaderTimeout:            30 * time.Second,
		IdleTimeout:                  5 * time.Minute, // above the clients' own, so that they close first
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}}
}

// Serve serves a listener until Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Server.Serve(l)
}
