package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"understudy/internal/daemon"
	"understudy/internal/journal"
)

// An admin talks to the running daemon over its socket, or, where none runs, to
// a reader that holds the store's lock meanwhile.
type admin struct {
	http  *http.Client
	close func()
}

// dial finds who can answer for the configured state directory.
func dial(ctx context.Context, cfg *Config) (*admin, error) {
	a := &admin{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return daemon.DialAdmin(ctx, cfg.NATS.Dir)
		},
	}}, close: func() {}}
	c, err := daemon.DialAdmin(ctx, cfg.NATS.Dir)
	if err == nil {
		c.Close()
		return a, nil
	}
	return a.offline(ctx, cfg)
}

// offline opens the store of a daemon that does not run.
func (a *admin) offline(ctx context.Context, cfg *Config) (*admin, error) {
	quiet := slog.New(slog.DiscardHandler)
	p, err := newReader(cfg, quiet)
	if errors.Is(err, journal.ErrLocked) {
		return nil, fmt.Errorf("the daemon that uses %s does not answer on its admin socket: %w", cfg.NATS.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	a.close = func() { cancel(); <-done }
	const wait = 30 * time.Second
	reading, stop := context.WithTimeout(ctx, wait)
	defer stop()
	err = p.settled(reading)
	if err != nil {
		err = fmt.Errorf("%w: the store was not read within %s", journal.ErrUnavailable, wait)
	} else {
		err = p.readPast(ctx)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// get asks for path and hands the body to read. An error answer of the daemon
// becomes an error with its sentence.
func (a *admin) get(ctx context.Context, path string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin"+path, nil)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error string }
		if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e) != nil || e.Error == "" {
			e.Error = "the daemon answered " + resp.Status
		}
		err := errors.New(e.Error)
		if resp.StatusCode == http.StatusServiceUnavailable {
			err = &codedError{code: exitUnreachable, err: err}
		}
		return err
	}
	if err := read(resp.Body); err != nil {
		return err
	}
	if late := resp.Trailer.Get(trailerError); late != "" {
		return &codedError{code: exitUnreachable, err: errors.New(late)}
	}
	return nil
}

// ask loads the configuration, asks for path and hands the body to read.
func (e *env) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	cfg, err := loadConfig(e.config, e.sets)
	if err != nil {
		return err
	}
	a, err := dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.close()
	return a.get(ctx, path, read)
}

// copyTo writes a body to w as it comes.
func copyTo(w io.Writer) func(io.Reader) error {
	return func(r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	}
}
