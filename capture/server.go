package capture

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer makes the server of the data port: HTTP/1.1, limits on what a
// client may take before its request is there, and none on how long an answer
// may stream. What net/http has to say about a connection is logged at debug
// level: it is the client's doing.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      h,
		Protocols:                    protocols,
		ReadHeaderTimeout:            30 * time.Second,
		IdleTimeout:                  5 * time.Minute, // above the clients' own, so that they close first
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
