package journal

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// access are the options by which an external NATS is reached.
func (c *Config) access() []nats.Option {
	// A server that does not know us yet may learn: asking goes on.
	opts := []nats.Option{nats.CustomInboxPrefix(c.InboxPrefix), nats.IgnoreAuthErrorAbort()}
	if c.Credentials != "" {
		opts = append(opts, credentials(c.Credentials))
	}
	if c.TLSCA != "" {
		opts = append(opts, nats.RootCAs(c.TLSCA))
	}
	if c.TLSCert != "" {
		opts = append(opts, nats.ClientCert(c.TLSCert, c.TLSKey))
	}
	return opts
}

// credentials prove who we are by what a file holds: the JWT and seed of a user that an
// operator signed, or the bare seed of one whose public key the server's file names.
func credentials(path string) nats.Option {
	return func(o *nats.Options) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read credentials: %w", err)
		}
		if bytes.Contains(text, []byte("BEGIN NATS USER JWT")) {
			return nats.UserCredentials(path)(o)
		}
		byKey, err := nats.NkeyOptionFromSeed(path)
		if err != nil {
			return fmt.Errorf("credentials %s hold neither a user's JWT with its seed nor the seed of a user's nkey: %w", path, err)
		}
		return byKey(o)
	}
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
