package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// access are the options by which an external NATS is reached.
func (c *Config) access() []nats.Option {
	var opts []nats.Option
	if c.Credentials != "" {
		opts = append(opts, nats.UserCredentials(c.Credentials))
	}
	if c.TLSCA != "" {
		opts = append(opts, nats.RootCAs(c.TLSCA))
	}
	if c.TLSCert != "" {
		opts = append(opts, nats.ClientCert(c.TLSCert, c.TLSKey))
	}
	return opts
}

// Ping asks an external NATS whether it lets us in and has JetStream, and changes
// nothing there. Its errors are ErrUnavailable.
func Ping(ctx context.Context, cfg Config) error {
	nc, err := nats.Connect(cfg.URL, append(cfg.access(), nats.Name("understudy check"), nats.Timeout(callTimeout), nats.NoReconnect())...)
	if err != nil {
		return fmt.Errorf("%w: connect NATS %s: %w", ErrUnavailable, cfg.URL, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err == nil {
		_, err = js.AccountInfo(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: ask JetStream of NATS %s: %w", ErrUnavailable, cfg.URL, err)
	}
	return nil
}
