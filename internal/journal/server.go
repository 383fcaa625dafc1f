package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// maxPayload of the embedded server; larger records go to the object store
// long before.
const maxPayload = 8 << 20

// storeDir is where the embedded server keeps its store.
func storeDir(cfg *Config) string { return filepath.Join(cfg.Dir, "nats") }

// startServer runs a NATS server inside this process. Without cfg.Listen it
// has no port at all; with a master its store is encrypted.
func startServer(cfg Config, master *master, log *slog.Logger) (*server.Server, error) {
	o := &server.Options{
		ServerName:             "understudy",
		DontListen:             cfg.Listen == "",
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               storeDir(&cfg),
		JetStreamMaxStore:      cfg.MaxStore,
		JetStreamMaxMemory:     64 << 20,
		SyncAlways:             cfg.Sync == "always",
		MaxPayload:             maxPayload,
		DisableJetStreamBanner: true,
	}
	if master != nil {
		o.JetStreamKey, o.JetStreamCipher = hex.EncodeToString(master.derive("store")), server.AES
	}
	if cfg.Listen != "" {
		// The server would wait long for a port that is taken.
		probe, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("nats.listen: %w; free the address or set another [nats] listen", err)
		}
		probe.Close()
		host, port, err := net.SplitHostPort(cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("nats.listen: %w", err)
		}
		if o.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("nats.listen: port %q: %w", port, err)
		}
		o.Host = host
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("create embedded NATS: %w", err)
	}
	sl := &serverLog{log: log}
	s.SetLoggerV2(sl, false, false, false)
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.Shutdown()
		s.WaitForShutdown()
		if err := sl.fatal; err != nil {
			return nil, fmt.Errorf("start embedded NATS: %w", err)
		}
		return nil, errors.New("start embedded NATS: not ready within 20 s")
	}
	return s, nil
}

// serverLog sends the server's log lines to slog. Its notices are details to us.
type serverLog struct {
	log   *slog.Logger
	fatal error
}

func (l *serverLog) Noticef(f string, v ...any) {
	l.log.Debug(fmt.Sprintf(f, v...), "stage", "nats")
}
func (l *serverLog) Warnf(f string, v ...any) { l.log.Warn(fmt.Sprintf(f, v...), "stage", "nats") }
func (l *serverLog) Errorf(f string, v ...any) {
	l.log.Error(fmt.Sprintf(f, v...), "stage", "nats")
}
func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

// Fatalf is an error here: a library does not end the process.
func (l *serverLog) Fatalf(f string, v ...any) {
	l.fatal = fmt.Errorf(f, v...)
	l.log.Error(l.fatal.Error(), "stage", "nats")
}
